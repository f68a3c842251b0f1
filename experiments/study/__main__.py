r"""Trains on real prices year by year, a walk-forward study.

eigen3 study --config=small --config.panel=panel.parquet \
  --workdir=studies/first [--only=2008] [--jobs=2]

For each year one agent, a population and the supervised ranker are trained on
the days before it, with several seeds; their held-out days are opened once and
judged together. Killed or stopped, the same command goes on.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('study')  # reads flags before slow imports

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from eigen3.data import MarketPanel
from eigen3.evaluation.pooled import Outcome, chained
from eigen3.files import write_json, write_table
from eigen3.settings import (
  AT_LEAST_ONE,
  COUNT,
  TEXT,
  Expected,
  check,
  require,
  several,
)
from experiments.jobs import program, results
from experiments.jobs.cells import CHANGES, PROGRAMS, Cell
from experiments.study import folds, series

_PANELS = 'panels'
_ALL = 'all'  # folds together
# Programs that a program's runs are compared with, besides the controls.
_BESIDE = {'td3': ('ranker',), 'erl': ('ranker', 'td3')}

_YEAR = AT_LEAST_ONE
_YEARS = Expected(
  lambda x: all(map(_YEAR.meets, x)) and len(set(x)) == len(x) > 0,
  'one or more years that differ',
  lambda x: '' if isinstance(x, tuple) else 'a tuple',
)
_DATA = {
  'last_day': TEXT,
  'holdout_days': AT_LEAST_ONE,
  'validation_days': AT_LEAST_ONE,
  'embargo_days': COUNT,
  'min_training_days': COUNT,
  'num_stocks': AT_LEAST_ONE,
  'look_back_days': AT_LEAST_ONE,
  'context': several(TEXT, 'names of columns'),
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the settings of a study; a ValueError names the field."""
  check(
    'config',
    config,
    {
      'panel': TEXT,
      'years': _YEARS,
    },
  )
  check('data', config.data, _DATA)
  for name in config.programs:
    require(name in PROGRAMS, 'programs', name, f'some of {[*PROGRAMS]}')
    check('programs', config.programs, {name: CHANGES})


def cells_of(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[Cell]:
  """Makes the panels of all folds; returns a cell a fold and program."""
  return [
    Cell(
      f'{fold.year}/{name}',
      name,
      config.preset,
      (
        f'data.panel={fold.path.absolute()}',
        *(
          f'data.{field}={config.data[field]}'
          for field in ('holdout_days', 'validation_days', 'embargo_days')
        ),
        *changes,
      ),
      config.seeds,
    )
    for fold in folds.make(config, workdir / _PANELS)
    for name, changes in config.programs.items()
  ]


def write_results(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
  outcomes: program.Outcomes,
) -> str:
  """Writes the results; returns the table as text."""
  runs = dict(outcomes) | {
    f'{_ALL}/{name}': _chained(config, name, outcomes)
    for name in config.programs
  }
  summaries = {
    f'{part}/{name}': _summary(config, part, name, runs)
    for part in (_ALL, *config.years)
    for name in config.programs
    if runs[f'{part}/{name}']
  }
  title = f'Walk-forward study, preset {config.preset}, seeds {[*config.seeds]}'
  remark = _remark(config, workdir) if summaries else ''
  together = {
    name: [*runs[f'{_ALL}/{name}'].values()]
    for name in config.programs
    if runs[f'{_ALL}/{name}']
  }
  more: list[str] = []
  pictures: dict[str, str] = {}
  if together:
    days = series.daily(together)
    write_table(workdir / 'daily.csv', days)
    series.draw_series(workdir / 'daily.png', days, title, remark)
    pictures = {'Held-out days, one after another': series.element(days)}
    # Otherwise means over different numbers of seeds would be compared.
    if all(len(runs) == len(config.seeds) for runs in together.values()):
      contest = series.contest(days, [*together], config.seed, config.repeats)
      write_json(workdir / 'contest.json', contest)
      more = series.contest_lines(contest)
  return results.write(
    config, workdir, cells, outcomes, summaries, title, remark, more, pictures
  )


def _chained(
  config: ml_collections.ConfigDict, name: str, outcomes: program.Outcomes
) -> Mapping[int, Outcome]:
  """Joins the folds of each seed that has run on all of them.

  The results of the cell list the other seeds as `missing`.
  """
  by_fold = [outcomes[f'{year}/{name}'] for year in config.years]
  return {
    seed: chained([fold[seed] for fold in by_fold])
    for seed in config.seeds
    if all(seed in fold for fold in by_fold)
  }


def _summary(
  config: ml_collections.ConfigDict,
  part: str | int,
  name: str,
  runs: program.Outcomes,
) -> dict[str, Any]:
  """Returns results of a program on a fold or all, and its comparisons."""
  beside = {
    other: runs[f'{part}/{other}']
    for other in _BESIDE.get(name, ())
    if other in config.programs
  }
  return results.summary_of(
    config, config.seeds, runs[f'{part}/{name}'], beside
  )


def _remark(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> str:
  """Returns caveats about the data."""
  panel = MarketPanel.load(workdir / _PANELS / f'{config.years[-1]}.parquet')
  settings, budget = config.data, ''
  if {'erl', 'ranker'} <= {*config.programs}:
    budget = (
      '; erl is compared with a ranker of the budget of td3: no more extractor '
      'passes than td3, though each carries labels of all stocks'
    )
  return (
    f'{settings.num_stocks} stocks a fold, the most traded of the '
    f'{settings.look_back_days} days before its {settings.validation_days} '
    f'validation days; {panel.survivorship}; profits of "{_ALL}" are means '
    'over folds, its differences are of the daily returns of all of them, '
    'whose blocks of days are drawn across the seams of folds; p-values of '
    'single comparisons are not corrected for their number' + budget
  )


def main(argv: Sequence[str]) -> int:
  """Runs unfinished runs; returns 1 if one failed, 130 if stopped, else 0."""
  return program.main(
    argv, program.Program(check_settings, cells_of, write_results)
  )

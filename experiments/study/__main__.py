r"""Trains on real prices year by year, a walk-forward study.

eigen3 study --config=small --config.panel=panel.parquet \
  --workdir=studies/first [--config.years='(2021,2022)'] [--only=2014] \
  [--jobs=2]

For each year the agent, the supervised ranker, gradient boosting and ridge
regression are trained on the days before it; the year's held-out days are
opened once. The page joins all years: first how the scores order the stocks,
then what the account earned. The same command continues a study that was
stopped or killed.

--config=choice is for choosing settings, on early years alone;
--config=planted tests whether the study finds a planted signal.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('study')  # reads flags before slow imports

import functools
import json
import pathlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import ml_collections
from tqdm import tqdm

from eigen3.data import MarketPanel
from eigen3.files import write_json, write_table
from eigen3.reporting import study_page
from eigen3.settings import (
  AT_LEAST_ONE,
  COUNT,
  SHARE,
  SWITCH,
  TEXT,
  Expected,
  check,
  one_of,
  require,
  several,
)
from experiments.configs import study as study_config
from experiments.jobs import naming, program, record
from experiments.jobs.cells import CHANGES, COMMITTEE, PROGRAMS, Cell
from experiments.study import folds, joined, planted, series
from experiments.study.joined import Joined

_PANELS = 'panels'
_PAGE = 'results.html'
_MODELS = ('ridge', 'boosting')  # values of `ranker.model`
_AGENT = 'td3'  # the program whose champions form the committee
# Settings that may differ from the committed ones.
_FREE = ('panel', 'years', 'jobs', 'seed', 'repeats')

_YEAR = AT_LEAST_ONE
_YEARS = Expected(
  lambda x: all(map(_YEAR.meets, x)) and len(set(x)) == len(x) > 0,
  'one or more different years (whole numbers)',
  lambda x: '' if isinstance(x, tuple) else 'a tuple',
)
# A copy without a signal is judged by the others of its kind, see `planted`.
_TRIALS = Expected(
  lambda x: COUNT.meets(x) and x != 1, '0, or at least 2', COUNT.kind
)
_IC = Expected(
  lambda x: SHARE.meets(x) and x > 0, 'above 0 and at most 1', SHARE.kind
)
_DATA = {
  'last_day': TEXT,
  'holdout_days': AT_LEAST_ONE,
  'validation_days': AT_LEAST_ONE,
  'embargo_days': COUNT,
  'min_training_days': COUNT,
  'num_stocks': COUNT,
  'look_back_days': AT_LEAST_ONE,
  'min_stocks': AT_LEAST_ONE,
  'context': several(TEXT, 'names of columns'),
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the settings that only a study has.

  Raises:
    ValueError: if a setting is invalid; the message names the field.
  """
  check(
    'config',
    config,
    {
      'panel': TEXT,
      'years': _YEARS,
      'size': one_of('smoke', 'small', 'full'),
      'common': CHANGES,
      'cold': several(TEXT, 'names of programs'),
      'committee': SWITCH,
    },
  )
  check('data', config.data, _DATA)
  check('planted', config.planted, {'trials': _TRIALS, 'ic': _IC})
  names = ', '.join([*PROGRAMS, *_MODELS])
  expected = f'one of {names}, alone or with a suffix, such as td3_cold'
  for name in config.programs:
    require(_program_of(name) in PROGRAMS, 'programs', name, expected)
    check('programs', config.programs, {name: CHANGES})


def cells_of(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[Cell]:
  """Makes the folds' missing panels; returns the cells of all folds.

  Raises:
    ValueError: see `folds.source`, `folds.planted` and `folds.make`.
  """
  number = len(_trials(config))
  copies = tqdm(
    _copies(config, workdir / _PANELS),
    'panels',
    number,
    unit='copy',
    leave=False,
    disable=number == 1,
  )
  return [
    cell
    for copy, folder, load in copies
    for cell in cells_of_copy(config, copy, folds.make(config, folder, load))
  ]


def _copies(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> Iterator[tuple[str, pathlib.Path, Callable[[], MarketPanel | None]]]:
  """Yields the name, a folder and a function for each copy of the panel.

  The folder is for the copy's folds. The function makes the copy, or returns
  None if the panel's file is gone. If `planted.trials` is 0, the only copy is
  the panel itself, named ''.
  """
  panel = folds.source(config, folder)

  def plant(ic: float, trial: int) -> MarketPanel | None:
    return panel and folds.planted(config, panel, ic, trial)

  for name, ic, trial in _trials(config):
    make = functools.partial(plant, ic, trial) if name else lambda: panel
    yield name, folder / name, make


def _trials(
  config: ml_collections.ConfigDict,
) -> list[tuple[str, float, int]]:
  """Returns each copy's name, planted rank IC and seed; see `_copies`."""
  if not config.planted.trials:
    return [('', 0.0, 0)]
  return [
    (planted.copy_name(ic, trial), ic, trial + shift)
    for trial in range(config.planted.trials)
    # Different seeds, so that no two copies differ in the signal alone.
    for ic, shift in ((config.planted.ic, 0), (0.0, config.planted.trials))
  ]


def cells_of_copy(
  config: ml_collections.ConfigDict, copy: str, made: Sequence[folds.Fold]
) -> list[Cell]:
  """Returns the cells of one copy of the panel (see `_copies`).

  Args:
    config: the study's settings.
    copy: the copy's name.
    made: the copy's folds.
  """
  cells: list[Cell] = []
  for name, changes in config.programs.items():
    before: Cell | None = None
    for fold in sorted(made):
      whole = '/'.join(filter(None, (copy, str(fold.year), name)))
      given = (*_data_of(config, fold), *config.common, *changes)
      start = before if _is_warm(config, name) else None
      # A later change of a field replaces an earlier one.
      last = {change.partition('=')[0]: change for change in given}
      cell = Cell(
        whole,
        _program_of(name),
        config.size,
        (*last.values(),),
        config.seeds[:1] if _is_model(name) else config.seeds,
        start,
      )
      before = cell
      cells.append(cell)
      if name == _AGENT and config.committee:
        committee = cell.name[: -len(name)] + COMMITTEE
        cells.append(
          Cell(
            committee, COMMITTEE, cell.preset, cell.changes, (0,), None, cell
          )
        )
  return sorted(cells, key=lambda cell: cell.name.rpartition('/')[0])


def _data_of(config: ml_collections.ConfigDict, fold: folds.Fold) -> list[str]:
  fields = ('holdout_days', 'validation_days', 'embargo_days')
  return [
    f'data.panel={fold.path.absolute()}',
    *(f'data.{field}={config.data[field]}' for field in fields),
  ]


def _program_of(name: str) -> str:
  return 'ranker' if _is_model(name) else name.partition('_')[0]


def _is_model(name: str) -> bool:
  return name.partition('_')[0] in _MODELS


def _is_warm(config: ml_collections.ConfigDict, name: str) -> bool:
  return _program_of(name) == _AGENT and name not in config.cold


def write_results(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
  outcomes: program.Outcomes,
) -> str:
  """Writes the results of finished runs; returns them as text.

  Nothing is written before a program has run on all folds.
  """
  asked = record.asked(workdir, config)
  lacking = record.gaps(workdir, cells, outcomes)
  lines = record.remarks(asked, cells, lacking)
  copies = {
    name: _joined(config, name, outcomes) for name, *_ in _trials(config)
  }
  if not any(copies.values()):
    return '\n'.join(['no program has run on all years yet', *lines])
  commits = {run.commit for runs in outcomes.values() for run in runs.values()}
  about = {
    'asked': asked,
    'missing': lacking,
    'commits': sorted(commit or 'unknown' for commit in commits),
    'years': sorted(config.years),
    'preset': config.preset,
    'programs': json.loads(config.programs.to_json()),
    'common': [*config.common],
    'cold': [*config.cold],
    'remark': _remark(config, workdir),
    'chosen': _chosen(config, commits),
  }
  if config.planted.trials:
    found = planted.judge(copies, [*config.programs], config.planted.ic)
    results = about | {'planted': {'ic': config.planted.ic, 'programs': found}}
    pictures: dict[str, str] = {}
  else:
    results, pictures, said = _study(config, workdir, copies[''], about)
    lines = [*said, *lines]
  write_json(workdir / record.RESULTS, results)
  text = study_page.write(workdir / _PAGE, results, lines, pictures)
  return f'{text}\nwritten: {workdir}/{_PAGE}, {record.RESULTS}'


def _chosen(
  config: ml_collections.ConfigDict, commits: Collection[str]
) -> dict[str, Any]:
  """Returns the commit of the settings, and whether all runs came later.

  The settings in `_FREE` may differ from the committed ones; see
  `naming.named`.
  """
  own = study_config.get_config(config.preset)
  is_its_own = all(
    config[name] == own[name] for name in own if name not in _FREE
  )
  return naming.named(pathlib.Path(study_config.__file__), is_its_own, commits)


def _study(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  found: dict[str, Joined],
  about: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
  """Computes the results of a study without planted signals; writes daily.csv.

  Args:
    config: all settings.
    workdir: the study's folder.
    found: joined results by program; the committee counts as a program.
    about: fields to add to the results.

  Returns:
    The results, the page's pictures by title, and lines of text about which
    policies may be the best.
  """
  main = next(n for n in (COMMITTEE, _AGENT, *found) if n in found)
  reports = {name: joined.report(name, found) for name in found}
  days = series.daily(found)
  write_table(workdir / 'daily.csv', days)
  contest = series.contest(days, [*found], config.seed, config.repeats)
  results = about | {'main': main, 'policies': reports, 'contest': contest}
  pictures = study_page.pictures(reports, main, joined.excess(found[main])) | {
    'Held-out days, one after another': series.element(days)
  }
  return results, pictures, series.contest_lines(contest)


def _joined(
  config: ml_collections.ConfigDict, copy: str, outcomes: program.Outcomes
) -> dict[str, Joined]:
  """Returns each program's results on one copy of the panel (see `_copies`).

  Programs that have not run with the same seeds on all folds are left out.
  """
  names = [*config.programs]
  if config.committee and _AGENT in names:
    names.insert(names.index(_AGENT) + 1, COMMITTEE)
  found = {}
  for name in names:
    runs = {
      year: outcomes['/'.join(filter(None, (copy, str(year), name)))]
      for year in sorted(config.years)
    }
    if (one := joined.join(runs)) is not None:
      found[name] = one
  return found


def _remark(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> str:
  """Returns a remark on the stocks, their universe and survivorship bias."""
  copy, *_ = _trials(config)[0]
  last = workdir / _PANELS / copy / f'{max(config.years)}.parquet'
  panel = MarketPanel.load(last)
  count = config.data.num_stocks
  stocks = (
    f'the {count} most traded stocks of each fold' if count else ('all stocks')
  )
  # The last of a panel's notes is about its universe or planted signal.
  members = panel.notes.rpartition('; ')[2] or 'bought only while members'
  return f'{stocks}, {members}; {panel.survivorship}'


def main(argv: Sequence[str]) -> int:
  """Runs the study; returns the exit status, see `program.main`."""
  return program.main(
    argv, program.Program(check_settings, cells_of, write_results)
  )

r"""Trains on markets with known answers, and reports results.

eigen3 ladder --config=small --workdir=ladders/first [--only='^drift$|none'] \
  [--jobs=2]

Each run is a process of its own. If the program is stopped or killed, the same
command continues it. --only is a regular expression; only cells whose names it
matches are run, but the results include all finished runs.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('ladder')  # reads flags before slow imports

import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections

from eigen3.data.synthetic_signals import MARKETS
from eigen3.evaluation import ranking
from eigen3.settings import (
  POSITIVE,
  SHARE,
  TEXT,
  check,
  one_of,
  require,
  several,
)
from experiments.jobs import program, results
from experiments.jobs.cells import CHANGES, PROGRAMS, Cell
from experiments.ladder import goals, primary

_REMARK = (
  'each seed is a market of its own; controls trade under the same rules; only '
  'primary comparisons were named before the runs and are corrected for their '
  'number, all else is exploratory; there, intervals and p-values of '
  'differences come from a bootstrap over blocks of days, with seeds pooled'
)
_KINDS = {
  'primary': 'Cells with the primary seeds, exploratory on their own',
  'exploratory': 'Exploratory cells',
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the settings that only a ladder has.

  Raises:
    ValueError: if a setting is invalid; the message names the field.
  """
  check(
    'goals',
    config.goals,
    {
      'share_of_momentum': POSITIVE,
      'share_of_momentum_by_account': POSITIVE,
      'share_of_patient': POSITIVE,
      'p': SHARE,
      'half_width': POSITIVE,
    },
  )
  for name, cell in config.cells.items():
    check(
      f'cells.{name}',
      cell,
      {
        'program': one_of(*PROGRAMS),
        'variant': one_of('', 'rl', 'eigen2'),
        'market': one_of(*MARKETS),
        'goal': one_of('', *goals.GOALS),
        'changes': CHANGES,
        'beside': several(TEXT, 'names of cells'),
        'seeds': one_of(*_KINDS),
      },
    )
    for other in cell.beside:
      require(
        other in config.cells
        and config.cells[other].market == cell.market
        and config.cells[other].seeds == cell.seeds,
        f'cells.{name}.beside',
        other,
        f'the name of a cell whose market and seeds are those of {name}',
      )
  primary.check_settings(config)


def cells_of(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[Cell]:
  """Returns all cells, in the order in which to run them.

  Cells with the primary seeds precede exploratory ones. Within each of these
  groups, a cell with a goal, or one that such a cell is compared with, precedes
  cells that are neither.
  """
  del workdir
  asked = {name for name, cell in config.cells.items() if cell.goal}
  asked |= {other for name in asked for other in config.cells[name].beside}

  def rank(item: tuple[str, Any]) -> tuple:
    name, cell = item
    is_late = cell.seeds != 'primary', name not in asked
    return *is_late, [*MARKETS].index(cell.market), name

  return [
    Cell(
      name,
      cell.program,
      '+'.join(filter(None, (config.preset, cell.variant))),
      (
        f'data.synthetic.market={cell.market}',
        'data.synthetic.seed={seed}',
        *cell.changes,
      ),
      config.primary.seeds if cell.seeds == 'primary' else config.seeds,
    )
    for name, cell in sorted(config.cells.items(), key=rank)
  ]


def write_results(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
  outcomes: program.Outcomes,
) -> str:
  """Writes the results; returns them as text."""
  summaries = {
    cell.name: _summary(config, cell, outcomes)
    for cell in cells
    if outcomes[cell.name]
  }
  title = f'Ladder, preset {config.preset}'
  return results.write(
    config, workdir, cells, outcomes, summaries, title, _REMARK,
    first=_primary(config, outcomes),
  )  # fmt: skip


def _primary(
  config: ml_collections.ConfigDict, outcomes: program.Outcomes
) -> dict[str, Any]:
  """Returns the results of `primary.judge` and `primary.named`."""
  found = primary.judge(config, outcomes)
  commits = {
    run.commit
    for comparison in config.primary.comparisons.values()
    for cell in (*comparison.ours, *comparison.theirs)
    for run in outcomes[cell].values()
  }
  return {'comparisons': found, 'named': primary.named(config, commits)}


def _summary(
  config: ml_collections.ConfigDict, cell: Cell, outcomes: program.Outcomes
) -> dict[str, Any]:
  """Returns a cell's result of `results.summary_of`, with two fields added.

  These are `goal`, the result of `goals.judge`, and `group`, the title of the
  table that the cell is in.
  """
  settings, beside = config.cells[cell.name], {}
  for other in settings.beside:
    is_ranker = config.cells[other].program == ranking.NAME
    beside[ranking.NAME if is_ranker else other] = outcomes[other]
  summary = results.summary_of(config, cell.seeds, outcomes[cell.name], beside)
  goal = goals.judge(settings.goal, summary, config.goals)
  group = f'{_KINDS[settings.seeds]} ({len(cell.seeds)} seeds)'
  return {**summary, 'goal': goal, 'group': group}


def main(argv: Sequence[str]) -> int:
  """Runs the ladder; returns the exit status, see `program.main`."""
  return program.main(
    argv, program.Program(check_settings, cells_of, write_results)
  )

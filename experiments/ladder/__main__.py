r"""Trains on markets with known answers and tells what was learnt.

eigen3 ladder --config=small --workdir=ladders/first [--only='^drift$|none'] \
  [--jobs=2]

Every run is a process of its own. Killed or stopped, the same command goes on;
--only does a part of it, and what is told is of all that is there.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('ladder')  # reads flags before what is slow is imported

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
from experiments.ladder import goals

_REMARK = (
  'each seed is a market of its own; controls trade under the same rules; '
  'intervals and p-values of differences are of days drawn in blocks, seeds '
  'pooled; p-values are not corrected for the number of comparisons'
)


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Refuses cells that name what there is not."""
  check(
    'goals',
    config.goals,
    {'share_of_momentum': POSITIVE, 'share_of_patient': POSITIVE, 'p': SHARE},
  )
  for name, cell in config.cells.items():
    check(
      f'cells.{name}',
      cell,
      {
        'program': one_of(*PROGRAMS),
        'market': one_of(*MARKETS),
        'goal': one_of('', *goals.GOALS),
        'changes': CHANGES,
        'beside': several(TEXT, 'names of cells'),
      },
    )
    for other in cell.beside:
      require(
        other in config.cells and config.cells[other].market == cell.market,
        f'cells.{name}.beside',
        other,
        'cells on the same market',
      )


def cells_of(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> list[Cell]:
  """What is run, what has a goal first; nothing has to be made for it."""
  del workdir
  asked = {name for name, cell in config.cells.items() if cell.goal}
  asked |= {other for name in asked for other in config.cells[name].beside}

  def rank(item: tuple[str, Any]) -> tuple:
    name, cell = item
    return name not in asked, [*MARKETS].index(cell.market), name

  return [
    Cell(
      name,
      cell.program,
      config.preset,
      (
        f'data.synthetic.market={cell.market}',
        'data.synthetic.seed={seed}',
        *cell.changes,
      ),
    )
    for name, cell in sorted(config.cells.items(), key=rank)
  ]


def tell(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
  outcomes: program.Outcomes,
) -> str:
  """Writes the results; the table as text."""
  told = {
    cell.name: _told(config, cell.name, outcomes)
    for cell in cells
    if outcomes[cell.name]
  }
  title = f'Ladder, preset {config.preset}, seeds {[*config.seeds]}'
  return results.write(config, workdir, cells, outcomes, told, title, _REMARK)


def _told(
  config: ml_collections.ConfigDict, name: str, outcomes: program.Outcomes
) -> dict[str, Any]:
  """All of one cell, beside others where they have the same seeds."""
  cell, beside = config.cells[name], {}
  for other in cell.beside:
    is_ranker = config.cells[other].program == ranking.NAME
    beside[ranking.NAME if is_ranker else other] = outcomes[other]
  told = results.told_of(config, outcomes[name], beside)
  return {**told, 'goal': goals.judge(cell.goal, told, config.goals)}


def main(argv: Sequence[str]) -> int:
  """Runs what is not done; 1 if a run failed, 130 if it was stopped."""
  return program.main(argv, program.Program(check_settings, cells_of, tell))

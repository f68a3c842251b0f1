"""What cells came to, side by side: written to files, and as text."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from eigen3.evaluation.pooled import Outcome, pool
from eigen3.files import write_json
from eigen3.reporting import cells_page, cells_table, primary_table
from eigen3.reporting.cells_picture import draw_cells
from eigen3.reporting.primary_picture import draw_comparison, file_of
from experiments.jobs import record
from experiments.jobs.cells import Cell

_PICTURE, _PAGE = 'results.png', 'results.html'


def told_of(
  config: ml_collections.ConfigDict,
  seeds: Sequence[int],
  runs: Mapping[int, Outcome],
  beside: Mapping[str, Mapping[int, Outcome]],
) -> dict[str, Any]:
  """All of one cell, beside others where they have the same seeds.

  Args:
    config: `seed`, `repeats` and `draws` are read.
    seeds: of the cell.
    runs: of the cell, by seed.
    beside: of the others, by name and seed.

  Returns:
    As `pooled.pool`; `missing`, seeds that the cell lacks; `not_compared`,
    names of the others that lack some of its seeds.
  """
  ready = {
    n: other for n, other in beside.items() if other.keys() >= runs.keys()
  }
  others = {n: [other[seed] for seed in runs] for n, other in ready.items()}
  return {
    **pool([*runs.values()], others, config.seed, config.repeats, config.draws),
    'missing': record.missing(seeds, runs),
    'not_compared': [name for name in beside if name not in ready],
  }


def write(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
  outcomes: Mapping[str, Mapping[int, Outcome]],
  told: Mapping[str, Mapping[str, Any]],
  title: str,
  remark: str,
  more: Sequence[str] = (),
  pictures: Sequence[str] = (),
  first: Mapping[str, Any] | None = None,
) -> str:
  """Writes all that tells of the results, where there is something to tell.

  Args:
    config: all settings.
    workdir: of all runs.
    cells: all there are.
    outcomes: of finished runs, by cell and seed.
    told: see `told_of`, and the `goal`, by name; with a `group`, the title of
      the table that a cell stands in.
    title: of the picture.
    remark: what every reader must know.
    more: lines that are told, too.
    pictures: PNG files of the folder that are shown, too.
    first: primary comparisons, `comparisons` and `named`; see
      `experiments/ladder/primary.py`.

  Returns:
    The table, comparisons and what is missing, as text.
  """
  lacking = record.gaps(workdir, cells, outcomes)
  asked = record.asked(workdir, config)
  said = record.remarks(asked, cells, lacking)
  if not told:
    return '\n'.join(['no run is done yet', *said])
  found = {'cells': told, 'missing': lacking, 'asked': asked, 'remark': remark}
  write_json(
    workdir / record.RESULTS, found | ({'primary': first} if first else {})
  )
  draw_cells(workdir / _PICTURE, told, title, remark)
  for name, compared in first['comparisons'].items() if first else ():
    if 'differences' in compared:
      draw_comparison(workdir / file_of(name), name, compared)
  said += more
  commits = {
    outcome.commit for runs in outcomes.values() for outcome in runs.values()
  }
  shown = [_PICTURE, *pictures]
  cells_page.write(
    workdir / _PAGE, title, told, asked, said, shown, remark, commits, first
  )
  parts = [primary_table.lines(first)] if first else []
  parts += [cells_table.lines(told), cells_table.comparisons(told)]
  parts += [*said, remark]
  parts.append(f'written: {workdir}/{_PAGE}, {_PICTURE}, {record.RESULTS}')
  return '\n'.join(filter(None, parts))

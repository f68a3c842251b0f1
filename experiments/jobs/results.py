"""What cells came to, side by side: written to files, and as text."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from eigen3.evaluation.pooled import Outcome, pool
from eigen3.files import write_json
from eigen3.reporting import cells_page, cells_table
from eigen3.reporting.cells_picture import draw_cells
from experiments.jobs import record
from experiments.jobs.cells import Cell

_PICTURE, _PAGE = 'results.png', 'results.html'


def told_of(
  config: ml_collections.ConfigDict,
  runs: Mapping[int, Outcome],
  beside: Mapping[str, Mapping[int, Outcome]],
) -> dict[str, Any]:
  """All of one cell, beside others where they have the same seeds.

  Args:
    config: `seeds`, `seed` and `repeats` are read.
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
    **pool([*runs.values()], others, config.seed, config.repeats),
    'missing': record.missing(config, runs),
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
) -> str:
  """Writes all that tells of the results, where there is something to tell.

  Args:
    config: all settings.
    workdir: of all runs.
    cells: all there are.
    outcomes: of finished runs, by cell and seed.
    told: see `told_of`, and the `goal`, by name.
    title: of the picture.
    remark: what every reader must know.
    more: lines that are told, too.
    pictures: PNG files of the folder that are shown, too.

  Returns:
    The table, comparisons and what is missing, as text.
  """
  lacking = record.gaps(config, workdir, cells, outcomes)
  asked = record.asked(workdir, config)
  said = record.remarks(asked, lacking)
  if not told:
    return '\n'.join(['no run is done yet', *said])
  write_json(
    workdir / record.RESULTS,
    {'cells': told, 'missing': lacking, 'asked': asked, 'remark': remark},
  )
  draw_cells(workdir / _PICTURE, told, title, remark)
  said += more
  commits = {
    outcome.commit for runs in outcomes.values() for outcome in runs.values()
  }
  shown = [_PICTURE, *pictures]
  cells_page.write(
    workdir / _PAGE, title, told, asked, said, shown, remark, commits
  )
  compared = cells_table.comparisons(told)
  parts = [cells_table.lines(told), compared, *said, remark]
  parts.append(f'written: {workdir}/{_PAGE}, {_PICTURE}, {record.RESULTS}')
  return '\n'.join(filter(None, parts))

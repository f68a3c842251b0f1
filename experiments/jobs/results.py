"""Pools the results of each cell's runs, and writes reports of all cells."""

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


def summary_of(
  config: ml_collections.ConfigDict,
  seeds: Sequence[int],
  runs: Mapping[int, Outcome],
  beside: Mapping[str, Mapping[int, Outcome]],
) -> dict[str, Any]:
  """Pools one cell's runs, and compares them with other cells' runs.

  Args:
    config: settings, of which `seed`, `repeats` and `draws` are read.
    seeds: all seeds of the cell.
    runs: the cell's finished runs, keyed by seed; at least one.
    beside: finished runs of the cells to compare with, keyed by the name to
      show for each cell, then by seed.

  Returns:
    The fields of `pooled.pool`; `missing`, seeds without a finished run; and
    `not_compared`, the names in `beside` of cells that lack a seed of `runs`.

  Raises:
    ValueError: see `pooled.pool`.
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
  reports: Mapping[str, Mapping[str, Any]],
  title: str,
  remark: str,
  more: Sequence[str] = (),
  pictures: Mapping[str, str] | None = None,
  first: Mapping[str, Any] | None = None,
) -> str:
  """Writes the results as JSON, pictures and an HTML page, if there are any.

  Args:
    config: all settings.
    workdir: the folder of the ladder.
    cells: all cells.
    outcomes: results of finished runs, keyed by the cell's name, then by seed.
    reports: results of `summary_of` for all cells with finished runs, keyed by
      the cell's name, each with `goal`, returned by `judge` of
      `experiments/ladder/goals.py`, and `group`, the title of the table that
      the cell is in.
    title: title of the picture and the page.
    remark: caveats for every reader.
    more: further lines for the page and the returned text.
    pictures: further SVG elements of the page, keyed by title.
    first: results of the primary comparisons: `comparisons` and `named`,
      returned by `judge` and `named` of `experiments/ladder/primary.py`; None
      if there are no primary comparisons.

  Returns:
    Text to print: tables, lines about missing runs and added seeds, `more`,
    `remark` and the names of files; without results only the lines about runs
    and seeds.
  """
  lacking = record.gaps(workdir, cells, outcomes)
  asked = record.asked(workdir, config)
  lines = record.remarks(asked, cells, lacking)
  if not reports:
    return '\n'.join(['no run is done yet', *lines])
  found = {
    'cells': reports,
    'missing': lacking,
    'asked': asked,
    'remark': remark,
  }
  write_json(
    workdir / record.RESULTS, found | ({'primary': first} if first else {})
  )
  draw_cells(workdir / _PICTURE, reports, title, remark)
  for name, compared in first['comparisons'].items() if first else ():
    if 'differences' in compared:
      draw_comparison(workdir / file_of(name), name, compared)
  lines += more
  commits = {
    outcome.commit for runs in outcomes.values() for outcome in runs.values()
  }
  cells_page.write(
    workdir / _PAGE,
    title,
    reports,
    asked,
    lines,
    pictures or {},
    remark,
    commits,
    first,
  )
  parts = [primary_table.lines(first)] if first else []
  parts += [cells_table.lines(reports), cells_table.comparisons(reports)]
  parts += [*lines, remark]
  parts.append(f'written: {workdir}/{_PAGE}, {_PICTURE}, {record.RESULTS}')
  return '\n'.join(filter(None, parts))

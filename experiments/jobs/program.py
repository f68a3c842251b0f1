"""Implements what ladder and study have in common, from flags to results."""

import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections
import pandas as pd
from absl import flags, logging

from eigen3.evaluation.pooled import Outcome
from eigen3.files import atomic_path, write_table
from eigen3.runs import claims
from eigen3.runs.trials import RUNS
from eigen3.settings import AT_LEAST_ONE, SEED, SEEDS, check
from experiments import backend, mains
from experiments.jobs import pool, record, scheduler
from experiments.jobs.archive import Archive, outcome_of
from experiments.jobs.cells import Cell
from experiments.options import many_runs as options

# Results of finished runs, keyed by the cell's name, then by seed.
Outcomes = Mapping[str, Mapping[int, Outcome]]


class Program(NamedTuple):
  """The parts in which ladder and study differ.

  Attributes:
    check: `(config)`, raises a ValueError for bad settings.
    cells: `(config, workdir)`, returns all cells; first makes the files that
      their runs need.
    write_results: `(config, workdir, cells, outcomes)`, writes results and
      returns the text to print.
  """

  check: Callable[[ml_collections.ConfigDict], None]
  cells: Callable[[ml_collections.ConfigDict, pathlib.Path], list[Cell]]
  write_results: Callable[..., str]


def main(argv: Sequence[str], program: Program) -> int:
  """Executes the unfinished runs that --only selects, and writes all results.

  Returns:
    The exit status: 130 if stopped, else 1 if a run failed, else 0.
  """
  config, workdir = options.CONFIG.value, pathlib.Path(options.WORKDIR.value)
  check(
    'config',
    config,
    {
      'jobs': AT_LEAST_ONE,
      'draws': AT_LEAST_ONE,
      'repeats': AT_LEAST_ONE,
      'seed': SEED,
      'seeds': SEEDS,
    },
  )
  program.check(config)
  chosen = _pattern(options.ONLY.value)
  records = pathlib.Path(options.RECORDS.value or workdir / 'records')
  archive = Archive(records, options.COMMIT.value)
  with claims.held(workdir / 'entrance'):
    record.enter(workdir, config)
    record.keep(workdir, config)
    cells = program.cells(config, workdir)
  tasks = _tasks(config, workdir, [c for c in cells if chosen(c.name)])

  def write_rows() -> Outcomes:
    outcomes = _outcomes(cells, archive)
    write_table(workdir / 'results.csv', _rows(workdir, cells, outcomes))
    return outcomes

  environment = scheduler.environment_of(workdir, _jobs(config))
  done = pool.run_all(tasks, _jobs(config), environment, archive, write_rows)
  text = program.write_results(config, workdir, cells, write_rows())
  with atomic_path(workdir / 'results.txt') as path:
    path.write_text(text + '\n', encoding='utf-8')
  print(text)
  failed = [x for x in tasks if x.reason and not archive.has(x.key)]
  for task in failed:
    print(f'failed: {task.name}: {task.reason}')
  if not done:
    logging.warning('stopped; repeat the command to continue')
    return mains.STOPPED
  return 1 if failed else 0


def _jobs(config: ml_collections.ConfigDict) -> int:
  return options.JOBS.value or config.jobs


def _pattern(only: str) -> Callable[[str], Any]:
  try:
    return re.compile(only).search
  except re.error as error:
    raise ValueError(
      f"--only: found '{only}' ({error}), expected a regular expression"
    ) from error


def _tasks(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
) -> list[pool.Task]:
  """Returns the runs of `cells` as tasks, all first seeds before any second."""
  cores = flags.FLAGS.cpu_devices or backend.cores() // _jobs(config)
  most = max((len(cell.seeds) for cell in cells), default=0)
  return [
    cell.task(workdir / RUNS, cell.seeds[index], max(1, cores))
    for index in range(most)
    for cell in cells
    if index < len(cell.seeds)
  ]


def _outcomes(cells: Sequence[Cell], archive: Archive) -> Outcomes:
  found: dict[str, dict[int, Outcome]] = {}
  for cell in cells:
    records = {seed: archive.read(cell.key(seed)) for seed in cell.seeds}
    found[cell.name] = {
      seed: outcome_of(x) for seed, x in records.items() if x is not None
    }
  return found


def _rows(
  workdir: pathlib.Path, cells: Sequence[Cell], outcomes: Outcomes
) -> pd.DataFrame:
  """Returns a table with a row for each run, finished or not."""
  rows = []
  for cell in cells:
    for seed in cell.seeds:
      run = cell.run(workdir / RUNS, seed)
      row: dict[str, Any] = {'cell': cell.name, 'seed': seed}
      outcome = outcomes[cell.name].get(seed)
      if outcome is not None:
        controls = {
          name: profit
          for name, profit in outcome.profits.items()
          if name != outcome.policy
        }
        row |= {'state': 'done', 'profit': outcome.profit}
        row |= controls | dict(outcome.facts)
      else:
        row['reason'] = pool.reason_of(run)
        row['state'] = 'failed' if row['reason'] else 'open'
      row |= {
        'folder': str(run.relative_to(workdir)),
        'record': cell.key(seed),
      }
      rows.append(row)
  return pd.DataFrame(rows)

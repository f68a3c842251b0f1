"""What programs of many runs have in common: from flags to results."""

import contextlib
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections
import pandas as pd
from absl import flags, logging

from eigen3.evaluation.pooled import Outcome
from eigen3.files import atomic_path, write_table
from eigen3.runs.lock import Lock
from eigen3.settings import AT_LEAST_ONE, SEED, SEEDS, check
from experiments import mains, path_flags
from experiments.jobs import pool, process, record
from experiments.jobs.cells import Cell

_CONFIG = mains.define_config(
  'Settings, and after a colon their preset; by default the preset small.',
)
_WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of all runs; the same one goes on.', required=True
)
_ONLY = flags.DEFINE_string(
  'only', '', 'Does only the cells whose name this pattern is found in.'
)
_JOBS = flags.DEFINE_integer(
  'jobs', 0, 'Runs at once; 0 is what the settings say.', lower_bound=0
)

_STOPPED = 130  # exit status after an interrupt, as a shell has it
# What finished runs came to, by cell and seed.
Outcomes = Mapping[str, Mapping[int, Outcome]]


class Program(NamedTuple):
  """What sets one program of many runs apart.

  Attributes:
    check: refuses settings; `(config)`.
    cells: what is run, after making what it needs; `(config, workdir)`.
    tell: writes results and gives the text to print; `(config, workdir,
      cells, outcomes)`.
  """

  check: Callable[[ml_collections.ConfigDict], None]
  cells: Callable[[ml_collections.ConfigDict, pathlib.Path], list[Cell]]
  tell: Callable[..., str]


def main(argv: Sequence[str], program: Program) -> int:
  """Runs what is not done; 1 if a run failed, 130 if it was stopped."""
  if len(argv) > 1:
    raise ValueError(f"arguments: found '{argv[1]}', expected only --flags")
  config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
  check(
    'config',
    config,
    {
      'jobs': AT_LEAST_ONE,
      'repeats': AT_LEAST_ONE,
      'seed': SEED,
      'seeds': SEEDS,
    },
  )
  program.check(config)
  chosen = _pattern(_ONLY.value)
  record.enter(workdir, config)
  with contextlib.closing(Lock(workdir)) as lock:
    record.keep(workdir, config)
    cells = program.cells(config, workdir)
    tasks = _tasks(config, workdir, [c for c in cells if chosen(c.name)])
    done = pool.run_all(
      tasks,
      _jobs(config),
      process.environment_of(workdir, _jobs(config)),
      lock,
      lambda: _write_rows(config, workdir, cells),
    )
    _write_rows(config, workdir, cells)
    outcomes = _outcomes(config, workdir, cells)
    text = program.tell(config, workdir, cells, outcomes)
    with atomic_path(workdir / 'results.txt') as path:
      path.write_text(text + '\n', encoding='utf-8')
    print(text)
  failed = [task for task in tasks if task.reason and not task.is_done]
  for task in failed:
    print(f'failed: {task.name}: {task.reason}')
  if not done:
    logging.warning('stopped; the same command goes on')
    return _STOPPED
  return 1 if failed else 0


def _jobs(config: ml_collections.ConfigDict) -> int:
  return _JOBS.value or config.jobs


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
  """All runs, seed by seed: what is told early is told of all cells."""
  cores = flags.FLAGS.cpu_devices or mains.cores() // _jobs(config)
  return [
    cell.task(workdir / record.RUNS, seed, max(1, cores))
    for seed in config.seeds
    for cell in cells
  ]


def _outcomes(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
) -> Outcomes:
  found: dict[str, dict[int, Outcome]] = {}
  for cell in cells:
    runs = {
      seed: cell.outcome(workdir / record.RUNS, seed) for seed in config.seeds
    }
    found[cell.name] = {
      seed: outcome for seed, outcome in runs.items() if outcome is not None
    }
  return found


def _write_rows(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  cells: Sequence[Cell],
) -> None:
  """A row a run, whether it is done or not."""
  rows = []
  for cell in cells:
    for seed in config.seeds:
      task = cell.task(workdir / record.RUNS, seed, 1)
      row: dict[str, Any] = {'cell': cell.name, 'seed': seed}
      outcome = cell.outcome(workdir / record.RUNS, seed)
      if outcome is not None:
        controls = {
          name: profit
          for name, profit in outcome.profits.items()
          if name != outcome.policy
        }
        row |= {'state': 'done', 'profit': outcome.profit}
        row |= controls | dict(outcome.facts)
      else:
        row['state'] = 'failed' if task.reason else 'open'
        row['reason'] = task.reason
      rows.append(row | {'folder': str(task.run.relative_to(workdir))})
  write_table(workdir / 'results.csv', pd.DataFrame(rows))

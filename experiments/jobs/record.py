"""Stores the settings of a ladder or study, and lists its missing runs."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from eigen3.evaluation.pooled import Outcome
from eigen3.files import write_json
from eigen3.runs import run_directory
from eigen3.runs.run_directory import shown
from eigen3.runs.trials import RUNS
from eigen3.settings import require
from experiments.jobs import archive
from experiments.jobs.cells import Cell
from experiments.jobs.pool import reason_of

RESULTS = 'results.json'
# Settings that may change after runs have started: how many runs are executed
# in parallel, how they are compared, and the path of the panel that folds were
# made from.
_MAY_CHANGE = ('jobs', 'panel', 'repeats', 'draws', 'seed')
# Criteria by which results are judged; see `enter` for when they may change.
_JUDGES = ('goals', 'primary')


def enter(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Creates the folder of a ladder or study, or checks an existing one.

  Compared with the settings in an existing folder, seeds may be added, and
  cells without runs and the settings in `_MAY_CHANGE` may change. The sections
  `goals` and `primary` may change until there are results; then goals may only
  be added, and `primary` only if there was no such section.

  Raises:
    ValueError: if a setting has changed that may not change, the folder was
      created with another `archive.VERSION`, or its files are damaged; for a
      new folder, see `run_directory.check_new`.
  """
  if not run_directory.holds_run(workdir):
    about = {'seeds': [*config.seeds], 'version': archive.VERSION}
    run_directory.create(workdir, config, about)
    return
  version = run_directory.read_data(workdir).get('version', 1)
  require(
    version == archive.VERSION,
    f'--workdir: results version of {workdir}',
    version,
    f'{archive.VERSION}; use a new folder',
  )
  before = run_directory.read_config(workdir)
  found = run_directory.differences(before, config)
  for name, (past, present) in found.items():
    section, _, rest = name.partition('.')
    cell = workdir / RUNS / rest.partition('.')[0]
    if section == 'cells' and not cell.exists():
      continue  # nothing of it has been run
    wanted = f'{shown(past)}, as for the runs in {workdir}'
    if section == 'seeds':
      if {*past} <= {*present}:
        continue
      wanted += '; seeds may only be added'
    elif section in _JUDGES:
      # Nothing was judged by a new criterion. But the p-values of all primary
      # comparisons are corrected together, so a new one changes the others.
      is_new = past is None and (section == 'goals' or section not in before)
      if is_new or not (workdir / RESULTS).exists():
        continue
      wanted = f'{shown(past)}, as when {workdir / RESULTS} was written'
    elif section in _MAY_CHANGE:
      continue
    raise ValueError(
      f'--config.{name}: found {shown(present)}, expected {wanted}'
    )


def keep(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
  """Stores changed settings, which `enter` has accepted, in the folder."""
  if run_directory.differences(run_directory.read_config(workdir), config):
    write_json(workdir / 'config.json', json.loads(config.to_json()))


def asked(
  workdir: pathlib.Path, config: ml_collections.ConfigDict
) -> dict[str, Any]:
  """Returns the settings by which runs are pooled and judged.

  Returns:
    A dict of JSON values: `seeds`; `goals` and `primary`, if there are any;
    `repeats`, `draws` and `seed`, the settings of the bootstrap; and
    `seeds_at_first`, the value of `seeds` when the folder was created, or None
    if not known. Whoever adds seeds after seeing results can stop when the
    results look good, so reports show which seeds were added.
  """
  asked = ('seeds', *_JUDGES, 'repeats', 'draws', 'seed')
  names = [name for name in asked if name in config]
  settings = json.loads(config.to_json())
  first = run_directory.read_data(workdir).get('seeds')
  return {name: settings[name] for name in names} | {'seeds_at_first': first}


def missing(seeds: Sequence[int], runs: Mapping[int, Outcome]) -> list[int]:
  """Returns the seeds without a finished run; `runs` has the finished ones."""
  return [seed for seed in seeds if seed not in runs]


def gaps(
  workdir: pathlib.Path,
  cells: Sequence[Cell],
  outcomes: Mapping[str, Mapping[int, Outcome]],
) -> dict[str, dict[str, str]]:
  """Returns why runs are missing from each incomplete cell.

  Returns:
    Reasons, keyed by the incomplete cell's name, then by the missing seed (as
    text): why the run last failed, or 'open' if it has not failed.
  """
  found = {}
  for cell in cells:
    lacking = {
      str(seed): reason_of(cell.run(workdir / RUNS, seed)) or 'open'
      for seed in missing(cell.seeds, outcomes[cell.name])
    }
    if lacking:
      found[cell.name] = lacking
  return found


def remarks(
  what: Mapping[str, Any],
  cells: Sequence[Cell],
  lacking: Mapping[str, Mapping[str, str]],
) -> list[str]:
  """Returns lines of text that name missing runs and added seeds.

  Args:
    what: the result of `asked`.
    cells: all cells.
    lacking: the result of `gaps`.
  """
  lines = []
  added = {*what['seeds']} - {*(what['seeds_at_first'] or what['seeds'])}
  if added:
    lines.append(f'seeds added to those it began with: {_listed(added)}')
  untouched, many = [], {cell.name: len(cell.seeds) for cell in cells}
  for name, seeds in lacking.items():
    is_open = [seed for seed, reason in seeds.items() if reason == 'open']
    if len(is_open) == many[name]:
      untouched.append(name)
    elif is_open:
      lines.append(f'{name}: open seeds: {_listed(is_open)}')
    lines += [
      f'{name}: seed {seed} failed: {reason}'
      for seed, reason in seeds.items()
      if reason != 'open'
    ]
  if untouched:
    lines.append(f'no run is done of: {_listed(untouched)}')
  return lines


def _listed(items) -> str:
  return ', '.join(map(str, sorted(items)))

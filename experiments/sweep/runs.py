"""Makes the command line of a sweep's run, and reads the run's metrics."""

import csv
import math
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ml_collections

from eigen3.settings import require
from experiments.configs import flatten, sweep

# (values by field, seed, the run's folder, whether to resume) -> command line.
Command = Callable[[Mapping[str, Any], int, pathlib.Path, bool], list[str]]


class Progress(NamedTuple):
  """A run's logged progress.

  Attributes:
    best: (step, the objective's best value so far), for each step at which the
      objective is finite.
    seconds: total time of the iterations or generations, including
      compilation.
  """

  best: list[tuple[int, float]]
  seconds: float


def make_command(config: ml_collections.ConfigDict, devices: int) -> Command:
  """Returns the function that makes a run's command line.

  Args:
    config: of the sweep; `program` and `settings` are read.
    devices: number of devices that a run splits the CPU into.

  Raises:
    ValueError: if `settings` are those of another program than `program`.
  """
  program, preset = config.program, config.settings.preset
  changes = _changes(config)
  folder = pathlib.Path(sweep.__file__).parent

  def command(
    values: Mapping[str, Any], seed: int, workdir: pathlib.Path, resume: bool
  ) -> list[str]:
    fields = {**changes, **values, 'seed': seed}
    return [
      sys.executable,
      *('-m', f'experiments.{program}'),
      f'--config={folder / program}.py:{preset}',
      *(f'--config.{field}={value}' for field, value in fields.items()),
      f'--workdir={workdir}',
      '--holdout=no',
      '--nopage',
      f'--cpu_devices={devices}',
      *(['--resume'] if resume else []),
    ]

  return command


def _changes(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Returns the fewest changes from the preset to the sweep's settings.

  A field that refers to another field and was not overridden is left out, so
  that it still follows the other field when a trial changes the latter. This
  relies on the alphabetical order of fields: a field must come after the one
  that it refers to.

  Raises:
    ValueError: if the settings are those of another program than
      `config.program`.
  """
  found = flatten(config.settings)
  settings = sweep.settings_of(config.program, config.settings.preset)
  require(
    flatten(settings).keys() == found.keys(),
    'program',
    config.program,
    'the program whose fields are those of config.settings',
  )
  changes = {}
  for field, value in found.items():
    if flatten(settings)[field] != value:
      with settings.ignore_type():  # a setting that was 'auto' may be a number
        settings.update_from_flattened_dict({field: value})
      changes[field] = value
  return changes


def read_progress(path: pathlib.Path, objective: str) -> Progress:
  """Reads a run's metrics.csv, which may still grow or not exist yet.

  Args:
    path: of metrics.csv.
    objective: the column with the objective.

  Raises:
    ValueError: if the file lacks this column.
  """
  if not path.exists():
    return Progress([], 0.0)
  # A last line without a line break is still being written.
  lines = path.read_text(encoding='utf-8').rpartition('\n')[0].splitlines()
  reader = csv.DictReader(lines)
  columns = list(reader.fieldnames or [objective])
  require(objective in columns, 'objective', objective, f'one of {columns}')
  best: list[tuple[int, float]] = []
  seconds = 0.0
  for row in reader:
    seconds += float(row.get('seconds') or 0)
    value = float(row[objective] or 'nan')
    if math.isfinite(value):
      value = max(value, best[-1][1]) if best else value
      best.append((int(row[columns[0]]), value))
  return Progress(best, seconds)

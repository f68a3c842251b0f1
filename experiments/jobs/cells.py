"""A cell of a table: a program with some settings, run with several seeds."""

import ast
import contextlib
import functools
import json
import operator
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from eigen3 import settings
from eigen3.data import MarketPanel
from eigen3.evaluation import ranking
from eigen3.settings import AUTO
from experiments.configs import erl, ranker, td3
from experiments.jobs import archive
from experiments.jobs.pool import Task

PROGRAMS = {'td3': td3, 'erl': erl, 'ranker': ranker}
# Of a cell; what they are is for its program to say.
CHANGES = settings.several(
  settings.Expected(
    lambda x: isinstance(x, str) and '=' in x.strip('='), 'FIELD=VALUE'
  ),
  'texts FIELD=VALUE',
)
# What a field that is not there, or a value that is none, raises.
_WRONG = (AttributeError, KeyError, SyntaxError, TypeError, ValueError)
_CONFIGS = pathlib.Path(td3.__file__).parent


class Cell(NamedTuple):
  """What is run with each seed.

  Attributes:
    name: in tables, and of its folder.
    program: 'td3', 'erl' or 'ranker'.
    preset: of the program.
    changes: of the preset, each FIELD=VALUE; {seed} stands for the seed.
    seeds: that it is run with.
  """

  name: str
  program: str
  preset: str
  changes: Sequence[str]
  seeds: Sequence[int] = ()

  def run(self, folder: pathlib.Path, seed: int) -> pathlib.Path:
    """Where the run of a seed is kept."""
    return folder / self.name / f'seed{seed}'

  def task(self, folder: pathlib.Path, seed: int, devices: int) -> Task:
    """The run of a seed, on so many devices of a CPU."""
    run = self.run(folder, seed)
    return Task(
      f'{self.name}/seed{seed}',
      self.key(seed),
      run,
      functools.partial(self._command, run, seed, devices),
      functools.partial(self.record, folder, seed),
      self.program != 'ranker',
    )

  def key(self, seed: int) -> str:
    """The name of the record of a seed; a ValueError if a change is wrong."""
    return archive.key_of(self.program, *self._asked(seed))

  def record(self, folder: pathlib.Path, seed: int) -> dict[str, Any]:
    """What is kept of the finished run of a seed."""
    asked, data = self._asked(seed)
    policy = 'agent'
    if self.program == 'ranker':
      policy = ranking.NAME
    elif asked['evaluation']['critic_hurdle']:
      policy = 'critic_hurdle'
    return {
      'program': self.program,
      'settings': asked,
      'data': data,
      'version': archive.VERSION,
      **archive.describe(self.run(folder, seed), policy),
    }

  def _asked(self, seed: int) -> tuple[dict[str, Any], str]:
    changes = tuple(self._changes(seed))
    try:
      return _settings(self.program, self.preset, changes)
    except ValueError as error:
      raise ValueError(f'{self.name}: {error}') from error

  def _changes(self, seed: int) -> list[str]:
    return [
      f'seed={seed}',
      *(change.replace('{seed}', str(seed)) for change in self.changes),
    ]

  def _command(
    self, run: pathlib.Path, seed: int, devices: int, goes_on: bool
  ) -> list[str]:
    return [
      sys.executable,
      *('-m', f'experiments.{self.program}'),
      f'--config={_CONFIGS / self.program}.py:{self.preset}',
      *(f'--config.{change}' for change in self._changes(seed)),
      f'--workdir={run}',
      f'--cpu_devices={devices}',
      *(['--resume'] if goes_on else []),
    ]


@functools.cache
def _settings(
  program: str, preset: str, changes: tuple[str, ...]
) -> tuple[dict[str, Any], str]:
  """All settings but for the place of the panel, and the panel's hash."""
  config = PROGRAMS[program].get_config(preset)
  for change in changes:
    field, _, text = change.partition('=')
    try:
      default = functools.reduce(operator.getitem, field.split('.'), config)
      config.update_from_flattened_dict({field: _of_type(default, text)})
    except _WRONG as error:
      raise ValueError(
        f"found the change '{change}', expected a field of {program} and a "
        'value of its type'
      ) from error
  found = json.loads(config.to_json())
  found['networks'].pop('spec', None)  # the panel decides
  panel = found['data'].pop('panel')
  return found, MarketPanel.load(panel).fingerprint if panel else ''


def _of_type(default: Any, text: str) -> Any:
  """The value that a text stands for."""
  if default == AUTO:
    with contextlib.suppress(SyntaxError, ValueError):
      return ast.literal_eval(text)
  if isinstance(default, str):
    return text
  value = ast.literal_eval(text)
  return float(value) if isinstance(default, float) else value

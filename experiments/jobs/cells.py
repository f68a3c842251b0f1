"""A cell of a table: a program and settings, run with one or more seeds."""

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
from eigen3.settings import AUTO
from experiments.configs import erl, ranker, td3
from experiments.jobs import archive
from experiments.jobs.pool import Task

PROGRAMS = {'td3': td3, 'erl': erl, 'ranker': ranker}
COMMITTEE = 'committee'  # the program that averages the actions of other runs
# The condition on changes to a preset. `_settings` checks fields and types, and
# the cell's program checks the values.
CHANGES = settings.several(
  settings.Expected(
    lambda x: isinstance(x, str) and '=' in x.strip('='), 'FIELD=VALUE'
  ),
  'strings FIELD=VALUE',
)
# Errors of an unknown field or an invalid value.
_WRONG = (AttributeError, KeyError, SyntaxError, TypeError, ValueError)
_CONFIGS = pathlib.Path(td3.__file__).parent


class Cell(NamedTuple):
  """A program and its settings, to be run with one or more seeds.

  Attributes:
    name: the cell's name in tables, and the path of its folder relative to the
      folder of all cells.
    program: 'td3', 'erl' or 'ranker'; or `COMMITTEE`, for a cell with the
      preset and changes of `members`.
    preset: the program's preset.
    changes: changes to the preset, each FIELD=VALUE; {seed} stands for the
      seed.
    seeds: the seeds to run the program with.
    start: a cell with the same networks; each seed's training starts with the
      champion, critics and optimisers of that cell's run with the same seed.
      None if training starts with a new agent.
    members: for a committee, the cell whose runs' actions it averages; else
      None.
  """

  name: str
  program: str
  preset: str
  changes: Sequence[str]
  seeds: Sequence[int] = ()
  start: 'Cell | None' = None
  members: 'Cell | None' = None

  def run(self, folder: pathlib.Path, seed: int) -> pathlib.Path:
    """Returns the folder of a seed's run; `folder` holds all cells' folders."""
    return folder / self.name / f'seed{seed}'

  def task(self, folder: pathlib.Path, seed: int, devices: int) -> Task:
    """Returns a seed's run as a task.

    Args:
      folder: the folder of all cells' folders.
      seed: the seed.
      devices: number of CPU devices that the run uses.

    Raises:
      ValueError: see `key`.
    """
    run = self.run(folder, seed)
    return Task(
      f'{self.name}/seed{seed}',
      self.key(seed),
      run,
      functools.partial(self._command, folder, seed, devices),
      functools.partial(self.record, folder, seed),
      self.program not in ('ranker', COMMITTEE),
      self._keys_before(seed),
    )

  def key(self, seed: int) -> str:
    """Returns the key of a seed's record.

    Raises:
      ValueError: if the preset or a change is invalid, or the panel's file is
        missing or damaged.
    """
    return archive.key_of(self.program, *self._asked(seed))

  def record(self, folder: pathlib.Path, seed: int) -> dict[str, Any]:
    """Returns the record of a seed's finished run."""
    asked, data = self._asked(seed)
    policy = 'agent'
    if self.program in ('ranker', COMMITTEE):
      policy = self.program
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
      found, data = _settings(
        self.members.program if self.members else self.program,
        self.preset,
        changes,
      )
    except ValueError as error:
      raise ValueError(f'cell {self.name}: {error}') from error
    before = self._keys_before(seed)
    return (found | {'before': before} if before else found), data

  def _keys_before(self, seed: int) -> tuple[str, ...]:
    """Returns keys of records that must exist before a seed's run starts."""
    if self.members is not None:
      return tuple(self.members.key(each) for each in self.members.seeds)
    return () if self.start is None else (self.start.key(seed),)

  def _changes(self, seed: int) -> list[str]:
    return [
      f'seed={seed}',
      *(change.replace('{seed}', str(seed)) for change in self.changes),
    ]

  def _command(
    self, folder: pathlib.Path, seed: int, devices: int, goes_on: bool
  ) -> list[str]:
    run = self.run(folder, seed)
    if self.members is not None:
      runs = [str(self.members.run(folder, x)) for x in self.members.seeds]
      return [
        sys.executable,
        *('-m', 'experiments.study.committee', f'--workdir={run}'),
        *(f'--runs={",".join(runs)}', f'--cpu_devices={devices}'),
      ]
    begins = []
    if self.start is not None:
      begins = [f'--start_from={self.start.run(folder, seed)}']
    return [
      sys.executable,
      *('-m', f'experiments.{self.program}'),
      f'--config={_CONFIGS / self.program}.py:{self.preset}',
      *(f'--config.{change}' for change in self._changes(seed)),
      f'--workdir={run}',
      f'--cpu_devices={devices}',
      *begins,
      *(['--resume'] if goes_on else []),
    ]


@functools.cache
def _settings(
  program: str, preset: str, changes: tuple[str, ...]
) -> tuple[dict[str, Any], str]:
  """Returns all settings but the panel's path, and the panel's fingerprint.

  The fingerprint is '' for an embedded market.

  Raises:
    ValueError: if the preset is unknown, a change has an unknown field or a
      value of the wrong type, or the panel's file is missing or damaged.
  """
  config = PROGRAMS[program].get_config(preset)
  for change in changes:
    field, _, text = change.partition('=')
    try:
      default = functools.reduce(operator.getitem, field.split('.'), config)
      config.update_from_flattened_dict({field: _of_type(default, text)})
    except _WRONG as error:
      reason = ' '.join(str(*error.args[:1]).split())
      raise ValueError(
        f"found the change '{change}' ({type(error).__name__}: {reason}), "
        f'expected FIELD=VALUE with a field of {program} and a value of the '
        "field's type"
      ) from error
  found = json.loads(config.to_json())
  found['networks'].pop('spec', None)  # determined by the panel
  panel = found['data'].pop('panel')
  return found, MarketPanel.load(panel).fingerprint if panel else ''


def _of_type(default: Any, text: str) -> Any:
  """Parses a setting's value from text, depending on the setting's default.

  If the default is a string, the text is kept, except that a Python literal is
  parsed if the default is 'auto'. For any other default the text must be a
  Python literal, which is converted to a float if the default is one.

  Raises:
    SyntaxError, TypeError, ValueError: if the text is not such a literal.
  """
  if default == AUTO:
    with contextlib.suppress(SyntaxError, ValueError):
      return ast.literal_eval(text)
  if isinstance(default, str):
    return text
  value = ast.literal_eval(text)
  return float(value) if isinstance(default, float) else value

"""Makes page titles that name the settings that differ from the preset."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from eigen3.runs import run_directory
from experiments.configs import erl, td3

_NAMED = 3  # maximum number of changes in a title; the page lists all
# Settings shown elsewhere: in the title itself, or with the data.
_TOLD = ('data.panel', 'data.synthetic.market', 'preset', 'seed')


def changes(workdir: pathlib.Path) -> dict[str, tuple[Any, Any]]:
  """Returns the settings in which a run differs from its preset.

  Settings that did not exist yet when the run began, or that are shown
  elsewhere (`_TOLD`), are left out.

  Returns:
    (preset's value, run's value) by the setting's full name; the preset's value
    is None if the preset has no such setting.

  Raises:
    ValueError: if there is no run, its settings are damaged, or this version
      lacks its preset.
  """
  config = run_directory.read_config(workdir)
  program = erl if 'evolution' in config else td3
  preset = program.get_config(config['preset'])
  found = run_directory.differences(config, preset)
  return {
    name: (now, before)
    for name, (before, now) in found.items()
    if name not in _TOLD and before is not None
  }


def title(workdirs: Sequence[pathlib.Path]) -> str:
  """Returns the page title for runs that differ only in their seed."""
  config = run_directory.read_config(workdirs[0])
  program = 'ERL' if 'evolution' in config else 'TD3'
  seeds = [run_directory.read_config(x)['seed'] for x in workdirs]
  word = 'seeds' if len(seeds) > 1 else 'seed'
  named = ', '.join(map(str, seeds))
  return (
    f'{program}, preset {config["preset"]}{_changed(changes(workdirs[0]))}, '
    f'{_data(config["data"])}, {word} {named}'
  )


def _changed(found: Mapping[str, tuple[Any, Any]]) -> str:
  parts = [f'{name} {now}' for name, (_, now) in found.items()]
  if len(parts) > _NAMED:
    parts[_NAMED:] = [f'{len(parts) - _NAMED} more']
  return f' with {", ".join(parts)}' if parts else ''


def _data(config: Mapping[str, Any]) -> str:
  if config['panel']:
    return pathlib.Path(config['panel']).name
  return f"market '{config['synthetic']['market']}'"

"""A run's folder, and its record of settings, versions, commit and data."""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Container, Mapping
from typing import Any

import ml_collections

from eigen3 import parallel
from eigen3.files import write_json

_PACKAGES = ('jax', 'jaxlib', 'dm-haiku', 'rlax', 'optax', 'numpy', 'pandas')
# Settings that a resumed run may change: its length, devices and memory, and
# the path of the panel, whose contents `check_data` compares.
_MAY_CHANGE = (
  'agent.acting_chunk',
  'data.panel',
  'evolution.devices_per_agent',
  'learner.generations',
  'learner.iterations',
  'networks.evaluation_block',
  'networks.remat',
  'networks.sequence_block',
)
_ABOUT = 'run.json'
# Files and folders that a new run's folder must not hold: the run would
# overwrite them.
_NAMES = (
  'checkpoints',
  'config.json',
  'daily.csv',
  'holdout.json',
  'importance.csv',
  'importance.json',
  'importance.png',
  'members.csv',
  'metrics.csv',
  'population.png',
  'report.html',
  'report.png',
  _ABOUT,
  'summary.json',
  'tensorboard',
  'trades.csv',
  'wandb',
)


def create(
  workdir: os.PathLike | str,
  config: ml_collections.ConfigDict,
  data: Mapping[str, Any],
  kept: Container[str] = (),
  machine: Mapping[str, Any] | None = None,
) -> pathlib.Path:
  """Creates a run's folder with `run.json` and `config.json`; returns its path.

  All processes of the run must call this function; only the first one writes.

  Args:
    workdir: the folder; if it exists, `check_new` must accept it.
    config: all settings.
    data: description of the training data, ready for JSON.
    kept: names of files that may exist, see `check_new`.
    machine: further entries of `run.json`: 'device', the device for which sizes
      were chosen, and 'sizes', see `read_sizes`.

  Raises:
    ValueError: see `check_new`.
  """
  workdir = pathlib.Path(workdir)
  check_new(workdir, kept)
  parallel.wait_for_all()  # all have checked before anything is created
  make_folder(workdir)
  if not parallel.is_first_process():
    return workdir
  write_json(
    workdir / _ABOUT,
    {
      'command': sys.argv[1:],
      'commit': commit(),
      'data': dict(data),
      **(machine or {}),
      'platform': platform.platform(),
      'python': platform.python_version(),
      'seed': config.seed,
      'versions': {
        name: importlib.metadata.version(name) for name in _PACKAGES
      },
    },
  )
  # Last: its presence marks the folder as a run's.
  write_json(workdir / 'config.json', json.loads(config.to_json()))
  return workdir


def make_folder(workdir: os.PathLike | str) -> None:
  """Creates a run's folder if absent; all processes of the run must call it."""
  if parallel.is_first_process():
    pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
  parallel.wait_for_all()


def check_new(
  workdir: os.PathLike | str,
  kept: Container[str] = (),
  resumes: bool = True,
) -> None:
  """Checks that a folder holds no run and no files that a run would overwrite.

  `_NAMES` lists these files and folders.

  Args:
    workdir: folder of the new run; it need not exist.
    kept: names of files that may exist, because the run appends to them. A
      `run.json` left by a killed `create` may exist, too.
    resumes: whether the program has the flag --resume, for the message.

  Raises:
    ValueError: if the folder holds a run or such files; the message names the
      folder and what was found there.
  """
  if holds_run(workdir):
    raise ValueError(
      f'--workdir: found a run in {workdir}, expected a new folder'
      f'{"; add --resume to continue that run" if resumes else ""}'
    )
  kept = {name for name in _NAMES if name in kept}
  if _was_cut_short(workdir):
    kept.add(_ABOUT)
  for name in _NAMES:
    if name not in kept and os.path.lexists(pathlib.Path(workdir) / name):
      raise ValueError(
        f'--workdir: found {name} in {workdir}, expected a folder without it: '
        'the run would overwrite it'
      )


def _was_cut_short(workdir: os.PathLike | str) -> bool:
  """Returns whether a folder without a run has a `run.json` from `create`."""
  try:
    about = read_about(workdir)
  except (OSError, ValueError):
    return False
  return {'command', 'commit', 'seed', 'versions'} <= about.keys()


def holds_run(workdir: os.PathLike | str) -> bool:
  """Returns whether the folder holds a run."""
  return (pathlib.Path(workdir) / 'config.json').exists()


def read_config(workdir: os.PathLike | str) -> Mapping[str, Any]:
  """Returns the settings of the run in a folder.

  Raises:
    ValueError: if there is no run, or its settings are damaged.
  """
  workdir = pathlib.Path(workdir)
  if not holds_run(workdir):
    raise ValueError(
      f'{workdir}: found no run here, expected the folder of a run'
    )
  return _read_settings(workdir / 'config.json')


def check_resumable(workdir: os.PathLike | str) -> None:
  """Raises a ValueError if the folder holds no run to resume."""
  if not holds_run(workdir):
    raise ValueError(
      f'--workdir: found no run in {workdir}, expected one to resume'
    )


def read_data(workdir: os.PathLike | str) -> Mapping[str, Any]:
  """Returns the description of the data in `run.json`; {} if it has none.

  Raises:
    OSError: if `run.json` cannot be read.
    ValueError: if `run.json` is damaged.
  """
  return _read_part(workdir, 'data')


def read_sizes(workdir: os.PathLike | str) -> Mapping[str, Any]:
  """Returns a run's values of `eigen3.sizes.FIELDS`, keyed by full name.

  Settings that were 'auto' have the values chosen for the device. The result is
  {} if `run.json` has no sizes, as in a run that began before settings could be
  'auto'.

  Raises:
    OSError: if `run.json` cannot be read.
    ValueError: if `run.json` is damaged.
  """
  return _read_part(workdir, 'sizes')


def read_about(workdir: os.PathLike | str) -> Mapping[str, Any]:
  """Returns the contents of `run.json`, such as command, commit and data.

  Raises:
    OSError: if `run.json` cannot be read.
    ValueError: if `run.json` is damaged, or does not describe the data.
  """
  path = pathlib.Path(workdir) / _ABOUT
  about = _read_settings(path)
  if 'data' not in about:
    raise ValueError(
      f"{path}: found no 'data', expected a JSON object about the run's data"
    )
  _object(path, about, 'data')
  return about


def read_hash(workdir: os.PathLike | str) -> str:
  """Returns the hash of the data that a run began with.

  Raises:
    OSError: if `run.json` cannot be read.
    ValueError: if `run.json` is damaged or has no hash.
  """
  found = read_data(workdir).get('hash')
  if not isinstance(found, str):
    raise ValueError(
      f"{pathlib.Path(workdir) / _ABOUT}: found no 'hash' in its 'data', "
      'expected the hash of the data that the run began with'
    )
  return found


def check_data(
  workdir: os.PathLike | str,
  data: Mapping[str, Any],
  field: str = '--config.data.panel',
) -> None:
  """Checks that a run is continued with the data that it began with.

  Args:
    workdir: the run's folder.
    data: description of the data to continue with; only `hash` is read.
    field: the setting or flag that named the data, for the message.

  Raises:
    OSError: if `run.json` cannot be read.
    ValueError: if the hashes differ, or `run.json` is damaged or has no hash.
  """
  began = read_hash(workdir)
  if began != data['hash']:
    raise ValueError(
      f'{field}: found data with hash {data["hash"][:12]}, expected '
      f'{began[:12]}, the data that the run in {workdir} began with'
    )


def check_same(
  workdir: os.PathLike | str,
  config: ml_collections.ConfigDict,
  defaults: ml_collections.ConfigDict | None = None,
) -> None:
  """Checks that a run is resumed with the settings that it began with.

  The settings in `_MAY_CHANGE`, such as the number of iterations, may differ.

  Args:
    workdir: the run's folder.
    config: settings to continue with.
    defaults: values of settings that were added since the run began; if None,
      an added setting counts as one that differs.

  Raises:
    ValueError: if there is no run, its settings are unreadable, or a setting
      differs that must not change; the message names the first such setting.
  """
  workdir = pathlib.Path(workdir)
  check_resumable(workdir)
  before = _read_settings(workdir / 'config.json')
  found = differences(before, config, defaults)
  for name, (past, present) in found.items():
    if name in _MAY_CHANGE:
      continue
    began = f'{shown(past)}, with which the run in {workdir} began'
    if past is None:
      began = f'{shown(past)}: the run in {workdir} began without it'
    raise ValueError(
      f'--config.{name}: found {shown(present)}, expected {began}'
    )


def shown(value: Any) -> str:
  """Returns a setting's value as text; None stands for a missing setting."""
  return 'no such setting' if value is None else repr(value)


def differences(
  before: Mapping[str, Any],
  now: ml_collections.ConfigDict,
  defaults: ml_collections.ConfigDict | None = None,
) -> dict[str, tuple[Any, Any]]:
  """Returns the (earlier, present) values of all settings that differ.

  The pairs are keyed by the settings' full names, in alphabetical order. The
  value of a missing setting is None.

  Args:
    before: earlier settings, as read from `config.json`.
    now: present settings.
    defaults: earlier values of settings that `before` lacks; None for no
      defaults.
  """
  past, present = _flatten(before), _flatten(json.loads(now.to_json()))
  if defaults is not None:
    past = _flatten(json.loads(defaults.to_json())) | past
  return {
    name: (past.get(name), present.get(name))
    for name in sorted(past.keys() | present.keys())
    if past.get(name) != present.get(name)
  }


def _read_settings(path: pathlib.Path) -> Mapping[str, Any]:
  try:
    found = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:  # JSON or UTF-8
    raise ValueError(
      f'{path}: found a damaged file ({error}), expected it as the run wrote it'
    ) from error
  if not isinstance(found, dict):
    raise ValueError(
      f'{path}: found {type(found).__name__}, expected a JSON object, as the '
      'run wrote it'
    )
  if isinstance(found.get('networks'), dict):
    found['networks'].pop('spec', None)  # no longer read
  return found


def _read_part(workdir: os.PathLike | str, name: str) -> Mapping[str, Any]:
  """Returns the JSON object `name` in `run.json`; {} if it has none."""
  path = pathlib.Path(workdir) / _ABOUT
  return _object(path, _read_settings(path), name)


def _object(
  path: pathlib.Path, parts: Mapping[str, Any], name: str
) -> Mapping[str, Any]:
  found = parts.get(name, {})
  if not isinstance(found, dict):
    raise ValueError(
      f'{path}: found {type(found).__name__} in {name!r}, expected a JSON '
      'object'
    )
  return found


def _flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  flat: dict[str, Any] = {}
  for name, value in tree.items():
    if isinstance(value, Mapping):
      flat.update(_flatten(value, f'{prefix}{name}.'))
    else:
      flat[prefix + name] = value
  return flat


def commit() -> str:
  """Returns the code's git commit, plus '+' if modified; '' if unknown."""
  here = pathlib.Path(__file__).parent

  def git(*arguments: str) -> str:
    return subprocess.run(
      ['git', *arguments], cwd=here, capture_output=True, text=True, check=True
    ).stdout.strip()

  with contextlib.suppress(OSError, subprocess.CalledProcessError):
    # An installed package may lie in a checkout of another project.
    git('ls-files', '--error-unmatch', pathlib.Path(__file__).name)
    changed = git('status', '--porcelain', '--untracked-files=no')
    return git('rev-parse', 'HEAD') + ('+' if changed else '')
  return ''

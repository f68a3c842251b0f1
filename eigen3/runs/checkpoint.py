"""Atomic checkpoints of a run's whole state, written in the background.

The latest checkpoints and the one with the highest score are kept. A checkpoint
is a folder with `state.npz`, the state's arrays, and `metadata.json`. It is
written under a temporary name and read back; only then is it renamed, and
checkpoints that need not be kept any longer are removed. The checksums of a zip
file (.npz) cover its contents but not its index, so the metadata hold a digest
of all arrays, and a checksum of the metadata. A damaged checkpoint is skipped
when a run is resumed.

In a run of several processes the first one writes all arrays, and each process
reads them from a shared folder, so a run may be resumed with a different number
of processes.
"""

import concurrent.futures
import errno
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from eigen3 import parallel
from eigen3.files import atomic_folder, remove_leftovers

# Increased when the meaning, or the form, of a stored state changes.
SCHEMA_VERSION = 3

_STATE = 'state.npz'
_METADATA = 'metadata.json'
_WITHOUT_CHECKSUM = (1, 2)  # earlier schema versions


class CheckpointError(ValueError):
  """Raised when a checkpoint cannot be used; the message says why."""


class Checkpointer:
  """Saves and restores states of a run.

  Each method must be called by all processes of the run.
  """

  def __init__(
    self,
    directory: os.PathLike | str,
    keep: int,
    data_hash: str,
    read_only: bool = False,
  ):
    """Opens a run's folder of checkpoints; removes what interrupted saves left.

    Args:
      directory: the folder, created if absent.
      keep: how many of the latest checkpoints to keep, at least 1; the one with
        the highest score is always kept.
      data_hash: hash of the panel; only a checkpoint that was saved with the
        same hash is restored.
      read_only: if True, nothing is created, removed or moved, and `save` must
        not be called.
    """
    self._directory = pathlib.Path(directory).absolute()
    self._keep = keep
    self._data_hash = data_hash
    self._read_only = read_only
    self._writer = concurrent.futures.ThreadPoolExecutor(1, 'checkpoint')
    self._writing: concurrent.futures.Future | None = None
    if not read_only:
      self._directory.mkdir(parents=True, exist_ok=True)
      if parallel.is_first_process():
        self._clear_away()

  @property
  def is_empty(self) -> bool:
    """Returns whether the folder holds no checkpoint."""
    return not self._steps()

  def save(self, step: int, state: Any, score: float | None = None) -> None:
    """Saves `state` in the background; returns once its buffers may be donated.

    Args:
      step: number of the iteration or generation, which names the checkpoint.
      state: a tree of arrays.
      score: the state's score, or None. The checkpoint with the highest score
        (of equal ones, that of the earliest step) is kept.

    Raises:
      OSError: if the checkpoint saved before could not be written.
    """
    self.wait()  # one copy at a time
    # A copy: on CPU a host array may be a view of a buffer that is donated.
    on_host = jax.tree.map(
      lambda x: np.array(parallel.to_host(x), copy=True), state
    )
    if parallel.is_first_process():
      self._writing = self._writer.submit(self._write, step, on_host, score)

  def restore_latest(
    self, like: Any, at: int | None = None
  ) -> tuple[int, Any] | None:
    """Returns the newest readable checkpoint.

    Unreadable ones are skipped with a warning and, if an older one is readable,
    moved to the parent folder, unless `read_only`.

    Args:
      like: a state with the structure, shapes, types, devices and sharding that
        the restored state is to have.
      at: the only step to restore; by default any.

    Returns:
      The step and its state, or None if there are no checkpoints.

    Raises:
      CheckpointError: if a checkpoint to restore has another schema version,
        data hash or structure than expected, there are checkpoints but none is
        readable, step `at` is missing, or processes find different checkpoints.
      OSError: if the checkpoint saved last could not be written.
    """
    self.wait()
    steps = sorted(self._steps(), reverse=True)
    if not parallel.is_same_everywhere(str(steps)):
      raise CheckpointError(
        f'{self._directory}: found checkpoints {steps}, but another process '
        'found others; expected a folder that all processes share'
      )
    if at is not None:
      if at not in steps:
        raise CheckpointError(
          f'{self._directory}: found {_named(steps)}, expected a checkpoint at '
          f'step {at}'
        )
      steps = [at]
    damaged: list[int] = []
    for step in steps:
      on_host, reason = self._try_to_read(step, like)
      # All processes must restore the same checkpoint.
      if parallel.agree(on_host is None):
        logging.warning(
          'checkpoint %s: found it unreadable (%s); trying the one before it',
          self._directory / str(step),
          reason or 'by another process',
        )
        damaged.append(step)
        continue
      # Only now: if no checkpoint is readable, none is moved.
      if not self._read_only and parallel.is_first_process():
        self._set_aside(damaged)
      return step, jax.tree.map(parallel.place_like, on_host, like)
    if steps:
      raise CheckpointError(
        f'{self._directory}: found no readable checkpoint among steps '
        f'{sorted(steps)} (see the warnings above), expected at least one'
      )
    return None

  def wait(self) -> None:
    """Waits until everything saved is on disk.

    Raises:
      OSError: if writing failed; older checkpoints are intact.
    """
    writing, self._writing = self._writing, None
    if writing is not None:
      writing.result()

  def close(self) -> None:
    """Waits, then ends the writing thread; raises as `wait` does."""
    try:
      self.wait()
    finally:
      self._writer.shutdown()

  def _steps(self) -> list[int]:
    if not self._directory.is_dir():
      return []
    return [int(x.name) for x in self._directory.iterdir() if x.name.isdigit()]

  def _write(self, step: int, on_host: Any, score: float | None) -> None:
    """Writes one checkpoint and removes superseded ones."""
    folder = self._directory / str(step)
    arrays = _by_path(on_host)
    metadata = {
      'schema_version': SCHEMA_VERSION,
      'data_hash': self._data_hash,
      'structure': _structure(on_host),
      'digest': digest(on_host),
      'score': score,
    }
    with atomic_folder(folder) as temporary:
      with (temporary / _STATE).open('wb') as file:
        np.savez(file, **arrays)
        _to_disk(file)
      with (temporary / _METADATA).open('w', encoding='utf-8') as file:
        json.dump(metadata | {'checksum': _checksum(metadata)}, file)
        _to_disk(file)
      _verify(temporary, arrays, metadata)
      self._remove([step] if folder.exists() else [])
    self._remove(self._superseded())

  def _superseded(self) -> list[int]:
    """Returns steps of all checkpoints but the `keep` latest and the best."""
    steps = sorted(self._steps())
    scored = [
      (score, -step)
      for step in steps
      if (score := self._score(step)) is not None
    ]
    kept = set(steps[-self._keep :])
    if scored:
      kept.add(-max(scored)[1])
    return [step for step in steps if step not in kept]

  def _score(self, step: int) -> float | None:
    """Returns a checkpoint's score; None if it has none or is unreadable."""
    try:
      return _read_metadata(self._directory / str(step)).get('score')
    except (OSError, ValueError):
      return None

  def _try_to_read(self, step: int, like: Any) -> tuple[Any, str]:
    """Returns the state as NumPy arrays and '', or None and why reading failed.

    Raises:
      CheckpointError: if the schema version, data hash or structure is not the
        expected one.
    """
    try:
      return self._read(step, like), ''
    except CheckpointError:
      raise
    # A damaged file can make NumPy raise any error.
    except Exception as error:
      return None, _in_short(error)

  def _read(self, step: int, like: Any) -> Any:
    folder = self._directory / str(step)
    if (folder / 'metadata').is_dir():
      self._check_schema(step, {'schema_version': 1})
    metadata = _read_metadata(folder)
    self._check_schema(step, metadata)
    self._check(
      step,
      'data_hash',
      metadata,
      self._data_hash,
      ', the hash of the present data',
    )
    self._check(
      step,
      'structure',
      metadata,
      _structure(like),
      '; the state of this version has other arrays',
    )
    with np.load(folder / _STATE, allow_pickle=False) as stored:
      leaves = [
        # NumPy has no name for types such as bfloat16 and stores raw bytes.
        stored[name].view(leaf.dtype)
        for name, leaf in _by_path(like).items()
      ]
    on_host = jax.tree.unflatten(jax.tree.structure(like), leaves)
    found, expected = digest(on_host), metadata.get('digest')
    if found != expected:
      raise OSError(
        f'{_STATE}: found digest {found[:12]}, expected {str(expected)[:12]}'
      )
    return on_host

  def _check_schema(self, step: int, metadata: Mapping) -> None:
    self._check(
      step,
      'schema_version',
      metadata,
      SCHEMA_VERSION,
      '; another version of Eigen3 saved it',
    )

  def _check(
    self, step: int, name: str, metadata: Mapping, expected, why: str = ''
  ) -> None:
    found = metadata.get(name)
    if found != expected:
      raise CheckpointError(
        f'{self._directory / str(step)}: {name}: found {found}, '
        f'expected {expected}{why}'
      )

  def _set_aside(self, steps: list[int]) -> None:
    """Moves damaged checkpoints out of the folder, to free their names."""
    for step in steps:
      target = self._directory.parent / f'unreadable_checkpoint_{step}'
      shutil.rmtree(target, ignore_errors=True)  # from an earlier failure
      os.replace(self._directory / str(step), target)

  def _remove(self, steps: list[int]) -> None:
    """Removes checkpoints.

    Each is renamed first, so that a partly removed one is not taken for a
    checkpoint.
    """
    for step in steps:
      doomed = self._directory / f'{step}.removed'
      os.replace(self._directory / str(step), doomed)
      shutil.rmtree(doomed, ignore_errors=True)

  def _clear_away(self) -> None:
    """Removes what interrupted saves and removals left in the folder."""
    remove_leftovers(self._directory)
    for path in self._directory.glob('*.removed'):
      shutil.rmtree(path, ignore_errors=True)


def _named(steps: list[int]) -> str:
  """Describes the checkpoints at some steps, for an error message."""
  if not steps:
    return 'no checkpoint'
  if len(steps) == 1:
    return f'a checkpoint at step {steps[0]}'
  return f'checkpoints at steps {", ".join(map(str, sorted(steps)))}'


def _to_disk(file) -> None:
  """Flushes a file to disk; must be called before its folder is renamed."""
  file.flush()
  os.fsync(file.fileno())


def _by_path(state: Any) -> dict[str, Any]:
  """Returns a tree's leaves, keyed by their paths in JAX's notation."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _read_metadata(folder: pathlib.Path) -> Mapping[str, Any]:
  """Returns a checkpoint's metadata, without their checksum.

  Raises:
    OSError: if the file cannot be read.
    ValueError: if the file is damaged.
  """
  found = json.loads((folder / _METADATA).read_text(encoding='utf-8'))
  if not isinstance(found, dict):
    raise ValueError(
      f'{_METADATA}: found {type(found).__name__}, expected a JSON object'
    )
  checksum = found.pop('checksum', None)
  is_earlier = found.get('schema_version') in _WITHOUT_CHECKSUM
  if checksum != _checksum(found) and not is_earlier:
    raise ValueError(
      f'{_METADATA}: found contents that do not match their checksum, expected '
      'them as they were written'
    )
  return found


def _checksum(metadata: Mapping[str, Any]) -> str:
  text = json.dumps(metadata, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def _verify(folder: pathlib.Path, arrays: Mapping, metadata: Mapping) -> None:
  """Checks a written checkpoint by reading it back, one array at a time.

  Raises:
    OSError: if it is unreadable, or differs from `arrays` and `metadata`.
  """
  try:
    if _read_metadata(folder) != metadata:
      raise ValueError(
        f'{_METADATA}: found other contents, expected those just written'
      )
    with np.load(folder / _STATE, allow_pickle=False) as stored:
      for name, array in arrays.items():
        if stored[name].tobytes() != array.tobytes():
          raise ValueError(
            f'{name}: found other values, expected those just written'
          )
  except OSError:
    raise
  # NumPy can raise any error, as in `_try_to_read`.
  except Exception as error:
    reason = (
      f'found a checkpoint that reads back differently ({_in_short(error)}), '
      'expected it as it was written; the disk may be faulty'
    )
    raise OSError(errno.EIO, reason) from error


def _in_short(error: Exception) -> str:
  """Returns an error's type and the start of its message."""
  reason = str(error).strip().partition('\n')[0][:120]
  return f'{type(error).__name__}: {reason}'


def _structure(state: Any) -> str:
  """Returns a short digest of the paths, shapes and types of all leaves."""
  lines = [
    f'{path} {leaf.shape} {leaf.dtype}'
    for path, leaf in _by_path(state).items()
  ]
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def digest(on_host: Any) -> str:
  """Returns the SHA-256, in hex, of the bytes of a tree of NumPy arrays."""
  total = hashlib.sha256()
  for leaf in jax.tree.leaves(on_host):
    total.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
  return total.hexdigest()

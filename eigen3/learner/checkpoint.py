"""Whole-state checkpoints: atomic, in the background, the last and the best.

Orbax writes to a temporary directory and renames it when it is complete. Its
array store notices a file cut short, but not a changed byte, so a digest of all
arrays is kept beside them.

Of several processes the first one writes, all arrays whole, and each reads for
itself, from a folder that they share. So it does not matter how many there
are, and none waits for another while it writes.
"""

import hashlib
import os
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers as policies

from eigen3 import parallel

# Raised when the meaning of a stored state changes.
SCHEMA_VERSION = 1


class CheckpointError(ValueError):
  """A checkpoint that can't be used, and why."""


class Checkpointer:
  """Saves and restores states of one run; all processes have to ask for it."""

  def __init__(
    self,
    directory: os.PathLike | str,
    keep: int,
    data_hash: str,
    read_only: bool = False,
  ):
    """Opens a run's folder of checkpoints.

    Args:
      directory: created where absent.
      keep: how many of the latest to keep, beside the one of the best score.
      data_hash: of the panel; a state is only restored onto equal data.
      read_only: create and move nothing; nothing can be saved.
    """
    self._directory = pathlib.Path(directory).absolute()
    self._data_hash = data_hash
    self._read_only = read_only
    if not read_only:
      self._directory.mkdir(parents=True, exist_ok=True)
    this = ocp.multihost.process_index()
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=policies.AnyPreservationPolicy(
          [
            policies.LatestN(keep),
            policies.BestN(
              get_metric_fn=lambda metrics: metrics['score'],
              n=1,
              keep_checkpoints_without_metrics=False,
            ),
          ]
        ),
        enable_async_checkpointing=True,
        # Each process has a manager of its own, which knows of no other.
        create=False,
        multiprocessing_options=ocp.options.MultiprocessingOptions(
          primary_host=this, active_processes={this}
        ),
      ),
    )

  def save(self, step: int, state: Any, score: float | None = None) -> None:
    """Stores `state` as of `step`; returns once it is safe to donate it.

    Args:
      step: its number.
      state: a tree of arrays.
      score: keeps the step while no later one scores higher; None does not.
    """
    # A copy: on CPU a host array may be a view of a buffer that is donated.
    on_host = jax.tree.map(
      lambda x: np.array(parallel.to_host(x), copy=True), state
    )
    if not parallel.is_first_process():
      return
    metadata = {
      'schema_version': SCHEMA_VERSION,
      'data_hash': self._data_hash,
      'structure': _structure(on_host),
      'digest': digest(on_host),
    }
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(on_host),
        metadata=ocp.args.JsonSave(metadata),
      ),
      metrics=None if score is None else {'score': score},
      force=True,
    )

  def restore_latest(
    self, like: Any, at: int | None = None
  ) -> tuple[int, Any] | None:
    """The newest readable state, or None where none was ever saved.

    One that can't be read is reported by a warning and the one before it is
    used.

    Args:
      like: a state of the same structure, shapes and types.
      at: only this step will do.

    Raises:
      CheckpointError: of another schema, other data or a state of another
        structure, none is readable, there is none of the step, or processes
          do not find the same ones.
    """
    steps = sorted(self._manager.all_steps(), reverse=True)
    if not parallel.is_same_everywhere(str(steps)):
      raise CheckpointError(
        f'{self._directory}: found checkpoints {steps}, which another process '
        'does not find; expected a folder that all processes share'
      )
    if at is not None:
      if at not in steps:
        raise CheckpointError(
          f'{self._directory}: found no checkpoint {at}, expected one of '
          f'{", ".join(map(str, sorted(steps))) or "none at all"}'
        )
      steps = [at]
    damaged: list[int] = []
    for step in steps:
      on_host, reason = self._try_to_read(step, like)
      # All go on from the same one.
      if parallel.agree(on_host is None):
        logging.warning(
          'checkpoint %s: found it unreadable (%s); trying the one before it',
          self._directory / str(step),
          reason or 'by another process',
        )
        damaged.append(step)
        continue
      # Only now: without a good one, all stay where they were found.
      if not self._read_only:
        self._set_aside(damaged)
      return step, jax.tree.map(parallel.place_like, on_host, like)
    if steps:
      raise CheckpointError(
        f'{self._directory}: found {len(steps)} checkpoints, none readable'
      )
    return None

  def wait(self) -> None:
    """Returns when everything saved is on disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits, then lets go of the folder."""
    self._manager.close()

  def _try_to_read(self, step: int, like: Any) -> tuple[Any, str]:
    """The state in NumPy arrays, or None and why it can't be read."""
    try:
      return self._read(step, like), ''
    except CheckpointError:
      raise
    # Whatever a damaged file makes Orbax raise, the answer is the same.
    except Exception as error:
      reason = str(error).strip().partition('\n')[0][:120]
      return None, f'{type(error).__name__}: {reason}'

  def _read(self, step: int, like: Any) -> Any:
    metadata = self._manager.restore(
      step, args=ocp.args.Composite(metadata=ocp.args.JsonRestore())
    )['metadata']
    self._check(step, 'schema_version', metadata, SCHEMA_VERSION)
    self._check(step, 'data_hash', metadata, self._data_hash)
    self._check(
      step,
      'structure',
      metadata,
      _structure(like),
      ': the state that the code keeps has changed',
    )
    # NumPy arrays are read as such; these take no memory.
    abstract = jax.tree.map(
      lambda x: np.broadcast_to(np.zeros((), x.dtype), x.shape), like
    )
    on_host = self._manager.restore(
      step,
      args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract)),
    )['state']
    found, expected = digest(on_host), metadata.get('digest')
    if found != expected:
      raise OSError(f'digest: found {found}, expected {expected}')
    return on_host

  def _check(
    self, step: int, name: str, metadata: dict, expected, why: str = ''
  ) -> None:
    found = metadata.get(name)
    if found != expected:
      raise CheckpointError(
        f'{self._directory / str(step)}: {name}: found {found}, '
        f'expected {expected}{why}'
      )

  def _set_aside(self, steps: list[int]) -> None:
    """Moves damaged checkpoints, so that their steps can be saved anew."""
    if not steps or not parallel.is_first_process():
      return
    for step in steps:
      target = self._directory.parent / f'unreadable_checkpoint_{step}'
      shutil.rmtree(target, ignore_errors=True)  # of an earlier damage
      os.replace(self._directory / str(step), target)
    self._manager.reload()


def _structure(state: Any) -> str:
  """A short digest of the paths, shapes and types of all leaves."""
  leaves = jax.tree_util.tree_leaves_with_path(state)
  lines = [
    f'{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}'
    for path, leaf in leaves
  ]
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def digest(on_host: Any) -> str:
  """sha256 of all leaves, which are NumPy arrays."""
  total = hashlib.sha256()
  for leaf in jax.tree.leaves(on_host):
    total.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
  return total.hexdigest()

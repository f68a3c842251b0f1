"""Whole-state checkpoints: atomic, in the background, the last and the best.

Orbax writes to a temporary directory and renames it when it is complete. Its
array store notices a file cut short, but not a changed byte, so a digest of all
arrays is kept beside them.
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
  """Saves and restores states of one run."""

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
        create=not read_only,
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
    on_host = jax.tree.map(lambda x: np.array(x, copy=True), state)
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
        structure, or none is readable, or there is none of the step.
    """
    steps = sorted(self._manager.all_steps(), reverse=True)
    if at is not None:
      if at not in steps:
        raise CheckpointError(
          f'{self._directory}: found no checkpoint {at}, expected one of '
          f'{", ".join(map(str, sorted(steps))) or "none at all"}'
        )
      steps = [at]
    damaged: list[int] = []
    for step in steps:
      try:
        state = self._restore(step, like)
      except CheckpointError:
        raise
      # Whatever a damaged file makes Orbax raise, the answer is the same.
      except Exception as error:
        reason = str(error).strip().splitlines()[0][:120]
        logging.warning(
          'checkpoint %s: found it unreadable (%s: %s); '
          'trying the one before it',
          self._directory / str(step),
          type(error).__name__,
          reason,
        )
        damaged.append(step)
        continue
      # Only now: without a good one, all stay where they were found.
      if not self._read_only:
        self._set_aside(damaged)
      return step, state
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

  def _restore(self, step: int, like: Any) -> Any:
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
    abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
      like,
    )
    state = self._manager.restore(
      step,
      args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract)),
    )['state']
    on_host = jax.device_get(state)
    found, expected = digest(on_host), metadata.get('digest')
    if found != expected:
      raise OSError(f'digest: found {found}, expected {expected}')
    return jax.tree.map(parallel.place_like, on_host, like)

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
    for step in steps:
      target = self._directory.parent / f'unreadable_checkpoint_{step}'
      shutil.rmtree(target, ignore_errors=True)  # of an earlier damage
      os.replace(self._directory / str(step), target)
    if steps:
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

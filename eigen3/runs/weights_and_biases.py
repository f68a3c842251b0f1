"""Metrics of a run at Weights & Biases, where its package is installed."""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any


def package() -> Any:
  """The package of W&B; a ValueError where it is not installed."""
  try:
    import wandb
  except ImportError as error:
    raise ValueError(
      '--wandb: found no package wandb, expected it (pip install '
      "'eigen3[wandb]')"
    ) from error
  return wandb


class Run:
  """A run of Weights & Biases; a `logs.Sink`.

  Its name is that of the run's folder, which its files go to. Where that holds
  one already, from before an interrupt, the same run goes on. Everything else
  is as W&B's own variables of the environment say, such as WANDB_MODE=offline.
  """

  def __init__(
    self, workdir: pathlib.Path, project: str, config: Mapping[str, Any]
  ):
    """Begins the run, or goes on with it.

    Args:
      workdir: the run's folder.
      project: of W&B.
      config: all settings.

    Raises:
      ValueError: the package is missing, or W&B refuses the run.
    """
    wandb = package()
    try:
      self._run = wandb.init(
        project=project,
        name=workdir.name,
        dir=workdir,
        id=_id_of(workdir),
        resume='allow',
        config=dict(config),
      )
    except wandb.Error as error:
      raise ValueError(f'--wandb: {" ".join(str(error).split())}') from error

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Adds what is known of an iteration."""
    # After a kill a run repeats what came after its last checkpoint, with the
    # same numbers; W&B takes no step that is past.
    if step >= self._run.step:
      self._run.log(dict(values), step=step)

  def close(self) -> None:
    """Ends the run; while an exception is handled, as one that failed."""
    self._run.finish(exit_code=int(sys.exception() is not None))


def _id_of(workdir: pathlib.Path) -> str | None:
  """W&B's id of the run in a folder: its own folders end in it."""
  folders = sorted((workdir / 'wandb').glob('*run-*-*'))
  return folders[-1].name.rpartition('-')[2] if folders else None

"""Logs a run's metrics to Weights & Biases, if its package is installed."""

import pathlib
import sys
from collections.abc import Mapping
from typing import Any


def package() -> Any:
  """Returns the package wandb; raises a ValueError if it is not installed."""
  try:
    import wandb
  except ImportError as error:
    raise ValueError(
      '--wandb: found no package wandb, expected it to be installed: pip '
      "install 'eigen3[wandb]'"
    ) from error
  return wandb


class Run:
  """A `logs.Sink` that writes to a run of Weights & Biases (W&B).

  The W&B run is named after the training run's folder, which also holds W&B's
  files. If files of an earlier W&B run are there, that run is continued. W&B's
  environment variables, such as WANDB_MODE=offline, set everything else.
  """

  def __init__(
    self, workdir: pathlib.Path, project: str, config: Mapping[str, Any]
  ):
    """Starts the W&B run, or resumes it.

    Args:
      workdir: the training run's folder.
      project: the W&B project.
      config: all settings.

    Raises:
      ValueError: if the package wandb is missing, or W&B refuses the run.
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
      reason = ' '.join(str(error).split())
      raise ValueError(
        f'--wandb: found that W&B refused the run ({reason}), expected a '
        'project and settings that it accepts'
      ) from error

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Adds the metrics of `step`, see `logs.Sink`, unless W&B has them."""
    # A resumed run repeats the iterations after its last checkpoint, with the
    # same numbers; W&B rejects past steps.
    if step >= self._run.step:
      self._run.log(dict(values), step=step)

  def close(self) -> None:
    """Ends the W&B run, as failed if an exception is being handled."""
    self._run.finish(exit_code=int(sys.exception() is not None))


def _id_of(workdir: pathlib.Path) -> str | None:
  """Returns the id of the latest W&B run in `workdir`; None if it has none."""
  folders = (workdir / 'wandb').glob('*run-*-*')
  names = [folder.name.removeprefix('offline-') for folder in folders]
  # Names are run-DATE_TIME-ID.
  return max(names).rpartition('-')[2] if names else None

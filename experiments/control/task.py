"""A Gymnasium task with the interface that `learning` needs."""

from typing import Any, NamedTuple

import numpy as np

from eigen3.types import ActionSpec


class Step(NamedTuple):
  """The result of an action, on the host.

  Attributes:
    observation: float32 [O], observed after the action; at the end of an
      episode the last one of this episode, not the first of the next.
    reward: reward of the action.
    discount: 0 if the episode terminated, else 1. An episode that is merely cut
      off, as by a time limit, does not terminate.
    last: whether the episode ends here, terminated or cut off.
  """

  observation: np.ndarray
  reward: float
  discount: float
  last: bool


class Task:
  """An instance of a task whose observations [O] and actions [A] are vectors.

  Attributes:
    action_spec: the bounds of the actions, which agents scale to [-1, 1].
    observation_size: O.
  """

  def __init__(self, name: str, seed: int):
    """Makes the task.

    Args:
      name: the task's id in Gymnasium, e.g. 'Pendulum-v1'.
      seed: seed of all randomness in the task; at least 0.

    Raises:
      ValueError: if Gymnasium is not installed or cannot make the task,
        observations or actions are not a `Box` with one axis, or the bounds of
        actions are infinite or equal.
    """
    self._environment = _make(name)
    observations = self._environment.observation_space
    actions = self._environment.action_space
    for what, space in (('observations', observations), ('actions', actions)):
      if type(space).__name__ != 'Box' or len(space.shape) != 1:
        raise ValueError(
          f"--env: found '{name}' with {what} in {space}, expected a Box with "
          'one axis'
        )
    if not np.isfinite([actions.low, actions.high]).all():
      raise ValueError(
        f"--env: found '{name}' with actions in {actions}, expected a Box with "
        'finite bounds'
      )
    self.action_spec = ActionSpec(
      shape=actions.shape,
      minimum=tuple(map(float, actions.low)),
      maximum=tuple(map(float, actions.high)),
    )
    self.observation_size: int = observations.shape[0]
    self._seed: int | None = seed

  def reset(self) -> np.ndarray:
    """Starts an episode; returns its first observation, float32 [O]."""
    observation, _ = self._environment.reset(seed=self._seed)
    self._seed = None  # later episodes continue with the same generator
    return np.asarray(observation, np.float32)

  def step(self, action: np.ndarray) -> Step:
    """Takes an action, float32 [A] in the task's units."""
    observation, reward, terminated, truncated, _ = self._environment.step(
      action
    )
    return Step(
      np.asarray(observation, np.float32),
      float(reward),
      float(not terminated),
      bool(terminated or truncated),
    )


def _make(name: str) -> Any:
  """Makes the environment; raises a ValueError if that fails."""
  try:
    import gymnasium
  except ImportError as error:
    raise ValueError(
      '--env: found no package gymnasium, expected it to be installed: pip '
      "install 'eigen3[control]'"
    ) from error
  try:
    return gymnasium.make(name)
  except (gymnasium.error.Error, ImportError) as error:
    raise ValueError(
      f"--env: found '{name}', expected a Gymnasium task that can be made here "
      f'({error})'
    ) from error

"""Evaluates policies on evenly spread slices of the training days."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.data import MarketPanel
from eigen3.environment import TradingEnvironment, rollout
from eigen3.environment.rollout import Actions
from eigen3.types import Array


class TrainingSlices:
  """K slices of S training days each, the same for every policy.

  A policy plays a separate episode on each slice. Slices may overlap.

  Attributes:
    days: int [K * S], the days on which a policy decides, slice by slice.
  """

  def __init__(
    self,
    panel: MarketPanel,
    config: Mapping[str, Any],
    days: tuple[int, int],
    count: int,
  ):
    """Prepares the slices.

    Args:
      panel: the market.
      config: the `environment` section.
      days: (start, stop) of the training split.
      count: K, the number of slices, at least 1.

    Raises:
      ValueError: a setting is missing or out of range, or `days` are not in the
        panel or too few for the context and an episode.
    """
    self._environment = TradingEnvironment(panel, config, days)
    first = int(self._environment.first_day)
    last = int(self._environment.last_day)
    starts = np.linspace(first, last, count).round().astype(np.int32)
    steps = np.arange(self._environment.num_steps, dtype=np.int32)
    self._days = starts[:, None] + steps
    self.days = self._days.reshape(-1)
    self._play = jax.jit(_profits)

  def profits(self, actions: Actions) -> np.ndarray:
    """Returns each slice's profit as a share of the initial cash, float [K].

    Args:
      actions: a policy's actions on the K * S `days`.
    """
    actions = rollout.by_step(actions, self._days.shape)
    profits = self._play(self._environment, jnp.asarray(self._days), actions)
    return np.asarray(profits, np.float64)


def _profits(
  environment: TradingEnvironment, days: Array, actions: Actions
) -> Array:
  final = rollout.play(environment, days, actions).final_state
  return final.equity / environment.rules.initial_cash - 1.0

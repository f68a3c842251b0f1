"""How policies are judged on one split: by backtest, beside the controls."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation.backtest import Backtest, Backtester
from eigen3.evaluation.controls import Controls
from eigen3.types import Array

Results = Mapping[str, list[Backtest]]


class Judge:
  """One split's backtester and the controls on its days.

  Nothing is played before it is asked for, so that a judge of held-out days
  can be made, and their number checked, before training.

  Attributes:
    days: int [S], on which a policy has to decide.
  """

  def __init__(
    self,
    panel: MarketPanel,
    config: Mapping[str, Any],
    days: tuple[int, int],
    drift: np.ndarray | None = None,
  ):
    """Prepares the split.

    Args:
      panel: the market.
      config: all settings; `environment`, `evaluation` and `seed` are read.
      days: (start, stop) of the split.
      drift: what the embedded market hides, float [T, N].

    Raises:
      ValueError: the split is too short.
    """
    self._backtester = Backtester(panel, config['environment'], days)
    self.days = self._backtester.days
    self._controls = Controls(
      panel,
      self._backtester,
      config['environment'],
      config['evaluation'],
      config['seed'],
      drift,
    )

  @functools.cached_property
  def controls(self) -> Results:
    """The controls' backtests by name, played once."""
    return self._controls.run()

  def backtest(self, actions: Array, account_aware: bool = False) -> Backtest:
    """Plays actions [S, N, 2] decided on `days`; see `Backtester.run`."""
    return self._backtester.run(actions, account_aware)

  def scores(self, actions: Array, prefix: str) -> dict[str, float]:
    """The numbers of `actions` and the controls' profits, prefixed.

    Args:
      actions: [S, N, 2] decided on `days`.
      prefix: of the names, e.g. 'validation'.
    """
    summary = self.backtest(actions).summary
    controls = {
      name: mean_summary(backtests)['profit']
      for name, backtests in self.controls.items()
    }
    return {
      f'{prefix}_{name}': value for name, value in (summary | controls).items()
    }


def mean_summary(backtests: list[Backtest]) -> dict[str, float]:
  """The mean of every number over the backtests of one policy."""
  return {
    name: float(np.mean([b.summary[name] for b in backtests]))
    for name in backtests[0].summary
  }

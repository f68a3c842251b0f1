"""A policy that buys the stock with the best prediction.

Predictions are net returns of trades, or other values that are above 0 if a
trade is worth making. Like the control momentum, the policy skips stocks that
the account holds. A prediction has to exceed a threshold. By default this is
chosen from 0 and the 25, 50, 75 and 90 % quantiles of the daily best
predictions, if above 0: the one that earns the most on the validation days. A
day's best prediction is the highest for a stock that can be bought on the day.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from eigen3.environment import Rules
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.controls import by_rank
from eigen3.evaluation.judge import Judge

NAME = 'ranker'  # in tables
_QUANTILES = (0.25, 0.5, 0.75, 0.9)


class Ranking:
  """Turns predictions into actions.

  Attributes:
    threshold: value that predictions have to exceed.
    profit: profit with this threshold on the validation days, divided by
      initial cash.
  """

  def __init__(
    self,
    environment: Mapping[str, Any],
    validation: Judge,
    predict: Callable[[np.ndarray], np.ndarray],
    threshold: float | None = None,
  ):
    """Chooses the threshold unless it is given; ties go to the lowest.

    Args:
      environment: the `environment` section.
      validation: judge of the validation days.
      predict: maps days, int [S], to predictions, float [S, N], for a trade of
        each stock decided on each day, such as its net return in %.
      threshold: the threshold to use; by default it is chosen.

    Raises:
      ValueError: a setting is missing or out of range.
    """
    self._rules = Rules.from_config(environment)
    self._predict = predict
    predictions = predict(validation.days)
    candidates = [0.0 if threshold is None else threshold]
    if threshold is None:
      daily = predictions.max(axis=1, initial=-np.inf, where=validation.buyable)
      daily = daily[np.isfinite(daily)]
      found = np.quantile(daily, _QUANTILES) if len(daily) else np.zeros(0)
      candidates += found[found > 0.0].tolist()
    profits = [
      _play(validation, self._actions(predictions, x)).summary['profit']
      for x in candidates
    ]
    best = int(np.argmax(profits))
    self.threshold, self.profit = float(candidates[best]), float(profits[best])

  def scores(self, days: np.ndarray) -> np.ndarray:
    """Returns the predictions on `days`, int [S]; float [S, N]."""
    return self._predict(days)

  def actions(self, days: np.ndarray) -> np.ndarray:
    """Returns the actions on `days`, int [S]; float32 [S, N, 2]."""
    return self._actions(self._predict(days), self.threshold)

  def backtest(self, judge: Judge) -> Backtest:
    """Backtests the policy on the days of `judge`."""
    return _play(judge, self.actions(judge.days))

  def _actions(self, predictions: np.ndarray, threshold: float) -> np.ndarray:
    return by_rank(self._rules, predictions, predictions > threshold)


def _play(judge: Judge, actions: np.ndarray) -> Backtest:
  return judge.backtest(jnp.asarray(actions), account_aware=True)

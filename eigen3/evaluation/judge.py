"""Evaluates policies and the controls on one split by backtests."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from eigen3.data import MarketPanel
from eigen3.data.synthetic_patience import Dips
from eigen3.environment import Rules, prices
from eigen3.environment.rollout import Actions
from eigen3.evaluation import matched
from eigen3.evaluation.backtest import Backtest, Backtester
from eigen3.evaluation.controls import Controls
from eigen3.evaluation.patience import Yardsticks

Results = Mapping[str, list[Backtest]]

_COSTS = frozenset(('commission_bp', 'slippage_bp'))


class Judge:
  """Evaluates policies and controls on the days of one split.

  Backtests run only when they are requested, so a judge of the held-out days
  can be made before training, to check that there are enough days.

  Attributes:
    days: int [S], the days on which a policy decides.
  """

  def __init__(
    self,
    panel: MarketPanel,
    config: Mapping[str, Any],
    days: tuple[int, int],
    drift: np.ndarray | None = None,
    backtester: Backtester | None = None,
    of: str = '',
    dips: Dips | None = None,
  ):
    """Prepares backtests on the split.

    Args:
      panel: the market.
      config: all settings; `environment`, `evaluation` and `seed` are read.
      days: (start, stop) of the split.
      drift: the embedded market's hidden drift, float [T, N], or None.
      backtester: backtester of the split; by default the one that `config`
        describes.
      of: the setting that determines the number of days, for error messages.
      dips: the hidden dips of the embedded market `patience`, or None.

    Raises:
      ValueError: the split is too short or not in the panel, or a setting is
        missing or out of range.
    """
    self._given = panel, config, days, drift
    self._dips = dips
    self._backtester = backtester or Backtester(
      panel, config['environment'], days, of
    )
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
    """Returns the backtests of the controls, by name.

    If the judge was given `dips`, this includes the yardsticks of `patience`.
    """
    controls = self._controls.run()
    if self._dips is not None:
      panel, config, *_ = self._given
      rules = Rules.from_config(config['environment'])
      yardsticks = Yardsticks(panel, self._backtester, rules, self._dips)
      controls |= {name: [one] for name, one in yardsticks.run().items()}
    return controls

  @functools.cached_property
  def buyable(self) -> np.ndarray:
    """Returns which stocks have a close and are in the universe on `days`.

    Returns:
      bool [S, N], whatever an account holds and whether or not trading is over.
    """
    panel, config, *_ = self._given
    rules = Rules.from_config(config['environment'])
    quotes = prices.price_table(panel, rules)[self.days]
    status = prices.Quote(*np.moveaxis(quotes, -1, 0)).status
    return np.asarray(status == prices.PRICED)

  def under(self, **rules: Any) -> 'Judge':
    """Returns a judge of the same split with other trading rules.

    Args:
      rules: settings of the `environment` section that replace this judge's.

    Raises:
      ValueError: a setting is out of range, or the split is too short for the
        new rules.
    """
    panel, config, days, drift = self._given
    environment = {**config['environment'], **rules}
    backtester = self._backtester
    if not _COSTS.issuperset(rules):  # needs another compilation
      backtester = Backtester(panel, environment, days)
    costs = sum(environment[name] for name in _COSTS)
    config = {**config, 'environment': environment}
    backtester = backtester.with_costs(costs)
    return Judge(panel, config, days, drift, backtester, dips=self._dips)

  def backtest(self, actions: Actions, account_aware: bool = False) -> Backtest:
    """Backtests a policy's actions on `days`; see `Backtester.run`."""
    return self._backtester.run(actions, account_aware)

  def matched_entry(
    self, backtest: Backtest, seed: int, nearest: int = matched.NEAREST
  ) -> list[Backtest]:
    """Plays random entry matched to a policy; see `Controls.matched_entry`."""
    return self._controls.matched_entry(backtest, seed, nearest)

  def scores(self, actions: Actions, prefix: str) -> dict[str, float]:
    """Returns a policy's metrics and the controls' mean profits, by name.

    Args:
      actions: the policy's actions on `days`.
      prefix: the first part of all names: with 'validation', the policy's
        profit is 'validation_profit', that of momentum 'validation_momentum'.
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
  """Averages every metric over the backtests of one policy."""
  return {
    name: float(np.mean([b.summary[name] for b in backtests]))
    for name in backtests[0].summary
  }

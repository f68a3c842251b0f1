"""How policies are judged on one split: by backtest, beside the controls."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from eigen3.data import MarketPanel
from eigen3.data.synthetic_patience import Dips
from eigen3.environment import Rules, prices
from eigen3.environment.rollout import Acts
from eigen3.evaluation import matched
from eigen3.evaluation.backtest import Backtest, Backtester
from eigen3.evaluation.controls import Controls
from eigen3.evaluation.patience import Yardsticks

Results = Mapping[str, list[Backtest]]

_COSTS = frozenset(('commission_bp', 'slippage_bp'))


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
    backtester: Backtester | None = None,
    of: str = '',
    dips: Dips | None = None,
  ):
    """Prepares the split.

    Args:
      panel: the market.
      config: all settings; `environment`, `evaluation` and `seed` are read.
      days: (start, stop) of the split.
      drift: what the embedded market hides, float [T, N].
      backtester: of the split, in place of the one that `config` describes.
      of: the setting that says how many days these are, for the message.
      dips: what the embedded market `patience` hides beside that.

    Raises:
      ValueError: the split is too short.
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
    """The controls' backtests by name, played once."""
    controls = self._controls.run()
    if self._dips is not None:
      panel, config, *_ = self._given
      rules = Rules.from_config(config['environment'])
      yardsticks = Yardsticks(panel, self._backtester, rules, self._dips)
      controls |= {name: [one] for name, one in yardsticks.run().items()}
    return controls

  @functools.cached_property
  def buyable(self) -> np.ndarray:
    """Stocks that may be bought on `days`, whatever is held, bool [S, N]."""
    panel, config, *_ = self._given
    rules = Rules.from_config(config['environment'])
    quotes = prices.price_table(panel, rules)[self.days]
    status = prices.Quote(*np.moveaxis(quotes, -1, 0)).status
    return np.asarray(status == prices.PRICED)

  def under(self, **rules: Any) -> 'Judge':
    """A judge of the same days whose accounts follow other rules.

    Args:
      rules: settings of the `environment` section, in place of its own.

    Raises:
      ValueError: a setting is out of range.
    """
    panel, config, days, drift = self._given
    environment = {**config['environment'], **rules}
    backtester = self._backtester
    if not _COSTS.issuperset(rules):  # needs another program
      backtester = Backtester(panel, environment, days)
    costs = sum(environment[name] for name in _COSTS)
    config = {**config, 'environment': environment}
    backtester = backtester.with_costs(costs)
    return Judge(panel, config, days, drift, backtester, dips=self._dips)

  def backtest(self, acts: Acts, account_aware: bool = False) -> Backtest:
    """Plays what a policy does on `days`; see `Backtester.run`."""
    return self._backtester.run(acts, account_aware)

  def matched_entry(
    self, backtest: Backtest, seed: int, nearest: int = matched.NEAREST
  ) -> list[Backtest]:
    """Plays random entry matched to a policy; see `Controls.matched_entry`."""
    return self._controls.matched_entry(backtest, seed, nearest)

  def scores(self, acts: Acts, prefix: str) -> dict[str, float]:
    """The numbers of a policy and the controls' profits, prefixed.

    Args:
      acts: what it does on `days`.
      prefix: of the names, e.g. 'validation'.
    """
    summary = self.backtest(acts).summary
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

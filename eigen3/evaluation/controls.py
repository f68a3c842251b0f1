"""Controls: policies that an agent has to beat, or is measured against.

All but buy and hold trade under the agent's own rules: the same exits, costs,
sizes and one entry a day. They always take the largest position, the widest
target and, knowing the account, the best stock that can be bought.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from eigen3.data import MarketPanel
from eigen3.evaluation.backtest import Backtest, Backtester, summarise

# Coefficients of successive ranks fall by this share of the ceiling in all:
# enough to order them, too little to matter for a position's size.
_RANKING = 0.01


class Controls:
  """The controls on one split of a panel."""

  def __init__(
    self,
    panel: MarketPanel,
    backtester: Backtester,
    environment: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    seed: int,
    drift: np.ndarray | None = None,
  ):
    """Binds the controls.

    Args:
      panel: the market.
      backtester: of the split.
      environment: the `environment` section.
      evaluation: the `evaluation` section.
      seed: of random entry.
      drift: float [T, N], what the embedded market hides, or None.
    """
    self._panel = panel
    self._backtester = backtester
    self._rules = environment
    self._config = evaluation
    self._seed = seed
    self._drift = drift
    first, stop = panel.investable
    close = panel.ohlc[:, first:stop, 3].astype(np.float64)
    self._open = panel.ohlc[:, first:stop, 0].astype(np.float64)
    self._close = np.where(close > 0, close, np.nan)

  def run(self) -> dict[str, list[Backtest]]:
    """All controls by name; random entry many times, the others once."""
    rng = np.random.default_rng(self._seed)
    results = {
      'random_entry': [
        self._random_entry(rng) for _ in range(self._config['random_entries'])
      ],
      'buy_and_hold': [self._buy_and_hold()],
      'momentum': [self._momentum()],
    }
    if self._drift is not None:
      drift = self._drift[self._backtester.days]
      results['informed'] = [self._ranked(drift, drift > 0)]
    return results

  def _random_entry(self, rng: np.random.Generator) -> Backtest:
    """Any listed stock, every day."""
    close = self._close[self._backtester.days]
    return self._ranked(rng.random(close.shape), np.isfinite(close))

  def _momentum(self) -> Backtest:
    """The stock that rose most over the look-back, if any rose."""
    days, look_back = self._backtester.days, self._config['momentum_days']
    past = self._close[np.maximum(days - look_back, 0)]
    rise = self._close[days] / past - 1.0
    return self._ranked(rise, rise > 0)

  def _ranked(self, scores: np.ndarray, wanted: np.ndarray) -> Backtest:
    """Buys by rank of `scores` among the `wanted`, both [S, N]."""
    num_stocks = scores.shape[1]
    scores = np.where(wanted, scores, -np.inf)
    rank = np.argsort(np.argsort(-scores, axis=1, kind='stable'), axis=1)
    ceiling = self._rules['coefficient_ceiling']
    coefficient = ceiling * (1.0 - _RANKING * rank / num_stocks)
    coefficient = np.where(wanted, coefficient, 0.0)
    target = np.full_like(coefficient, self._rules['max_sale_target'])
    actions = np.stack([coefficient, target], axis=-1)
    return self._backtester.run(
      jnp.asarray(actions, jnp.float32), account_aware=True
    )

  def _buy_and_hold(self) -> Backtest:
    """Equal amounts of every stock with a price, once, to the end.

    Bought at the first day's close, or at the next open where orders fill
    there; a stock that vanishes keeps its last close.
    """
    days = self._backtester.days
    at_open = self._rules['fill'] == 'next_open'
    bought_at = 1 if at_open else 0
    paid = self._open[days[1]] if at_open else self._close[days[0]]
    held = np.isfinite(paid) & (paid > 0)
    held &= np.isfinite(self._close[days[0]])
    rate = (self._rules['commission_bp'] + self._rules['slippage_bp']) / 1e4
    cash = float(self._rules['initial_cash'])
    shares = np.zeros_like(paid)
    if held.any():
      shares[held] = cash / held.sum() / (paid[held] * (1.0 + rate))
    close = _forward_filled(self._close)[days]
    value = np.where(held, close, 0.0) @ shares
    left = cash if not held.any() else 0.0
    equity = np.full(len(days), cash)
    equity[bought_at:] = value[bought_at:] + left
    equity[-1] -= rate * value[-1]  # the others end in cash, too
    trades = _as_trades(
      self._panel, days, bought_at, shares, paid, close[-1], rate
    )
    summary = summarise(equity, cash, trades)
    summary['exposure'] = float(held.any())
    summary['costs'] = float(rate * (paid[held] @ shares[held] + value[-1]))
    summary['costs'] /= cash
    return Backtest(self._panel.dates[days], equity, trades, summary)


def _as_trades(panel: MarketPanel, days, bought_at, shares, paid, last, rate):
  """A row per stock that was bought and held to the end."""
  held = np.flatnonzero(shares > 0)
  first, _ = panel.investable
  return pd.DataFrame(
    {
      'ticker': np.asarray(panel.columns)[first + held],
      'entry_date': panel.dates[days[bought_at]],
      'exit_date': panel.dates[days[-1]],
      'entry_price': paid[held],
      'exit_price': last[held],
      'shares': shares[held],
      'holding_days': days[-1] - days[bought_at],
      'net_profit': shares[held]
      * (last[held] * (1.0 - rate) - paid[held] * (1.0 + rate)),
    }
  )


def _forward_filled(close: np.ndarray) -> np.ndarray:
  """The latest known close of every day, [T, N]; NaN before the first."""
  rows = np.arange(len(close))[:, None]
  latest = np.maximum.accumulate(np.where(np.isfinite(close), rows, 0), axis=0)
  return np.take_along_axis(close, latest, axis=0)

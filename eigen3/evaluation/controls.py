"""Controls: reference policies that agents are compared with.

All but buy and hold trade under all of the agent's rules: the same exits,
costs, position limits and entries per day. They always use the largest position
and the highest sale target, and buy the best-ranked stocks that their account
allows. Buy and hold shares only the costs and the rules of fills and delisting.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from eigen3 import settings
from eigen3.data import MarketPanel
from eigen3.environment import Rules, accounting, prices
from eigen3.evaluation import matched
from eigen3.evaluation.backtest import Backtest, Backtester, summarise

# From the first to the last rank, coefficients fall by this share of the
# ceiling: enough to order stocks, too little to matter for position sizes.
_RANKING = 0.01

_EXPECTED = {
  # With 0 or less, the look-back would start today or later.
  'momentum_days': settings.AT_LEAST_ONE,
  'random_entries': settings.AT_LEAST_ONE,
}


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
    """Prepares the controls.

    Args:
      panel: the market.
      backtester: backtester of the split.
      environment: the `environment` section.
      evaluation: the `evaluation` section.
      seed: seed of random entry.
      drift: float [T, N], the embedded market's hidden drift, or None.

    Raises:
      ValueError: a setting is missing or out of range.
    """
    self._panel = panel
    self._backtester = backtester
    settings.check('evaluation', evaluation, _EXPECTED)
    self._rules = Rules.from_config(environment)
    self._config = evaluation
    self._seed = seed
    self._drift = drift
    table = prices.price_table(panel, self._rules)
    quotes = prices.Quote(*np.moveaxis(table, -1, 0))
    is_priced = prices.has_price(quotes.status)
    self._close = np.where(is_priced, quotes.last_close, np.nan)
    # While a stock's market is closed, its last close is still its price.
    is_known = is_priced | (quotes.status == prices.CLOSED)
    is_known &= quotes.last_close > 0
    self._past = np.where(is_known, quotes.last_close, np.nan)
    # [S, N], on the backtester's days alone.
    self._quotes = prices.Quote(*(x[backtester.days] for x in quotes))

  def run(self) -> dict[str, list[Backtest]]:
    """Returns the backtests of the controls, by name.

    Random entry has `random_entries` backtests, every other control has one.
    The informed policy is played only if the drift was given.
    """
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

  def matched_entry(
    self, backtest: Backtest, seed: int, nearest: int = matched.NEAREST
  ) -> list[Backtest]:
    """Plays random entry on the days of a policy's orders, with similar risk.

    For each closed trade of the policy, random entry places an order on the
    day of the policy's order. The stock is drawn from those nearest in
    volatility and beta to the stock that the policy bought; see `matched.draw`.
    So neither these risks nor the choice of days explain what the policy earns
    beyond random entry.

    Args:
      backtest: the policy's backtest, on the days and under the rules of the
        controls.
      seed: seed of the draws.
      nearest: number of stocks that each entry is drawn from.

    Returns:
      `random_entries` backtests.
    """
    days, rules = self._backtester.days, self._rules
    bought = matched.ordered(backtest, self._panel, days, rules.fills_at_open)
    available = np.asarray(self._quotes.status == prices.PRICED)
    factors = matched.risk(self._panel, days)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(self._config['random_entries']):
      rest = rules.max_holding_days + 1
      drawn = matched.draw(bought, available, factors, rng, rest, nearest)
      found.append(self._ranked(drawn, drawn))
    return found

  def _random_entry(self, rng: np.random.Generator) -> Backtest:
    """Backtests buying, every day, random stocks that have a price."""
    close = self._close[self._backtester.days]
    return self._ranked(rng.random(close.shape), np.isfinite(close))

  def _momentum(self) -> Backtest:
    """Backtests buying the stocks that rose most in `momentum_days` days."""
    days, look_back = self._backtester.days, self._config['momentum_days']
    past = self._past[np.maximum(days - look_back, 0)]
    rise = self._close[days] / past - 1.0
    return self._ranked(rise, rise > 0)

  def _ranked(self, scores: np.ndarray, wanted: np.ndarray) -> Backtest:
    """Backtests buying each day's best-scored wanted stocks; see `by_rank`."""
    return self._backtester.run(
      jnp.asarray(by_rank(self._rules, scores, wanted)), account_aware=True
    )

  def _buy_and_hold(self) -> Backtest:
    """Backtests holding all stocks that can be bought on the first day.

    They are bought for equal amounts of cash, at the first day's close, or at
    the next open if orders fill there, and sold at the last close. A stock that
    counts as delisted is sold at the delisting price, as in every account; the
    proceeds are not reinvested.
    """
    rules, quotes = self._rules, self._quotes
    days = self._backtester.days
    bought_at = 1 if rules.fills_at_open else 0
    paid = quotes.open[1] if rules.fills_at_open else quotes.last_close[0]
    held = (quotes.status[0] == prices.PRICED) & (paid > 0)
    rate, cash = rules.cost_rate, rules.initial_cash
    shares = np.zeros_like(paid)
    if held.any():
      shares[held] = cash / held.sum() / (paid[held] * (1.0 + rate))
    step = np.arange(len(days))[:, None]
    gone = (quotes.status == prices.GONE) & (step >= bought_at)
    sold_at = np.where(gone.any(0), gone.argmax(0), len(days) - 1)
    last = quotes.last_close[sold_at, np.arange(len(paid))]
    received = np.where(
      gone.any(0), accounting.delisting_price(rules, paid, last), last
    )
    is_sold = gone.any(0) & (step >= sold_at)
    value = np.where(is_sold, 0.0, quotes.last_close) @ shares
    rest = np.where(is_sold, (1.0 - rate) * received, 0.0) @ shares
    rest = rest if held.any() else np.full(len(days), cash)
    equity = value + rest
    equity[:bought_at] = cash
    invested = value[bought_at:] / equity[bought_at:]
    equity[-1] -= rate * value[-1]  # the other controls also end in cash
    trades = _as_trades(
      self._panel, days, bought_at, sold_at, shares, paid, received, rate
    )
    year = self._panel.periods_a_year
    summary = summarise(equity, cash, trades, year)
    summary['exposure'] = float(np.mean(invested))
    summary['costs'] = float(rate * ((paid + received) @ shares) / cash)
    return Backtest(self._panel.dates[days], equity, trades, summary, year)


def at_exposure(returns: np.ndarray, exposure: float) -> np.ndarray:
  """Computes daily returns of an account with a constant invested share.

  The rest is cash.

  Args:
    returns: daily returns of a fully invested account, float [S].
    exposure: the invested share, such as `exposure` in a policy's summary.
  """
  return exposure * returns


def by_rank(rules: Rules, scores: np.ndarray, wanted: np.ndarray) -> np.ndarray:
  """Returns actions that buy the highest-scoring stocks, at the largest size.

  Coefficients fall with the rank, but by at most 1 % of the highest, so that an
  account that already holds the best stock buys the next best one instead.

  Args:
    rules: determine the highest coefficient and the highest sale target.
    scores: float [S, N], for each of S days; higher is better.
    wanted: bool [S, N], stocks to buy; all other stocks get a coefficient of 0.

  Returns:
    float32 [S, N, 2], coefficient and sale target in %.
  """
  scores = np.where(wanted, scores, -np.inf)
  rank = np.argsort(np.argsort(-scores, axis=1, kind='stable'), axis=1)
  ranking = 1.0 - _RANKING * rank / scores.shape[1]
  coefficient = np.where(wanted, rules.coefficient_ceiling * ranking, 0.0)
  target = np.full_like(coefficient, rules.max_sale_target)
  return np.stack([coefficient, target], axis=-1).astype(np.float32)


def _as_trades(
  panel: MarketPanel, days, bought_at, sold_at, shares, paid, received, rate
):
  """Returns the trades of buy and hold, a row per stock that was bought.

  Of the columns that `Backtester` lists, coefficient, return_percent and reason
  are missing.
  """
  held = np.flatnonzero(shares > 0)
  first, _ = panel.investable
  shares, paid, received = shares[held], paid[held], received[held]
  return pd.DataFrame(
    {
      'ticker': np.asarray(panel.columns)[first + held],
      'entry_date': panel.dates[days[bought_at]],
      'exit_date': panel.dates[days[sold_at[held]]],
      'entry_price': paid,
      'exit_price': received,
      'shares': shares,
      'holding_days': sold_at[held] - bought_at,
      'net_profit': shares * (received * (1.0 - rate) - paid * (1.0 + rate)),
    }
  )

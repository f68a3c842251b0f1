"""Backtests: one continuous episode over a whole split."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from eigen3 import parallel
from eigen3.data import MarketPanel
from eigen3.environment import Exit, Rules, TradingEnvironment, rollout
from eigen3.environment.rollout import Actions
from eigen3.types import TRADING_DAYS_A_YEAR, Array


@dataclasses.dataclass(frozen=True, eq=False)
class Backtest:
  """The result of a backtest: equity curve, trades and summary.

  Attributes:
    dates: datetime64[D] [S], the days of the equity.
    equity: float64 [S], cash and positions at each day's close.
    trades: a row per closed trade; see `Backtester` for the columns.
    summary: the metrics of `summarise`, and `exposure` (mean invested share of
      the equity) and `costs` (of all fills, divided by the initial cash).
    year: number of the panel's days in a year, such as 252.
  """

  dates: np.ndarray
  equity: np.ndarray
  trades: pd.DataFrame
  summary: dict[str, float]
  year: int = TRADING_DAYS_A_YEAR


class Backtester:
  """Backtests policies over the days of one split.

  The last day of the split is not played, only observed after the last step.
  The account begins on the first day of the split that has a full context
  window. No purchase is decided on the last `settlement_days` days that are
  played.

  The columns of a backtest's trades: ticker, entry_date, exit_date,
  entry_price, exit_price, shares, coefficient, holding_days (from entry to
  exit; one less for a position that reaches `max_holding_days` and is sold at
  an open, because it was held until the day before), return_percent (change of
  the price), net_profit (after the costs of both fills) and reason (of the
  exit).

  Attributes:
    days: int [S], the days on which actions are decided.
  """

  def __init__(
    self,
    panel: MarketPanel,
    config: Mapping[str, Any],
    days: tuple[int, int],
    of: str = '',
  ):
    """Builds environments in which one episode covers the split.

    Args:
      panel: the market.
      config: the `environment` section.
      days: (start, stop) of the split.
      of: the setting that determines the number of days, for error messages.

    Raises:
      ValueError: a setting is missing or out of range, or the split is too
        short or not in the panel.
    """
    Rules.from_config(config)  # raises if a setting is missing or out of range
    self._panel = panel
    self._initial_cash = float(config['initial_cash'])
    settings = in_one_episode(config, days, of)
    # Controls know the account: they buy the best available stock.
    aware = {**settings, 'entry_choice': 'best_available'}
    self._environments = {
      False: TradingEnvironment(panel, settings, days),
      True: TradingEnvironment(panel, aware, days),
    }
    first = int(self._environments[False].first_day)
    self.days = np.arange(first, first + self._environments[False].num_steps)
    self._play = jax.jit(_play)
    self._play_at_costs = jax.jit(
      _play, compiler_options=parallel.quick_compilation()
    )

  def with_costs(self, basis_points: float) -> 'Backtester':
    """Returns a copy with other costs; such copies share a compiled program.

    Args:
      basis_points: commission plus slippage of each fill.
    """
    other = copy.copy(self)
    other._environments = {
      aware: environment.at_cost(basis_points / 1e4)
      for aware, environment in self._environments.items()
    }
    other._play = self._play_at_costs
    return other

  def run(self, actions: Actions, account_aware: bool = False) -> Backtest:
    """Backtests a policy's actions on the days `self.days`.

    Args:
      actions: float32 [S, N, 2] in the environment's units, or an encoded
        policy.
      account_aware: whether to choose only among stocks that can be bought, as
        if the setting `entry_choice` were 'best_available'.
    """
    environment = self._environments[account_aware]
    days = jnp.asarray(self.days, jnp.int32)
    extras = jax.device_get(self._play(environment, days, actions))
    trades = self._trades(extras.closed)
    equity = np.asarray(extras.equity, np.float64)
    invested = 1.0 - extras.cash / extras.equity
    year = self._panel.periods_a_year
    summary = summarise(equity, self._initial_cash, trades, year)
    summary['exposure'] = float(np.mean(invested))
    summary['costs'] = float(np.sum(extras.costs)) / self._initial_cash
    return Backtest(self._panel.dates[self.days], equity, trades, summary, year)

  def _trades(self, closed) -> pd.DataFrame:
    step, slot = np.nonzero(closed.mask)
    first, _ = self._panel.investable
    columns = np.asarray(self._panel.columns)

    def at(name: str) -> np.ndarray:
      return np.asarray(getattr(closed, name))[step, slot]

    entry, leave = at('entry_price'), at('exit_price')
    at_open = self._environments[False].rules.fills_at_open & (
      at('reason') == Exit.MAX_HOLDING
    )
    return pd.DataFrame(
      {
        'ticker': columns[first + at('stock')],
        'entry_date': self._panel.dates[at('entry_day')],
        'exit_date': self._panel.dates[at('exit_day')],
        'entry_price': entry,
        'exit_price': leave,
        'shares': at('shares'),
        'coefficient': at('coefficient'),
        'holding_days': at('exit_day') - at('entry_day') - at_open,
        'return_percent': 100.0 * (leave / entry - 1.0),
        'net_profit': at('net_profit'),
        'reason': [Exit(reason).name.lower() for reason in at('reason')],
      }
    )


def in_one_episode(
  config: Mapping[str, Any], days: tuple[int, int], of: str = ''
) -> dict[str, Any]:
  """Returns `environment` settings for one episode over all days of a split.

  Args:
    config: the `environment` section.
    days: (start, stop) of the split.
    of: the setting that determines the number of days, for error messages.

  Raises:
    ValueError: the split is too short.
  """
  start, stop = days
  first = max(start, config['context_days'] - 1)
  # One day is left for the observation after the last step.
  trading_days = stop - 1 - first - config['settlement_days']
  if trading_days < 1:
    found = f'{stop - start} days ({start} to {stop - 1})'
    if stop - start == 1:
      found = f'1 day ({start})'
    raise ValueError(
      f'panel too short: found {found} '
      f'in a split{of and f" ({of})"}, expected at least '
      f'{first - start + config["settlement_days"] + 2} to backtest it'
    )
  return {**config, 'trading_days': trading_days}


def summarise(
  equity: np.ndarray,
  initial_cash: float,
  trades: pd.DataFrame,
  year: int = TRADING_DAYS_A_YEAR,
) -> dict[str, float]:
  """Computes summary metrics of an equity curve and its trades.

  Args:
    equity: [S], at daily closes.
    initial_cash: equity before the first day.
    trades: table with the columns net_profit and holding_days.
    year: number of days in a year, such as 252.

  Returns:
    profit: change of equity divided by `initial_cash`. max_drawdown: maximum
    drawdown, as a share of the peak. volatility: standard deviation of daily
    returns, annualised. sharpe: Sharpe ratio, annualised, with a risk-free rate
    of 0; 0 if the returns do not vary. trades: number of closed trades.
    win_rate: share of trades with a net profit above 0. holding_days: mean over
    trades. The last two are 0 without trades.
  """
  path = np.concatenate([[initial_cash], equity])
  returns = path[1:] / path[:-1] - 1.0
  peak = np.maximum.accumulate(path)
  deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
  root = np.sqrt(year)
  sharpe = float(np.mean(returns)) / deviation * root if deviation else 0.0
  some = len(trades) > 0
  return {
    'profit': float(path[-1] / initial_cash - 1.0),
    'max_drawdown': float(np.max(1.0 - path / peak)),
    'volatility': deviation * float(root),
    'sharpe': float(sharpe),
    'trades': float(len(trades)),
    'win_rate': float((trades['net_profit'] > 0).mean()) if some else 0.0,
    'holding_days': float(trades['holding_days'].mean()) if some else 0.0,
  }


def _play(environment: TradingEnvironment, days: Array, actions: Actions):
  """Returns the extras of every step, leaves [S, ...]."""
  actions = rollout.by_step(actions, (1, *days.shape))
  episodes = rollout.play(environment, days[None], actions)
  return jax.tree.map(lambda x: x[0], episodes.timesteps.extras)

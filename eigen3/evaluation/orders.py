"""Decides a policy's orders at the close of the last day of a panel."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from eigen3 import settings
from eigen3.data import MarketPanel
from eigen3.environment import Entry, Rules, accounting, entries, prices

# The rules, argument 0, are static.
_choose = jax.jit(entries.choose, static_argnums=0)
_STATUS = 3  # index of the field `status` in a price table
# Why nothing is bought, by the outcome of the entry.
_REASONS = {
  Entry.BELOW_THRESHOLD: 'no stock that can be bought reaches the threshold',
  Entry.NO_DATA: 'the stock with the largest coefficient has left the market',
  Entry.HELD: 'the stock with the largest coefficient is held',
  Entry.NO_PRICE: (
    'the stock with the largest coefficient has no data for the last day'
  ),
  Entry.TOO_SMALL: 'a position would be smaller than the account allows',
  Entry.NOT_MEMBER: (
    'the stock with the largest coefficient is not in the universe'
  ),
}


class Account(NamedTuple):
  """The account that orders are paid from.

  Attributes:
    equity: cash and the value of all positions.
    cash: cash that no earlier order will spend.
    held: names of the held stocks, which are not bought again.
  """

  equity: float
  cash: float
  held: Sequence[str] = ()


class Orders(NamedTuple):
  """The decisions for the last day of a panel.

  Attributes:
    table: a row per stock, the largest coefficient first; see `decide`.
    reason: why nothing is ordered, '' if something is.
  """

  table: pd.DataFrame
  reason: str


def decide(
  panel: MarketPanel,
  rules: Rules,
  actions: np.ndarray,
  is_known: np.ndarray,
  account: Account,
) -> Orders:
  """Decides what to order at the close of the panel's last day.

  Args:
    panel: T days, N stocks.
    rules: the rules of entries and position sizes.
    actions: float [N, 2], coefficient and sale target in %.
    is_known: bool [N], whether a stock's features of the last day are known; a
      stock without them is not bought.
    account: orders are sized by its equity and paid from its cash.

  Returns:
    The orders. The table's columns: rank, ticker, coefficient,
    reaches_threshold, sale_target_percent, last_close, target_price (the
    last close plus the sale target), prices_from (the date of the last close),
    position_value (cash that the stock's order spends or, if the stock is not
    ordered, that an order for it alone would spend; 0 if it cannot be ordered
    or its coefficient is below the threshold), order (whether the stock is
    ordered), note (why the stock cannot be bought, '' if it can),
    no_order (the same in every row: why no stock is ordered, '' if one is).

  Raises:
    ValueError: equity or cash is out of range, or a held stock is not among
      the panel's investable stocks.
  """
  stocks = panel.columns[slice(*panel.investable)]
  _check(account, stocks)
  last = prices.price_table(panel, rules)[-1:].copy()
  priced = np.isin(last[0, :, _STATUS], [prices.PRICED, prices.BARRED])
  unknown = ~is_known & priced
  last[0, unknown, _STATUS] = prices.UNPRICED
  held = np.full(len(stocks), accounting.EMPTY, np.int32)
  for slot, name in enumerate(set(account.held)):
    held[slot] = stocks.index(name)
  chosen = _choose(
    rules,
    last,
    np.int32(0),
    np.bool_(True),
    np.asarray(actions),
    held,
    jnp.asarray(account.cash, float),
    jnp.asarray(account.equity, float),
  )
  table = _table(panel, rules, np.asarray(actions), last[0], account, chosen)
  accepted = np.asarray(chosen.accepted)
  reason = '' if accepted.any() else _REASONS[Entry(int(chosen.outcome[0]))]
  table['no_order'] = reason
  return Orders(table, reason)


def _check(account: Account, stocks: tuple[str, ...]) -> None:
  """Raises an error for an invalid account; see `decide`."""
  is_money = 0 < account.equity < math.inf
  settings.require(
    is_money, '--equity', account.equity, 'a finite number above 0'
  )
  settings.require(
    0 <= account.cash <= account.equity,
    '--cash',
    account.cash,
    f'0 to {account.equity:g}, the equity',
  )
  for name in account.held:
    settings.require(
      name in stocks,
      '--held',
      name,
      f'one of the {len(stocks)} investable stocks',
    )


def _table(panel, rules, actions, quotes, account, chosen) -> pd.DataFrame:
  """Returns the table that `decide` describes, a row per stock."""
  stocks = np.array(panel.columns[slice(*panel.investable)])
  coefficient = actions[:, 0].astype(np.float64)
  target = np.clip(
    actions[:, 1], rules.min_sale_target, rules.max_sale_target
  ).astype(np.float64)
  close = np.where(quotes[:, 2] > 0, quotes[:, 2], np.nan)
  # Compared in float32, as in `entries.choose`.
  good = actions[:, 0] >= np.float32(rules.coefficient_threshold)
  notes = _notes(panel, quotes[:, _STATUS], account.held)
  share = np.asarray(accounting.size(rules, coefficient), np.float64)
  value = np.minimum(
    account.cash, account.equity * rules.max_position_fraction * share
  )
  value[~good | (notes != '')] = 0.0
  if rules.enforce_cash:
    value[value < rules.min_position_value] = 0.0
  accepted = np.asarray(chosen.accepted)
  ordered = np.asarray(chosen.stock)[accepted]
  value[ordered] = np.asarray(chosen.value)[accepted]
  table = pd.DataFrame(
    {
      'ticker': stocks,
      'coefficient': coefficient,
      'reaches_threshold': good,
      'sale_target_percent': target,
      'last_close': close,
      'target_price': close * (1.0 + target / 100.0),
      'prices_from': _dates_of_closes(panel),
      'position_value': value,
      'order': np.isin(np.arange(len(stocks)), ordered),
      'note': notes,
    }
  )
  table = table.sort_values('coefficient', ascending=False, kind='stable')
  table.insert(0, 'rank', np.arange(1, len(table) + 1))
  return table.reset_index(drop=True)


def _notes(panel, status: np.ndarray, held: Sequence[str]) -> np.ndarray:
  """Returns why each stock cannot be bought, str [N]; '' if it can."""
  stocks = np.array(panel.columns[slice(*panel.investable)])
  day = panel.dates[-1]
  notes = np.full(len(stocks), '', object)
  notes[status == prices.BARRED] = 'not in the universe'
  notes[status == prices.UNPRICED] = f'no data for {day}'
  notes[status == prices.CLOSED] = f'its market is closed on {day}'
  notes[status == prices.GONE] = f'no data for {day}, has left the market'
  notes[np.isin(stocks, list(held))] = 'held'
  return notes


def _dates_of_closes(panel: MarketPanel) -> np.ndarray:
  """Returns the date of each stock's last close, datetime64[D] [N].

  It is NaT for a stock without a close.
  """
  close = panel.ohlc[:, slice(*panel.investable), 3]
  known = np.isfinite(close) & (close > 0)
  last = panel.num_days - 1 - known[::-1].argmax(axis=0)
  dates = panel.dates[last]
  dates[~known.any(axis=0)] = np.datetime64('NaT', 'D')
  return dates

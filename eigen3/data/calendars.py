"""Infers markets and their calendars from the days with prices."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eigen3.types import TRADING_DAYS_A_YEAR

# Numbers of periods a year other than 252 and 365; their relative tolerance.
_OTHERS = (1, 4, 12, 26, 52, 104, 156)
_NEAR = 0.05
_FEWEST = 20
_EVERY_DAY = 365
# Columns of one market differ on at most the share `_ALIKE` of days. With fewer
# than `_FEWEST_MEMBERS` columns, closed days cannot be told from gaps. A market
# has ended once it is closed for more than `LONGEST_CLOSED` days in a row.
_ALIKE = 0.03
_FEWEST_MEMBERS = 2
LONGEST_CLOSED = 30


class OwnDays(NamedTuple):
  """The days on which each column's own market is open.

  Attributes:
    days: int32 [D + T, C], each column's own days in order, as indices of days
      of the panel. They are padded with T, which is no day: D times before the
      first, and after the last up to the end of the array.
    until: int32 [T, C], the number of own days up to and including each day of
      the panel.
  """

  days: np.ndarray
  until: np.ndarray

  def last(self, day, num_days: int):
    """Returns each column's last D own days up to and including `day`.

    Args:
      day: int [], the index of a day of the panel.
      num_days: D, the `context_days` that was given to `own_days`.

    Returns:
      int32 [D, C], indices of days of the panel. If a column has had fewer than
      D own days by `day`, its first indices are T, which is no day.
    """
    place = np.arange(num_days)[:, None] + self.until[day]
    return self.days[place, np.arange(self.until.shape[1])]


def periods_a_year(dates: np.ndarray) -> int:
  """Returns how many dates, spaced like `dates`, a year has; at least 1.

  This is 252 for daily dates without weekends, whatever the holidays, and for
  fewer than 20 dates; and 365 for daily dates with weekends. Otherwise it is
  computed from the mean time between dates, leaving out long gaps, and replaced
  by a usual number, such as 52 for weekly dates, if one is within 5 %.

  Args:
    dates: datetime64[D] [T], increasing.
  """
  if len(dates) < _FEWEST:
    return TRADING_DAYS_A_YEAR
  apart = np.diff(dates).astype(int)
  if np.median(apart) == 1:
    # Whether every day of the week has at least a tenth of all days.
    share = np.bincount(dates.astype(int) % 7, minlength=7) / len(dates)
    return _EVERY_DAY if (share >= 0.1).all() else TRADING_DAYS_A_YEAR
  # Gaps are not periods.
  found = 365.25 / apart[apart <= 4 * np.median(apart)].mean()
  nearest = min(_OTHERS, key=lambda periods: abs(np.log(found / periods)))
  is_near = abs(np.log(found / nearest)) <= _NEAR
  return nearest if is_near else max(1, round(found))


def find_markets(
  histories: Sequence[np.ndarray], days: np.ndarray
) -> tuple[int, ...]:
  """Assigns each history to a market, by the days on which it has rows.

  Histories with nearly the same days form a market. A history unlike all others
  belongs to the most similar market if nearly all its days are days of that
  market, else it is a market of its own.

  Args:
    histories: the days of each of C histories, datetime64[D], increasing.
    days: datetime64[D] [T], the days on which histories are compared.

  Returns:
    C indices of markets, counted from 0, or an empty tuple if there is only one
    market or no two histories are alike.
  """
  has_row = np.stack([np.isin(days, own) for own in histories], axis=1)
  rows = has_row.sum(axis=0)
  leaders: list[int] = []
  market = np.zeros(len(histories), int)
  for column in np.argsort(-rows, kind='stable').tolist():
    apart = [_unlike(has_row[:, column], has_row[:, one]) for one in leaders]
    if apart and min(apart) <= _ALIKE:
      market[column] = int(np.argmin(apart))
    else:
      market[column] = len(leaders)
      leaders.append(column)
  is_alone = np.bincount(market)[market] < _FEWEST_MEMBERS
  large = sorted(set(market[~is_alone].tolist()))
  for column in np.flatnonzero(is_alone).tolist() if large else []:
    own = has_row[:, column]
    apart = [_unlike(own, has_row[:, leaders[one]]) for one in large]
    nearest = large[int(np.argmin(apart))]
    # Missing days may be gaps in a history; only days on which the market has
    # no rows show that it is another market.
    if (own & ~has_row[:, leaders[nearest]]).sum() <= _ALIKE * own.sum():
      market[column] = nearest
  found = np.unique(market, return_inverse=True)[1]
  return tuple(found.tolist()) if large and found.any() else ()


def own_days(
  has_price: np.ndarray, markets: Sequence[int], context_days: int
) -> OwnDays | None:
  """Returns the days of each column's own market; None for a single market.

  These are the days that `open_days` returns with `fewest_members` 1.

  Args:
    has_price: whether each column has a price on each day, bool [T, C].
    markets: C numbers, the market of each column; empty for a single market.
    context_days: D, days of a window.
  """
  if not markets:
    return None
  is_open = open_days(has_price, markets, fewest_members=1)
  num_days = len(is_open)
  # The open days come first, in order.
  order = np.argsort(~is_open, axis=0, kind='stable')
  until = np.cumsum(is_open, axis=0)
  order[np.arange(num_days)[:, None] >= until[-1]] = num_days
  none = np.full((context_days, is_open.shape[1]), num_days)
  days = np.concatenate([none, order])
  return OwnDays(days.astype(np.int32), until.astype(np.int32))


def open_days(
  has_price: np.ndarray,
  markets: Sequence[int],
  fewest_members: int = _FEWEST_MEMBERS,
) -> np.ndarray:
  """Returns the days on which each column's market is open, bool [T, C].

  A market is open on days on which any of its columns has a price. If none has
  a price for more than `LONGEST_CLOSED` of the T days in a row, the market is
  taken to have ended, and the remaining days of this run count as open.

  Args:
    has_price: whether each column has a price on each day, bool [T, C].
    markets: C numbers, the market of each column; empty for a single market,
      which is open on all days.
    fewest_members: a market with fewer columns is always open; by default 2,
      because in a single column a holiday looks the same as a delisting.
  """
  is_open = np.ones(has_price.shape, bool)
  for market in set(markets):
    members = np.asarray(markets) == market
    if members.sum() < fewest_members:
      continue
    closed = np.all(~has_price[:, members], axis=1, keepdims=True)
    closed &= run_length(closed) <= LONGEST_CLOSED
    is_open[:, members] = ~closed
  return is_open


def run_length(
  flags: np.ndarray, counted: np.ndarray | None = None
) -> np.ndarray:
  """Counts the flagged days in a row up to and including each day.

  The count is 0 on a day that is not flagged.

  Args:
    flags: bool [T, N].
    counted: bool [T, N], which days of a run are counted; by default all.

  Returns:
    int [T, N].
  """
  total = np.cumsum(flags if counted is None else flags & counted, axis=0)
  before = np.maximum.accumulate(np.where(flags, 0, total), axis=0)
  return total - before


def _unlike(one: np.ndarray, other: np.ndarray) -> float:
  """Returns the share of days on which only one of two histories has a row.

  The histories are bool [T]. The share is of the days on which either has a row
  and both are listed (between their first and last rows); it is 1 if there are
  no such days.
  """
  ends = [np.flatnonzero(has_row)[[0, -1]] for has_row in (one, other)
          if has_row.any()]  # fmt: skip
  if len(ends) < 2:
    return 1.0
  days = slice(max(e[0] for e in ends), min(e[1] for e in ends) + 1)
  either = (one[days] | other[days]).sum()
  return float((one[days] ^ other[days]).sum() / either) if either else 1.0

"""Selects stocks and days of a panel, without look-ahead."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from eigen3.data.errors import DataError
from eigen3.data.panel import MarketPanel


def most_traded(
  panel: MarketPanel, day: int, count: int, look_back: int = 252
) -> list[int]:
  """Returns the stocks with the largest median dollar volume before a day.

  Only investable stocks with a positive close and a volume on all of the last
  `look_back` days before `day` count. If the panel has a universe, they must
  also be members on the last of these days.

  Args:
    panel: a panel with volumes.
    day: index of the first day that is not used.
    count: number of stocks to return.
    look_back: number of days before `day` that are used.

  Returns:
    Indices of columns of the panel, increasing.

  Raises:
    DataError: the panel has no volumes, fewer than `look_back` days before
      `day`, or fewer than `count` such stocks.
  """
  first, stop = panel.investable
  if panel.volume is None:
    raise DataError(
      'panel: found no volumes, expected volumes, because stocks are ranked by '
      'dollar volume'
    )
  if day < look_back:
    raise DataError(
      f'panel: found {day} days before the day of selection, expected at least '
      f'{look_back} to rank stocks by'
    )
  days = slice(day - look_back, day)
  close = panel.ohlc[days, first:stop, 3].astype(np.float64)
  traded = close * panel.volume[days, first:stop]
  known = np.isfinite(traded).all(axis=0) & (close > 0).all(axis=0)
  if panel.members is not None:
    known &= panel.members[day - 1]
  if known.sum() < count:
    members = ''
    if panel.members is not None:
      members = 'members of the universe on that day, '
    raise DataError(
      f'panel: up to {panel.dates[day - 1]}, found {known.sum()} stocks '
      f'({members}with prices and volumes on all of the last {look_back} '
      f'days), expected at least {count}'
    )
  value = np.where(known, np.median(np.where(known, traded, 0.0), axis=0), -1.0)
  chosen = np.argsort(-value, kind='stable')[:count]
  return sorted((first + chosen).tolist())


def narrowed(
  panel: MarketPanel,
  stocks: Sequence[int],
  context: Sequence[str],
  stop: int,
  training_days: int,
) -> MarketPanel:
  """Returns a panel with some of the columns and without the last days.

  Args:
    panel: the panel to narrow.
    stocks: indices of the investable columns to keep, in the order wanted.
    context: names of the context columns to keep; they come first.
    stop: index of the first day that is left out, as are all later days.
    training_days: number of first days whose data decided the choice of stocks.

  Raises:
    DataError: a name in `context` is not that of a context column, or the
      result is not a valid panel, for example because `stocks` is empty.
  """
  first, last = panel.investable
  others = [*range(first), *range(last, panel.num_columns)]
  by_name = {panel.columns[i]: i for i in others}
  for name in context:
    if name not in by_name:
      there = 'no name, because the panel has no context columns'
      if by_name:
        there = f"names of the panel's context columns: {', '.join(by_name)}"
      raise DataError(f"context: found '{name}', expected {there}")
  kept = [*(by_name[name] for name in context), *stocks]
  members = panel.members
  if members is not None:
    members = members[:stop, [stock - first for stock in stocks]]
  return dataclasses.replace(
    panel,
    dates=panel.dates[:stop],
    columns=tuple(panel.columns[i] for i in kept),
    column_kinds=tuple(panel.column_kinds[i] for i in kept),
    ohlc=panel.ohlc[:stop, kept],
    features=panel.features[:stop, kept],
    volume=None if panel.volume is None else panel.volume[:stop, kept],
    members=members,
    investable=(len(context), len(kept)),
    markets=tuple(panel.markets[i] for i in kept) if panel.markets else (),
    training_days=training_days,
  )

"""Matches a panel's columns to the panel used in training; compares closes."""

import dataclasses

import numpy as np

from eigen3.data.errors import DataError
from eigen3.data.panel import MarketPanel

_NAMED = 5  # number of missing columns that an error names


def aligned(panel: MarketPanel, like: MarketPanel) -> MarketPanel:
  """Returns `panel` with the columns of `like`, in the order of `like`.

  Columns are matched by name. Columns that are not in `like` are left out. If
  `panel` has a universe, a stock of `like` that is not investable in `panel` is
  a member on no day.

  Args:
    panel: has all columns of `like`, in any order, and possibly more.
    like: its columns, column kinds, markets and investable range are used.

  Raises:
    DataError: `panel` lacks a column of `like`.
  """
  place = {name: index for index, name in enumerate(panel.columns)}
  missing = [name for name in like.columns if name not in place]
  if missing:
    named = ', '.join(missing[:_NAMED]) + (
      ', ...' if len(missing) > _NAMED else ''
    )
    raise DataError(
      f'panel: found no column {named} ({len(missing)} missing), expected all '
      f'{like.num_columns} columns of the panel used in training'
    )
  places = [place[name] for name in like.columns]
  return dataclasses.replace(
    panel,
    columns=like.columns,
    column_kinds=like.column_kinds,
    investable=like.investable,
    ohlc=panel.ohlc[:, places],
    features=panel.features[:, places],
    volume=None if panel.volume is None else panel.volume[:, places],
    members=_members(panel, like),
    markets=like.markets,
  )


def price_ratio(panel: MarketPanel, like: MarketPanel) -> np.ndarray:
  """Divides each column's close in `panel` by its close in `like`.

  Both closes are those of the last day on which the column has a positive close
  in both panels. They differ if one panel was adjusted for a later split or
  dividend. A ratio far from 1 means that the column's scale has changed.

  Args:
    panel: a panel with the columns of `like`, in the same order.
    like: the other panel.

  Returns:
    float64 [C], NaN for columns without such a day.
  """
  _, days, days_like = np.intersect1d(
    panel.dates, like.dates, assume_unique=True, return_indices=True
  )
  close = panel.ohlc[days, :, 3].astype(np.float64)
  before = like.ohlc[days_like, :, 3].astype(np.float64)
  known = (close > 0) & (before > 0)  # False if one is missing
  ratios = np.full(like.num_columns, np.nan)
  for column in np.flatnonzero(known.any(axis=0)):
    day = np.flatnonzero(known[:, column])[-1]
    ratios[column] = close[day, column] / before[day, column]
  return ratios


def _members(panel: MarketPanel, like: MarketPanel) -> np.ndarray | None:
  """Returns the days on which stocks of `like` are members in `panel`.

  The result is bool [T, N], or None if `panel` has no universe.
  """
  if panel.members is None:
    return None
  stocks = panel.columns[slice(*panel.investable)]
  known = dict(zip(stocks, panel.members.T, strict=True))
  never = np.zeros(panel.num_days, bool)
  return np.stack(
    [known.get(name, never) for name in like.columns[slice(*like.investable)]],
    axis=1,
  )

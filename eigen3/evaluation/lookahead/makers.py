"""The proof of no look-ahead for code that makes panels from raw data."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation.lookahead.leaks import (
  Compared,
  Values,
  compare_pasts,
  named,
  summed,
)

Raw = TypeVar('Raw')


def prove_maker(
  make: Callable[[Raw], MarketPanel],
  raw: Raw,
  change: Callable[[Raw, np.datetime64, int], Raw],
  last_days: Sequence[int],
  seeds: Sequence[int] = (0,),
) -> dict[str, Compared]:
  """Compares the pasts of panels made from raw data and from changed data.

  Columns are compared by name. A column that only one panel has must be without
  values up to the last unchanged day. Which columns may be bought depends on
  the training days, so it is compared only if no training day is changed.
  Otherwise, membership in the universe is compared only for columns that may be
  bought in both panels.

  Args:
    make: makes a panel from raw data of any type.
    raw: the argument of `make`.
    change: maps `(raw, last_day, seed)`, with `last_day` as a date, to raw data
      that differ only in what becomes known after that date. The number of days
      must not change, because splits are counted from the end.
    last_days: indices of the last unchanged days, in the panel made from `raw`.
    seeds: seeds for `change`; each is used with each last day.

  Returns:
    The numbers of compared values, by kind; see `leaks.summed`.

  Raises:
    LookAheadError: something looks ahead; the error names the array and the
      day.
    ValueError: the panels differ in their number of days, in their features, or
      in whether they have volumes.
  """
  before = make(raw)

  def results():
    for last_day, seed in itertools.product(last_days, seeds):
      after = make(change(raw, before.dates[last_day], seed))
      columns = tuple(dict.fromkeys((*before.columns, *after.columns)))
      tradable = _tradable(before) & _tradable(after)
      if last_day >= before.training_days - 1:
        tradable = set(columns)
      yield compare_pasts(
        _by_column(before, columns, tradable),
        _by_column(after, columns, tradable),
        last_day,
      )

  return summed(results())


def _by_column(
  panel: MarketPanel, columns: Sequence[str], tradable: set[str]
) -> Values:
  """Returns a panel's arrays by name, [T, len(columns), ...], and dates [T].

  Columns that the panel lacks are filled with NaN or False.

  Args:
    panel: T days.
    columns: names of all columns that either of the compared panels has.
    tradable: names of the columns whose entries in `investable` and `members`
      are kept; those of all other columns are set to False, so that they never
      differ.
  """
  places = [columns.index(name) for name in panel.columns]
  investable = places[slice(*panel.investable)]

  def spread(values: np.ndarray, places: list[int], missing: Any) -> np.ndarray:
    shape = (panel.num_days, len(columns), *values.shape[2:])
    result = np.full(shape, missing, values.dtype)
    result[:, places] = values
    return result

  values: dict[str, np.ndarray]
  values = {'dates': panel.dates, 'prices': spread(panel.ohlc, places, np.nan)}
  features = spread(panel.features, places, np.nan)
  values |= named('features', panel.feature_names, features)
  if panel.volume is not None:
    values['volume'] = spread(panel.volume, places, np.nan)
  is_tradable = np.array([name in tradable for name in columns])
  every = np.ones((panel.num_days, len(investable)), bool)
  values['investable'] = spread(every, investable, False) & is_tradable
  members = every if panel.members is None else panel.members
  values['members'] = spread(members, investable, False) & is_tradable
  return values


def _tradable(panel: MarketPanel) -> set[str]:
  """Returns the names of columns that may be bought."""
  return set(panel.columns[slice(*panel.investable)])

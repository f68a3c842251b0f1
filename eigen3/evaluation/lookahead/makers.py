"""The proof of no look-ahead for what makes panels of raw data."""

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
  """Compares the pasts of panels that are made of raw data and changed ones.

  Columns are compared by name: one that is in a single panel has to be missing
  there up to the last day. Which of them may be bought is compared from the day
  on by which it is decided; whether they are members of the universe, always.

  Args:
    make: a panel of raw data, whatever these are.
    raw: what it is given.
    change: `(raw, last_day, seed)` to raw data that differ in what becomes
      known after the day `last_day`, and in nothing else. The number of days
      must stay, because splits are counted from the end.
    last_days: of the panel, by number.
    seeds: of the changes.

  Returns:
    How much was compared, by kind.

  Raises:
    LookAheadError: something looks ahead; it names the array and the day.
    ValueError: the panels do not have the same number of days or features.
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
  """A panel's arrays [T, len(columns), ...], missing where it has no column.

  Args:
    panel: T days.
    columns: its names and others.
    tradable: of them, those of which to tell whether they may be bought.
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
  told = np.array([name in tradable for name in columns])
  every = np.ones((panel.num_days, len(investable)), bool)
  values['investable'] = spread(every, investable, False) & told
  members = every if panel.members is None else panel.members
  values['members'] = spread(members, investable, False) & told
  return values


def _tradable(panel: MarketPanel) -> set[str]:
  """The columns that may be bought."""
  return set(panel.columns[slice(*panel.investable)])

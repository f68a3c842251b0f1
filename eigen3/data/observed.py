"""What networks can be shown of a panel: its features, and some without units.

Prices wander off from where training saw them, and with them what is in their
units. In usual daily moves of its own column, a day's change or the distance to
a mean is what it was twenty years ago, be it of a share, of an index or of a
rate that may be negative.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from eigen3.data.errors import DataError
from eigen3.data.panel import MarketPanel

YEAR_DAYS = 252


def observe(panel: MarketPanel, names: Sequence[str]) -> np.ndarray:
  """Features by name: those of the panel, and those of `SCALED`.

  Args:
    panel: T days, C columns.
    names: F' of them. One of `SCALED` that begins with the name of a feature
      needs that one.

  Returns:
    float32 [T, C, F'], read-only, NaN where missing. What a day holds is known
    at its close. Made once for each panel and names.

  Raises:
    DataError: a name is unknown.
  """
  return panel.once(_observed, tuple(names))


def _observed(panel: MarketPanel, names: tuple[str, ...]) -> np.ndarray:
  """See `observe`."""
  usual = None
  observed = np.empty((*panel.features.shape[:2], len(names)), np.float32)
  for place, name in enumerate(names):
    if name in panel.feature_names or name not in SCALED:
      (index,) = _indices(panel, name)
      observed[..., place] = panel.features[..., index]
      continue
    if usual is None:
      usual = _by_own_rows(panel.ohlc[..., 3], _usual_move)
    # Where nothing has moved for a year, nothing is far.
    moves = SCALED[name](panel) / np.where(usual == 0, np.inf, usual)
    observed[..., place] = moves
  observed.flags.writeable = False
  return observed


def _of(name: str) -> Callable[[MarketPanel], np.ndarray]:
  def feature(panel: MarketPanel) -> np.ndarray:
    (index,) = _indices(panel, name)
    return panel.features[..., index].astype(np.float64)

  return feature


def _change(panel: MarketPanel) -> np.ndarray:
  return _by_own_rows(panel.ohlc[..., 3], pd.DataFrame.diff)


def _close_minus_year(panel: MarketPanel) -> np.ndarray:
  return _by_own_rows(panel.ohlc[..., 3], lambda close: close - _year(close))


# In usual daily moves: the close's change since the row before, distances to
# its means of 20 days and of a year, and MACD and its signal.
SCALED: Mapping[str, Callable[[MarketPanel], np.ndarray]] = {
  'scaled_change': _change,
  'scaled_macd': _of('macd'),
  'scaled_macd_signal': _of('macd_signal'),
  'scaled_close_minus_mean': _of('close_minus_mean'),
  'scaled_close_minus_year': _close_minus_year,
}


def _usual_move(close: pd.DataFrame) -> pd.DataFrame:
  """The mean size of a day's change.

  Of a year, which is as long as the longest memory of what it divides: after a
  shorter one of still days, all that a price still is away from its means would
  be divided by next to nothing.
  """
  return _year(close.diff().abs())


def _year(values: pd.DataFrame) -> pd.DataFrame:
  """Means over a year, or over as much of it as there is."""
  return values.rolling(YEAR_DAYS, min_periods=1).mean()


def _by_own_rows(
  close: np.ndarray, function: Callable[[pd.DataFrame], pd.DataFrame]
) -> np.ndarray:
  """`function` of the rows [T, C] with a close, as if others did not exist."""
  missing = np.isnan(close)
  order = np.argsort(missing, axis=0, kind='stable')  # own rows first
  own = np.take_along_axis(close.astype(np.float64), order, axis=0)
  result = np.empty_like(own)
  np.put_along_axis(result, order, function(pd.DataFrame(own)).to_numpy(), 0)
  return np.where(missing, np.nan, result)


def _indices(panel: MarketPanel, name: str) -> tuple[int, ...]:
  try:
    return panel.feature_indices((name,))
  except DataError as error:
    reason = f'{error}, or of {", ".join(SCALED)}'
    raise DataError(f'data.observed_features: {reason}') from error

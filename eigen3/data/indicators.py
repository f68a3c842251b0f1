"""Computes Eigen2's nine features, by formulas inferred from its files.

Every exponential mean here starts from the plain mean of the first `span`
values and then moves towards each new value by 2 / (span + 1) of the
difference. The formulas and spans are those that reproduce Eigen2's values
(tests/data/indicators_test.py).
"""

import numpy as np

# The order of prices in arrays of shape [..., 4].
PRICES = ('open', 'high', 'low', 'close')

# In Eigen2's order; the first four are unchanged prices.
FEATURES = (
  'open',
  'close',
  'high',
  'low',
  'rsi',
  'macd',
  'macd_signal',
  'trix',
  'close_minus_mean',
)

# TRIX is the last indicator to begin, on a column's 35th row with a close.
WARM_UP_DAYS = 34

RSI_SPAN = 7
MACD_SPANS = (12, 26)
MACD_SIGNAL_SPAN = 9
TRIX_SPAN = 12
MEAN_DAYS = 20


def eigen2_features(ohlc: np.ndarray) -> np.ndarray:
  """Computes Eigen2's nine features of every column.

  A column's indicators are computed over its rows with a close, as if these
  were consecutive.

  Args:
    ohlc: [T, C, 4], open, high, low, close; NaN is missing.

  Returns:
    float64 [T, C, 9], see `FEATURES`: prices, MACD, its signal and the close
    minus its 20-day mean in the units of `ohlc`; RSI from 0 to 100 (50 if the
    price has never moved); TRIX in % per day (NaN for a change from zero, and
    not meaningful if values change sign). All nine are NaN on rows without a
    close and on a column's first `WARM_UP_DAYS` rows with a close.

  Raises:
    ValueError: `ohlc` does not have the shape [T, C, 4].
  """
  ohlc = np.asarray(ohlc, np.float64)
  if ohlc.ndim != 3 or ohlc.shape[2] != 4:
    raise ValueError(
      f'ohlc: found shape {ohlc.shape}, expected (days, columns, 4)'
    )
  has_close = ~np.isnan(ohlc[..., 3])  # [T, C]
  # A column's own rows come first, in order; the rest, without a close, last.
  order = np.argsort(~has_close, axis=0, kind='stable')
  close = np.take_along_axis(ohlc[..., 3], order, axis=0)
  macd = _average(close, MACD_SPANS[0]) - _average(close, MACD_SPANS[1])
  features = np.empty((*ohlc.shape[:2], len(FEATURES)))
  features[..., :4] = ohlc[..., [0, 3, 1, 2]]
  for index, values in (
    (4, _relative_strength(close)),
    (5, macd),
    (6, _average(macd, MACD_SIGNAL_SPAN)),
    (7, _trix(close)),
    (8, close - _rolling_mean(close, MEAN_DAYS)),
  ):
    np.put_along_axis(features[..., index], order, values, axis=0)
  own_row = np.cumsum(has_close, axis=0) - 1
  features[~has_close | (own_row < WARM_UP_DAYS)] = np.nan
  return features


def _average(values: np.ndarray, span: int) -> np.ndarray:
  """Computes the exponential means of columns, [T, C].

  The first mean is on the `span`-th row, counted from the first row on which
  any column has a value; rows before it are NaN. All columns' values should
  begin on that row.
  """
  result = np.full_like(values, np.nan)
  known = np.flatnonzero(~np.isnan(values).all(axis=1))
  if not known.size or len(values) < known[0] + span:
    return result
  seed = known[0] + span - 1
  mean = values[known[0] : seed + 1].mean(axis=0)
  result[seed] = mean
  weight = 2.0 / (span + 1)
  for day in range(seed + 1, len(values)):
    mean = mean + weight * (values[day] - mean)
    result[day] = mean
  return result


def _relative_strength(close: np.ndarray) -> np.ndarray:
  move = np.full_like(close, np.nan)
  move[1:] = np.diff(close, axis=0)
  up = _average(np.maximum(move, 0.0), RSI_SPAN)
  down = _average(np.maximum(-move, 0.0), RSI_SPAN)
  total = up + down
  unmoved = total == 0.0
  return np.where(unmoved, 50.0, 100.0 * up / np.where(unmoved, 1.0, total))


def _trix(close: np.ndarray) -> np.ndarray:
  smooth = close
  for _ in range(3):
    smooth = _average(smooth, TRIX_SPAN)
  before, after = smooth[:-1], smooth[1:]
  # A rate can be zero for months: that is no change, and a change from zero has
  # no size in %.
  base = np.where(before == 0.0, np.nan, before)
  result = np.full_like(close, np.nan)
  result[1:] = np.where(after == before, 0.0, 100.0 * (after / base - 1.0))
  return result


def _rolling_mean(values: np.ndarray, days: int) -> np.ndarray:
  result = np.full_like(values, np.nan)
  if len(values) >= days:
    total = np.zeros_like(values[days - 1 :])
    for shift in range(days):
      total += values[shift : len(values) - days + 1 + shift]
    result[days - 1 :] = total / days
  return result

"""A ticker without defects, whose moves all have the same size."""

import numpy as np

from eigen3.data import Ticker

# Every move of the close is by this much, up and down in turn.
STEP = np.log(101.0 / 100.0)


def make_zigzag(name='ZZ', rows=120, first_day='2020-01-01'):
  """Returns closes 100, 101, 100, ... with volumes 1,000, 1,010, 1,000, ..."""
  up = np.arange(rows) % 2
  close = 100.0 + up
  ohlc = np.stack([close + 0.5, close + 1.0, close - 1.0, close], axis=-1)
  return Ticker(
    name=name,
    dates=np.datetime64(first_day) + np.arange(rows),
    ohlc=ohlc,
    volume=1000.0 + 10.0 * up,
    splits=0,
    dividends=0,
    adjusted=0,
    outside=0,
    suspicious=(),
    masked=(),
  )

"""Files of prices with a defect at a known place, and the report on them."""

import numpy as np

from eigen3.data import Repairs, Source, build_panel, quality, repair
from eigen3.data.csv_files import read_ticker

DAYS = np.busday_offset('2020-01-01', np.arange(160), roll='forward')
SPLITS = {'validation_days': 20, 'holdout_days': 20}
COLUMNS = ('open', 'high', 'low', 'close', 'volume')


def clean_rows(seed):
  """160 rows of COLUMNS, a day's moves about half a percent."""
  rng = np.random.default_rng(seed)
  close = 50.0 * np.exp(0.005 * rng.standard_normal(len(DAYS)).cumsum())
  opening = close * np.exp(0.002 * rng.standard_normal(len(DAYS)))
  high = 1.003 * np.maximum(opening, close)
  low = np.minimum(opening, close) / 1.003
  volume = rng.integers(800, 1200, len(DAYS))
  return np.stack([opening, high, low, close, volume], axis=-1)


def csv_of(rows, days=DAYS):
  """The text of a file; NaN is an empty cell."""
  lines = ['date,' + ','.join(COLUMNS)]
  for day, row in zip(days, rows, strict=True):
    cells = ['' if np.isnan(cell) else f'{cell:.10g}' for cell in row]
    lines.append(f'{day},' + ','.join(cells))
  return '\n'.join(lines)


def make_source(*texts, refused=(), ignored=()):
  tickers = tuple(
    read_ticker(f'T{i}', text.encode()) for i, text in enumerate(texts)
  )
  return Source(tickers, refused, ignored, source_hash='abc')


def report_on(*texts, repairs=Repairs(), **described):  # noqa: B008
  source = make_source(*texts, **described)
  panel = build_panel(repair(source, repairs), **SPLITS)
  return quality.check(source, panel, repairs)


CLEAN = csv_of(clean_rows(7))


def plant(kind, rows, at, size):
  """The text of a file with one defect, and (first day, count) of it."""
  days, count, day = DAYS, size, str(DAYS[at])
  if kind == 'tick':
    rows[at : at + size, :4] *= 1.4
  elif kind == 'spike':
    rows[at, 1], count = 2.0 * rows[at, 1], 1
  elif kind == 'split':
    rows[:at, :4] *= 2.0
    rows[:at, 4], count = np.rint(rows[:at, 4] / 2.0), 1
  elif kind == 'unexplained':
    rows[at:, :4], count = 1.25 * rows[at:, :4], 1
  elif kind == 'large':
    rows[at:, :4], count = 0.3 * rows[at:, :4], 1
    rows[at, 4] *= 30.0
  elif kind == 'order':
    rows[at, 1], count = 0.999 * rows[at, :4:3].max(), 1
  elif kind == 'impossible':
    rows[at : at + size, 2], day = -rows[at : at + size, 2], ''
  elif kind == 'empty':
    rows[at : at + size, 0], day = np.nan, ''
  elif kind == 'gap':
    keep = np.delete(np.arange(len(DAYS)), np.arange(at, at + size))
    rows, days = rows[keep], DAYS[keep]
  elif kind == 'odd_day':
    saturday = np.busday_offset(DAYS[at], 0, 'forward', weekmask='Sat')
    rows, days = np.r_[rows, rows[[at]]], np.r_[DAYS, saturday]
    day, count = str(saturday), 1
  elif kind == 'repeated':
    again = np.r_[np.arange(len(DAYS)), np.arange(at, at + size)]
    rows, days = rows[again], DAYS[again]
  elif kind == 'revised':
    rows = np.r_[rows, rows[at : at + size]]
    rows[-size:, 4] += 1.0
    days = np.r_[DAYS, DAYS[at : at + size]]
  elif kind == 'unpriced':
    saturday = np.busday_offset(DAYS[at], 0, 'forward', weekmask='Sat')
    rows = np.r_[rows, np.full((1, 5), np.nan)]
    days, day, count = np.r_[DAYS, saturday], str(saturday), 1
  elif kind == 'stale':
    rows[at : at + 4 + size], count = rows[at], 4 + size
  elif kind == 'untraded':
    rows[at : at + size, 4] = 0.0
  return csv_of(rows, days), day, count

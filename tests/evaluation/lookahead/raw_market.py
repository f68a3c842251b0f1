"""Raw data in all formats of prepare_data, and other futures of them."""

import shutil
from typing import NamedTuple

import numpy as np
import pandas as pd

from eigen3 import data

DAYS = np.busday_offset('2020-01-01', np.arange(130), roll='forward')
TRAINING_DAYS = 90
LAG = np.timedelta64(1, 'D')  # until a value of the index is published
FOR_GOOD = np.datetime64('NaT', 'D')
# SHORT has 35 training days; with later days, enough to be investable.
FIRST_ROWS = {
  'AAA': 0,
  'BBB': 0,
  'CCC': 15,
  'SHORT': 55,
  'LATE': 95,
  'NEW': 120,
}
NAMES = (*FIRST_ROWS, 'GONE')
FIELDS = ('Open', 'High', 'Low', 'Close', 'Adj Close', 'Volume')


class Raw(NamedTuple):
  """Contents of the files.

  Attributes:
    rows: by ticker, a row of `FIELDS` a day.
    index: a value a day, each published the day after.
    universe: by ticker, intervals from the first day to the first day after;
      NaT if an interval has not ended.
  """

  rows: dict[str, pd.DataFrame]
  index: pd.Series
  universe: dict[str, list[tuple[np.datetime64, np.datetime64]]]


def make_raw():
  rng = np.random.default_rng(0)
  rows = {
    name: rows_of(rng, DAYS[first:]) for name, first in FIRST_ROWS.items()
  }
  universe = {
    'AAA': [(DAYS[0], DAYS[20]), (DAYS[50], FOR_GOOD)],
    'BBB': [(DAYS[10], DAYS[120])],
    'CCC': [(DAYS[115], FOR_GOOD)],
  }
  return Raw(
    rows | {'GONE': rows_of(rng, DAYS[:100])},
    pd.Series(rng.normal(size=len(DAYS)), DAYS, name='Price'),
    universe,
  )


def rows_of(rng, days):
  """Draws a row for each of `days`, some without a close."""
  close = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, len(days))))
  cells = close[:, None] * np.exp(rng.normal(0, 0.02, (len(days), 6)))
  cells[:, 4] = cells[:, 3] * np.exp(rng.normal(0, 0.1, len(days)))
  cells[rng.random(len(days)) < 0.1, 3:5] = np.nan
  cells[:, 5] = rng.integers(0, 10**6, len(days))
  return pd.DataFrame(cells, days, FIELDS)


def change(raw, last_day, seed):
  """Changes, removes and adds data after a day.

  AAA keeps a row on every day, so that the number of days is the same.
  """
  rng = np.random.default_rng(seed)
  later = DAYS[last_day < DAYS]
  rows = {}
  for name, own in raw.rows.items():
    share = 1.0 if name == 'AAA' else rng.choice([0.0, 0.5, 1.0])
    others = rows_of(rng, later[rng.random(len(later)) < share])
    rows[name] = pd.concat([own[own.index <= last_day], others])
  index = raw.index.copy()
  unpublished = index.index + LAG > last_day
  index[unpublished] = rng.normal(size=unpublished.sum())
  index = index[~unpublished | (rng.random(len(index)) < 0.7)]
  universe = {
    name: [
      (first, end if end <= last_day else rng.choice(later))
      for first, end in intervals
      if first <= last_day
    ]
    for name, intervals in raw.universe.items()
  }
  universe['BBB'].append((DAYS[-1], FOR_GOOD))
  return Raw(rows, index, universe)


def write_folder(rows, folder):
  """Writes one CSV a ticker."""
  for name, own in rows.items():
    if len(own):
      own.to_csv(folder / f'{name}.csv', index_label='Date')
  return folder


def _long(rows):
  return pd.concat(rows, names=['symbol', 'date']).reset_index()


def _wide(rows):
  frame = _long(rows).pivot(index='date', columns='symbol')
  return frame.rename_axis(['Price', 'Ticker'], axis=1).rename_axis('Date')


def write_long_csv(rows, folder):
  """Writes one row a day and ticker."""
  _long(rows).to_csv(folder / 'prices.csv', index=False)
  return folder / 'prices.csv'


def write_long_parquet(rows, folder):
  _long(rows).to_parquet(folder / 'prices.parquet')
  return folder / 'prices.parquet'


def write_wide_csv(rows, folder):
  """Writes the format of yfinance."""
  _wide(rows).to_csv(folder / 'prices.csv')
  return folder / 'prices.csv'


def make_panel(
  raw, folder, write=write_folder, lag=1, repairs=None, universe=True
):
  """Writes files to `folder`, and makes a panel from them."""
  shutil.rmtree(folder, ignore_errors=True)
  (folder / 'source').mkdir(parents=True)
  raw.index.to_csv(folder / 'index.csv', index_label='Date')
  source = data.with_series(
    data.open_source(write(raw.rows, folder / 'source')),
    data.read_context(f'{folder / "index.csv"}:lag={lag}'),
  )
  panel = data.build_panel(
    data.repair(source, repairs or data.Repairs()),
    validation_days=25,
    holdout_days=15,
  )
  if not universe:
    return panel
  lines = [
    f'{name},{first},{"" if np.isnat(end) else end}'
    for name, intervals in raw.universe.items()
    for first, end in intervals
  ]
  path = folder / 'universe.csv'
  path.write_text('\n'.join(['ticker,start_date,end_date', *lines]))
  return data.with_universe(panel, data.read_universe(path))


def make_eigen2_panel(raw, folder, recompute):
  """Makes a panel from a file of Eigen2, with or without its features."""
  folder.mkdir(exist_ok=True)
  prices = np.stack(
    [raw.rows[name].reindex(DAYS).to_numpy()[:, :4] for name in NAMES], axis=1
  )
  features = data.eigen2_features(prices)
  features[..., [0, 2, 3, 1]] = prices
  missing = np.isnan(prices).all(axis=-1)
  cells = {
    name: [
      np.nan if missing[day, place] else list(features[day, place])
      for day in range(len(DAYS))
    ]
    for place, name in enumerate(NAMES)
  }
  pd.DataFrame(cells, DAYS).to_pickle(folder / 'stocks.pkl')
  return data.read_eigen2(folder / 'stocks.pkl', (0, 5), recompute)

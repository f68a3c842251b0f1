"""Fuzz tests of damaged files.

Each of many damaged files, made from its number, must give a panel, or an error
of one line that names the file, and for a single wrong cell its row and column.
"""

import collections
import dataclasses
import gzip
import io
import os
import re
import shutil

import mutations
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eigen3.data import (
  DataError,
  Days,
  MarketPanel,
  build_panel,
  open_source,
  read_series,
  with_series,
)

DAYS = np.busday_offset('2020-01-02', np.arange(104), roll='forward')
PRICES = ('open', 'high', 'low', 'close', 'adj_close')
NUMBERS = (*PRICES, 'volume')
WRONG = dict.fromkeys(NUMBERS, mutations.NO_NUMBERS)
MASKED = dict.fromkeys(PRICES, mutations.NO_PRICES)
NO_DAY = {'date': mutations.NO_DAYS}


def make_frame(symbol, seed):
  rng = np.random.default_rng(seed)
  close = 50.0 * np.exp(0.02 * rng.standard_normal(len(DAYS)).cumsum())
  columns = [0.99 * close, 1.02 * close, 0.97 * close, close, 0.9 * close]
  frame = pd.DataFrame(np.round(np.stack(columns, -1), 2), columns=PRICES)
  frame['volume'] = rng.integers(1000, 9999, len(DAYS)).astype(float)
  frame.insert(0, 'date', DAYS.astype(str))
  frame.insert(1, 'symbol', symbol)
  return frame


ONE, OTHER = make_frame('AAA', 1), make_frame('BBB', 2)
BOTH = pd.concat([ONE, OTHER]).sort_values(['date', 'symbol'])
VALUES = ONE[['date', 'open', 'volume']].rename(
  columns={'open': 'two', 'volume': 'ten'}
)


def csv_of(frame):
  return frame.to_csv(index=False).encode()


def table_of(frame):
  table = pa.Table.from_pandas(frame, preserve_index=False)
  day = table.column('date').cast(pa.date32())
  return table.set_column(0, 'date', day)


def parquet_of(table, **options):
  file = io.BytesIO()
  pq.write_table(table, file, **options)
  return file.getvalue()


WIDE = ONE.merge(OTHER, on='date').drop(columns=['symbol_x', 'symbol_y'])
WIDE.columns = pd.MultiIndex.from_tuples(
  [('Date', '')]
  + [(n.replace('_', ' ').title(), s) for s in 'AB' for n in NUMBERS],
  names=['Price', 'Ticker'],
)
CSVS = {
  'folder': csv_of(ONE.drop(columns='symbol')),
  'long': csv_of(BOTH),
  'wide': WIDE.set_index(('Date', '')).rename_axis('Date').to_csv().encode(),
  'series': csv_of(VALUES),
}
ALONE = ONE.drop(columns='symbol').set_index('date').rename_axis('Date')
ALONE.columns = pd.MultiIndex.from_product(
  [[n.replace('_', ' ').title() for n in NUMBERS], ['LOW']],
  names=['Price', 'Ticker'],
)
LAST = csv_of(ONE.tail(1).drop(columns='symbol')).splitlines()[1]
BINARY = ('gzip', 'parquet', 'utf16', 'utf16_gzip')  # of these
# Other formats of a file of a folder.
WRITTEN = {
  'gzip': gzip.compress(CSVS['folder'], mtime=0),
  'utf16': CSVS['folder'].decode().encode('utf-16'),
  'decimal_commas': CSVS['folder'].replace(b',', b';').replace(b'.', b','),
  'both_marks': ONE.drop(columns='symbol')
  .assign(volume=[f'{v:,.1f}' for v in ONE.volume])
  .to_csv(index=False, sep=';')
  .translate(str.maketrans(',.', '.,'))
  .encode(),
  'tabs': CSVS['folder'].replace(b',', b'\t'),
  'angles': re.sub(rb'(\w+)(?=[,\n])', rb'<\1>', CSVS['folder'], count=7),
  'european_days': re.sub(
    rb'(\d{4})-(\d\d)-(\d\d)', rb'\3/\2/\1', CSVS['folder']
  ),
  'compact_days': CSVS['folder'].replace(b'-', b''),
  'slashes': CSVS['folder'].replace(b'-', b'/'),
  'seconds': ONE.drop(columns='symbol')
  .assign(date=DAYS.astype('datetime64[s]').astype(int))
  .to_csv(index=False)
  .encode(),
  'dollars': re.sub(rb',(?=\d)', b',$', CSVS['folder']),
  'levels': ALONE.to_csv().encode(),
  'levels_tickers_first': ALONE.swaplevel(axis=1).to_csv().encode(),
  'last_day_twice': CSVS['folder'] + LAST[:10] + b',,,,,,\n' + LAST,
  'last_day_again': CSVS['folder'] + LAST[:-4] + b'1\n',
  'parquet': parquet_of(table_of(ONE.drop(columns='symbol'))),
  'utf16_gzip': gzip.compress(
    CSVS['folder'].decode().encode('utf-16'), mtime=0
  ),
}
TABLES = {'long': table_of(BOTH), 'series': table_of(VALUES)}
PARQUETS = {kind: parquet_of(table) for kind, table in TABLES.items()}


def damaged(number, trap):
  """Returns the kind and the content of the damaged file of this number."""
  rng = np.random.default_rng([7, number])
  if number % 4 == 3:
    written = str(rng.choice(list(WRITTEN)))
    if rng.random() < 0.5 or written in BINARY:
      made = mutations.damage_bytes(WRITTEN[written], rng, trap)
    else:
      made = mutations.damage_text(WRITTEN[written], rng)
    kind = f'{written}, {made.kind}'
    return 'folder', dataclasses.replace(made, kind=kind)
  if rng.random() < 0.3:
    kind = str(rng.choice(list(TABLES)))
    if rng.random() < 0.5:
      return kind, mutations.damage_bytes(PARQUETS[kind], rng, trap)
    name, table = mutations.damage_columns(TABLES[kind], rng)
    options = {'compression': str(rng.choice(['none', 'snappy', 'zstd']))}
    return kind, mutations.Mutation(name, parquet_of(table, **options))
  kind = str(rng.choice(list(CSVS)))
  way = rng.random()
  if way < 0.3:
    return kind, mutations.damage_bytes(CSVS[kind], rng, trap)
  if way < 0.6 or kind == 'wide':
    place = 'series' if kind == 'wide' and way > 0.7 else kind
    return place, mutations.damage_text(CSVS[kind], rng)
  if kind == 'series':
    columns = NO_DAY | dict.fromkeys(('two', 'ten'), mutations.NO_NUMBERS)
    return kind, mutations.damage_cell(CSVS[kind], rng, columns)
  columns = NO_DAY | (WRONG if way < 0.8 else MASKED)
  if kind == 'long' and way > 0.97:
    columns = {'symbol': mutations.NO_SYMBOLS}
  return kind, mutations.damage_cell(CSVS[kind], rng, columns)


def read(kind, content, folder, alone, way=''):
  """Reads a source with the damaged file, alone or beside a valid one."""
  written = Days('dd/mm/yyyy') if 'european' in way else Days()
  prices, file = folder / 'prices', folder / 'file'
  if kind == 'folder':
    file = prices / 'AAA.csv'
  if kind in ('folder', 'series'):
    prices.mkdir()
    if not alone:
      (prices / 'BBB.csv').write_bytes(csv_of(OTHER.drop(columns='symbol')))
  file.write_bytes(content)
  if kind == 'series':
    return with_series(open_source(prices), read_series(file))
  place = prices if kind == 'folder' else file
  return open_source(place, written=written)


def is_told(cell, text):
  row, column, _ = cell
  return f"row {row}, column '{column}': found " in text


def check_told(mutation, source):
  """Checks that a wrong cell is refused or an impossible one masked."""
  row, column, found = mutation.cell
  told = [str(refusal) for refusal in source.refused]
  if found in mutations.NO_PRICES and column != 'date':
    assert not told
    masked = [m for ticker in source.tickers for m in ticker.masked]
    assert [(m.row, m.column, m.count) for m in masked] == [(row, column, 1)]
  else:
    assert len(told) == 1
    assert is_told(mutation.cell, told[0]), told


def check(number, folder):
  """Reads, builds, saves and loads; fails on any unexpected result."""
  trap, out = folder / 'trap', folder / 'out'
  out.mkdir()
  kind, mutation = damaged(number, str(trap))
  try:
    alone = kind == 'folder' and number % 2
    source = read(kind, mutation.content, folder, alone, mutation.kind)
    if mutation.cell:
      check_told(mutation, source)
    panel = build_panel(source, 20, 20)
    panel.save(out / 'panel.parquet')
  except DataError as error:
    text = str(error)
    assert text.isprintable(), text
    assert len(text) < 700, text
    place = folder / ('prices' if kind == 'folder' else 'file')
    assert text.startswith(f'{place}: '), text
    assert mutation.cell is None or is_told(mutation.cell, text), text
    assert os.listdir(out) == []
    outcome = 'error'
  else:
    loaded = MarketPanel.load(out / 'panel.parquet')
    assert loaded.fingerprint == panel.fingerprint
    for array in (loaded.ohlc, loaded.features, loaded.volume):
      assert not np.isinf(array).any()
    first, stop = loaded.investable
    assert not (loaded.ohlc[:, first:stop] <= 0).any()
    outcome = 'panel'
  assert not trap.exists(), 'code of the file was run'
  return kind, mutation.kind, outcome


def check_all(numbers, folder):
  outcomes = collections.Counter()
  for number in numbers:
    place = folder / str(number)
    place.mkdir()
    try:
      outcomes[check(number, place)] += 1
    except BaseException as error:
      error.add_note(f'file number {number}, in {place}')
      raise
    shutil.rmtree(place)
  return outcomes


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('written', WRITTEN)
def test_other_ways_to_write_a_file(tmp_path, written):
  """The undamaged files of the tests below are read."""
  (ticker,) = read('folder', WRITTEN[written], tmp_path, True, written).tickers
  assert (ticker.name, len(ticker.dates)) == ('AAA', len(DAYS))
  close = 0.9 * ONE.close.iloc[-1]
  np.testing.assert_allclose(ticker.ohlc[-1, 3], close, atol=0.01)


@pytest.mark.filterwarnings('error')
def test_damaged_files(tmp_path):
  outcomes = check_all(range(400), tmp_path)
  made = {kind.partition(',')[0] for _, kind, _ in outcomes}
  assert made >= WRITTEN.keys()
  # Some files are accepted, and some are refused.
  for kind in ('folder', 'long', 'wide', 'series'):
    assert {end for of, _, end in outcomes if of == kind} == {'panel', 'error'}


@pytest.mark.long
@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('thousand', range(10))
def test_many_damaged_files(tmp_path, thousand):
  check_all(range(400 + 1000 * thousand, 1400 + 1000 * thousand), tmp_path)

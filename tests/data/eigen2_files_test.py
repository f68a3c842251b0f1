"""Tests of eigen3.data.eigen2_files: panels from Eigen2's files."""

import bz2
import gzip
import hashlib
import lzma
import os
import pathlib
import pickle
import re

import hostile_pickles
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hostile_pickles import Instance
from pandas.core.indexes.base import _new_Index

from eigen3.data import DataError, MarketPanel, eigen2_features
from eigen3.data.eigen2_files import is_eigen2, read_eigen2
from eigen3.data.indicators import FEATURES

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
VERSIONS = ('1.5.3', '2.0.3', '2.3.3', '3.0.0', '3.1.1')
NINE = [float(number) for number in range(1, 10)]
ROWS = """Date,A,B
2020-01-02,"[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]","[2.5, 2, 3, 4, 5, \
6, 7, 8, -9e-1]"
2020-01-03,,"[1, 2, 3, 4, nan, None, 7, 8, 9]"
"""


def written(path, table):
  path.write_bytes(pickle.dumps(table))
  return path


def table_of(cells, dates=('2020-01-02', '2020-01-03'), names='AB'):
  """Returns a frame of cells [T][C]."""
  columns = {
    name: pd.Series([row[place] for row in cells], dtype=object)
    for place, name in enumerate(names)
  }
  table = pd.DataFrame(columns)
  table.index = pd.Index(dates) if isinstance(dates, tuple) else dates
  return table


def csv_of(folder, text):
  path = folder / 'data.csv'
  path.write_text(text)
  return path


def error_of(path, investable=(0, 1)):
  with pytest.raises(DataError) as caught:
    read_eigen2(path, investable)
  assert '\n' not in str(caught.value)
  assert str(caught.value).startswith(f'{path}: ')
  return str(caught.value).removeprefix(f'{path}: ')


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize(
  'kind', ['lists', 'arrays', 'numpy_numbers', 'text', 'oldest']
)
def test_what_versions_of_pandas_wrote(tmp_path, version, kind):
  """Reads files of these versions; 'oldest' is protocol 0, others 2 to 5."""
  goldens = np.load(GOLDENS / 'pandas_frames.npz')
  path = tmp_path / 'data.pkl'
  path.write_bytes(goldens[f'{version}/{kind}'].tobytes())
  panel = read_eigen2(path, (1, 3))
  expected = goldens['values'].copy()
  expected[1, 1] = expected[2, 2] = np.nan
  if kind == 'numpy_numbers':
    assert panel.columns == ('7', '8', '9', 'empty')
    assert np.isnan(panel.features[:, 3]).all()
  else:
    assert panel.columns == ('A', 'B', 'C')
  np.testing.assert_array_equal(
    panel.features[:, :3], expected.astype(np.float32)
  )
  assert [str(date) for date in panel.dates] == [
    '2020-01-01',
    '2020-01-02',
    '2020-01-03',
    '2020-01-06',
  ]


def test_what_pandas_1_2_wrote(tmp_path):
  """Its block manager has a state instead of later versions' arguments."""
  table = table_of([[NINE, NINE[::-1]], [None, NINE]])
  values = table.to_numpy().T
  blocks = [
    {'values': values[1:], 'mgr_locs': slice(1, 2, 1)},
    {'values': values[:1], 'mgr_locs': np.array([0])},
  ]
  old = hostile_pickles.old_frame([table.columns, table.index], blocks)
  panel = read_eigen2(written(tmp_path / 'data.pkl', old), (0, 2))
  expected = read_eigen2(written(tmp_path / 'data.pkl', table), (0, 2))
  assert panel.fingerprint == expected.fingerprint
  np.testing.assert_array_equal(panel.features[0, 1], NINE[::-1])


def test_names_that_begin_within_a_buffer(tmp_path):
  """Older PyArrow versions write a slice of a text array so."""
  ends = np.array([0, 3, 4, 6], np.int64).tobytes()
  buffers = [None, pa.py_buffer(ends), pa.py_buffer('outAÅ'.encode())]
  text = hostile_pickles.Calls(
    pa.lib._restore_array, (pa.large_string(), 2, 0, 1, buffers, [], None)
  )
  names = hostile_pickles.Calls(
    _new_Index,
    pd.Index,
    {'data': Instance(pd.arrays.ArrowStringArray, {'_pa_array': text})},
  )
  table = table_of([[NINE, NINE]] * 2)
  blocks = [{'values': table.to_numpy().T, 'mgr_locs': slice(0, 2)}]
  old = hostile_pickles.old_frame([names, table.index], blocks)
  panel = read_eigen2(written(tmp_path / 'data.pkl', old), (0, 2))
  assert panel.columns == ('A', 'Å')


def test_a_cell_is_nine_features_of_which_four_are_prices(tmp_path):
  path = written(tmp_path / 'data.pkl', table_of([[NINE, NINE], [NINE, NINE]]))
  panel = read_eigen2(path, (1, 2))
  assert panel.feature_names == FEATURES
  np.testing.assert_array_equal(panel.features, np.tile(NINE, (2, 2, 1)))
  # Open, close, high, low become open, high, low, close.
  np.testing.assert_array_equal(panel.ohlc[0, 0], [1, 3, 4, 2])
  assert panel.investable == (1, 2)
  assert panel.column_kinds == ('context', 'stock')
  assert panel.survivors_only
  assert panel.training_days == 0
  assert panel.source_hash == hashlib.sha256(path.read_bytes()).hexdigest()
  assert panel.notes == 'features as a file of Eigen2 has them'
  panel.save(tmp_path / 'panel.parquet')
  again = MarketPanel.load(tmp_path / 'panel.parquet')
  assert again.fingerprint == panel.fingerprint


def test_the_order_of_a_block_in_memory_is_heeded(tmp_path):
  """A frame made from a table is transposed; slices share its memory."""
  values = np.random.default_rng(0).uniform(1, 2, (5, 4, 9))
  cells = np.empty((5, 4), object)
  for day, place in np.ndindex(5, 4):
    cells[day, place] = values[day, place].tolist()
  dates = pd.bdate_range('2020-01-01', periods=5)
  table = pd.DataFrame(cells, dates, list('ABCD'), copy=False)
  for rows, places in (
    (slice(None), slice(None)),
    (slice(1, None), slice(1, 3)),
    (slice(None, None, -2), slice(None, None, 2)),
    (slice(None), slice(None, None, -1)),
  ):
    part = table.iloc[rows, places]
    panel = read_eigen2(written(tmp_path / 'data.pkl', part), (0, 1))
    assert panel.columns == tuple('ABCD'[places])
    expected = values[rows, places].astype(np.float32)
    expected = expected[np.argsort(part.index)]
    np.testing.assert_array_equal(panel.features, expected)
  numbers = np.full((5, 4), np.nan)
  numbers[1, 3] = 7.0
  table = pd.DataFrame(numbers, dates, list('ABCD'), copy=False)
  assert error_of(written(tmp_path / 'data.pkl', table)) == (
    f"row 2020-01-02, column 'D': found 7.0, {NINE_IN_A_LIST}"
  )


@pytest.mark.parametrize(
  'empty', [None, np.nan, [], (), np.array([]), '', ' nan ', [np.nan] * 9, '[]']
)
def test_ways_to_be_missing(tmp_path, empty):
  cells = [[NINE, NINE], [empty, NINE]]
  panel = read_eigen2(written(tmp_path / 'a.pkl', table_of(cells)), (0, 2))
  assert np.isnan(panel.features[1, 0]).all()
  assert np.isnan(panel.ohlc[1, 0]).all()
  assert not np.isnan(panel.features[0]).any()
  assert not np.isnan(panel.features[1, 1]).any()


@pytest.mark.parametrize(
  'cell',
  [
    NINE,
    tuple(NINE),
    np.array(NINE),
    np.array(NINE, np.float32),
    np.arange(1, 10),
    np.array(NINE, '>f8'),
    np.array([*NINE[:8], 9], object),
    list(np.array(NINE)),
    list(range(1, 10)),
    str(NINE),
    str(np.array(NINE)),
    '[1 2 3 4\n 5 6 7 8.0 9]',
  ],
)
def test_ways_to_be_nine_numbers(tmp_path, cell):
  path = written(tmp_path / 'a.pkl', table_of([[cell, cell]] * 2))
  np.testing.assert_array_equal(
    read_eigen2(path, (0, 2)).features, np.tile(NINE, (2, 2, 1))
  )


OTHER_VALUE = (
  'among nine numbers, expected a float, an integer between -2**63 and 2**63, '
  'or NaN'
)
NINE_OR_NONE = 'expected nine, or none if it is missing'
NINE_IN_A_LIST = 'expected a list or one-dimensional array of nine numbers'
NOT_LARGE = 'expected a number from -3.4e+38 to 3.4e+38'
OTHER_TEXT = 'inside the square brackets, expected a number or NaN'


@pytest.mark.parametrize(
  'cell, found',
  [
    (NINE[:8], f'found a cell of 8 numbers, {NINE_OR_NONE}'),
    ([*NINE, 10.0], f'found a cell of 10 numbers, {NINE_OR_NONE}'),
    (np.array(NINE[:8]), f'found a cell of 8 numbers, {NINE_OR_NONE}'),
    (np.ones((3, 3)), f'found ndarray, {NINE_IN_A_LIST}'),
    (np.ones(1000), f'found ndarray, {NINE_IN_A_LIST}'),
    (1.0, f'found 1.0, {NINE_IN_A_LIST}'),
    (True, f'found bool, {NINE_IN_A_LIST}'),
    ({'a': 1.0}, f'found dict, {NINE_IN_A_LIST}'),
    ([*NINE[:8], 'x'], f"found 'x' {OTHER_VALUE}"),
    ([*NINE[:8], True], f'found bool {OTHER_VALUE}'),
    ([*NINE[:8], [9.0]], f'found list {OTHER_VALUE}'),
    ([*NINE[:8], 10**30], f'found an integer of 100 bits {OTHER_VALUE}'),
    (
      [*NINE[:8], np.inf],
      f'found inf as close_minus_mean, {NOT_LARGE}',
    ),
    ([-1e39, *NINE[1:]], f'found -1e+39 as open, {NOT_LARGE}'),
    ('1.0, 2.0', "found '1.0, 2.0', expected nine numbers in square brackets"),
    ('[1, 2', "found '[1, 2', expected nine numbers in square brackets"),
    ('[1,,3,4,5,6,7,8,9]', f"found '' {OTHER_TEXT}"),
    ('[1,2,3,4,5,6,7,8,1_0]', f"found '1_0' {OTHER_TEXT}"),
    ('[__import__("os")]', f'found \'__import__("os")\' {OTHER_TEXT}'),
  ],
)
def test_other_cells_are_named(tmp_path, cell, found):
  path = written(tmp_path / 'a.pkl', table_of([[NINE, NINE], [NINE, cell]]))
  assert error_of(path) == f"row 2020-01-03, column 'B': {found}"


def test_a_column_of_something_else_is_named(tmp_path):
  table = table_of([[NINE, NINE]] * 2)
  table['flag'] = [1, 2]
  path = written(tmp_path / 'a.pkl', table)
  assert error_of(path) == (
    f"row 2020-01-02, column 'flag': found the integer 1, {NINE_IN_A_LIST}"
  )
  table['flag'] = ['up', 'down']
  # Strings are a type in pandas 3; before, they are objects, like lists.
  assert re.match(
    r"column 'flag': found \w+, expected an array of cells with nine numbers "
    r'each$|'
    r"row 2020-01-02, column 'flag': found 'up', expected nine numbers in",
    error_of(written(path, table)),
  )


def test_rows_are_sorted_and_days_are_there_once(tmp_path):
  cells = [[NINE, None], [None, NINE], [NINE, NINE]]
  dates = ('2020-01-06', '2020-01-02', '2020-01-03')
  path = written(tmp_path / 'a.pkl', table_of(cells, dates))
  panel = read_eigen2(path, (0, 2))
  assert [str(date) for date in panel.dates] == sorted(dates)
  present = ~np.isnan(panel.features[..., 0])
  np.testing.assert_array_equal(present, [[0, 1], [1, 1], [1, 0]])
  dates = ('2020-01-06', '2020-01-02', '2020-01-06')
  path = written(tmp_path / 'a.pkl', table_of(cells, dates))
  assert error_of(path) == (
    'row 3 below the header: found 2020-01-06 a second time, expected each '
    'date once'
  )


@pytest.mark.parametrize(
  'dates, found',
  [
    (('2020-01-02', 'May'), "row 2 below the header: found 'May' as its date"),
    (
      ('2020-01-02', None),
      # From pandas 3, and from pandas 2.
      ('found a missing label of a row or', 'row 2: found None as its'),
    ),
    (
      pd.Index([1, 2]),
      'row 1 below the header: found the integer 1 as its date',
    ),
    (
      pd.DatetimeIndex(['2020-01-02', None]),
      'row 2 below the header: found NaT as its date',
    ),
    (pd.RangeIndex(2), 'found RangeIndex as the labels of rows or columns, '),
    (
      pd.MultiIndex.from_tuples([(1, 2), (3, 4)]),
      f"found '{pd.MultiIndex.__module__}.MultiIndex' in the pickle",
    ),
    (
      pd.date_range('2020-01-01', periods=2, tz='Europe/Oslo'),
      f"found '{pd.DatetimeTZDtype.__module__}.DatetimeTZDtype' in the",
    ),
  ],
)
def test_dates_that_are_none_are_named(tmp_path, dates, found):
  path = written(tmp_path / 'a.pkl', table_of([[NINE, NINE]] * 2, dates))
  assert error_of(path).startswith(found)


def test_features_can_be_made_anew(tmp_path):
  rng = np.random.default_rng(0)
  values = rng.uniform(10, 20, (60, 2, 9))
  dates = pd.bdate_range('2020-01-01', periods=60)
  cells = [[values[day, 0], values[day, 1].tolist()] for day in range(60)]
  path = written(tmp_path / 'a.pkl', table_of(cells, dates))
  given = read_eigen2(path, (0, 2))
  made = read_eigen2(path, (0, 2), recompute=True)
  np.testing.assert_array_equal(given.features, values.astype(np.float32))
  np.testing.assert_array_equal(given.ohlc, made.ohlc)
  expected = eigen2_features(values[..., [0, 2, 3, 1]])
  np.testing.assert_array_equal(made.features, expected.astype(np.float32))
  assert np.isnan(made.features[:34]).all()
  assert not np.isnan(made.features[34:]).any()
  assert made.notes == 'features computed from the prices of a file of Eigen2'


def test_a_csv_with_brackets(tmp_path):
  panel = read_eigen2(csv_of(tmp_path, ROWS), (0, 2))
  assert panel.columns == ('A', 'B')
  expected = np.array(
    [
      [NINE, [2.5, 2, 3, 4, 5, 6, 7, 8, -0.9]],
      [[np.nan] * 9, [1, 2, 3, 4, np.nan, np.nan, 7, 8, 9]],
    ]
  )
  np.testing.assert_array_equal(panel.features, expected.astype(np.float32))
  assert [str(date) for date in panel.dates] == ['2020-01-02', '2020-01-03']


@pytest.mark.parametrize(
  'change',
  [
    lambda text: text.replace('Date,', ','),
    lambda text: f'\ufeff{text}',
    lambda text: text.replace('\n', '\r\n'),
    lambda text: text + ',,\n\n,,\n',
    lambda text: text.replace('2020-01-03', '2020-01-03 00:00:00'),
    lambda text: text.replace(',,', ',nan,'),
    lambda text: text.replace(', ', ','),
    # Rows in another order.
    lambda text: '\n'.join([*np.array(text.split('\n'))[[0, 2, 1]], '']),
  ],
)
def test_ways_to_write_the_same_csv(tmp_path, change):
  expected = read_eigen2(csv_of(tmp_path, ROWS), (0, 2)).fingerprint
  panel = read_eigen2(csv_of(tmp_path, change(ROWS)), (0, 2))
  assert panel.fingerprint == expected


@pytest.mark.parametrize(
  'text, found',
  [
    ('', 'found 0 columns and investable='),
    ('Date,A\n', 'found no number in any cell'),
    ('Date,A\n2020-01-02,\n', 'found no number in any cell'),
    (ROWS.replace('2020-01-03,,', '2020-01-03,'), 'line 3: found 2 cells, '),
    (ROWS.replace('-03,,', '-03,x,'), "row 2020-01-03, column 'A': found 'x'"),
    (
      ROWS.replace('2020-01-03', '3/1/20'),
      "row 2 below the header: found '3/1/20' as its date",
    ),
    (
      ROWS.replace('2020-01-03', ''),
      "row 2 below the header: found '' as its date",
    ),
    (ROWS.replace('Date,A,B', 'Date,A,A'), "panel: columns holds 'A' more"),
    (
      ROWS.replace('Date,', '"Date,'),
      'line 2: found text that is not a CSV (',
    ),
    (ROWS.replace('9e-1', '9e99'), "row 2020-01-02, column 'B': found -9e+99"),
  ],
)
def test_a_csv_that_is_none_of_it(tmp_path, text, found):
  assert error_of(csv_of(tmp_path, text)).startswith(found)


@pytest.mark.parametrize(
  'suffix, compress',
  [('gz', gzip.compress), ('bz2', bz2.compress), ('XZ', lzma.compress)],
)
def test_compressed_files(tmp_path, suffix, compress):
  table = table_of([[NINE, None], [None, NINE]])
  expected = read_eigen2(written(tmp_path / 'a.pickle', table), (0, 2))
  content = compress((tmp_path / 'a.pickle').read_bytes())
  path = tmp_path / f'a.pkl.{suffix}'
  path.write_bytes(content)
  assert read_eigen2(path, (0, 2)).fingerprint == expected.fingerprint
  assert is_eigen2(path)
  for damaged in (b'', content[:-12], content[:9], b'text'):
    path.write_bytes(damaged)
    # An empty file is also one of gzip, of nothing.
    assert error_of(path).startswith(
      (
        'found a damaged or uncompressed file (',
        'found a damaged file or one that is not a pickle (',
      )
    )


def test_a_small_file_that_unpacks_to_a_large_one(tmp_path):
  path = tmp_path / 'a.csv.gz'
  path.write_bytes(gzip.compress(bytes(1 << 27)))
  found = ' that unpack to more than 67,108,864 bytes, expected'
  assert found in error_of(path)


def test_other_files(tmp_path):
  assert error_of(tmp_path / 'a.pkl') == (
    'cannot be read (No such file or directory), expected a readable file'
  )
  (tmp_path / 'b.pkl').mkdir()
  assert error_of(tmp_path / 'b.pkl') == (
    'cannot be read (Is a directory), expected a readable file'
  )
  for name in ('a.json', 'a', 'a.gz', 'a.pkl.zip'):
    assert error_of(tmp_path / name).startswith(
      f"found the file name '{name}', expected one that ends"
    )
  path = csv_of(tmp_path, '')
  path.write_bytes(b'\xff\xfe')
  assert error_of(path).startswith('found bytes that are not UTF-8')
  path = written(tmp_path / 'c.pkl', table_of([[NINE, NINE]] * 2))
  for investable in ((0, 3), (1, 1), (-1, 1)):
    assert error_of(path, investable).startswith(
      f'found 2 columns and investable={investable}, expected (first, '
    )


def test_which_files_are_of_eigen2(tmp_path):
  assert is_eigen2(written(tmp_path / 'a.pkl', 1))
  assert is_eigen2(csv_of(tmp_path, ROWS))
  (tmp_path / 'a.csv.gz').write_bytes(gzip.compress(ROWS.encode()))
  assert is_eigen2(tmp_path / 'a.csv.gz')
  (tmp_path / 'b.csv.gz').write_bytes(b'text')
  (tmp_path / 'prices.csv').write_text('date,open\n2020-01-02,1\n')
  (tmp_path / 'panel.parquet').touch()
  for name in ('b.csv.gz', 'prices.csv', 'panel.parquet', 'absent.pkl', '.'):
    assert not is_eigen2(tmp_path / name), name


def check_mutations(tmp_path, count):
  """Changes bytes of a CSV; the result must be a panel or a DataError."""
  rng = np.random.default_rng(0)
  path = tmp_path / 'data.csv'
  letters = np.frombuffer(b'",[]\n\r 019.-enaN\0\xff', np.uint8)
  panels = 0
  for _ in range(count):
    content = bytearray(ROWS.encode())
    for _ in range(rng.integers(1, 3)):
      start = int(rng.integers(len(content)))
      stop = start + int(rng.integers(0, 3))
      content[start:stop] = rng.choice(letters, rng.integers(0, 3)).tobytes()
    path.write_bytes(content)
    panel = message = None
    try:
      panel = read_eigen2(path, (0, 1))
    except DataError as error:
      message = str(error)
    if panel is None:
      assert message.startswith(f'{path}: ')
      assert '\n' not in message
    else:
      assert not np.isinf(panel.features).any()
      panels += 1
    assert os.listdir(tmp_path) == ['data.csv']
  assert count / 20 < panels < count * 19 / 20


def test_changed_csvs_are_panels_or_errors(tmp_path):
  check_mutations(tmp_path, 100)


@pytest.mark.long
def test_many_changed_csvs_are_panels_or_errors(tmp_path):
  check_mutations(tmp_path, 3000)

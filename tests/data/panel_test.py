"""Tests of eigen3.data.panel: validation, content hash, the file."""

import dataclasses
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eigen3.data import (
  FEATURES,
  DataError,
  MarketPanel,
  is_panel,
  panel_file,
)

DAYS, COLUMNS = 7, 3


def make_panel(num_days=DAYS, num_columns=COLUMNS, num_features=2, **changes):
  rng = np.random.default_rng(0)
  ohlc = rng.uniform(1, 9, (num_days, num_columns, 4)).astype(np.float32)
  ohlc[: num_days // 2, -1] = np.nan
  shape = (num_days, num_columns, num_features)
  fields = {
    'dates': np.datetime64('2020-02-27') + np.arange(num_days),
    'columns': tuple(f'T{i}' for i in range(num_columns)),
    'ohlc': ohlc,
    'features': rng.standard_normal(shape).astype(np.float32),
    'investable': (num_columns - 1, num_columns),
  }
  return MarketPanel(**(fields | changes))


def assert_equal_bits(one: MarketPanel, other: MarketPanel):
  for field in dataclasses.fields(MarketPanel):
    before, after = getattr(one, field.name), getattr(other, field.name)
    if isinstance(before, np.ndarray):
      assert before.dtype == after.dtype
      assert before.shape == after.shape
      assert before.tobytes() == after.tobytes(), field.name
    else:
      assert before == after, field.name
      assert type(before) is type(after), field.name


def test_sizes_and_defaults():
  panel = make_panel()
  assert (panel.num_days, panel.num_columns, panel.num_features) == (7, 3, 2)
  assert panel.num_investable == 1
  assert panel.column_kinds == ('context', 'context', 'stock')
  assert panel.feature_names == ('feature_0', 'feature_1')
  assert make_panel(num_features=9).feature_names == FEATURES
  assert panel.survivors_only
  assert 'too high' in panel.survivorship
  assert panel.training_days == 0


def test_the_line_on_who_is_missing():
  ohlc = make_panel(num_days=8).ohlc
  left, never = ohlc.copy(), ohlc.copy()
  left[6:, 2, 3] = np.nan
  never[:, 1] = np.nan
  changes = {'num_days': 8, 'survivors_only': False, 'investable': (1, 3)}
  lines = [
    make_panel(**changes, ohlc=prices).survivorship
    for prices in (ohlc, never, left)
  ]
  assert lines[0] == lines[1]
  assert lines[0].startswith('no company is missing')
  assert lines[2].startswith('includes companies that left')
  assert 'too high' in make_panel(num_days=8, ohlc=left).survivorship


def test_feature_indices():
  panel = make_panel(num_features=9)
  assert panel.feature_indices(('close', 'trix', 'open')) == (1, 7, 0)
  with pytest.raises(DataError, match=r"feature: found 'rsj', expected .* rsi"):
    panel.feature_indices(('rsj',))


@pytest.mark.parametrize(
  'changes, message',
  [
    ({'ohlc': np.zeros((7, 3, 3))}, r'ohlc has shape \(7, 3, 3\), .*\(7, 3, 4'),
    ({'features': np.zeros((7, 2, 2))}, r'features has shape \(7, 2, 2\)'),
    ({'features': np.zeros((7, 3, 0))}, 'at least one day'),
    ({'volume': np.zeros((7, 4))}, r'volume has shape \(7, 4\)'),
    ({'members': np.ones((7, 3), bool)}, r'members has shape .*\(7, 1\)'),
    ({'columns': ('A', 'B', 'A')}, "columns holds 'A' more than once"),
    ({'columns': ('A', 'B')}, r'ohlc has shape'),
    ({'investable': (2, 2)}, r'investable is \(2, 2\)'),
    ({'investable': (-1, 2)}, r'investable is \(-1, 2\)'),
    ({'investable': (0, 4)}, r'first < stop <= 3'),
    ({'training_days': 8}, 'training_days is 8, expected 0 to 7'),
    ({'training_days': -1}, 'training_days is -1, expected 0 to 7'),
    ({'feature_names': ('a',)}, 'feature_names has 1 entries, expected 2'),
    ({'markets': (0, 1)}, 'markets has 2 entries, expected 3'),
    ({'column_kinds': ('stock',)}, 'column_kinds has 1 entries, expected 3'),
    ({'column_kinds': ('stock', 'bond', 'stock')}, "'T1' is of kind 'bond'"),
    (
      {'dates': np.datetime64('2020-01-01') + np.array([0, 1, 1, 2, 3, 4, 5])},
      'found date 2020-01-02 after 2020-01-02, expected strictly',
    ),
    (
      {'dates': np.array(['2020-01-01'] * 6 + ['NaT'], 'datetime64[D]')},
      'missing date',
    ),
  ],
)
def test_what_does_not_fit_is_refused(changes, message):
  with pytest.raises(DataError, match=message):
    make_panel(**changes)


@pytest.mark.parametrize('with_volume', [False, True])
def test_file_round_trip_is_bit_equal(tmp_path, with_volume):
  # More days than a row group holds, and a NaN with a payload.
  panel = make_panel(
    num_days=1500,
    num_columns=40,
    num_features=9,
    investable=(4, 39),
    volume=np.full((1500, 40), 1e9) if with_volume else None,
    column_kinds=('context',) + ('stock',) * 39,
    source_hash='abc',
    survivors_only=False,
    training_days=1234,
    notes='two\nlines, "quoted"',
  )
  panel.features.view(np.uint32)[3, 2, 1] = 0x7FC12345
  panel.ohlc[5, 5] = [np.inf, -np.inf, -0.0, 1e-45]
  path = tmp_path / 'panel.parquet'
  panel.save(path)
  assert pq.ParquetFile(path).num_row_groups > 1
  loaded = MarketPanel.load(path)
  assert_equal_bits(panel, loaded)
  assert loaded.fingerprint == panel.fingerprint
  assert os.listdir(tmp_path) == ['panel.parquet']


def test_markets_travel_with_the_panel(tmp_path):
  panel = make_panel(markets=(1, 0, 1))
  panel.save(tmp_path / 'panel.parquet')
  loaded = MarketPanel.load(tmp_path / 'panel.parquet')
  assert loaded.markets == (1, 0, 1)
  assert loaded.fingerprint == panel.fingerprint


def test_members_travel_with_the_panel(tmp_path):
  members = np.random.default_rng(1).random((DAYS, 2)) < 0.5
  panel = make_panel(investable=(1, 3), members=members)
  panel.save(tmp_path / 'panel.parquet')
  loaded = MarketPanel.load(tmp_path / 'panel.parquet')
  assert_equal_bits(panel, loaded)
  # Another universe is another market.
  without = make_panel(investable=(1, 3))
  assert panel.fingerprint == loaded.fingerprint != without.fingerprint
  other = make_panel(investable=(1, 3), members=~members)
  assert other.fingerprint != panel.fingerprint
  # Files without one keep their format for existing readers.
  frame = pq.read_table(tmp_path / 'panel.parquet').to_pandas()
  cells = frame.set_index(['date', 'column'])['member'].unstack()
  np.testing.assert_array_equal(cells[['T1', 'T2']], members)
  assert not cells['T0'].any()
  without.save(tmp_path / 'without.parquet')
  assert 'member' not in pq.read_schema(tmp_path / 'without.parquet').names
  assert MarketPanel.load(tmp_path / 'without.parquet').members is None


@settings(max_examples=25, deadline=None)
@given(
  num_days=st.integers(1, 9),
  num_columns=st.integers(1, 5),
  num_features=st.integers(1, 3),
  group=st.integers(1, 11),
  with_members=st.booleans(),
)
def test_row_groups_do_not_matter(
  tmp_path_factory, num_days, num_columns, num_features, group, with_members
):
  members = np.arange(num_days)[:, None] % 2 == 0 if with_members else None
  panel = make_panel(num_days, num_columns, num_features, members=members)
  path = tmp_path_factory.mktemp('panel') / 'panel.parquet'
  panel.save(path)
  pq.write_table(pq.read_table(path), path, row_group_size=group)
  assert_equal_bits(panel, MarketPanel.load(path))


def test_a_file_from_before_training_days_were_kept(tmp_path, monkeypatch):
  described = [n for n in panel_file._DESCRIBED if n != 'training_days']
  monkeypatch.setattr(panel_file, '_DESCRIBED', tuple(described))
  make_panel(training_days=3).save(tmp_path / 'panel.parquet')
  assert MarketPanel.load(tmp_path / 'panel.parquet').training_days == 0


def test_other_tools_can_read_the_file(tmp_path):
  panel = make_panel()
  panel.save(tmp_path / 'panel.parquet')
  frame = pq.read_table(tmp_path / 'panel.parquet').to_pandas()
  cell = frame[
    (frame['column'] == 'T1') & (frame['date'] == panel.dates[4].item())
  ]
  assert cell['close'].item() == panel.ohlc[4, 1, 3]
  assert cell['features.1'].item() == panel.features[4, 1, 1]


def test_fingerprint_follows_the_content():
  panel = make_panel()
  original = panel.fingerprint
  assert len(original) == 64
  assert make_panel().fingerprint == original
  told = make_panel(notes='x', source_hash='y', training_days=3)
  assert told.fingerprint == original
  ohlc, features = panel.ohlc.copy(), panel.features.copy()
  ohlc[6, 2, 0] += 1.0
  features[0, 0, 0] = np.nan
  for changes in (
    {'ohlc': ohlc},
    {'features': features},
    {'dates': panel.dates + np.timedelta64(1, 'D')},
    {'columns': ('T0', 'T1', 'T9')},
    {'investable': (1, 3)},
    {'volume': np.zeros((DAYS, COLUMNS))},
    {'feature_names': ('feature_0', 'feature_9')},
    {'markets': (0, 1, 1)},
  ):
    assert make_panel(**changes).fingerprint != original, changes


def test_fingerprint_takes_all_nan_as_one():
  panel, other = make_panel(), make_panel()
  panel.features[0, 0, 0] = np.nan
  other.features.view(np.uint32)[0, 0, 0] = 0xFFC12345
  assert np.isnan(other.features[0, 0, 0])
  assert panel.fingerprint == other.fingerprint


def damaged_files(folder):
  """Yields files that are no panel, each with its expected error."""
  panel = make_panel(num_days=200, num_columns=20)
  whole = folder / 'whole.parquet'
  panel.save(whole)
  content = whole.read_bytes()
  flipped = bytearray(content)
  flipped[len(content) // 3] ^= 0x10  # in a page of prices
  table = pq.read_table(whole)
  for name, data in {
    'cut': content[: len(content) // 2],
    'flipped': bytes(flipped),
    'text': b'date,close\n2020-01-01,5\n',
    'empty': b'',
  }.items():
    (folder / name).write_bytes(data)
    yield folder / name, 'found a damaged file or one that is not Parquet ('
  pq.write_table(pa.table({'a': [1]}), folder / 'other')
  yield (
    folder / 'other',
    "found a Parquet file without a panel's metadata, expected",
  )
  pq.write_table(table.slice(0, 3999), folder / 'fewer')
  expected = '4000: one for each of 200 days and 20 columns of the panel'
  yield folder / 'fewer', f'found 3999 rows, expected {expected}'
  pq.write_table(table.drop_columns('close'), folder / 'no_close')
  yield folder / 'no_close', 'close'
  metadata = {
    key: value.replace(b'"T3"', b'"U3"')
    for key, value in table.schema.metadata.items()
  }
  assert metadata != table.schema.metadata
  renamed = table.replace_schema_metadata(metadata)
  pq.write_table(renamed, folder / 'renamed')
  yield folder / 'renamed', 'found metadata that does not match its checksum'
  yield folder / 'absent', 'found no such file'
  yield folder, 'found something that is not a file'


def test_a_file_that_is_no_panel_is_one_clear_line(tmp_path):
  for path, message in damaged_files(tmp_path):
    with pytest.raises(DataError) as caught:
      MarketPanel.load(path)
    text = str(caught.value)
    assert text.startswith(f'{path}: '), text
    assert message in text
    assert '\n' not in text


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'panel.parquet'
  make_panel().save(path)
  before = path.read_bytes()
  write = pq.ParquetWriter.write_table
  calls = []

  def interrupted(self, table):
    if calls:
      raise KeyboardInterrupt
    calls.append(write(self, table))

  monkeypatch.setattr(pq.ParquetWriter, 'write_table', interrupted)
  with pytest.raises(KeyboardInterrupt):
    make_panel(num_days=5000, num_columns=20).save(path)
  assert calls, 'the test must interrupt after something was written'
  assert path.read_bytes() == before
  assert os.listdir(tmp_path) == ['panel.parquet']


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
  path = tmp_path / 'absent' / 'panel.parquet'
  with pytest.raises(
    DataError, match=f'{path}: cannot be written .* expected a'
  ):
    make_panel().save(path)


def test_is_panel(tmp_path):
  make_panel().save(tmp_path / 'panel')
  (tmp_path / 'text').write_text('no')
  assert is_panel(tmp_path / 'panel')
  assert not is_panel(tmp_path / 'text')
  assert not is_panel(tmp_path / 'absent')


@pytest.mark.parametrize(
  'name', ['a:b.parquet', '~', '~/p.parquet', 's3:p', 'a [b] %20#?.parquet']
)
def test_a_file_may_have_any_name(tmp_path, monkeypatch, name):
  """Arrow would take some of these for a URL, or for the home folder."""
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.chdir(tmp_path)
  (tmp_path / name).parent.mkdir(exist_ok=True)
  panel = make_panel()
  panel.save(name)
  assert (tmp_path / name).is_file()
  assert is_panel(name)
  assert_equal_bits(MarketPanel.load(name), panel)

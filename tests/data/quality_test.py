"""Tests of eigen3.data.quality: what a panel's report says, and where."""

import dataclasses
import html.parser
import json
import re
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eigen3.data import (
  DataError,
  MarketPanel,
  Refusal,
  Repairs,
  Source,
  build_panel,
  quality,
  quality_page,
  read_folder,
  repair,
)
from eigen3.data.csv_files import read_ticker
from eigen3.data.findings import RULES

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


def found_in(text, repairs=Repairs()):  # noqa: B008
  """(kind, action, first day, count) of all findings in a column `text`."""
  column = report_on(text, CLEAN, CLEAN, repairs=repairs).columns[0]
  return [
    (kind, finding.action, finding.occurrences[0].day, finding.count)
    for kind, finding in column.findings.items()
  ]


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
  elif kind == 'stale':
    rows[at : at + 4 + size], count = rows[at], 4 + size
  elif kind == 'untraded':
    rows[at : at + size, 4] = 0.0
  return csv_of(rows, days), day, count


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_nothing_is_found_in_a_clean_file(seed):
  assert found_in(csv_of(clean_rows(seed))) == []


@pytest.mark.parametrize('kind', RULES)
@given(
  seed=st.integers(0, 2**32 - 1),
  at=st.integers(40, 140),
  size=st.integers(1, 3),
)
@settings(max_examples=5, deadline=None, derandomize=True)
def test_a_planted_defect_is_all_that_is_found(kind, seed, at, size):
  text, day, count = plant(kind, clean_rows(seed), at, size)
  action = {'impossible': 'masked', 'repeated': 'repaired'}.get(kind, 'kept')
  assert found_in(text) == [(kind, action, day, count)]


@pytest.mark.parametrize(
  'kind, repairs, action',
  [
    ('tick', Repairs(bad_ticks='mask'), 'masked'),
    ('spike', Repairs(bad_ticks='mask'), 'masked'),
    ('split', Repairs(splits='adjust'), 'repaired'),
    ('order', Repairs(order='widen'), 'repaired'),
    ('tick', Repairs(splits='adjust', order='widen'), 'kept'),
    ('split', Repairs(bad_ticks='mask', order='widen'), 'kept'),
    ('order', Repairs(bad_ticks='mask', splits='adjust'), 'kept'),
  ],
)
def test_what_was_repaired_is_said_and_is_gone(kind, repairs, action):
  text, day, count = plant(kind, clean_rows(3), 50, 1)
  assert found_in(text, repairs) == [(kind, action, day, count)]
  source = repair(make_source(text, CLEAN, CLEAN), repairs)
  again = quality.check(source, build_panel(source, **SPLITS))
  assert (kind in again.columns[0].findings) == (action == 'kept')


def test_a_wrong_close_is_a_tick_and_out_of_order_unless_it_is_masked():
  rows = clean_rows(3)
  rows[50, 3] *= 0.5
  day = str(DAYS[50])
  tick, order = ('tick', 'kept', day, 1), ('order', 'kept', day, 1)
  assert found_in(csv_of(rows)) == [tick, order]
  masked = Repairs(bad_ticks='mask')
  assert found_in(csv_of(rows), masked) == [('tick', 'masked', day, 1)]


def test_a_column_in_words():
  """Listed for 58 of 160 days, with a gap of two and a cell unknown."""
  rows = clean_rows(1)[100:158]
  rows[5, 1] = np.nan
  keep = np.delete(np.arange(58), [20, 21])
  late = csv_of(rows[keep], DAYS[100:158][keep])
  report = report_on(CLEAN, late, refused=(Refusal('x.csv', 'empty file'),))
  column = report.columns[0]
  assert (column.name, column.kind, column.investable) == ('T1', 'stock', False)
  assert (column.rows, column.first) == (56, str(DAYS[100]))
  assert (column.last, column.listed_late) == (str(DAYS[157]), True)
  assert column.delisted
  places = {
    kind: [(place.day, place.count, place.found) for place in f.occurrences]
    for kind, f in column.findings.items()
  }
  assert places == {
    'empty': [('', 1, 'high: 1 cells, the first in row 7 of the file')],
    'gap': [(str(DAYS[120]), 2, '2 trading days without a row')],
  }
  other = report.columns[1]
  assert (other.name, other.investable, other.findings) == ('T0', True, {})
  assert not other.listed_late
  assert not other.delisted
  assert quality.lines(report) == [
    'quality: nothing found in 1 of 2 columns',
    '  empty cells: 1 in 1 column, kept (stays missing; nothing is filled in)',
    '  gaps: 2 in 1 column, kept (stays missing; nothing is filled in)',
  ]
  # Bins are single days here.
  expected = np.full(160, quality_page.ABSENT)
  expected[100:158] = quality_page.COMPLETE
  expected[120:122] = quality_page.INCOMPLETE
  everywhere = np.full(160, quality_page.COMPLETE)
  np.testing.assert_array_equal(report.coverage, [expected, everywhere])
  assert report.coverage_days == tuple(str(day) for day in DAYS)


def test_the_coverage_of_many_days(monkeypatch):
  """In four bins of 40 days: begins with one, within one, has a hole in one."""
  monkeypatch.setattr(quality, '_COVERAGE_BINS', 4)
  rows = clean_rows(1)
  hole = np.delete(np.arange(160), 130)
  report = report_on(
    csv_of(rows[40:119], DAYS[40:119]),
    csv_of(rows[1:], DAYS[1:]),
    csv_of(rows[hole], DAYS[hole]),
  )
  there, part = quality_page.COMPLETE, quality_page.PARTIAL
  expected = {
    'T0': [quality_page.ABSENT, there, part, quality_page.ABSENT],
    'T1': [part, there, there, there],
    'T2': [there, there, there, quality_page.INCOMPLETE],
  }
  for column, coverage in zip(report.columns, report.coverage, strict=True):
    assert coverage.tolist() == expected[column.name]
  assert report.coverage_days == tuple(str(day) for day in DAYS[::40])


def test_columns_that_are_no_tickers_are_in_the_report():
  source = make_source(CLEAN)
  panel = build_panel(source, **SPLITS)
  ohlc = np.tile(panel.ohlc, (1, 3, 1))
  ohlc[[10, 11, 30], 1] = np.nan
  ohlc[:, 2] = np.nan
  wider = MarketPanel(
    dates=panel.dates,
    columns=('T0', 'YIELD', 'NOTHING'),
    ohlc=ohlc,
    features=np.tile(panel.features, (1, 3, 1)),
    investable=(0, 1),
  )
  report = quality.check(source, wider)
  column = report.columns[1]
  assert (column.kind, column.investable) == ('context', False)
  assert (column.rows, column.first) == (157, str(DAYS[0]))
  assert list(column.findings) == ['gap']
  assert (column.findings['gap'].count, column.findings['gap'].longest) == (
    3,
    2,
  )
  nothing = report.columns[2]
  assert (nothing.rows, nothing.first, nothing.findings) == (0, '', {})


def test_context_does_not_say_when_the_market_trades():
  """Its days are others, and it stands still."""
  every_day = np.arange(DAYS[0], DAYS[159] + 30)
  still = csv_of(np.ones((len(every_day), 5)), every_day)
  source = make_source(CLEAN, still)
  panel = build_panel(source, **SPLITS)
  kinds = dataclasses.replace(
    panel, investable=(0, 1), column_kinds=('stock', 'context')
  )
  report = quality.check(source, kinds)
  assert [column.findings for column in report.columns] == [{}, {}]
  assert not report.columns[0].delisted
  # As a stock, it would be all that these days had.
  stock = quality.check(source, panel).columns
  assert stock[0].delisted
  assert 'stale' in stock[1].findings


class Text(html.parser.HTMLParser):
  """The words of a page, its tags, and every address in it."""

  def __init__(self, page):
    super().__init__()
    self.words, self.tags, self.addresses = [], [], []
    self.feed(page)

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.addresses += [v for k, v in attrs if k in ('src', 'href', 'action')]

  def handle_data(self, data):
    self.words.append(' '.join(data.split()))


@pytest.fixture
def report():
  ticked, _, _ = plant('tick', clean_rows(3), 50, 1)
  untraded = clean_rows(4)
  untraded[20::2, 4] = 0.0
  return report_on(
    ticked,
    csv_of(untraded),
    CLEAN,
    refused=(Refusal('<img src=x>.csv', "found '<b>', expected", 3, 'open'),),
    ignored=('notes.txt',),
  )


def test_the_json_says_all(report, tmp_path):
  json_path, _ = quality.write(report, tmp_path / 'my.panel.parquet')
  assert json_path == tmp_path / 'my.panel.quality.json'
  found = json.loads(json_path.read_text())
  assert found['schema_version'] == 1
  assert found['source_hash'] == 'abc'
  assert len(found['panel_hash']) == 64
  assert (found['num_days'], found['num_columns']) == (160, 3)
  assert (found['num_rows'], found['num_investable']) == (480, 3)
  assert (found['first_day'], found['last_day']) == (
    str(DAYS[0]),
    str(DAYS[-1]),
  )
  assert found['survivorship'].startswith('survivors only')
  assert found['repairs'] == {
    'bad_ticks': 'keep',
    'splits': 'keep',
    'order': 'keep',
  }
  assert found['refused'] == [
    {
      'file': '<img src=x>.csv',
      'reason': "found '<b>', expected",
      'row': 3,
      'column': 'open',
      'symbol': '',
      'action': 'refused',
    }
  ]
  assert found['ignored'] == ['notes.txt']
  assert list(found['totals']) == list(found['rules']) == list(RULES)
  total = found['totals']['untraded']
  assert (total['columns'], total['occurrences'], total['count']) == (1, 70, 70)
  first = found['columns'][0]
  assert list(first['counts']) == list(RULES)
  assert {kind: n for kind, n in first['counts'].items() if n} == {'tick': 1}
  assert first['findings']['tick']['places'][0][:2] == [str(DAYS[50]), 1]
  # All 70 places, where the page shows a few.
  assert len(found['columns'][1]['findings']['untraded']['places']) == 70


def test_the_page_says_what_a_reader_asks(report, tmp_path):
  _, page_path = quality.write(report, tmp_path / 'panel.parquet')
  assert page_path == tmp_path / 'panel.quality.html'
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    'panel.quality.html',
    'panel.quality.json',
  ]
  page = page_path.read_text()
  words = Text(page).words
  assert 'Data quality of panel.parquet' in words
  assert report.survivorship[1:] in ' '.join(words)
  assert report.source_hash in words
  assert report.panel_hash in words
  assert 'and 60 more in panel.quality.json' in words
  for rule in RULES.values():
    assert rule.title in words
  assert any('notes.txt' in text for text in words)
  place = report.columns[0].findings['tick'].occurrences[0]
  assert f'{place.day} {place.found}' in words


def test_the_page_needs_nothing_else_and_escapes_what_it_shows(
  report, tmp_path
):
  _, page_path = quality.write(report, tmp_path / 'a<b>&.parquet')
  page = page_path.read_text()
  text = Text(page)
  assert any('<img src=x>.csv' in words for words in text.words)
  assert 'Data quality of a<b>&.parquet' in text.words
  assert text.tags.count('img') <= 1  # the picture, if any
  assert not {'link', 'iframe', 'object'} & set(text.tags)
  for address in text.addresses:
    assert address.startswith(('data:', '#', 'a%3Cb%3E%26.quality.json'))
  assert not re.search(r'https?:|url\(|@import', page)


def test_the_picture_leaves_out_what_is_complete(report, tmp_path):
  _, page_path = quality.write(report, tmp_path / 'p.parquet')
  assert 'img' not in Text(page_path.read_text()).tags
  rows = clean_rows(5)
  holes = report_on(CLEAN, csv_of(rows[80:], DAYS[80:]))
  _, page_path = quality.write(holes, tmp_path / 'p.parquet')
  page = page_path.read_text()
  assert Text(page).tags.count('img') == 1
  assert 'const names = ["T1"]' in page


def test_a_report_that_cannot_be_written_is_one_clear_line(report, tmp_path):
  (tmp_path / 'p.quality.json').mkdir()
  with pytest.raises(DataError, match=r'p\.quality\.json: cannot be written'):
    quality.write(report, tmp_path / 'p.parquet')


def real(shared_dir, folder, archive, names):
  """The report on some files of a shared set, one by its name."""
  with tarfile.open(shared_dir / 'data' / archive, 'r|xz') as tar:
    left = set(names)
    for member in tar:
      name = member.name.rpartition('/')[2]
      if name in left:
        member.name = name
        tar.extract(member, folder, filter='data')
        left.remove(name)
      if not left:
        break
  source = read_folder(folder)
  panel = build_panel(source, validation_days=252, holdout_days=251)
  report = quality.check(source, panel)
  return report, {column.name: column for column in report.columns}


def kinds_of(column, day):
  return [
    kind
    for kind, finding in column.findings.items()
    if day in [place.day for place in finding.occurrences]
  ]


def test_known_defects_of_the_twenty_year_set(shared_dir, tmp_path):
  """False moves by their kind, and a crash that is none."""
  report, columns = real(
    shared_dir,
    tmp_path,
    'sp500_20yr/daily_adjusted.tar.xz',
    [f'DA-{n}-T-2021-04-21.csv' for n in ('AAPL', 'BF.B', 'KSU', 'TRMB')],
  )
  assert kinds_of(columns['TRMB'], '2007-02-23') == ['tick']
  assert kinds_of(columns['TRMB'], '2007-02-26') == []
  assert kinds_of(columns['KSU'], '2000-07-13') == ['unexplained']
  assert kinds_of(columns['AAPL'], '2000-09-29') == ['large']
  assert [refusal.file for refusal in report.refused] == [
    'DA-BF.B-T-2021-04-21.csv'
  ]


def test_known_defects_of_the_five_year_set(shared_dir, tmp_path):
  """A false close, a stock dividend, a spin-off, and 11 rows with NaN."""
  nan = {'BHF', 'DHR', 'ES', 'FTV', 'O', 'REGN', 'UA', 'VRTX', 'WRK'}
  _, columns = real(
    shared_dir,
    tmp_path,
    'sp500_5yr/individual_stocks_5yr.tar.xz',
    [f'{n}_data.csv' for n in nan | {'DISCA', 'EBAY', 'LNT'}],
  )
  assert kinds_of(columns['LNT'], '2016-05-19') == ['tick', 'order']
  assert kinds_of(columns['LNT'], '2016-05-20') == []
  assert kinds_of(columns['DISCA'], '2014-08-07') == ['split']
  assert kinds_of(columns['EBAY'], '2015-07-20') == ['unexplained']
  empty = {
    n: c.findings['empty'] for n, c in columns.items() if 'empty' in c.findings
  }
  assert set(empty) == nan
  # An open of DHR and one of O beside their 9 rows without open, high and low.
  assert sum(finding.count for finding in empty.values()) == 27

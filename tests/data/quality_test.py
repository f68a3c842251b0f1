"""Tests of eigen3.data.quality: findings of a panel's report."""

import dataclasses
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_defects import (
  CLEAN,
  DAYS,
  SPLITS,
  clean_rows,
  csv_of,
  make_source,
  plant,
  report_on,
)

from eigen3.data import (
  MarketPanel,
  Refusal,
  Repairs,
  build_panel,
  quality,
  read_folder,
  repair,
)
from eigen3.data.findings import RULES


def found_in(text, repairs=Repairs()):  # noqa: B008
  """Returns (kind, action, first day, count) of findings in a column `text`."""
  column = report_on(text, CLEAN, CLEAN, repairs=repairs).columns[0]
  return [
    (kind, finding.action, finding.occurrences[0].day, finding.count)
    for kind, finding in column.findings.items()
  ]


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
  done = dict.fromkeys(('impossible', 'unpriced'), 'masked')
  done |= dict.fromkeys(('repeated', 'revised'), 'repaired')
  action = done.get(kind, 'kept')
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
  """Covers a listing of 58 of 160 days, a gap of two and an unknown cell."""
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
  expected = np.full(160, quality.ABSENT)
  expected[100:158] = quality.COMPLETE
  expected[120:122] = quality.INCOMPLETE
  everywhere = np.full(160, quality.COMPLETE)
  np.testing.assert_array_equal(report.coverage, [expected, everywhere])
  assert report.coverage_days == tuple(str(day) for day in DAYS)


def test_the_coverage_of_many_days(monkeypatch):
  """Uses four bins of 40 days: begins with one, within one, a gap in one."""
  monkeypatch.setattr(quality, '_COVERAGE_BINS', 4)
  rows = clean_rows(1)
  hole = np.delete(np.arange(160), 130)
  report = report_on(
    csv_of(rows[40:119], DAYS[40:119]),
    csv_of(rows[1:], DAYS[1:]),
    csv_of(rows[hole], DAYS[hole]),
  )
  there, part = quality.COMPLETE, quality.PARTIAL
  expected = {
    'T0': [quality.ABSENT, there, part, quality.ABSENT],
    'T1': [part, there, there, there],
    'T2': [there, there, there, quality.INCOMPLETE],
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
  """Its days differ, and it does not move."""
  every_day = np.arange(DAYS[0], DAYS[159] + np.timedelta64(30, 'D'))
  still = csv_of(np.ones((len(every_day), 5)), every_day)
  source = make_source(CLEAN, still)
  panel = build_panel(source, **SPLITS)
  kinds = dataclasses.replace(
    panel, investable=(0, 1), column_kinds=('stock', 'context')
  )
  report = quality.check(source, kinds)
  assert [column.findings for column in report.columns] == [{}, {}]
  assert not report.columns[0].delisted
  # As a stock, it would be the only one on these days.
  stock = quality.check(source, panel).columns
  assert stock[0].delisted
  assert 'stale' in stock[1].findings


def real(shared_dir, folder, archive, names):
  """Returns the report on files of a shared data set."""
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
  """Covers false moves by their kind, and a true crash."""
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
  """Covers a false close, a stock dividend, a spin-off and 11 NaN rows."""
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

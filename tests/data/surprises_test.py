"""Tests of eigen3.data.surprises: valid data that are seldom intended."""

import dataclasses

import numpy as np
import pytest
from planted_defects import (
  CLEAN,
  DAYS,
  SPLITS,
  clean_rows,
  csv_of,
  make_source,
  report_on,
)

from eigen3.data import Repairs, build_panel, quality, read_folder, repair
from eigen3.data.surprises import KINDS

MONDAYS = DAYS[0] + 7 * np.arange(len(DAYS))


def warned(*texts, **settings):
  """Returns the warnings of a source, by kind."""
  return {one.kind: one for one in report_on(*texts, **settings).warnings}


def with_column(name, cells, text=CLEAN):
  """Returns `text` with a column that is empty except `cells` {row: value}."""
  lines = text.splitlines()
  added = [name, *(str(cells.get(i, '')) for i in range(len(lines) - 1))]
  return '\n'.join(f'{a},{b}' for a, b in zip(lines, added, strict=True))


def unadjusted(seed=3):
  """Returns rows with a 4-for-1 split on row 50."""
  rows = clean_rows(seed)
  rows[:50, :4] *= 4.0
  rows[:50, 4] = np.rint(rows[:50, 4] / 4.0)
  return csv_of(rows)


def test_a_clean_file_is_no_surprise():
  assert warned(CLEAN, csv_of(clean_rows(1))) == {}


def surprising():
  """Returns by kind: files, the expected count, and part of the message."""
  rows = clean_rows(3)
  still = rows.copy()
  still[20:60, :4] = 10.0
  slip = np.append(DAYS[:-1], np.datetime64('2068-02-25'))
  early = np.append(np.datetime64('1999-01-04'), DAYS[1:])
  moved = csv_of(rows, DAYS - 1)
  return {
    'calendar': ([csv_of(rows, MONDAYS)], 160, '52 a year instead of 252'),
    'far': ([CLEAN, csv_of(rows, slip), csv_of(rows, early)], 2, 'T1: 2068-02'),
    'moved': ([moved] * 2, 2 * 32, 'none on Fridays'),
    'splits': ([with_column('split', {50: 4.0}, unadjusted())], 1, '4 for 1'),
    'dividends': ([with_column('dividends', {9: 0.1, 30: 0.2})], 2, 'T0: 2'),
    'still': ([csv_of(still), CLEAN], 40, f'T0: 40 from {DAYS[20]}'),
    'columns': ([with_column('Open Int', {0: 'x'}), CLEAN], 1, '(Open Int)'),
  }


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind != 'case'])
def test_a_surprise_is_said_with_count_and_example(kind):
  texts, count, said = surprising()[kind]
  report = report_on(*texts)
  (found,) = report.warnings
  assert (found.kind, found.count) == (kind, count)
  assert said in str(found)
  assert quality.lines(report)[0] == f'warning: {found}'
  assert quality.as_dict(report)['warnings'] == [dataclasses.asdict(found)]


def test_weekends_of_pairs_beside_stocks_are_no_odd_days():
  """Nor are they gaps of the stocks: each has its own market's days."""
  every = DAYS[0] + np.arange(len(DAYS))
  pair = csv_of(clean_rows(4), every)
  gap = np.delete(np.arange(len(DAYS)), [30, 31])
  stock = csv_of(clean_rows(5)[gap], DAYS[gap])
  report = report_on(pair, pair, CLEAN, CLEAN, stock)
  assert not report.totals()['odd_day']['columns']
  assert report.totals()['gap']['columns'] == 1
  assert report.totals()['gap']['count'] == 2


def test_names_that_differ_in_capital_letters(tmp_path):
  for name in ('AAPL', 'aapl', 'MSFT'):
    (tmp_path / f'{name}.csv').write_text(CLEAN)
  source = read_folder(tmp_path)
  (found,) = quality.check(source, build_panel(source, **SPLITS)).warnings
  assert (found.kind, found.count, found.example) == ('case', 1, 'AAPL, aapl')


def test_a_day_moved_the_other_way():
  assert warned(csv_of(clean_rows(3), DAYS + 1))['moved'].count == 32


def test_a_split_that_prices_are_adjusted_for_is_no_surprise():
  """Yfinance states splits beside prices that it has adjusted."""
  assert warned(with_column('Stock Splits', {50: 4.0})) == {}


def test_stated_splits_are_used():
  """They are used whether or not the move looks like a split."""
  adjust = Repairs(splits='adjust')
  for shares, row, stated in (
    (4.0, 50, '4:1'),
    (1.07, 90, 1.07),
    (0.1, 9, '1/10'),
  ):
    rows = clean_rows(3)
    expected = rows.copy()
    rows[:row, :4] *= shares
    rows[:row, 4] /= shares
    text = with_column('split_coefficient', {row: stated}, csv_of(rows))
    found = warned(text, repairs=adjust)['splits']
    assert '--splits=adjust did' in str(found)
    (ticker,) = repair(make_source(text), adjust).tickers
    np.testing.assert_allclose(ticker.ohlc, expected[:, :4], rtol=1e-6)
    np.testing.assert_allclose(ticker.volume, expected[:, 4], rtol=1e-6)

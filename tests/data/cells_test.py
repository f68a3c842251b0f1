"""Tests of eigen3.data.cells: parsing of numbers, days and symbols."""

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest

from eigen3.data import cells

NAN = np.nan


def wrong_of(found):
  return {int(index): found.found(index) for index in found.wrong}


@pytest.mark.parametrize(
  'column',
  [
    pa.array([1.5, None, 3.0]),
    pa.array([1.5, NAN, 3.0], pa.float32()),
    pa.array([np.float16(1.5), None, np.float16(3)], pa.float16()),
    pa.array([decimal.Decimal('1.50'), None, 3], pa.decimal128(9, 2)),
    pa.array([1.5, None, 3.0]).dictionary_encode(),
    pa.array(['1.5', '', '3']),
    pa.array([' 1.5', None, '3.0 '], pa.large_string()),
    pa.array(['+1.5', 'NaN', '.3e1'], pa.string_view()),
    pa.array(['1.50', 'nan', '3.'], pa.string()).dictionary_encode(),
    pa.array(['$1.50', '', '€ 3']),
    pa.array(['$+1.5', None, '￥3.0 ']).dictionary_encode(),
  ],
)
def test_kinds_of_numbers(column):
  found = cells.numbers(column)
  np.testing.assert_array_equal(found.values, [1.5, NAN, 3.0])
  assert found.values.dtype == np.float64
  assert not found.wrong.size


def test_numbers_beyond_what_float64_holds():
  found = cells.numbers(pa.array([2**53 + 1, -5]))
  np.testing.assert_array_equal(found.values, [2.0**53, -5.0])
  found = cells.numbers(pa.array(['1e999', '-inf', ' 1e-999', '-Infinity']))
  np.testing.assert_array_equal(found.values, [np.inf, -np.inf, 0, -np.inf])
  assert not found.wrong.size


def test_a_sign_of_a_currency_stands_first_and_commas_mark_thousands():
  texts = ['-$1.5', '$1,234.50', '12,345,678', '$1,234', '5$', '$$5', '$']
  found = cells.numbers(pa.array(texts))
  np.testing.assert_array_equal(
    found.values, [-1.5, 1234.5, 12345678] + [NAN] * 4
  )
  assert wrong_of(found) == dict(enumerate(texts[3:], 3))
  texts = ['€44,91', '£ 1.234,50', '44.91']
  found = cells.numbers(pa.array(texts), decimal=',')
  np.testing.assert_array_equal(found.values, [44.91, 1234.5, NAN])
  assert wrong_of(found) == {2: '44.91'}


def test_ratios_of_splits():
  texts = ['4:1', '1/10', '3 : 2', '3-for-2', '7 for 1', '2', '0', '']
  wrong = ['1:0', 'x', '4:1:2', '-4:1']
  found = cells.ratios(pa.array(texts + wrong))
  np.testing.assert_array_equal(
    found.values, [4, 0.1, 1.5, 1.5, 7, 2, 0] + [NAN] * 5
  )
  assert wrong_of(found) == dict(enumerate(wrong, len(texts)))
  found = cells.ratios(pa.array([4.0, None]))
  np.testing.assert_array_equal(found.values, [4, NAN])
  found = cells.ratios(pa.array(['1,5', '3:1']), decimal=',')
  np.testing.assert_array_equal(found.values, [1.5, 3])


def test_wrong_numbers_are_told_and_the_others_kept():
  texts = ['1', 'abc', '1_000', '0x10', '1,5', '٣', '\x1b[31m\n', '2', 'True']
  found = cells.numbers(pa.array(texts))
  np.testing.assert_array_equal(found.values, [1] + [NAN] * 6 + [2, NAN])
  told = {1: 'abc', 2: '1_000', 3: '0x10', 4: '1,5', 5: '٣', 8: 'True'}
  assert wrong_of(found) == told | {6: '\ufffd[31m\ufffd'}
  np.testing.assert_array_equal(np.flatnonzero(found.is_wrong), found.wrong)


@pytest.mark.parametrize(
  'column, texts',
  [
    (pa.array([True, None, False]), {0: 'true', 2: 'false'}),
    (pa.array([datetime.date(2020, 1, 2)]), {0: '2020-01-02'}),
    (
      pa.array([2**31 - 1], pa.date32()),
      {0: '<value out of range: 2147483647>'},
    ),
    (pa.array([[1, 2]]), {0: 'list<item: int64>'}),
    (pa.array([b'5']), {0: '5'}),
    (pa.array([b'\xff']), {0: 'binary'}),
    (pa.nulls(2), {}),
  ],
)
def test_what_is_no_number_at_all(column, texts):
  found = cells.numbers(column)
  assert np.isnan(found.values).all()
  assert len(found.values) == len(column)
  assert wrong_of(found) == texts


NEW_YORK = 'America/New_York'
EVENING = datetime.datetime(2020, 1, 2, 23, 30)


@pytest.mark.parametrize(
  'column',
  [
    pa.array(['2020-01-02', '1969-12-31']),
    pa.array(['2020-01-02T00:00:00.000000', '1969-12-31 23:59']),
    pa.array([' 2020-01-02 23:30:00-05:00', '1969-12-31 00:00:00+09:00']),
    pa.array(['2020-01-02', '1969-12-31']).dictionary_encode(),
    pa.array([datetime.date(2020, 1, 2), datetime.date(1969, 12, 31)]),
    pa.array([18263, -1]).cast(pa.int32()).cast(pa.date32()),
    pa.array([18263 * 86400000, -86400000]).cast(pa.date64()),
    pa.array([EVENING, datetime.datetime(1969, 12, 31, 1)], pa.timestamp('s')),
    pa.array([EVENING, datetime.datetime(1969, 12, 31, 1)], pa.timestamp('ns')),
  ],
)
def test_kinds_of_days(column):
  found = cells.days(column)
  expected = np.array(['2020-01-02', '1969-12-31'], 'datetime64[D]')
  np.testing.assert_array_equal(found.values, expected)
  assert found.values.dtype == expected.dtype
  assert not found.wrong.size


def test_a_time_is_on_the_day_of_its_own_clock():
  """23:30 in New York is the next day in London."""
  utc = pa.array([datetime.datetime(2020, 1, 3, 4, 30)], pa.timestamp('us'))
  for zone, day in ((NEW_YORK, '2020-01-02'), ('UTC', '2020-01-03')):
    found = cells.days(utc.cast(pa.timestamp('us', zone)))
    np.testing.assert_array_equal(found.values, [np.datetime64(day)])


def test_wrong_days_are_told_and_the_others_kept():
  texts = ['2020-02-29', '2021-02-29', '', None, '03/01/2020', '20200103']
  texts += ['2020-01-03x', '0202-01-03', '2020-1-3', '9999-12-31', 'today']
  found = cells.days(pa.array(texts))
  assert wrong_of(found) == {i: t or '' for i, t in enumerate(texts) if i}
  assert found.values[0] == np.datetime64('2020-02-29')
  assert np.isnat(found.values[1:]).all()


@pytest.mark.parametrize('unit', ['s', 'ms', 'us', 'ns'])
def test_times_since_1970(unit):
  days = ['2020-01-02', '1969-12-31', '2001-09-09', '2038-01-20', '1980-05-05']
  times = np.array(days, f'datetime64[{unit}]').astype(np.int64)
  for column in (
    pa.array(times),
    pa.array(times.astype(str)),
    pa.array(np.char.add(times.astype(str), '.0')),
  ):
    found = cells.days(column)
    np.testing.assert_array_equal(found.values, np.array(days, 'datetime64[D]'))
    assert not found.wrong.size


def test_a_time_since_1970_has_the_date_of_the_zone():
  evening = pa.array([1577977200] * 2)  # 2020-01-02 15:00 in London
  tokyo = cells.days(evening, cells.Days(zone='Asia/Tokyo'))
  assert str(tokyo.values[0]) == '2020-01-03'
  assert str(cells.days(evening).values[0]) == '2020-01-02'


@pytest.mark.parametrize(
  'text, format',
  [
    ('2020-01-02 15:00', ''),
    ('02/01/2020 15:00', 'dd/mm/yyyy'),
    ('02/01/2020T15:00:00', 'dd/mm/yyyy'),
    ('02/01/2020 10:00-05:00', 'dd/mm/yyyy'),
    ('02/01/2020 15h00', '%d/%m/%Y %Hh%M'),
  ],
)
def test_a_written_time_has_the_date_of_the_zone(text, format):
  tokyo = cells.days(pa.array([text]), cells.Days(format, 'Asia/Tokyo'))
  assert str(tokyo.values[0]) == '2020-01-03'
  assert str(cells.days(pa.array([text]), cells.Days(format)).values[0]) == (
    '2020-01-02'
  )


def test_a_date_without_a_time_stays_and_a_wrong_time_is_refused():
  written = cells.Days('dd/mm/yyyy', 'America/New_York')
  found = cells.days(pa.array(['02/01/2020', '02/01/2020 noon']), written)
  assert str(found.values[0]) == '2020-01-02'
  assert wrong_of(found) == {1: '02/01/2020 noon'}


def test_most_cells_decide_whether_numbers_are_times():
  found = cells.days(pa.array(['1577923200', '1578009600', 'x', None]))
  assert wrong_of(found) == {2: 'x', 3: ''}
  assert str(found.values[1]) == '2020-01-03'
  found = cells.days(pa.array(['20200102', '20200103', '1577923200']))
  assert wrong_of(found) == {2: '1577923200'}
  for texts in (['2001021600', '2001031600'], ['202001021600'] * 2, ['9' * 19]):
    assert len(cells.days(pa.array(texts)).wrong) == len(texts)
  # One damaged cell makes the others no milliseconds of 1976.
  found = cells.days(pa.array(['202001021600', '202001031600', '202001032400']))
  assert len(found.wrong) == 3
  minutes = cells.Days('%Y%m%d%H%M')
  found = cells.days(pa.array(['202001021600']), minutes)
  assert str(found.values[0]) == '2020-01-02'


def test_numbers_are_no_days():
  found = cells.days(pa.array([1577836800, None, 20200230, 2020]))
  assert wrong_of(found) == {0: '1577836800', 1: '', 2: '20200230', 3: '2020'}


def test_symbols_grow_over_parts():
  known = {}
  one = cells.symbols(pa.array(['B', ' A ', 'B']), known)
  two = cells.symbols(pa.array(['NA', 'A'], pa.large_string()), known)
  three = cells.symbols(pa.array(['C', 'B']).dictionary_encode(), known)
  four = cells.symbols(pa.array([700, 5]), known)
  assert list(known) == ['B', 'A', 'NA', 'C', '700', '5']
  parts = [part.values for part in (one, two, three, four)]
  np.testing.assert_array_equal(
    np.concatenate(parts), [0, 1, 0, 2, 1, 3, 0, 4, 5]
  )


def test_wrong_symbols():
  raw = pa.array([b'A', b'\xff\xfe', b'a\nb', b'', None, b'x' * 65])
  text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
  known = {}
  found = cells.symbols(text, known)
  np.testing.assert_array_equal(found.values, [0, -1, -1, -1, -1, -1])
  assert list(known) == ['A']
  told = {1: '\ufffd\ufffd', 2: 'a\ufffdb', 3: '', 4: '', 5: f'{"x" * 37}...'}
  assert wrong_of(found) == told
  assert len(cells.symbols(pa.array([True, False]), known).wrong) == 2


def test_parts_of_a_column_keep_places():
  filling = cells.Filling(5, 'float64')
  for texts in (['1', 'x'], [], ['y'], ['2', 'z']):
    filling.put(cells.numbers(pa.array(texts, pa.string())))
  joined = filling.cells()
  np.testing.assert_array_equal(joined.values, [1, NAN, NAN, 2, NAN])
  assert wrong_of(joined) == {1: 'x', 2: 'y', 4: 'z'}

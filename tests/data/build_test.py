"""Tests of eigen3.data.build: alignment, indicators, investable columns."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eigen3.data import (
  DataError,
  Series,
  Source,
  Ticker,
  build_panel,
  eigen2_features,
  parse_day,
  summary_lines,
  with_series,
)

DAYS = np.datetime64('2020-01-01') + np.arange(200)
SPLITS = {'validation_days': 30, 'holdout_days': 20}  # 150 training days


def make_ticker(name, days, seed=0):
  """Returns a ticker with rows on `DAYS[days]`."""
  rng = np.random.default_rng(seed)
  dates = DAYS[days]
  close = 50.0 * np.exp(0.02 * rng.standard_normal(len(dates)).cumsum())
  ohlc = np.stack([close, 1.1 * close, 0.9 * close, close + 0.1], axis=-1)
  return Ticker(
    name=name,
    dates=dates,
    ohlc=ohlc,
    volume=np.arange(len(dates), dtype=np.float64),
    splits=0,
    dividends=0,
    adjusted=0,
    outside=0,
    suspicious=(),
    masked=(),
  )


def make_source(*tickers):
  ordered = tuple(sorted(tickers, key=lambda ticker: ticker.name))
  return Source(ordered, refused=(), ignored=(), source_hash='abc')


def test_alignment_on_the_union_of_days():
  odd = make_ticker('ODD', np.arange(1, 200, 2), seed=1)
  even = make_ticker('EVEN', np.arange(0, 200, 2), seed=2)
  panel = build_panel(make_source(even, odd), **SPLITS)
  np.testing.assert_array_equal(panel.dates, DAYS)
  assert panel.columns == ('EVEN', 'ODD')
  assert panel.investable == (0, 2)
  np.testing.assert_array_equal(
    panel.ohlc[1::2, 1], odd.ohlc.astype(np.float32)
  )
  assert np.isnan(panel.ohlc[::2, 1]).all()
  np.testing.assert_array_equal(panel.volume[::2, 0], even.volume)
  assert np.isnan(panel.volume[1::2, 0]).all()
  # Indicators are computed on a ticker's own rows, and then aligned.
  own = eigen2_features(even.ohlc[:, None])[:, 0].astype(np.float32)
  np.testing.assert_array_equal(panel.features[::2, 0], own)
  assert np.isfinite(own[34:]).all()
  assert np.isnan(panel.features[1::2, 0]).all()


def test_sixty_training_days_make_a_column_investable():
  tickers = [
    make_ticker('B59', np.arange(91, 200)),  # 59 of the first 150 days
    make_ticker('A60', np.arange(90, 200)),
    make_ticker('C', np.arange(200)),
    make_ticker('AFTER', np.arange(150, 200)),
  ]
  panel = build_panel(make_source(*tickers), **SPLITS)
  assert panel.columns == ('AFTER', 'B59', 'A60', 'C')
  assert panel.training_days == 150
  assert panel.investable == (2, 4)
  assert panel.column_kinds == ('stock',) * 4
  assert panel.source_hash == 'abc'
  np.testing.assert_array_equal(
    panel.ohlc[91:, 1], tickers[0].ohlc.astype(np.float32)
  )


def test_a_missing_close_is_not_a_training_day():
  short = make_ticker('SHORT', np.arange(90, 200))
  short.ohlc[0, 3] = np.nan
  panel = build_panel(
    make_source(short, make_ticker('C', np.arange(200))), **SPLITS
  )
  assert panel.columns == ('SHORT', 'C')
  assert panel.investable == (1, 2)


def test_more_tickers_than_a_block():
  tickers = [make_ticker(f'T{i:03d}', np.arange(200), i) for i in range(130)]
  panel = build_panel(make_source(*tickers), **SPLITS)
  for column in (0, 63, 64, 129):
    own = eigen2_features(tickers[column].ohlc[:, None])[:, 0]
    np.testing.assert_array_equal(
      panel.features[:, column], own.astype(np.float32)
    )


def test_first_and_last_day_cut_the_panel_not_the_history():
  source = make_source(make_ticker('C', np.arange(200)))
  whole = build_panel(source, **SPLITS)
  part = build_panel(source, 10, 10, first_day=DAYS[40], last_day=DAYS[150])
  np.testing.assert_array_equal(part.dates, DAYS[40:151])
  assert part.training_days == 91
  np.testing.assert_array_equal(part.features, whole.features[40:151])
  assert np.isfinite(part.features).all()


def test_the_survivorship_stamp():
  stays = make_ticker('STAYS', np.arange(200))
  leaves = make_ticker('LEAVES', np.arange(150))
  both = make_source(stays, leaves)
  assert build_panel(both, **SPLITS).survivors_only
  told = build_panel(both, **SPLITS, includes_delisted=True)
  assert not told.survivors_only
  with pytest.raises(DataError, match='every ticker has a row on 20'):
    build_panel(make_source(stays), **SPLITS, includes_delisted=True)


def test_too_few_days_are_one_clear_line():
  source = make_source(make_ticker('C', np.arange(200)))
  assert build_panel(source, 90, 50).num_days == 200
  with pytest.raises(
    DataError, match=r'found 200 days .* at least 201: 60 for training'
  ):
    build_panel(source, 90, 51)
  with pytest.raises(DataError, match='found 0 days from 2021-01-01'):
    build_panel(source, 0, 0, first_day=np.datetime64('2021-01-01'))


def test_nothing_to_buy_is_one_clear_line():
  tickers = [
    make_ticker('A', np.arange(50)),
    make_ticker('B', np.arange(140, 200)),
  ]
  with pytest.raises(DataError, match='found no ticker among 2 with at least'):
    build_panel(make_source(*tickers), 20, 10)


def test_days_are_parsed():
  assert parse_day(None, 'first_day') is None
  assert parse_day('2020-02-29', 'first_day') == np.datetime64('2020-02-29')
  for text in ('2020-02-30', '29.2.2020', '', 'today'):
    with pytest.raises(DataError, match=f"last_day: found '{text}'"):
      parse_day(text, 'last_day')


def test_the_summary_counts():
  one = dataclasses.replace(
    make_ticker('ONE', np.arange(200)),
    splits=2,
    dividends=3,
    adjusted=1234,
    outside=1,
    suspicious=(('2020-02-03', 2.0), ('2020-02-04', 0.49)),
    repeated=('2020-03-01', '2020-03-02'),
  )
  source = make_source(one, make_ticker('TWO', np.arange(100, 190)))
  lines = summary_lines(source, build_panel(source, **SPLITS))
  assert lines[0] == (
    'read: 2 tickers, 290 rows, 2020-01-01 to 2020-07-18; '
    '1 have a row on the last day'
  )
  assert lines[1] == 'adjusted: 1,234 rows, for 2 splits and 3 dividends'
  assert '  ONE: 2, the first on 2020-03-01' in lines
  assert '  ONE 2020-02-03: +100%' in lines
  assert '  ONE 2020-02-04: -51%' in lines
  assert 'refused: 0 files' in lines
  assert '  TWO' in lines
  assert lines[-1].startswith('survivors only')


def make_series(name, dates, values, lag=0):
  values = np.asarray(values, np.float64)
  return Series(
    name=name,
    dates=np.asarray(dates, 'datetime64[D]'),
    ohlc=np.repeat(values[:, None], 4, axis=1),
    volume=np.full(len(values), np.nan),
    lag=lag,
    masked=(),
    source_hash='s',
  )


def week_days(num_days):
  return np.busday_offset('2020-01-01', np.arange(num_days), roll='forward')


def make_stocks(num_days=200):
  """Returns a stock with a row on each weekday from Wednesday 2020-01-01."""
  stock = make_ticker('A', np.arange(num_days))
  return make_source(dataclasses.replace(stock, dates=week_days(num_days)))


def test_series_are_context_before_the_stocks():
  dates = week_days(200)
  short = dataclasses.replace(
    make_ticker('SHORT', np.arange(30)), dates=dates[:30]
  )
  source = make_source(*make_stocks().tickers, short)
  rate = make_series('RATE', dates, np.linspace(-1.0, 1.0, 200))
  source = with_series(source, [rate, make_series('IDX', dates, np.ones(200))])
  panel = build_panel(source, **SPLITS)
  assert panel.columns == ('RATE', 'IDX', 'SHORT', 'A')
  assert panel.column_kinds == ('context', 'context', 'stock', 'stock')
  assert panel.investable == (3, 4)
  assert panel.source_hash == source.source_hash != 'abc'
  np.testing.assert_array_equal(panel.ohlc[:, 0], rate.ohlc.astype(np.float32))
  expected = eigen2_features(rate.ohlc[:, None])[:, 0]
  np.testing.assert_array_equal(
    panel.features[:, 0], expected.astype(np.float32)
  )
  # A constant has no change.
  np.testing.assert_array_equal(
    panel.features[40, 1], np.float32([1, 1, 1, 1, 50, 0, 0, 0, 0])
  )


@pytest.mark.parametrize(
  'value_day, lag, seen',
  [
    ('2020-01-08', 0, '2020-01-08'),
    ('2020-01-08', 1, '2020-01-09'),
    ('2020-01-10', 1, '2020-01-13'),  # from Friday to Monday
    ('2020-01-11', 0, '2020-01-13'),  # a Saturday
    ('2020-01-08', 8, '2020-01-16'),
    ('2020-01-01', 0, '2020-01-01'),
    ('2019-12-31', 1, '2020-01-01'),
    ('2019-12-31', 0, None),  # known before the first day: on no day
    ('2019-11-01', 30, None),
    ('2020-10-06', 0, '2020-10-06'),  # the last day
    ('2020-10-06', 1, None),
    ('2021-01-01', 0, None),
  ],
)
def test_a_value_is_seen_once_on_the_first_day_it_is_known(
  value_day, lag, seen
):
  source = with_series(
    make_stocks(), [make_series('S', [value_day], [7.0], lag)]
  )
  panel = build_panel(source, **SPLITS)
  assert panel.num_days == 200, 'a series adds no days'
  days = panel.dates[~np.isnan(panel.ohlc[:, 0]).any(axis=1)]
  assert [str(day) for day in days] == ([seen] if seen else [])


def test_of_two_values_that_become_known_on_one_day_the_later_is_seen():
  days = ['2020-01-10', '2020-01-11', '2020-01-12', '2020-01-14']
  series = make_series('S', days, [1.0, 2.0, 3.0, 4.0])
  panel = build_panel(with_series(make_stocks(), [series]), **SPLITS)
  close = panel.ohlc[:, 0, 3]
  seen = np.flatnonzero(~np.isnan(close))
  assert close[seen].tolist() == [1.0, 3.0, 4.0]
  np.testing.assert_array_equal(
    panel.dates[seen],
    np.array(['2020-01-10', '2020-01-13', '2020-01-14'], 'datetime64[D]'),
  )


def test_indicators_of_a_series_know_all_its_earlier_rows():
  """Uses rows before the first day, and several rows of one day."""
  dates = np.datetime64('2019-06-01') + np.arange(400)  # week-ends, too
  values = 2.0 + np.sin(np.arange(400) / 9.0)
  series = make_series('S', dates, values)
  source = with_series(make_stocks(), [series])
  panel = build_panel(source, **SPLITS)
  own = eigen2_features(series.ohlc[:, None])[:, 0].astype(np.float32)
  for day in (0, 1, 3, 100):  # 3 is a Monday: Sunday's row was replaced
    row = int((panel.dates[day] - dates[0]).astype(int))
    np.testing.assert_array_equal(panel.features[day, 0], own[row])
  cut = build_panel(source, 10, 10, first_day=panel.dates[50])
  np.testing.assert_array_equal(cut.features[:, 0], panel.features[50:, 0])
  np.testing.assert_array_equal(cut.ohlc[:, 0], panel.ohlc[50:, 0])
  cut = build_panel(source, 10, 10, last_day=panel.dates[120])
  np.testing.assert_array_equal(cut.features[:, 0], panel.features[:121, 0])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_value_is_seen_before_it_is_known(data):
  """Compares with a day-by-day search, for any days and lag."""
  days = data.draw(st.sets(st.integers(-20, 300), min_size=1, max_size=40))
  lag = data.draw(st.integers(0, 12))
  dates = np.datetime64('2020-01-01') + np.array(sorted(days))
  values = np.arange(len(dates), dtype=np.float64)
  source = with_series(make_stocks(), [make_series('S', dates, values, lag)])
  close = build_panel(source, **SPLITS).ohlc[:, 0, 3]
  market = week_days(200)
  for day, before in zip(market[1:], market[:-1], strict=True):
    seen = dates + np.timedelta64(lag, 'D')
    new = values[(seen > before) & (seen <= day)]
    expected = new[-1] if len(new) else np.nan
    np.testing.assert_equal(close[np.flatnonzero(market == day)[0]], expected)


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('zero', [0.0, 1e-300])
def test_a_rate_that_is_zero_for_months(zero):
  """A relative change from a mean of 0 is missing, not infinite."""
  values = np.concatenate([np.full(100, zero), np.ones(50), np.zeros(50)])
  series = make_series('S', week_days(200), values)
  panel = build_panel(with_series(make_stocks(), [series]), **SPLITS)
  missing = np.flatnonzero(np.isnan(panel.features[:, 0]).any(axis=1))
  np.testing.assert_array_equal(missing, [*range(34), 100])
  assert not np.isinf(panel.features).any()
  np.testing.assert_array_equal(panel.features[50, 0, 4:], [50, 0, 0, 0, 0])


def test_names_of_columns_are_told_apart():
  dates = week_days(3)
  one, other = make_series('A', dates, [1, 2, 3]), make_series('B', dates, [1])
  with pytest.raises(DataError, match="found two columns 'A'"):
    with_series(make_stocks(), [one])
  with pytest.raises(DataError, match="found two columns 'B'"):
    with_series(make_stocks(), [other, other])


def test_the_source_hash_follows_the_series():
  stocks = make_stocks()
  series = make_series('S', week_days(3), [1, 2, 3])
  assert with_series(stocks, []).source_hash == 'abc'
  hashes = {
    with_series(stocks, given).source_hash
    for given in (
      [series],
      [dataclasses.replace(series, lag=1)],
      [dataclasses.replace(series, name='T')],
      [dataclasses.replace(series, source_hash='t')],
      [series, dataclasses.replace(series, name='T')],
    )
  }
  assert len(hashes | {'abc'}) == 6


def test_the_summary_tells_of_series():
  dates = week_days(250)
  series = make_series('RATE', dates[100:], np.ones(150), lag=1)
  source = with_series(make_stocks(), [series])
  lines = summary_lines(source, build_panel(source, **SPLITS))
  assert 'context: 1 series' in lines
  assert (
    '  RATE: 150 values, 2020-05-20 to 2020-12-15, known after 1 days; missing '
    'on 101 days of the panel'
  ) in lines
  assert not any('too few days' in line for line in lines)


def test_every_series_has_days_of_its_own():
  """Beside pairs and stocks, one series is of weekdays and one of months."""
  weekday = np.flatnonzero((DAYS.astype(int) + 3) % 7 < 5)
  source = make_source(
    *(make_ticker(name, np.arange(200)) for name in 'AB'),
    *(make_ticker(name, weekday) for name in 'CD'),
  )
  empty = np.full((200, 4), 1.0)
  series = [
    Series(name, DAYS[days], empty[days], empty[days, 0], 0, (), '')
    for name, days in (('vix', weekday), ('cpi', np.arange(0, 200, 30)))
  ]
  panel = build_panel(with_series(source, series), **SPLITS)
  assert panel.columns == ('vix', 'cpi', 'A', 'B', 'C', 'D')
  assert panel.markets == (2, 3, 0, 0, 1, 1)

"""Tests of eigen3.data.defects: findings of each rule, by hand."""

import dataclasses

import numpy as np
import pytest
from zigzag import STEP, make_zigzag

from eigen3.data import defects


def move_of(ticker):
  moves = defects.find_moves(ticker)
  assert len(moves) == 1
  return moves[0]


def shifted(ratio, first=60, stop=120, volume=1.0):
  """Returns a zigzag with rows first to stop multiplied by `ratio`."""
  ticker = make_zigzag()
  ticker.ohlc[first:stop] *= ratio
  ticker.volume[first:stop] *= volume
  return ticker


def test_nothing_is_found_in_a_zigzag():
  ticker = make_zigzag()
  assert defects.find_moves(ticker) == ()
  assert not defects.outside(ticker.ohlc).any()
  assert not defects.spikes(ticker.ohlc).any()
  assert defects.stale_runs(ticker) == []


def test_a_bad_tick_in_numbers():
  """Row 60 closes at 2 x 100 after 101; row 61 is back at 101."""
  move = move_of(shifted(2.0, stop=61))
  assert (move.kind, move.row, move.stop) == ('tick', 60, 61)
  assert move.before == 101.0
  assert move.ratio == pytest.approx(200.0 / 101.0)
  assert move.scale == pytest.approx(np.log(200.0 / 101.0) / STEP)
  # The 20 rows before trade 100 x 1,000 or 101 x 1,010 a day.
  usual = (100.0 * 1000.0 + 101.0 * 1010.0) / 2.0
  assert move.money == pytest.approx(200.0 * 1000.0 / usual)
  assert move.split == 1.0


@pytest.mark.parametrize(
  'rows, kind', [(1, 'tick'), (3, 'tick'), (4, 'unexplained')]
)
@pytest.mark.parametrize('ratio', [0.8, 1.25])
def test_a_tick_is_back_within_three_rows(ratio, rows, kind):
  moves = defects.find_moves(shifted(ratio, stop=60 + rows))
  # The return is part of a bad tick; otherwise it is a separate move.
  assert [move.kind for move in moves] == (
    ['tick'] if kind == 'tick' else [kind, kind]
  )
  assert moves[0].stop == (60 + rows if kind == 'tick' else 61)


def test_rows_without_a_close_do_not_count_for_a_tick():
  ticker = shifted(1.5, stop=63)
  ticker.ohlc[[58, 61, 63]] = np.nan
  move = move_of(ticker)
  assert (move.kind, move.row, move.stop) == ('tick', 60, 64)


@pytest.mark.parametrize('rest, is_tick', [(0.2, True), (0.3, False)])
def test_a_tick_comes_back_to_where_it_left(rest, is_tick):
  ticker = shifted(2.0, stop=61)
  ticker.ohlc[61:] *= 2.0**rest
  kinds = [move.kind for move in defects.find_moves(ticker)]
  assert (kinds == ['tick']) == is_tick


def test_a_slow_return_is_no_tick():
  """A return over two days is a real move."""
  ticker = shifted(1.5, stop=61)
  ticker.ohlc[61] *= 1.5**0.5
  kinds = [move.kind for move in defects.find_moves(ticker)]
  assert 'tick' not in kinds


@pytest.mark.parametrize(
  'ratio, volume, expected',
  [
    (0.5, 2.0, 0.5),  # twice the shares at half the price
    (0.49, 2.0, 0.5),
    (1 / 3, 3.0, 1 / 3),
    (2 / 3, 1.5, 2 / 3),
    (10.0, 0.1, 10.0),
    (1.5, 1.0, 1.5),
    (0.05, 20.0, 0.05),
    (0.46, 2.0, None),  # not near enough
    (0.8, 1.0, None),  # 5 for 4 is too near to a usual return
    (0.5, 7.0, None),  # 3.5 times the money: a crash
  ],
)
def test_splits_are_moves_by_a_ratio_on_usual_money(ratio, volume, expected):
  move = move_of(shifted(ratio, volume=volume))
  assert (move.kind == 'split') == (expected is not None)
  assert move.split == pytest.approx(expected or 1.0)
  assert (move.row, move.stop) == (60, 61)


def test_a_split_happens_before_the_open():
  ticker = shifted(0.5, volume=2.0)
  ticker.ohlc[60, 0] = 90.0  # opens near the last close, then falls
  assert move_of(ticker).kind == 'unexplained'
  ticker.ohlc[60, 0] = np.nan
  assert move_of(ticker).kind == 'unexplained'


def test_large_moves_are_news_or_unexplained():
  assert move_of(shifted(0.4, volume=2.0)).kind == 'unexplained'
  assert move_of(shifted(0.4, volume=20.0)).kind == 'large'
  assert defects.find_moves(shifted(0.6, volume=20.0)) == ()
  assert move_of(shifted(2.2, volume=20.0)).kind == 'large'


def test_the_money_is_unknown_without_volume():
  ticker = dataclasses.replace(shifted(0.5), volume=np.full(120, np.nan))
  move = move_of(ticker)
  assert move.kind == 'split'
  assert np.isnan(move.money)


def test_large_for_a_wild_stock_is_usual():
  """All moves are by a fifth, this one too."""
  wild = np.where(np.arange(120) % 2, 1.2, 1.0)[:, None]
  usual, fallen = make_zigzag(), shifted(0.4)
  usual.ohlc[:] *= wild
  assert defects.find_moves(usual) == ()
  fallen.ohlc[:] *= wild
  moves = defects.find_moves(fallen)
  assert [move.kind for move in moves] == ['large']
  assert moves[0].scale < defects.OUT_OF_SCALE


def test_a_short_history_has_no_usual_move():
  ticker = make_zigzag(rows=15)
  ticker.ohlc[8:] *= 0.6
  assert defects.find_moves(ticker) == ()
  ticker.ohlc[8:] *= 0.5
  move = move_of(ticker)
  assert move.kind == 'large'
  assert np.isnan(move.scale)


def test_rows_out_of_order():
  nan = np.nan
  ohlc = [
    [10, 12, 9, 11],
    [13, 12, 9, 11],
    [10, 12, 9, 8],
    [nan, 12, 9, 13],
    [nan, 12, 9, nan],
    [10, nan, 9, 13],
    [10, nan, 11, 13],
    [nan, 9, 12, nan],
    [12, 12, 9, 9],
  ]
  expected = [0, 1, 1, 1, 0, 0, 1, 1, 0]
  np.testing.assert_array_equal(defects.outside(np.array(ohlc)), expected)


def test_spikes_are_of_highs_and_lows():
  nan = np.nan
  ohlc = [
    [10, 16.4, 9, 11],  # 11 x 1.5 = 16.5
    [10, 16.6, 9, 11],
    [10, 12, 6.7, 11],  # 10 / 1.5 = 6.67
    [10, 12, 6.6, 11],
    [nan, 30, 1, 11],
    [nan, 30, 1, nan],
  ]
  found = defects.spikes(np.array(ohlc))
  assert [tuple(cell) for cell in np.argwhere(found)] == [
    (1, 1),
    (3, 2),
    (4, 1),
    (4, 2),
  ]


@pytest.mark.parametrize(
  'close, volume, expected',
  [
    ([5, 5, 5, 5, 5, 6], [1, 1, 1, 1, 1, 1], [(0, 5)]),
    ([5, 5, 5, 5, 6, 6], [1, 1, 1, 1, 1, 1], []),
    ([4, 5, 5, 5, 5, 5], [1, 2, 0, 0, 0, 0], [(1, 5)]),
    ([5, 5, 5, 5, 5, 5], [1, 1, 1, 2, 2, 2], []),
    ([5, 5, 5, 5, 5, 5], [np.nan] * 6, [(0, 6)]),
    ([5, 5, 5, np.nan, 5, 5], [1] * 6, []),
    ([5 * (1 + 1e-13), 5, 5, 5, 5, 5], [1] * 6, [(0, 6)]),
  ],
)
def test_stale_runs(close, volume, expected):
  ticker = make_zigzag(rows=6)
  ticker.ohlc[:, 3], ticker.volume[:] = close, volume
  assert defects.stale_runs(ticker) == expected


def test_runs():
  assert defects.runs(np.array([], bool)) == []
  mask = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1], bool)
  assert defects.runs(mask) == [(0, 1), (2, 2), (6, 3)]


def only(ticker, rows):
  return dataclasses.replace(
    ticker,
    dates=ticker.dates[rows],
    ohlc=ticker.ohlc[rows],
    volume=ticker.volume[rows],
  )


def test_a_day_of_few_is_no_trading_day():
  """Of 4 listed stocks two have a row on day 5: a trading day; one on day 6."""
  whole = make_zigzag(rows=10)
  rows = np.arange(10)
  tickers = [
    whole,
    only(whole, rows[rows != 6]),
    only(whole, rows[(rows != 5) & (rows != 6)]),
    only(whole, rows[(rows != 5) & (rows != 6)]),
    only(whole, rows[7:]),
  ]
  trading, odd = defects.trading_days(tickers)
  np.testing.assert_array_equal(trading, np.delete(whole.dates, 6))
  np.testing.assert_array_equal(odd, whole.dates[[6]])
  gaps = [defects.gaps(ticker.dates, trading) for ticker in tickers]
  assert gaps == [[], [], [('2020-01-06', 1)], [('2020-01-06', 1)], []]


def test_a_stock_is_listed_on_its_last_day():
  """One of three listed has a row: an odd day, though it is its last."""
  whole = make_zigzag(rows=10)
  rest = only(whole, np.delete(np.arange(10), 6))
  _, odd = defects.trading_days([only(whole, np.arange(7)), rest, rest])
  np.testing.assert_array_equal(odd, whole.dates[[6]])


def test_gaps_are_runs_of_trading_days():
  trading = make_zigzag(rows=12).dates
  rows = trading[[1, 2, 5, 6, 9]]
  assert defects.gaps(rows, trading) == [('2020-01-04', 2), ('2020-01-08', 2)]
  assert defects.gaps(rows[:0], trading) == []
  other = np.append(rows, np.datetime64('2021-01-01'))
  assert defects.gaps(other, trading[:9]) == [
    ('2020-01-04', 2),
    ('2020-01-08', 2),
  ]

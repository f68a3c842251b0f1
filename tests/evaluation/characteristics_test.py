"""Tests of eigen3.evaluation.characteristics."""

import dataclasses

import numpy as np
import priced_market
import pytest

from eigen3.evaluation import characteristics

DAYS = 320


@pytest.fixture(scope='module')
def panel():
  return priced_market.make_panel(DAYS)


def prices_of(panel, stock):
  """Returns the closes [T] of an investable stock."""
  return panel.ohlc[:, panel.investable[0] + stock, 3].astype(float).tolist()


def slow_market(panel):
  """Returns the mean return of the previous day's members, day by day."""
  market = [0.0]
  for day in range(1, panel.num_days):
    moves = []
    for stock in range(panel.num_investable):
      close = prices_of(panel, stock)
      move = close[day] / close[day - 1] - 1.0
      if panel.members[day - 1, stock] and np.isfinite(move):
        moves.append(move)
    market.append(sum(moves) / len(moves))
  return market


@pytest.mark.parametrize('stock', [0, 1, 2, 7])
def test_beside_a_slow_reference(panel, stock):
  """Covers stocks that list late, leave early, have a gap, or are complete."""
  found = characteristics.characteristics(panel)
  close, market = prices_of(panel, stock), slow_market(panel)
  volume = panel.volume[:, 1 + stock].tolist()
  nan = float('nan')
  moves = [nan] + [close[d] / close[d - 1] - 1.0 for d in range(1, DAYS)]
  for day in range(0, DAYS, 7):
    recent = [x for x in moves[max(day - 119, 0) : day + 1] if x == x]
    expected = np.std(recent, ddof=1) if len(recent) >= 60 else nan
    check(found.volatility[day, stock], expected)
    days = [
      d for d in range(max(day - 251, 0), day + 1) if moves[d] == moves[d]
    ]
    expected = nan
    if len(days) >= 126:
      pair = np.cov([moves[d] for d in days], [market[d] for d in days])
      expected = pair[0, 1] / pair[1, 1]
    check(found.beta[day, stock], expected)
    traded = [close[d] * volume[d] for d in range(max(day - 59, 0), day + 1)]
    traded = [x for x in traded if x == x]
    expected = np.log(np.median(traded)) if len(traded) >= 30 else nan
    check(found.size[day, stock], expected)
    change = close[day] / close[day - 20] - 1.0 if day >= 20 else nan
    check(found.reversal[day, stock], -change)
    change = close[day - 21] / close[day - 252] - 1.0 if day >= 252 else nan
    check(found.momentum[day, stock], change)


def check(found, expected):
  np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_the_market_is_what_could_be_bought_the_day_before(panel):
  np.testing.assert_allclose(
    characteristics.market_returns(panel), slow_market(panel)
  )


def test_nothing_is_known_before_its_day(panel):
  ohlc, volume = panel.ohlc.copy(), panel.volume.copy()
  ohlc[280:] *= np.linspace(0.5, 2.0, ohlc.shape[1])[:, None]
  volume[280:] = 1.0
  members = panel.members.copy()
  members[280:] = ~members[280:]
  other = dataclasses.replace(panel, ohlc=ohlc, volume=volume, members=members)
  for one, two in zip(
    characteristics.characteristics(panel),
    characteristics.characteristics(other),
    strict=True,
  ):
    np.testing.assert_array_equal(one[:280], two[:280])
    assert (one[280:] != two[280:]).any()


def test_a_panel_without_volumes_has_no_size(panel):
  assert characteristics.risks(panel).shape == (DAYS, 12, 3)
  silent = dataclasses.replace(panel, volume=None)
  assert characteristics.risks(silent).shape == (DAYS, 12, 2)
  assert np.isnan(characteristics.characteristics(silent).size).all()


def test_an_untraded_stock_has_no_size(panel):
  volume = panel.volume.copy()
  volume[:, 5] = 0.0
  still = dataclasses.replace(panel, volume=volume)
  assert np.isnan(characteristics.characteristics(still).size[:, 4]).all()

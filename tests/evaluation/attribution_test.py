"""Tests of eigen3.evaluation.attribution."""

import dataclasses

import numpy as np
import priced_market
import pytest

from eigen3.evaluation import attribution, characteristics


@pytest.fixture(scope='module')
def panel():
  return priced_market.make_panel(320)


def test_portfolios_are_formed_at_the_close_before(panel):
  found = attribution.portfolios(panel)
  known = characteristics.characteristics(panel)
  close = panel.ohlc[:, 1:, 3].astype(float)
  assert found.keys() == {'market', 'volatility', 'reversal', 'momentum'}
  np.testing.assert_array_equal(
    found['market'], characteristics.market_returns(panel)
  )
  for name in ('volatility', 'reversal', 'momentum'):
    for day in range(1, 320, 9):
      score = getattr(known, name)[day - 1]
      move = close[day] / close[day - 1] - 1.0
      can = np.isfinite(score) & np.isfinite(move) & panel.members[day - 1]
      expected = 0.0
      if can.sum() >= 10:
        order = np.argsort(score[can])
        ends = max(1, round(0.2 * can.sum()))
        best, worst = order[-ends:], order[:ends]
        expected = move[can][best].mean() - move[can][worst].mean()
      assert found[name][day] == pytest.approx(expected, abs=1e-12)
  assert (found['momentum'][260:] != 0.0).mean() > 0.5


def test_no_portfolio_knows_the_day(panel):
  """Of the day itself only returns of earlier choices are used."""
  volume = panel.volume.copy()
  volume[200:] = 7.0
  members = panel.members.copy()
  members[200:] = ~members[200:]
  other = dataclasses.replace(panel, volume=volume, members=members)
  first, second = map(attribution.portfolios, (panel, other))
  for name in first:
    np.testing.assert_array_equal(first[name][:201], second[name][:201])


def test_what_was_mixed_is_found():
  rng = np.random.default_rng(0)
  held = {
    'market': rng.normal(0.0005, 0.01, 900),
    'volatility': rng.normal(0.0, 0.01, 900),
  }
  returns = 0.0004 + 0.6 * held['market'] - 0.3 * held['volatility']
  exact = attribution.attribute(returns, held, year=252)
  assert exact.alpha == pytest.approx(0.1008)
  assert exact.betas == pytest.approx({'market': 0.6, 'volatility': -0.3})
  assert exact.r_squared == pytest.approx(1.0)
  noisy = returns + rng.normal(0.0, 0.004, 900)
  found = attribution.attribute(noisy, held, year=252)
  assert abs(found.alpha - 0.1008) < 3 * found.error
  assert found.error == pytest.approx(252 * 0.004 / 30, rel=0.15)
  assert found.t == pytest.approx(found.alpha / found.error)
  assert found.detectable == pytest.approx(2.8 * found.error, rel=0.01)
  total = found.alpha + sum(found.contributions.values())
  assert total == pytest.approx(252 * noisy.mean())
  # The same returns taken as weekly have 52 a year.
  weekly = attribution.attribute(noisy, held, year=52)
  assert weekly.alpha == pytest.approx(found.alpha * 52 / 252)


def test_other_days_are_refused():
  held = {'market': np.zeros(5)}
  with pytest.raises(
    ValueError, match=r'market: found returns of shape \(5,\)'
  ):
    attribution.attribute(np.zeros(6), held, year=252)

"""Tests of eigen3.evaluation.capacity."""

import dataclasses

import numpy as np
import pandas as pd
import priced_market
import pytest

from eigen3.evaluation import Backtest, capacity


@pytest.fixture(scope='module')
def panel():
  return priced_market.make_panel(200)


def make_backtest(panel, rows):
  """Returns a backtest of trades (ticker, entry day, exit day, shares)."""
  trades = pd.DataFrame(
    {
      'ticker': [row[0] for row in rows],
      'entry_date': panel.dates[[row[1] for row in rows]],
      'exit_date': panel.dates[[row[2] for row in rows]],
      'entry_price': [50.0 + n for n in range(len(rows))],
      'exit_price': [60.0 + n for n in range(len(rows))],
      'shares': [row[3] for row in rows],
    }
  )
  return Backtest(panel.dates, np.ones(panel.num_days), trades, {})


def test_fills_beside_what_is_traded(panel):
  rows = [('S05', 100, 120, 10.0), ('S03', 150, 151, 40.0), ('S05', 8, 90, 3.0)]
  backtest = make_backtest(panel, rows)
  found = capacity.fill_shares(backtest, panel)

  def usual(column, day):
    traded = panel.ohlc[:, column, 3].astype(float) * panel.volume[:, column]
    return np.median(traded[max(day - 60, 0) : day])

  expected = [
    10.0 * 50.0 / usual(6, 100), 40.0 * 51.0 / usual(4, 150), np.nan,
    10.0 * 60.0 / usual(6, 120), 40.0 * 61.0 / usual(4, 151),
    3.0 * 62.0 / usual(6, 90),
  ]  # fmt: skip
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  known = np.array(expected)[np.isfinite(expected)]
  told = capacity.capacity(backtest, panel, 1000.0)
  assert told.fills == 5
  assert told.median == pytest.approx(np.median(known))
  assert told.largest == pytest.approx(known.max())
  assert told.high == pytest.approx(np.quantile(known, 0.95))
  # With that account the same trades are 1 % of the volume.
  larger = [(*row[:3], row[3] * told.account / 1000.0) for row in rows]
  again = capacity.capacity(make_backtest(panel, larger), panel, 1000.0)
  assert again.high == pytest.approx(0.01)


def test_without_volumes_or_trades_nothing_is_known(panel):
  backtest = make_backtest(panel, [('S05', 100, 120, 10.0)])
  silent = dataclasses.replace(panel, volume=None)
  for found in (
    capacity.capacity(backtest, silent, 1000.0),
    capacity.capacity(make_backtest(panel, []), panel, 1000.0),
  ):
    assert found.fills == 0
    assert np.isnan(found[:4]).all()

"""Tests of experiments.act, on a run of the program that trains one agent."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from training_runs import moved_from_panel

from eigen3.data import DataError
from eigen3.data.alignment import aligned
from eigen3.data.observed import YEAR_DAYS
from experiments import saved_runs


@pytest.fixture(scope='module')
def run(programs):
  (found,) = saved_runs.load([str(programs.whole('td3').folder)])
  return found


def until(panel, day):
  """Returns the panel up to the close of `day`."""
  return of_days(panel, 0, day + 1)


def of_days(panel, first, stop):
  days = slice(first, stop)
  return dataclasses.replace(
    panel,
    dates=panel.dates[days],
    ohlc=panel.ohlc[days],
    features=panel.features[days],
    volume=None if panel.volume is None else panel.volume[days],
    training_days=0,
  )


def longer(panel, days=20):
  """Adds some days to the panel, on which all prices are tripled."""
  more = slice(-days, None)
  arrays = {
    name: np.concatenate([getattr(panel, name), 3 * getattr(panel, name)[more]])
    for name in ('ohlc', 'features', 'volume')
  }
  later = panel.dates[-1] + np.arange(1, days + 1)
  return dataclasses.replace(
    panel, dates=np.concatenate([panel.dates, later]), **arrays
  )


@pytest.mark.parametrize('back', [1, 30])
def test_actions_are_those_of_the_backtest(run, back):
  """A panel that ends on a day gives the judge's orders for that day."""
  days = run.experiment.validation.days
  expected = run.experiment.learner.greedy_actions(run.agent, days)
  panel = until(run.experiment.panel, days[-back])
  actions, attention = saved_runs.act(run, saved_runs.market_of(run, panel))
  np.testing.assert_allclose(actions, expected[-back], rtol=1e-5)
  # No other day would do.
  others = np.delete(expected, len(days) - back, axis=0)
  assert abs(others - actions).max(axis=(1, 2)).min() > 1e-4
  assert attention.shape == (12,)
  assert attention.sum() == pytest.approx(1, abs=1e-5)


def test_newer_days_do_not_change_the_normalisation(run):
  """Not even if the training days move, which are counted from the end."""
  trained = run.experiment.panel
  expected = saved_runs.market_of(run, trained).features
  found = saved_runs.market_of(run, longer(trained)).features
  np.testing.assert_array_equal(found[: trained.num_days], expected)
  assert found.shape[0] == trained.num_days + 20


def test_what_does_not_fit_is_refused(run):
  trained = run.experiment.panel
  with pytest.raises(ValueError, match='days: found 7, expected at least 8,'):
    saved_runs.market_of(run, until(trained, 6))
  names = ('close', *(f'other_{i}' for i in range(8)))
  other = dataclasses.replace(trained, feature_names=names)
  with pytest.raises(DataError, match="feature: found 'rsi', expected one of"):
    saved_runs.market_of(run, aligned(other, trained))


def test_the_program_tells_the_orders(run, programs, tmp_path):
  """For a run whose panel was moved, too."""
  trained = run.experiment.panel
  moved = moved_from_panel(
    run.workdir, tmp_path / 'run [1]', tmp_path / 'gone.parquet'
  )
  trained.save(tmp_path / 'trained.parquet')
  first = trained.investable[0]
  # The day's first choice has split since, the second has no data today.
  actions, _ = saved_runs.act(run, saved_runs.market_of(run, trained))
  ranked = np.argsort(-actions[:, 0], kind='stable')
  best, second = (trained.columns[first + i] for i in ranked[:2])
  ohlc, features = trained.ohlc.copy(), trained.features.copy()
  ohlc[:, first + ranked[0]] /= 2
  ohlc[-1, first + ranked[1]] = features[-1, first + ranked[1]] = np.nan
  panel = dataclasses.replace(trained, ohlc=ohlc, features=features)
  actions, _ = saved_runs.act(run, saved_runs.market_of(run, panel))
  names = np.array(trained.columns)[first : trained.investable[1]]
  expected = names[np.argsort(-actions[:, 0], kind='stable')].tolist()
  panel.save(tmp_path / 'today.parquet')
  tell = functools.partial(
    programs.finish,
    'act',
    f'--run={moved}',
    f'--out={tmp_path}/orders.csv',
  )
  today = (
    f'--panel={tmp_path}/today.parquet',
    f'--run_panel={tmp_path}/trained.parquet',
  )
  found = tell(*today, f'--held={best}', '--equity=50000', '--cash=20000')
  assert found.returncode == 0, found.stderr
  table = pd.read_csv(tmp_path / 'orders.csv', keep_default_na=False)
  assert table['ticker'].tolist() == expected
  table = table.set_index('ticker')
  assert table.loc[best, 'note'] == 'held'
  assert table.loc[second, 'note'].startswith('no data for')
  assert table.loc[second, 'prices_from'] == str(trained.dates[-2])
  third = next(name for name in expected if name not in (best, second))
  assert table.index[table['order']].tolist() == [third]
  value = 50_000 * 0.1  # a tenth of the equity
  assert float(table.loc[third, 'position_value']) == pytest.approx(value)
  assert f'Buy {third} for {value:,.2f} at the next open' in found.stdout
  assert f'{best}: past prices are 0.500 times those of the run' in found.stdout
  attention = pd.read_csv(tmp_path / 'orders.attention.csv')
  assert sorted(attention['column']) == sorted(trained.columns)
  assert attention['share'].sum() == pytest.approx(1)
  assert attention['share'].is_monotonic_decreasing
  # Nothing can be bought: it is said, and written down.
  found = tell(*today, '--equity=50000', '--cash=1')
  assert found.returncode == 0, found.stderr
  why = 'a position would be smaller than the account allows'
  assert f'No order: nothing to buy, {why} (threshold 0.5, ' in found.stdout
  assert f'{tmp_path}/orders.csv (no order, see its column' in found.stdout
  assert '\nBuy ' not in found.stdout
  table = pd.read_csv(tmp_path / 'orders.csv')
  assert not table['order'].any()
  assert set(table['no_order']) == {why}
  # What is wrong is one line. The run's own panel need not be named twice.
  found = tell(f'--panel={tmp_path}/trained.parquet', '--held=NONE')
  assert found.returncode == 1
  assert found.stderr.startswith("error: --held: found 'NONE', expected one of")
  assert len(found.stderr.splitlines()) == 1


def test_a_panel_that_begins_later_needs_the_year_before_its_windows(run):
  """Features in usual moves would differ from the run's without notice."""
  trained = run.experiment.panel
  whole = saved_runs.market_of(run, trained).features
  needed = 8 + YEAR_DAYS
  found = saved_runs.market_of(run, of_days(trained, -needed, None)).features
  np.testing.assert_allclose(found[-8:], whole[-8:], rtol=1e-4, atol=1e-4)
  with pytest.raises(ValueError, match=f'found 259, expected .* {needed},'):
    saved_runs.market_of(run, of_days(trained, 1 - needed, None))


def test_a_panel_that_was_moved_has_to_be_named(run, tmp_path):
  trained = run.experiment.panel
  gone = tmp_path / 'gone.parquet'
  moved = moved_from_panel(run.workdir, tmp_path / 'run', gone)
  with pytest.raises(ValueError, match='found no file') as error:
    saved_runs.load([str(moved)])
  assert str(error.value) == (
    f'--run_panel: found no file {gone}, expected the panel of the run or '
    f'sweep in {moved}; give its present path with --run_panel'
  )
  others = tmp_path / 'others.parquet'
  other = of_days(trained, 1, None)
  other.save(others)
  with pytest.raises(ValueError, match='found data with') as error:
    saved_runs.load([str(moved)], str(others))
  assert str(error.value) == (
    f'--run_panel: found data with hash {other.fingerprint[:12]}, expected '
    f'{trained.fingerprint[:12]}, the data that the run in {moved} began with'
  )
  here = tmp_path / 'here.parquet'
  trained.save(here)
  (found,) = saved_runs.load([str(moved)], str(here))
  assert found.config.data.panel == str(here)
  assert found.experiment.panel.fingerprint == trained.fingerprint
  assert found.step == run.step
  assert saved_runs.is_panel_of(str(moved), trained)
  assert not saved_runs.is_panel_of(str(moved), other)


def test_a_run_by_kernels_opens_where_there_are_none(run, tmp_path):
  there = tmp_path / 'run'
  shutil.copytree(run.workdir, there)
  stored = json.loads((there / 'config.json').read_text())
  stored['networks']['lstm_kernel'] = 'hopper'
  (there / 'config.json').write_text(json.dumps(stored))
  (found,) = saved_runs.load([str(there)])
  assert found.experiment.sizes['networks.lstm_kernel'] == 'scan'

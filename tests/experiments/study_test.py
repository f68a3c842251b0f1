"""Tests of the study's folds and of what it tells, without its runs."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from finished_runs import outcome, write_run

from eigen3 import data
from eigen3.data import MarketPanel
from eigen3.runs import trials
from experiments.configs import many_runs, study
from experiments.jobs import record
from experiments.study import __main__ as study_main
from experiments.study import folds, series

DATES = np.arange('2001-01-01', '2009-12-31', dtype='datetime64[D]')
DATES = DATES[np.is_busday(DATES)]


def make_config(**settings):
  config = study.get_config('smoke')
  config.years = (2006, 2008)
  config.data.update(
    {
      'last_day': '2008-12-31', 'min_training_days': 500, 'num_stocks': 2,
      'look_back_days': 30, 'context': ('SP500',),
    }
    | settings
  )  # fmt: skip
  return config


@pytest.fixture(scope='module')
def panel_file(tmp_path_factory):
  """Nine years of four stocks, of which others are traded later on."""
  num_days = len(DATES)
  volume = np.ones((num_days, 5))
  volume[:, 0] = np.nan
  later = np.searchsorted(DATES, np.datetime64('2005-06-01'))
  volume[:later, 1:3] = 5.0
  volume[later:, 2:4] = 9.0
  path = tmp_path_factory.mktemp('study') / 'panel.parquet'
  MarketPanel(
    dates=DATES,
    columns=('SP500', 'A', 'B', 'C', 'D'),
    ohlc=np.ones((num_days, 5, 4)),
    features=np.zeros((num_days, 5, 9)),
    investable=(1, 5),
    volume=volume,
  ).save(path)
  return path


def test_a_fold_for_each_calendar_year():
  found = folds.by_year(DATES, make_config().data)
  assert sorted(found) == [2004, 2005, 2006, 2007, 2008]
  for year, splits in found.items():
    days = DATES[slice(*splits.holdout)]
    assert len(days) == 252
    assert (
      days.astype('datetime64[Y]').astype(int) + 1970 == year
    ).mean() > 0.8
    assert splits.validation[1] == splits.holdout[0]
    assert splits.train[1] == splits.validation[0]
  assert DATES[found[2008].holdout[1] - 1] == np.datetime64('2008-12-31')
  # Without a last day the panel's own counts.
  found = folds.by_year(DATES, make_config(last_day='').data)
  assert DATES[found[2009].holdout[1] - 1] == DATES[-1]


def test_a_fold_s_panel_knows_no_more_than_its_training_days(
  panel_file, tmp_path
):
  config = make_config()
  config.panel = str(panel_file)
  made = folds.make(config, tmp_path / 'panels')
  assert [fold.year for fold in made] == [2006, 2008]
  splits = folds.by_year(DATES, config.data)
  for fold, columns in zip(made, ('AB', 'BC'), strict=True):
    panel = MarketPanel.load(fold.path)
    assert panel.columns == ('SP500', *columns)
    assert panel.num_days == splits[fold.year].holdout[1]
    assert panel.training_days == splits[fold.year].train[1]
    # A run splits it as the fold says.
    assert (
      data.split_days(panel.num_days, config.data, panel.training_days)
      == (splits[fold.year])
    )
    assert panel.survivors_only
  # What is there is not made again, and needs its panel no more.
  before = [fold.path.stat().st_mtime_ns for fold in made]
  folds.make(config, tmp_path / 'panels')
  config.panel = 'absent.parquet'
  again = folds.make(config, tmp_path / 'panels')
  assert [fold.path.stat().st_mtime_ns for fold in again] == before


def test_folds_of_another_panel_are_refused(panel_file, tmp_path):
  config = make_config()
  config.panel = str(tmp_path / 'panel.parquet')
  panel = MarketPanel.load(panel_file)
  panel.save(config.panel)
  folds.make(config, tmp_path / 'panels')
  ohlc = panel.ohlc.copy()
  ohlc[100, 2] = 2.0
  dataclasses.replace(panel, ohlc=ohlc).save(config.panel)
  with pytest.raises(ValueError, match=r'panel: found .* was made from'):
    folds.make(config, tmp_path / 'panels')


def test_a_year_without_a_fold_is_named(panel_file, tmp_path):
  config = make_config()
  config.panel, config.years = str(panel_file), (2008, 2009)
  with pytest.raises(ValueError, match='years: found 2009') as error:
    folds.make(config, tmp_path)
  assert str(error.value).endswith('2004, 2005, 2006, 2007, 2008, with a fold')
  with pytest.raises(ValueError, match='panel: found'):
    folds.make(make_config(), tmp_path / 'other')


@pytest.mark.parametrize('preset', many_runs.PRESETS)
def test_presets(preset):
  config = study.get_config(preset)
  assert config.is_locked
  study_main.check_settings(config)
  assert {2008, 2020} <= set(config.years)
  with pytest.raises(ValueError, match='expected one of smoke, small'):
    study.get_config('full')


def test_runs_of_a_fold_are_told_to_use_its_panel(panel_file, tmp_path):
  config = make_config()
  config.panel = str(panel_file)
  cells = study_main.cells_of(config, tmp_path)
  assert [cell.name for cell in cells] == [
    f'{year}/{name}' for year in (2006, 2008) for name in config.programs
  ]
  (command,) = {
    tuple(cell.task(tmp_path, 1, 1).command(False))
    for cell in cells
    if cell.name == '2008/erl'
  }
  assert f'--config.data.panel={tmp_path}/panels/2008.parquet' in command
  assert '--config.data.holdout_days=252' in command
  assert '--config.seed=1' in command


def test_folds_are_told_of_alone_and_together(panel_file, tmp_path):
  config = make_config()
  config.panel = str(panel_file)
  cells = study_main.cells_of(config, tmp_path)
  runs = tmp_path / trials.RUNS
  outcomes = {}
  for number, cell in enumerate(cells):
    policy = 'ranker' if cell.program == 'ranker' else 'agent'
    outcomes[cell.name] = {}
    for seed in config.seeds:
      if (cell.name, seed) == ('2008/erl', 1):
        continue  # not run yet
      run, at = cell.run(runs, seed), 10 * number + seed
      write_run(run, policy, at, commit=f'code{seed}')
      outcomes[cell.name][seed] = outcome(cell, runs, seed)
  record.enter(tmp_path, config)
  text = study_main.write_results(config, tmp_path, cells, outcomes)
  told = json.loads((tmp_path / 'results.json').read_text())
  assert (tmp_path / 'results.png').stat().st_size > 10_000
  assert (tmp_path / 'daily.png').stat().st_size > 10_000
  daily = pd.read_csv(tmp_path / 'daily.csv')
  assert len(daily) == 2 * 60
  returns = [outcomes['2008/td3'][seed].returns for seed in (0, 1)]
  np.testing.assert_allclose(daily['td3'][60:], np.mean(returns, axis=0))
  assert list(daily.columns) == [
    'date', 'erl', 'ranker', 'td3', 'random_entry', 'buy_and_hold', 'momentum',
    'informed',
  ]  # fmt: skip
  # A population's seed is missing.
  assert not (tmp_path / 'contest.json').exists()
  assert list(told['cells']) == sorted(told['cells'])
  agent = told['cells']['all/td3']
  assert agent['seeds'] == 2
  profits = [
    np.mean([outcomes[f'{year}/td3'][seed].profit for year in (2006, 2008)])
    for seed in (0, 1)
  ]
  assert agent['profit']['values'] == pytest.approx(profits)
  assert agent['against'].keys() >= {'ranker', 'random_entry', 'momentum'}
  # Of two populations only one has been run on all folds.
  assert told['cells']['all/erl']['seeds'] == 1
  assert told['cells']['2008/erl']['seeds'] == 1
  assert told['cells']['2006/erl']['against'].keys() >= {'ranker', 'td3'}
  assert told['cells']['all/erl']['missing'] == [1]
  assert told['missing'] == {'2008/erl': {'1': 'open'}}
  assert '\n2008/erl: open seeds: 1\n' in text
  assert told['asked']['seeds'] == [0, 1] == told['asked']['seeds_at_first']
  assert 'survivors only' in told['remark']
  assert 'not corrected' in told['remark']
  assert 'survivors only' in text
  assert '\nall/td3 ' in text
  page = (tmp_path / 'results.html').read_text()
  assert page.count('<tr>') == 1 + len(told['cells'])
  assert 'survivors only' in page
  assert 'code0, code1</code>: not all runs are of the same' in page
  assert page.count('<svg') == 3
  assert 'data:image' not in page
  assert 'all/td3' in page
  assert '2008/erl: open seeds: 1' in page
  # With all seeds it is asked who may be the best.
  cell = next(cell for cell in cells if cell.name == '2008/erl')
  write_run(cell.run(tmp_path, 1), 'agent', 7)
  outcomes['2008/erl'][1] = outcome(cell, tmp_path, 1)
  text = study_main.write_results(config, tmp_path, cells, outcomes)
  contest = json.loads((tmp_path / 'contest.json').read_text())
  assert list(contest) == sorted(daily.columns[1:])
  assert 'may be the best of all' in text
  assert 'may be the best of all' in (tmp_path / 'results.html').read_text()


def test_the_best_and_what_is_beaten():
  """One program is clearly better than all, a control clearly the worst."""
  rng = np.random.default_rng(0)
  noise = rng.normal(0, 0.01, 500)
  table = pd.DataFrame(
    {
      'date': DATES[:500],
      'td3': noise + rng.normal(0, 0.002, 500),
      'erl': noise + rng.normal(0.001, 0.002, 500),
      'momentum': noise + rng.normal(0, 0.002, 500),
      'buy_and_hold': noise + rng.normal(0.001, 0.002, 500),
    }
  )
  found = series.contest(table, ['td3', 'erl'], seed=0, repeats=500)
  assert max(found['erl']['best'], found['buy_and_hold']['best']) == 1.0
  assert min(found['erl']['best'], found['buy_and_hold']['best']) > 0.05
  assert max(found['td3']['best'], found['momentum']['best']) < 0.05
  assert found['momentum']['beaten'] < 0.01
  assert found['buy_and_hold']['beaten'] > 0.05
  assert 'beaten' not in found['erl']
  assert series.contest(table, ['td3', 'erl'], seed=0, repeats=500) == found
  best, beaten = series.contest_lines(found)
  assert best.index('erl') < best.index('td3')
  assert f'buy and hold {found["buy_and_hold"]["beaten"]:.3f}' in beaten
  assert 'td3' not in beaten


def test_nothing_is_told_of_nothing(panel_file, tmp_path):
  config = make_config()
  config.panel = str(panel_file)
  cells = study_main.cells_of(config, tmp_path)
  nothing = {cell.name: {} for cell in cells}
  record.enter(tmp_path, config)
  text = study_main.write_results(config, tmp_path, cells, nothing)
  assert text.startswith('no run is done yet\nno run is done of: 2006/erl, ')
  assert not (tmp_path / record.RESULTS).exists()

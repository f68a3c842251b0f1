"""Tests of the study's folds and of its results, without its runs."""

import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from finished_runs import outcome, write_measures, write_run

from eigen3 import data
from eigen3.data import MarketPanel
from eigen3.evaluation import regression
from eigen3.reporting import study_page
from eigen3.runs import trials
from experiments.configs import study
from experiments.jobs import record
from experiments.study import __main__ as study_main
from experiments.study import folds, joined, planted, series

DATES = np.arange('2001-01-01', '2009-12-31', dtype='datetime64[D]')
DATES = DATES[np.is_busday(DATES)]


def make_config(panel='', **settings):
  config = study.get_config('smoke')
  config.panel = str(panel)
  config.years = (2006, 2008)
  config.data.update(
    {
      'last_day': '2008-12-31', 'min_training_days': 500, 'num_stocks': 2,
      'look_back_days': 30, 'context': ('SP500',), 'holdout_days': 252,
      'validation_days': 252, 'min_stocks': 2,
    }
    | settings
  )  # fmt: skip
  return config


def cells_of(config, workdir):
  study_main.check_settings(config)
  return study_main.cells_of(config, workdir)


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
    members=np.ones((num_days, 4), bool),
  ).save(path)
  return path


def changed(panel_file, path, **fields):
  """Saves a copy of the panel with other fields."""
  dataclasses.replace(MarketPanel.load(panel_file), **fields).save(path)
  return path


def test_a_fold_for_each_calendar_year():
  found = folds.by_year(DATES, make_config())
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
  # Without a last day it is the end of the last year.
  config = make_config(last_day='')
  found = folds.by_year(DATES, config)
  assert DATES[found[2008].holdout[1] - 1] == np.datetime64('2008-12-31')


def test_a_fold_s_panel_knows_no_more_than_its_training_days(
  panel_file, tmp_path
):
  config = make_config(panel_file)
  cells_of(config, tmp_path)
  splits = folds.by_year(DATES, config)
  paths = [tmp_path / 'panels' / f'{year}.parquet' for year in config.years]
  for year, path, columns in zip(
    config.years, paths, ('AB', 'BC'), strict=True
  ):
    panel = MarketPanel.load(path)
    assert panel.columns == ('SP500', *columns)
    assert panel.num_days == splits[year].holdout[1]
    assert panel.training_days == splits[year].train[1]
    assert panel.members.all()
    # A run splits it as the fold says.
    assert (
      data.split_days(panel.num_days, config.data, panel.training_days)
      == (splits[year])
    )
  # What is there is not made again, and needs its panel no more.
  before = [path.stat().st_mtime_ns for path in paths]
  cells_of(config, tmp_path)
  config.panel = 'absent.parquet'
  cells_of(config, tmp_path)
  assert [path.stat().st_mtime_ns for path in paths] == before
  paths[0].unlink()
  with pytest.raises(ValueError, match=r"found no file 'absent\.parquet', exp"):
    cells_of(config, tmp_path)


def test_all_stocks_keep_their_columns(panel_file, tmp_path):
  """A fold's agent starts with that of the fold before."""
  config = make_config(panel_file, num_stocks=0)
  cells_of(config, tmp_path)
  for year in config.years:
    panel = MarketPanel.load(tmp_path / 'panels' / f'{year}.parquet')
    assert panel.columns == ('SP500', *'ABCD')


@pytest.mark.parametrize(
  'field, value, words',
  [
    ('trials', 1, 'planted.trials: found 1, expected 0, or at least 2'),
    ('ic', 0.0, r'planted.ic: found 0.0, expected above 0 and at most 1'),
  ],
)
def test_bad_copies_are_named(field, value, words):
  config = study.get_config('planted')
  config.planted[field] = value
  with pytest.raises(ValueError, match=words):
    study_main.check_settings(config)


def test_bad_input_is_one_line(panel_file, tmp_path):
  def error_of(config, folder='new'):
    with pytest.raises(ValueError, match=r'found|has') as error:
      cells_of(config, tmp_path / folder)
    assert '\n' not in str(error.value)
    return str(error.value)

  # No panel, too few years, a year without a fold.
  assert error_of(make_config()).startswith("panel: found ''")
  short = make_config(panel_file, min_training_days=5000)
  assert 'panel.parquet, days up to 2008-12-31: panel: ' in error_of(short)
  config = make_config(panel_file)
  config.years = (2008, 2009)
  assert 'years: found 2009, expected one of 2004, 2005, 2006, 2007, 2008' in (
    error_of(config)
  )
  # No universe.
  none = changed(panel_file, tmp_path / 'none.parquet', members=None)
  assert error_of(make_config(none), 'none').startswith(
    f'panel: found no universe in {none}, expected the members of each day'
  )
  # Too few members in a fold.
  members = np.ones((len(DATES), 4), bool)
  members[np.datetime64('2008-03-01') <= DATES, 2] = False
  few = changed(panel_file, tmp_path / 'few.parquet', members=members)
  line = error_of(make_config(few), 'few')
  assert line.startswith('panel: found 1.')
  assert f'fold 2008 of {few}, expected at least 2 (data.min_stocks)' in line
  # Another panel than the folder's.
  cells_of(make_config(panel_file), tmp_path / 'used')
  other = changed(panel_file, tmp_path / 'other.parquet', members=members)
  assert error_of(make_config(other), 'used').startswith(
    f'panel: found other data in {other} than the folds in '
  )


@pytest.mark.parametrize('preset', study.PRESETS)
def test_presets(preset):
  config = study.get_config(preset)
  assert config.is_locked
  study_main.check_settings(config)
  assert {'td3', 'ranker'} <= {*config.programs}
  for cell in study_main.cells_of_copy(
    config, '', [folds.Fold(year, pathlib.Path()) for year in config.years]
  ):
    # All changes are of fields that there are.
    changes = [x for x in cell.changes if not x.startswith('data.panel')]
    program = cell.program if cell.members is None else 'td3'
    alone = cell._replace(changes=changes, program=program)
    assert alone._replace(start=None, members=None).key(0)
  if preset in ('choice', 'planted'):
    assert max(config.years) <= 2012
  with pytest.raises(ValueError, match='expected one of smoke, small, full'):
    study.get_config('medium')


def test_runs_of_a_fold_use_its_panel_and_the_fold_before(panel_file, tmp_path):
  config = make_config(panel_file)
  cells = {cell.name: cell for cell in cells_of(config, tmp_path)}
  names = ('boosting', 'committee', 'ranker', 'ridge', 'td3')
  assert sorted(cells) == [
    f'{year}/{name}' for year in (2006, 2008) for name in names
  ]

  def task(name, seed=1):
    return cells[name].task(tmp_path / 'runs', seed, 1)

  later, first = task('2008/td3'), task('2006/td3')
  command = later.command(False)
  assert f'--config.data.panel={tmp_path}/panels/2008.parquet' in command
  assert '--config.data.holdout_days=252' in command
  assert '--config.seed=1' in command
  assert f'--start_from={first.run}' in command
  assert later.after == (first.key,)
  assert first.after == ()
  assert not any('start_from' in word for word in first.command(False))
  # It is another run than one that does not start so.
  alone = cells['2008/td3']._replace(start=None)
  assert alone.key(1) != later.key
  assert task('2008/boosting', 0).command(False)[2] == 'experiments.ranker'
  assert cells['2008/boosting'].seeds == (0,)
  mean = task('2008/committee', 0)
  assert mean.after == (task('2008/td3', 0).key, later.key)
  runs = f'{tmp_path}/runs/2008/td3/seed'
  assert f'--runs={runs}0,{runs}1' in mean.command(False)


def test_a_later_change_replaces_an_earlier_one(panel_file, tmp_path):
  config = make_config(panel_file)
  config.programs.td3 = ('agent.gamma=0.1', 'evaluation.random_entries=7')
  (cell, *_) = [x for x in cells_of(config, tmp_path) if x.program == 'td3']
  changes = [x for x in cell.changes if x.startswith('evaluation.random')]
  assert changes == ['evaluation.random_entries=7']


def finish_runs(cells, folder, ics, edges, leave_out=()):
  """Writes runs of an IC and an edge by program; returns their outcomes."""
  outcomes = {}
  for number, cell in enumerate(cells):
    name, policy = cell.name.rpartition('/')[2], 'agent'
    if cell.program in ('ranker', 'committee'):
      policy = cell.program
    outcomes[cell.name] = {}
    for seed in cell.seeds:
      if (cell.name, seed) in leave_out:
        continue
      run, at = cell.run(folder, seed), 10 * number + seed
      edge, commit = edges.get(name, 0.0), f'code{seed}'
      first = f'{cell.name.split("/")[-2]}-01-01'
      write_run(run, policy, at, edge, commit, first=first)
      write_measures(run, at, ics.get(name, 0.0))
      outcomes[cell.name][seed] = outcome(cell, folder, seed)
  return outcomes


def test_a_seed_that_orders_nothing_does_not_hide_the_others(
  panel_file, tmp_path
):
  config = make_config(panel_file)
  cells = cells_of(config, tmp_path)
  outcomes = finish_runs(cells, tmp_path / trials.RUNS, {'td3': 0.1}, {})
  folds_of = {year: outcomes[f'{year}/td3'] for year in config.years}
  before = joined.join(folds_of).daily['ic']
  one = folds_of[config.years[0]][0]
  values = np.array(one.measures['daily']['ic'], float)
  one.measures['daily']['ic'] = [None] * len(values)
  after = joined.join(folds_of).daily['ic']
  count = len(values)
  np.testing.assert_array_equal(np.isnan(after), np.isnan(before))
  np.testing.assert_allclose(after[:count], before[:count] - values / 2)
  np.testing.assert_array_equal(after[count:], before[count:])


def test_folds_that_overlap_are_refused(panel_file, tmp_path):
  config = make_config(panel_file)
  cells = cells_of(config, tmp_path)
  outcomes = finish_runs(cells, tmp_path / trials.RUNS, {}, {})
  first, second = (outcomes[f'{year}/td3'] for year in config.years)
  assert joined.join({1: first, 2: second}) is not None
  with pytest.raises(ValueError, match=r'years: found folds .* overlap'):
    joined.join({1: second, 2: first})


def test_results_are_of_all_folds_together(panel_file, tmp_path):
  config = make_config(panel_file)
  cells = cells_of(config, tmp_path)
  ics = {'committee': 0.05, 'boosting': 0.1}
  outcomes = finish_runs(
    cells, tmp_path / trials.RUNS, ics, {'committee': 0.002},
    leave_out=[('2008/ranker', 1)],
  )  # fmt: skip
  record.enter(tmp_path, config)
  text = study_main.write_results(config, tmp_path, cells, outcomes)
  results = json.loads((tmp_path / 'results.json').read_text())
  assert {*results['policies']} == {'boosting', 'ridge', 'td3', 'committee'}
  assert results['missing'] == {'2008/ranker': {'1': 'open'}}
  assert '\n2008/ranker: open seeds: 1\n' in text
  # Means of seeds, then of the days of all folds.
  found = results['policies']['td3']
  both = [
    np.mean([outcomes[f'{year}/td3'][s].returns for s in (0, 1)], axis=0)
    for year in (2006, 2008)
  ]
  returns = np.concatenate(both)
  daily = pd.read_csv(tmp_path / 'daily.csv')
  np.testing.assert_allclose(daily['td3'], returns)
  ic = np.concatenate(
    [
      np.mean(
        [
          np.array(outcomes[f'{year}/td3'][s].measures['daily']['ic'], float)
          for s in (0, 1)
        ],
        axis=0,
      )
      for year in (2006, 2008)
    ]
  )
  expected = regression.daily_mean(ic, 2)
  assert found['order']['ic']['mean'] == pytest.approx(expected.mean)
  assert found['order']['ic']['error'] == pytest.approx(expected.error)
  assert expected.days == found['order']['ic']['days'] == 118
  assert [x['days'] for x in found['by_year'].values()] == [59, 59]
  held = np.concatenate(
    [
      np.mean(
        [outcomes[f'{year}/td3'][s].daily['buy_and_hold'] for s in (0, 1)], 0
      )
      for year in (2006, 2008)
    ]
  )
  assert found['against']['equal_exposure']['mean'] == pytest.approx(
    252 * np.mean(returns - 0.5 * held)
  )
  # The committee has been given an edge, and an order of the stocks.
  assert results['main'] == 'committee'
  assert 'An edge was seen: from 2006 to 2008 the rank IC of committee' in text
  assert results['policies']['td3']['order_against']['boosting']['mean'] < -0.05
  # Without a log of one run's time the total is unknown, and not shown.
  page = tmp_path / 'results.html'
  times = page.read_text().count('minutes of training')
  seeds = outcomes['2006/td3']
  seeds[0] = seeds[0]._replace(facts={})
  study_main.write_results(config, tmp_path, cells, outcomes)
  results = json.loads((tmp_path / record.RESULTS).read_text())
  assert results['policies']['td3']['minutes'] is None
  assert results['policies']['boosting']['minutes'] > 0.0
  assert page.read_text().count('minutes of training') == times - 1 > 0
  assert study_page.verdict(results | {'preset': 'choice'}).startswith(
    'To choose by, and no evidence: an edge was seen: '
  )
  alpha = results['policies']['committee']['attribution']['alpha']
  assert f'momentum leave {100 * alpha:+.1f} % unexplained' in text
  for words in ('were looked at before', 'flatters reversal', 'survivors only'):
    assert words in text
  page = (tmp_path / 'results.html').read_text()
  assert page.count('<svg') == 4
  assert 'data:image' not in page
  assert 'would have been seen' in page
  assert 'code0, code1</code>: not all runs are of the same' in page
  assert 'ranker.model=boosting' in page


def test_what_luck_explains_is_called_so(panel_file, tmp_path):
  config = make_config(panel_file)
  cells = cells_of(config, tmp_path)
  outcomes = finish_runs(cells, tmp_path / trials.RUNS, {}, {})
  record.enter(tmp_path, config)
  text = study_main.write_results(config, tmp_path, cells, outcomes)
  assert 'Nothing was seen that luck does not explain' in text


def test_no_results_of_nothing(panel_file, tmp_path):
  config = make_config(panel_file)
  cells = cells_of(config, tmp_path)
  nothing = {cell.name: {} for cell in cells}
  record.enter(tmp_path, config)
  text = study_main.write_results(config, tmp_path, cells, nothing)
  assert text.startswith('no program has run on all years yet\nno run is done')
  assert not (tmp_path / record.RESULTS).exists()


def make_copies(t_planted, t_nothing):
  """Returns copies whose programs have about these t."""
  rng = np.random.default_rng(0)
  found = {}
  for kind, values in (('planted', t_planted), ('nothing', t_nothing)):
    for trial, t in enumerate(values):
      noise = rng.normal(0, 1, 400)
      daily = {'ic': t / 20 + noise - noise.mean()}
      one = joined.Joined(
        None, None, None, daily, {}, [{'horizon': 1}], 0.0, 1, 252
      )
      found[f'{kind}{trial}'] = {'ranker': one}
  return found


def test_a_planted_signal_is_found_by_the_limit_of_copies_without_one():
  copies = make_copies([2.0, 6.0, 7.0], [0.1, -3.0, 2.9, 0.2])
  found = planted.judge(copies, ['ranker'], 0.05)['ranker']
  t = np.array(found['nothing']['t'])
  assert found['limit'] == pytest.approx(1.645 * np.sqrt(np.mean(t**2)), 1e-3)
  assert found['planted']['found'] == 2
  # Judged by the others alone: 2.9 is below their limit of 2.85 or not.
  others = 1.645 * np.sqrt(np.mean(np.delete(t, 2) ** 2))
  assert found['nothing']['found'] == int(t[2] > others)
  assert found['nothing']['trials'] == 4
  # Luck does not make the limit smaller than the theory's.
  calm = planted.judge(make_copies([], [0.1, 0.1]), ['ranker'], 0.05)
  assert calm['ranker']['limit'] == 1.645


def test_a_program_that_never_ranks_stocks_finds_no_signal():
  copies = make_copies([9.0], [0.1, 0.2])
  copies['planted0']['ranker'].daily['ic'][:] = np.nan
  found = planted.judge(copies, ['ranker'], 0.05)['ranker']['planted']
  assert found == {'found': 0, 'trials': 1, 'ic': [None], 't': [0.0]}


def test_the_page_of_planted_signals(panel_file, tmp_path):
  config = make_config(panel_file)
  config.planted.trials, config.seeds, config.committee = 3, (0,), False
  panel, cells = MarketPanel.load(panel_file), []
  kinds = ('planted', 'nothing')
  for copy in [f'{kind}{i}' for i in range(3) for kind in kinds]:
    made = folds.make(config, tmp_path / 'panels' / copy, lambda: panel)
    cells += study_main.cells_of_copy(config, copy, made)
  assert '/panels/nothing2/2008.parquet' in ' '.join(cells[-1].changes)
  assert cells[-1].name.startswith('nothing2/2008/')
  names = {cell.name.rpartition('/')[2] for cell in cells}
  outcomes = {}
  for kind, ic in (('planted', 0.1), ('nothing', 0.0)):
    ours = [cell for cell in cells if cell.name.startswith(kind)]
    runs = tmp_path / trials.RUNS
    outcomes |= finish_runs(ours, runs, dict.fromkeys(names, ic), {})
  record.enter(tmp_path, config)
  text = study_main.write_results(config, tmp_path, cells, outcomes)
  found = json.loads((tmp_path / 'results.json').read_text())['planted']
  assert found['programs'].keys() == names
  for one in found['programs'].values():
    assert one['planted']['found'] == one['planted']['trials'] == 3
    assert one['nothing']['found'] <= 1
  assert 'A planted rank IC of 0.05: ' in text
  assert 'ridge finds it in 3 of 3 copies' in text
  assert 'days are resampled' in (tmp_path / 'results.html').read_text().lower()


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

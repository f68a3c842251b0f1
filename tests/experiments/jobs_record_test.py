"""Tests of experiments.jobs.record: a ladder's folder, without its runs."""

import json

import pytest
from finished_runs import outcome, write_run

from eigen3.files import write_json
from eigen3.runs import run_directory, trials
from experiments.configs import ladder
from experiments.jobs import archive, record
from experiments.ladder import __main__ as ladder_main

GAMMA = 'agent.gamma=0.9'


def make_config(**changes):
  config = ladder.get_config('smoke')
  config.update(changes)
  return config


def stored(folder):
  return run_directory.read_config(folder)


def start(folder, config):
  record.enter(folder, config)
  record.keep(folder, config)


def test_a_cell_s_changes_are_kept_before_it_runs(tmp_path):
  start(tmp_path, make_config())
  changed = make_config()
  changed.cells.drift_gamma.changes = (GAMMA,)
  start(tmp_path, changed)
  assert stored(tmp_path)['cells']['drift_gamma']['changes'] == [GAMMA]
  (tmp_path / trials.RUNS / 'drift_gamma').mkdir(parents=True)
  start(tmp_path, changed)  # the next start of what began with the change
  # With the settings of the folder's first day it would be another cell.
  with pytest.raises(
    ValueError, match=r'--config\.cells\.drift_gamma\.changes'
  ):
    record.enter(tmp_path, make_config())


def test_runs_of_code_that_came_to_other_results_stay_apart(
  tmp_path, monkeypatch
):
  start(tmp_path, make_config())
  before = archive.VERSION
  monkeypatch.setattr(archive, 'VERSION', before + 1)
  with pytest.raises(ValueError, match=f'--workdir: .*: found {before}, exp'):
    record.enter(tmp_path, make_config())


def test_a_new_setting_leaves_the_names_of_records(monkeypatch):
  settings = {'preset': 'small', 'agent': {'gamma': 0.0}}
  name = archive.key_of('td3', settings, '')
  monkeypatch.setattr(archive, 'NEW_SETTINGS', {'agent.new': 'as it was'})
  as_it_was = {'preset': 'small', 'agent': {'gamma': 0.0, 'new': 'as it was'}}
  assert archive.key_of('td3', as_it_was, '') == name
  assert as_it_was['agent']['new'] == 'as it was'
  changed = {'preset': 'small', 'agent': {'gamma': 0.0, 'new': 'otherwise'}}
  assert archive.key_of('td3', changed, '') != name


def test_seeds_are_only_added_and_that_is_reported(tmp_path):
  start(tmp_path, make_config(seeds=(0, 1)))
  start(tmp_path, make_config(seeds=(0, 1, 2)))
  with pytest.raises(ValueError, match=r'seeds: found .* may only be added'):
    record.enter(tmp_path, make_config(seeds=(0, 1)))
  asked = record.asked(tmp_path, make_config(seeds=(0, 1, 2)))
  assert asked['seeds'] == [0, 1, 2]
  assert asked['seeds_at_first'] == [0, 1]
  assert asked['goals']['share_of_momentum'] == 0.85
  assert asked['primary']['seeds'] == [100, 101]
  said = record.remarks(asked, [], {})
  assert said == ['seeds added to those it began with: 2']


def test_goals_stay_once_there_are_results(tmp_path):
  config = make_config()
  start(tmp_path, config)
  config.goals.p = 0.02
  start(tmp_path, config)
  write_json(tmp_path / record.RESULTS, {})
  record.enter(tmp_path, config)
  config.goals.p = 0.05
  with pytest.raises(ValueError, match=r'results\.json was written') as error:
    record.enter(tmp_path, config)
  assert str(error.value).startswith(
    '--config.goals.p: found 0.05, expected 0.02, as when'
  )


def test_goals_may_be_added_when_there_are_results(tmp_path):
  config = make_config()
  start(tmp_path, config)
  before = stored(tmp_path)
  del before['goals']['share_of_patient']
  write_json(tmp_path / 'config.json', before)
  write_json(tmp_path / record.RESULTS, {})
  start(tmp_path, config)
  assert stored(tmp_path)['goals']['share_of_patient'] == 0.8


def test_primary_comparisons_stay_once_there_are_results(tmp_path):
  config = make_config()
  start(tmp_path, config)
  config.primary.comparisons.ranker.margin = -0.05
  start(tmp_path, config)
  write_json(tmp_path / record.RESULTS, {})
  with config.unlocked():
    config.primary.comparisons.more = config.primary.comparisons.ranker
  with pytest.raises(ValueError, match=r'primary\.comparisons\.more.*written'):
    record.enter(tmp_path, config)
  # A folder from before there were any may name them.
  before = stored(tmp_path)
  del before['primary']
  write_json(tmp_path / 'config.json', before)
  record.enter(tmp_path, config)


def test_no_verdict_over_the_seeds_that_survived(tmp_path):
  config = make_config()
  config.primary.seeds = (100, 101, 102)
  start(tmp_path, config)
  cells = ladder_main.cells_of(config, tmp_path)
  outcomes = {cell.name: {} for cell in cells}
  (drift,) = [cell for cell in cells if cell.name == 'drift']
  runs = tmp_path / trials.RUNS
  for seed in (100, 101):
    write_run(drift.run(runs, seed), seed=seed)
    outcomes['drift'][seed] = outcome(drift, runs, seed)
  drift.run(runs, 102).with_name('seed102.failed').write_text('no memory')
  text = ladder_main.write_results(config, tmp_path, cells, outcomes)
  assert 'open: 2 of 3 seeds' in text
  assert '\ndrift: seed 102 failed: no memory\n' in text
  assert '\ndrift over ranker: open, seeds are missing\n' in text
  assert 'no run is done of: drift_108, ' in text
  told = json.loads((tmp_path / record.RESULTS).read_text())
  assert told['missing']['drift'] == {'102': 'no memory'}
  assert told['missing']['drift_108'] == dict.fromkeys('01', 'open')
  assert told['cells']['drift']['goal']['met'] is None
  assert told['primary']['comparisons']['ranker']['met'] is None
  assert 'ranker: leading over leading_ranker, above -4% a year' in text

"""Tests of experiments.run_titles."""

import json

import pytest

from experiments import run_titles
from experiments.configs import erl, td3


def make_run(folder, config):
  folder.mkdir()
  (folder / 'config.json').write_text(config.to_json())
  return folder


@pytest.fixture
def config():
  return td3.get_config('smoke')


def test_a_preset_as_it_is(config, tmp_path):
  config.seed = 3
  run = make_run(tmp_path / 'run', config)
  assert run_titles.changes(run) == {}
  assert run_titles.title([run]) == "TD3, preset smoke, market 'drift', seed 3"
  other = make_run(tmp_path / 'erl', erl.get_config('smoke+rl'))
  assert run_titles.title([other]).startswith('ERL, preset smoke+rl, market')


def test_what_differs_is_named(config, tmp_path):
  config.data.panel = 'prices/of mine.parquet'
  config.learner.iterations = 9
  config.agent.gamma = 0.5
  run = make_run(tmp_path / 'run', config)
  assert run_titles.changes(run) == {
    'agent.gamma': (0.0, 0.5),
    'learner.iterations': (4, 9),
  }
  config.seed = 1
  runs = [run, make_run(tmp_path / 'other', config)]
  assert run_titles.title(runs) == (
    'TD3, preset smoke with agent.gamma 0.5, learner.iterations 9, of '
    'mine.parquet, seeds 0, 1'
  )
  config.agent.tau = config.agent.weight_decay = 0.25
  many = make_run(tmp_path / 'many', config)
  assert 'agent.weight_decay 0.25, 1 more, of mine' in run_titles.title([many])


def test_settings_that_a_run_lacks_are_left_out(config, tmp_path):
  run = make_run(tmp_path / 'run', config)
  stored = json.loads((run / 'config.json').read_text())
  del stored['learner']['counterfactuals']
  (run / 'config.json').write_text(json.dumps(stored))
  assert run_titles.changes(run) == {}

"""Tests of experiments.ranker, run as its users run it."""

import json
import os
import pathlib

import numpy as np
import pandas as pd
import pytest

from experiments.configs import ranker, td3

CONFIG = pathlib.Path(ranker.__file__)


@pytest.mark.parametrize('preset', ['smoke', 'small+eigen2'])
def test_settings_are_the_agent_s_and_its_own(preset):
  config, agent = ranker.get_config(preset), td3.get_config(preset)
  assert config.is_locked
  for section in ('data', 'environment', 'networks', 'evaluation', 'learner'):
    assert config[section].to_dict() == agent[section].to_dict()
  assert config.to_json()


@pytest.mark.long
def test_a_run_leaves_what_it_earned(programs, tmp_path):
  folder = tmp_path / 'run'
  arguments = (
    f'--config={CONFIG}:smoke',
    '--config.ranker.windows=3200',
    '--cpu_devices=1',
  )
  run = programs.finish('ranker', *arguments, f'--workdir={folder}')
  assert run.returncode == 0, run.stderr
  assert sorted(os.listdir(folder)) == [
    'config.json', 'daily.csv', 'holdout.json', 'metrics.csv', 'run.json',
    'summary.json', 'trades.csv',
  ]  # fmt: skip
  summary = json.loads((folder / 'summary.json').read_text())
  names = {'ranker', 'random_entry', 'buy_and_hold', 'momentum', 'informed'}
  assert summary['holdout'].keys() == names == summary['validation'].keys()
  assert 0 < summary['windows_trained'] <= 3200
  # 4 iterations of 4 updates of 8 days, two critics and every second the actor.
  assert summary['windows_of_the_agent'] == 16 * 8 * 2 + 8 * 8
  assert summary['threshold_percent'] >= 0
  assert summary['holdout_openings'] == 1
  daily = pd.read_csv(folder / 'daily.csv')
  for split in ('validation', 'holdout'):
    for name in ('ranker', 'momentum'):
      returns = daily[daily['split'] == split][name]
      assert np.prod(1 + returns) - 1 == pytest.approx(
        summary[split][name]['profit'], abs=1e-8
      )
  again = programs.finish(
    'ranker', *arguments, '--holdout=no', f'--workdir={tmp_path}/again'
  )
  assert again.returncode == 0, again.stderr
  metrics = [
    (tmp_path / x / 'metrics.csv').read_text() for x in ('run', 'again')
  ]
  assert metrics[0] == metrics[1]
  assert 'holdout' not in json.loads(
    (tmp_path / 'again/summary.json').read_text()
  )
  refused = programs.finish('ranker', *arguments, f'--workdir={folder}')
  assert refused.returncode == 1
  assert refused.stderr.startswith('error: --workdir: found a run in')

"""Tests of experiments.erl, run as its users run it."""

import functools
import json
import os
import pathlib
import signal
import time

import jax
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from training_runs import GENERATIONS, num_logged

from experiments.configs import erl

CONFIG = pathlib.Path(erl.__file__)


@pytest.fixture(scope='session')
def start(programs):
  return functools.partial(programs.start, 'erl')


@pytest.fixture(scope='session')
def arguments(programs):
  return programs.arguments('erl')


@pytest.fixture(scope='session')
def whole(programs):
  """The uninterrupted run."""
  return programs.whole('erl')


def finish(process):
  stdout, stderr = process.communicate(timeout=550)
  return process.returncode, stdout, stderr


def kill_after(process, folder, logged):
  while num_logged(folder) <= logged:
    assert process.poll() is None, process.communicate()
    time.sleep(0.002)
  process.kill()
  process.communicate()
  assert process.returncode == -signal.SIGKILL


def state_of(folder):
  """Returns the newest checkpoint's arrays."""
  path = folder / 'checkpoints' / str(GENERATIONS) / 'state.npz'
  with np.load(path) as arrays:
    return dict(arrays)


@pytest.mark.long
def test_seeds_in_one_process_are_what_they_are_alone(
  whole, programs, arguments, tmp_path
):
  run = programs.finish(
    'erl', *arguments, '--seeds=1,0', '--profile=1', f'--workdir={tmp_path}'
  )
  assert run.returncode == 0, run.stderr
  for seed in (0, 1):
    line = f'generations traced: 1, in {tmp_path}/seed{seed}/profile; open'
    assert line in run.stdout
  for name in ('summary.json', 'members.csv', 'importance.csv'):
    found, expected = tmp_path / 'seed0' / name, whole.folder / name
    assert found.read_bytes() == expected.read_bytes(), name


def test_a_run_leaves_its_reports(whole):
  folder, stdout, stderr = whole
  assert 'Traceback' not in stderr
  assert sorted(os.listdir(folder)) == [
    'checkpoints',
    'config.json',
    'daily.csv',
    'holdout.json',
    'importance.csv',
    'importance.json',
    'importance.png',
    'members.csv',
    'metrics.csv',
    'population.png',
    'report.html',
    'report.png',
    'run.json',
    'summary.json',
    'tensorboard',
    'trades.csv',
  ]
  config = erl.get_config('smoke')
  size = config.evolution.population_size
  summary = json.loads((folder / 'summary.json').read_text())
  # Of the agent with the most: of those that descend from a champion which came
  # back, some generations are left out.
  each = config.learner.updates_per_generation
  assert summary['updates'] in range(each, GENERATIONS * each + 1, each)
  members = pd.read_csv(folder / 'members.csv')
  assert len(members) == GENERATIONS * size
  assert members['trades'].max() > 0
  assert summary['champion_score'] == pytest.approx(members['validation'].max())
  # Every member of every generation was a trial.
  ratios = members['validation_daily_sharpe']
  assert summary['trials']['trials'] == GENERATIONS * size
  assert summary['trials']['deviation'] == pytest.approx(ratios.std())
  assert 0.0 <= summary['trials']['probability'] <= 1.0
  importance = json.loads((folder / 'importance.json').read_text())
  assert importance['entropy'] > 0
  for name in ('report', 'population', 'importance'):
    picture = folder / f'{name}.png'
    assert picture.stat().st_size > 20_000
    assert matplotlib.image.imread(picture).std() > 0.05
  assert f'Generation {GENERATIONS}, the five best by validation' in stdout
  assert 'Held-out days' in stdout


@pytest.mark.long  # generations_test.py has the same within a process
def test_a_run_killed_twice_resumes_bit_for_bit(
  whole, start, arguments, tmp_path
):
  folder = tmp_path / 'run'
  kill_after(start(*arguments, f'--workdir={folder}'), folder, 2)
  resume = (*arguments, f'--workdir={folder}', '--resume')
  kill_after(start(*resume), folder, 5)
  assert not (folder / 'summary.json').exists()
  status, _, stderr = finish(start(*resume))
  assert status == 0, stderr
  for name in ('summary.json', 'trades.csv', 'members.csv', 'importance.csv'):
    one, other = (f / name for f in (folder, whole.folder))
    assert one.read_bytes() == other.read_bytes(), name
  leaves = jax.tree_util.tree_leaves_with_path(state_of(folder))
  others = jax.tree.leaves(state_of(whole.folder))
  assert len(leaves) > 100  # networks, optimisers, replay, evolution
  for (path, x), y in zip(leaves, others, strict=True):
    x, y = np.asarray(x), np.asarray(y)
    assert x.tobytes() == y.tobytes(), jax.tree_util.keystr(path)


@pytest.mark.parametrize(
  'flag, words',
  [
    ('evolution.population_size=1', 'evolution.population_size: found 1'),
    ('evolution.genetic.elite_share=1.5', 'evolution.genetic.elite_share: fou'),
    ('learner.fitness_worst=9', 'learner.fitness_worst: found 9'),
    ('data.validation_days=5', 'panel too short'),
    ('evolution.population_size=3', 'is a multiple of 2'),
  ],
)
def test_errors_are_one_line_and_leave_nothing(start, tmp_path, flag, words):
  status, _, stderr = finish(
    start(
      f'--config={CONFIG}:smoke',
      f'--config.{flag}',
      f'--workdir={tmp_path}/new',
      '--cpu_devices=2',
    )
  )
  assert status == 1
  lines = stderr.strip().splitlines()
  assert lines[-1].startswith('error: ')
  assert words in lines[-1]
  assert 'Traceback' not in stderr
  assert not (tmp_path / 'new').exists()

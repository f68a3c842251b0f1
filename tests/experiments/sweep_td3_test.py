"""Sweeps over the training programs themselves."""

import contextlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from eigen3.evaluation.sharpe import TrackRecord, deflate
from eigen3.runs import claims, trials
from experiments.configs import sweep

CONFIG = pathlib.Path(sweep.__file__)


def start(*arguments):
  return subprocess.Popen(
    [sys.executable, '-m', 'experiments.sweep', *map(str, arguments)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(process):
  stdout, stderr = process.communicate(timeout=550)
  return process.returncode, stdout, stderr


def num_logged(folder):
  with contextlib.suppress(FileNotFoundError):
    return (folder / 'metrics.csv').read_bytes().count(b'\n')
  return 0


@pytest.mark.long
def test_a_killed_sweep_of_td3_resumes(tmp_path):
  folder = tmp_path / 'sweep'
  arguments = (
    f'--config={CONFIG}:td3/smoke',
    f'--workdir={folder}',
    '--config.num_trials=5',
    '--config.method=random',
    '--config.pruner.name=hyperband',
    # Networks begin at the middle of the range: these trade at once.
    '--config.settings.environment.coefficient_threshold=0.5',
    '--config.settings.learner.iterations=8',
    '--config.settings.learner.evaluate_every=1',
    '--config.parameters.agent.gamma=(0.0, 0.5)',
  )
  process = start(*arguments)
  begin = time.monotonic()
  while num_logged(folder / 'runs/1/seed0') < 4:
    assert process.poll() is None, process.communicate()
    assert time.monotonic() - begin < 300
    time.sleep(0.01)
  process.kill()
  process.communicate()
  names = [path.stem for path in (folder / 'runs/claims').iterdir()]
  held = [claims.holders_of(folder / 'runs/claims' / name) for name in names]
  for holder in itertools.chain(*held):
    with contextlib.suppress(ProcessLookupError):
      os.kill(holder['process'], signal.SIGKILL)
  logged = pd.read_csv(folder / 'results.csv')
  status, stdout, stderr = finish(start(*arguments, '--resume'))
  assert status == 0, stderr
  assert 'Traceback' not in stderr
  table = pd.read_csv(folder / 'results.csv')
  assert table['number'].tolist() == [0, 1, 2, 3, 4]
  assert set(table['state']) <= {'complete', 'pruned'}
  # What ran before runs with the same settings after.
  fields = ['agent.actor_learning_rate', 'agent.critic_learning_rate']
  pd.testing.assert_frame_equal(table[fields].head(len(logged)), logged[fields])
  for row in table.itertuples():
    run = folder / row.folder / 'seed0'
    settings = json.loads((run / 'config.json').read_text())
    assert settings['agent']['gamma'] in (0.0, 0.5)
    assert settings['environment']['coefficient_threshold'] == 0.5
    metrics = pd.read_csv(run / 'metrics.csv')
    upto = metrics[metrics['iteration'] <= row.steps]
    assert upto['iteration'].tolist() == list(range(row.steps + 1))
    assert row.objective == pytest.approx(upto['validation_profit'].max())
    if row.state == 'complete':
      assert row.steps == 8
      assert 'holdout' not in json.loads((run / 'summary.json').read_text())
    assert 'Held-out' not in (run.with_suffix('.log')).read_text()
  assert 'again, with its held-out days' in stdout
  # Every validation of every trial's run, also of one that was stopped early.
  runs = trials.find([folder])
  assert len(runs) == 5
  validated = [pd.read_csv(run / 'metrics.csv') for run in runs]
  count = sum(len(t.dropna(subset=['validation_profit'])) for t in validated)
  found = deflate(trials.read([folder]), TrackRecord(0.1, 0.0, 3.0, 70))
  assert found.trials == count >= 5 * 2
  assert (folder / 'results.png').stat().st_size > 20_000


@pytest.mark.long
def test_a_sweep_of_a_population_over_two_seeds(tmp_path):
  folder = tmp_path / 'sweep'
  status, _, stderr = finish(
    start(
      f'--config={CONFIG}:erl/smoke',
      f'--workdir={folder}',
      '--config.num_trials=1',
      '--config.seeds=(0, 1)',
      '--config.objective=champion_score',
      '--config.settings.environment.coefficient_threshold=0.5',
      '--config.parameters.evolution.algorithm=("cross_entropy",)',
    )
  )
  assert status == 0, stderr
  table = pd.read_csv(folder / 'results.csv')
  assert table['state'].tolist() == ['complete']
  assert table['steps'].tolist() == [6]  # three generations each
  seeds = [f'objective_seed{seed}' for seed in (0, 1)]
  assert table['objective'][0] == pytest.approx(table[seeds].mean(axis=1)[0])
  for seed in (0, 1):
    run = folder / 'runs' / '0' / f'seed{seed}'
    settings = json.loads((run / 'config.json').read_text())
    assert settings['seed'] == seed
    assert settings['evolution']['algorithm'] == 'cross_entropy'
    scores = pd.read_csv(run / 'metrics.csv')['champion_score']
    assert table[f'objective_seed{seed}'][0] == pytest.approx(scores.max())

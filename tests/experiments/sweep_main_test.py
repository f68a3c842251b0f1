"""Tests of experiments.sweep, run as its users run it, over a tiny program."""

import contextlib
import csv
import itertools
import json
import os
import pathlib
import signal
import time

import forks
import matplotlib.image
import pandas as pd
import pytest

from eigen3.runs import claims
from experiments.configs import sweep

HERE = pathlib.Path(__file__).parent
CONFIG = pathlib.Path(sweep.__file__)
# Four values of gamma and two seeds, eight runs of six steps.
GRID = (
  f'--config={CONFIG}:smoke',
  '--config.method=grid',
  '--config.parameters.agent.actor_learning_rate=()',
  '--config.parameters.agent.critic_learning_rate=()',
  '--config.parameters.agent.gamma=(0.25, 0.5, 1.0, 0.75)',
  '--config.settings.learner.iterations=6',
  '--config.seeds=(0, 3)',
  '--config.pruner.name=none',
)


def start(*arguments, pause=0.0):
  """Starts a sweep; the tiny program pauses so many seconds a step."""
  return forks.start('-m', 'tiny_sweep', pause, *arguments, cwd=HERE)


def wait(process):
  """Returns its (exit status, stdout, stderr)."""
  return process.wait(), process.said('out'), process.said('err')


def run(*arguments, pause=0.0):
  return wait(start(*arguments, pause=pause))


def until(condition, seconds=60):
  begin = time.monotonic()
  while not condition():
    assert time.monotonic() - begin < seconds
    time.sleep(0.01)


def results(folder):
  with contextlib.suppress(FileNotFoundError):
    return pd.read_csv(folder / 'results.csv')
  return pd.DataFrame({'state': []})


def is_midway(folder):
  """Whether the third trial's first run, of six steps, has logged one."""
  with contextlib.suppress(FileNotFoundError):
    metrics = folder / 'runs/2/seed0/metrics.csv'
    return metrics.read_text().count('\n') >= 2
  return False


def claimed(folder):
  """Returns the running processes of each claim in the sweep that has any."""
  names = {path.stem for path in (folder / 'runs' / 'claims').iterdir()}
  found = {
    name: [
      holder['process']
      for holder in claims.holders_of(folder / 'runs' / 'claims' / name)
    ]
    for name in sorted(names)
  }
  return {name: processes for name, processes in found.items() if processes}


def holders(folder):
  """Returns the sweep's running processes, itself first."""
  return list(dict.fromkeys(itertools.chain(*claimed(folder).values())))


def send(number, processes):
  """Signals the processes that have not ended."""
  for process in processes:
    with contextlib.suppress(ProcessLookupError):
      os.kill(process, number)


def num_complete(folder):
  return results(folder)['state'].tolist().count('complete')


def most_at_once(folder):
  """Returns runs that overlapped in time, of those that were not stopped."""
  times = [json.loads(f.read_text()) for f in folder.rglob('summary.json')]
  return max(sum(b <= t <= e for b, e in times) for t, _ in times)


def assert_whole(folder):
  """Checks the results of GRID; each run was begun once."""
  table = results(folder)
  assert table['number'].tolist() == [0, 1, 2, 3]
  assert table['state'].tolist() == ['complete'] * 4
  assert table['agent.gamma'].tolist() == [0.25, 0.5, 1.0, 0.75]
  # Six steps; the mean of seeds 0 and 3.
  assert table['objective'].tolist() == [3.0, 4.5, 7.5, 6.0]
  assert table['objective_seed0'].tolist() == [1.5, 3.0, 6.0, 4.5]
  assert table['objective_seed3'].tolist() == [4.5, 6.0, 9.0, 7.5]
  assert table['best_step_seed3'].tolist() == [6, 6, 6, 6]
  assert table['steps'].tolist() == [12] * 4
  assert table['seconds'].tolist() == [18.0] * 4
  for number in range(4):
    for seed in (0, 3):
      run = folder / 'runs' / str(number)
      starts = (run / f'starts{seed}').read_text()
      assert starts.count('0') == 1, starts
      with (run / f'seed{seed}' / 'metrics.csv').open(newline='') as file:
        assert [row[0] for row in csv.reader(file)][1:] == list('123456')


def test_a_grid_over_two_seeds(tmp_path):
  folder = tmp_path / 'new' / 'sweep'
  status, stdout, stderr = run(*GRID, f'--workdir={folder}', pause=0.05)
  assert status == 0, stderr
  assert_whole(folder)
  assert most_at_once(folder) == 2
  assert sorted(os.listdir(folder)) == [
    'config.json',
    'journal.log',
    'overfitting.json',
    'results.csv',
    'results.png',
    'run.json',
    'runs',
  ]
  lines = stdout.splitlines()
  assert lines[0].split() == [
    *('trial', 'state', 'objective', 'gamma', 'steps', 'seconds'),
  ]
  assert [line.split()[:3] for line in lines[1:5]] == [
    ['2', 'complete', '+7.5'],
    ['3', 'complete', '+6'],
    ['1', 'complete', '+4.5'],
    ['0', 'complete', '+3'],
  ]
  assert 'overfitting: not enough data' in lines[5]  # no days
  written = 'results.csv, results.png, overfitting.json'
  assert lines[6] == f'written: {folder}/{written}'
  assert 'trial 2 again' in lines[7]
  assert '4/4' in stderr
  assert '0 running, 0 pruned, 0 failed' in stderr
  picture = matplotlib.image.imread(folder / 'results.png')
  assert picture.shape[1] == 1200
  assert picture.std() > 0.05
  # What is done is not run again.
  status, again, _ = run(*GRID, f'--workdir={folder}', '--resume', pause=0.05)
  assert (status, again) == (0, stdout)
  assert_whole(folder)


def test_a_killed_sweep_goes_on_where_it_was(tmp_path):
  folder = tmp_path / 'sweep'
  arguments = (*GRID, f'--workdir={folder}')
  process = start(*arguments, pause=0.1)
  until(lambda: is_midway(folder))
  process.kill()
  assert process.wait() == -signal.SIGKILL
  # Its runs are still there, and nobody may write where they write.
  left = holders(folder)
  assert left
  send(signal.SIGSTOP, left)
  # Those that have not ended in between, and not the claim on asking for a
  # trial, in case the sweep was killed there.
  stopped = claimed(folder).keys() - {'asking'}
  again = start(*arguments, '--resume')
  until(lambda: '0 running' in again.said('err'))  # and what others have
  assert num_complete(folder) == 4 - len(stopped)
  again.send_signal(signal.SIGINT)
  status, _, stderr = wait(again)
  assert status == 130
  assert 'Traceback' not in stderr
  for name in stopped:
    starts = [f.read_text() for f in (folder / 'runs' / name).glob('starts*')]
    assert {*starts} == {'0'}
  send(signal.SIGKILL, left)
  until(lambda: not holders(folder))
  assert num_complete(folder) < 4
  status, _, stderr = run(*arguments, '--resume')
  assert status == 0, stderr
  assert_whole(folder)
  assert any('1' in f.read_text() for f in folder.rglob('starts*'))


def test_another_process_joins(tmp_path):
  """Either process runs each trial once, and both print the same."""
  folder = tmp_path / 'sweep'
  arguments = (*GRID, f'--workdir={folder}', '--config.jobs=1')
  process = start(*arguments, pause=0.15)
  until(lambda: (folder / 'journal.log').exists())
  status, stdout, stderr = run(*arguments, '--resume', pause=0.15)
  assert status == 0, stderr
  assert wait(process)[:2] == (0, stdout)
  assert_whole(folder)
  assert {f.read_text() for f in folder.rglob('starts*')} == {'0'}
  assert most_at_once(folder) == 2
  assert not holders(folder)


def test_runs_that_ended_unseen_are_not_run_again(tmp_path):
  folder = tmp_path / 'sweep'
  arguments = (*GRID, f'--workdir={folder}')
  process = start(*arguments, pause=0.1)
  until(lambda: is_midway(folder))
  process.kill()
  process.wait()
  until(lambda: not holders(folder))
  status, _, stderr = run(*arguments, '--resume')
  assert status == 0, stderr
  assert_whole(folder)
  assert {f.read_text() for f in folder.rglob('starts*')} == {'0'}


def test_an_interrupt_lets_runs_save_and_leaves(tmp_path):
  folder = tmp_path / 'sweep'
  arguments = (*GRID, f'--workdir={folder}')
  process = start(*arguments, pause=0.2)
  until(lambda: is_midway(folder))
  # Out of reach of Ctrl-C on the sweep's terminal.
  assert all(os.getsid(run) == run for run in holders(folder)[1:])
  process.send_signal(signal.SIGINT)
  status, stdout, stderr = wait(process)
  assert status == 130
  assert 'saving after this iteration of each run' in stderr
  assert 'stopped; add --resume to continue' in stderr
  assert 'Traceback' not in stderr
  assert not holders(folder)
  assert 'running' in results(folder)['state'].tolist()
  assert ' complete ' in stdout  # what there is, is told
  last = max(folder.rglob('seed?.log'), key=lambda f: f.stat().st_size)
  assert last.read_text() == 'stopped; add --resume to continue\n'
  # More trials at once change nothing.
  status, _, stderr = run(*arguments, '--resume', '--config.jobs=3')
  assert status == 0, stderr
  assert_whole(folder)


def test_a_run_that_somebody_stops_has_not_failed(tmp_path):
  folder = tmp_path / 'sweep'
  arguments = (*GRID, f'--workdir={folder}')
  process = start(*arguments, pause=0.2)
  until(lambda: is_midway(folder))
  os.kill(holders(folder)[1], signal.SIGTERM)
  status, _, stderr = wait(process)
  assert status == 130
  assert '0 failed' in stderr
  assert sorted(results(folder)['state']) == ['complete'] * 3 + ['running']
  status, _, stderr = run(*arguments, '--resume')
  assert status == 0, stderr
  assert_whole(folder)


def test_failures_are_told_and_the_others_go_on(tmp_path):
  folder = tmp_path / 'sweep'
  fills = "--config.parameters.environment.fill=('close', 'next_open', 'limit')"
  arguments = (*GRID[:5], *GRID[5:6], GRID[7], fills, '--config.jobs=3')
  arguments = [s.replace('(0.25, 0.5, 1.0, 0.75)', '(0.5,)') for s in arguments]
  status, stdout, stderr = run(*arguments, f'--workdir={folder}')
  assert status == 1
  assert stderr.splitlines()[-1] == (
    'error: 2 of 3 trials failed: see the column reason of '
    f'{folder}/results.csv'
  )
  table = results(folder)
  assert table['state'].tolist() == ['failed', 'complete', 'failed']
  assert table['objective'].fillna(-1).tolist() == [-1, 3.0, 1.0]
  assert table['reason'].fillna('').tolist() == [
    'environment.fill: found close',
    '',
    'ended by SIGKILL, usually because memory was full; wrote nothing',
  ]
  assert 'trial 1 again' in stdout
  # That it failed is remembered.
  status, _, stderr = run(*arguments, f'--workdir={folder}', '--resume')
  assert status == 1
  assert 'error: 2 of 3 trials failed' in stderr


def test_a_worse_trial_is_stopped_early(tmp_path):
  folder = tmp_path / 'sweep'
  arguments = [
    *GRID[:4],
    '--config.parameters.agent.gamma=(1.0, 0.5, 2.0)',
    '--config.settings.learner.iterations=100',
    '--config.pruner.name=successive_halving',
    '--config.pruner.min_steps=2',
    '--config.jobs=1',
    f'--workdir={folder}',
  ]
  status, stdout, stderr = run(*arguments, pause=0.02)
  assert status == 0, stderr
  table = results(folder)
  assert table['state'].tolist() == ['complete', 'pruned', 'complete']
  assert table['objective'].tolist() == [100.0, 1.0, 200.0]
  assert table['steps'].tolist() == [100, 2, 100]
  assert table['reason'].fillna('').tolist() == ['', 'stopped after step 2', '']
  assert most_at_once(folder) == 1
  rows = (folder / 'runs/1/seed0/metrics.csv').read_text().count('\n') - 1
  assert 2 <= rows < 90  # it ended soon after
  assert not (folder / 'runs/1/seed0/summary.json').exists()
  assert stdout.splitlines()[3].split()[:3] == ['1', 'pruned', '+1']


def test_a_sweep_can_be_made_longer(tmp_path):
  folder = tmp_path / 'sweep'
  arguments = [
    *GRID[:1],
    '--config.method=random',
    '--config.num_trials=2',
    '--config.pruner.name=none',
    f'--workdir={folder}',
  ]
  assert run(*arguments)[0] == 0
  first = results(folder)
  more = [s.replace('num_trials=2', 'num_trials=5') for s in arguments]
  status, _, stderr = run(*more, '--resume')
  assert status == 0, stderr
  table = results(folder)
  pd.testing.assert_frame_equal(table.head(2), first)
  assert table['agent.actor_learning_rate'].nunique() == 5


@pytest.mark.parametrize('pruner', ['none', 'hyperband', 'median'])
def test_runs_of_one_step_need_no_other_setting(tmp_path, pruner):
  others = ('--config.pruner', '--config.seeds', '--config.settings')
  arguments = [s for s in GRID if not s.startswith(others)]
  status, _, stderr = run(
    *arguments,
    '--config.settings.learner.iterations=1',
    '--config.seeds=(0,)',
    f'--config.pruner.name={pruner}',
    f'--workdir={tmp_path}/short',
  )
  assert status == 0, stderr
  assert set(results(tmp_path / 'short')['state']) == {'complete'}


def test_errors_are_one_line_and_leave_nothing(tmp_path):
  done = tmp_path / 'done'
  assert run(*GRID, f'--workdir={done}')[0] == 0
  mine = tmp_path / 'mine'
  (mine / 'runs').mkdir(parents=True)
  other = tmp_path / 'run'
  other.mkdir()
  (other / 'config.json').write_text('{"preset": "smoke"}')
  smoke, new = f'--config={CONFIG}:smoke', f'--workdir={tmp_path}/new'
  cases = [
    (
      [smoke, new, '--config.parameters.agent.gama=(0.5,)'],
      '--config.parameters.agent.gama: found an unknown setting '
      "('gama' Did you mean",
    ),
    (
      [smoke, new, '--config.settings.agent.gama=0.5'],
      '--config.settings.agent.gama: found an unknown setting '
      "('gama' Did you mean",
    ),
    (
      [smoke, new, '--config.parameters.data.holdout_days=(50, 70)'],
      "found an unknown setting ('holdout_days'",
    ),
    (
      [smoke, new, '--config.parameters.agent.gamma=(0.5, "x")'],
      "parameters.agent.gamma: found 'x', expected a value of type float",
    ),
    (
      [smoke, new, '--config.parameters.learner.iterations=(4, 5)'],
      "pruner.name: found 'hyperband', expected 'none' if learner.iterations",
    ),
    ([smoke, new, '--config.method=best'], "sweep.method: found 'best', expec"),
    ([smoke, new, '--config.jobs=0'], 'sweep.jobs: found 0, expected at leas'),
    ([smoke, new, '--config.seeds=(1, 1)'], 'sweep.seeds: found (1, 1), expec'),
    ([smoke, new, '--config.seeds=(0.5,)'], 'sweep.seeds: found (0.5,), expec'),
    ([smoke, new, f'--config.seeds=({2**32},)'], 'sweep.seeds: found (4294967'),
    (
      [smoke, new, '--config.settings.networks.critic.sizes=(32.5, 16)'],
      'settings.networks.critic.sizes: found (32.5, 16), expected',
    ),
    (
      [smoke, new, '--config.settings.agent.gamma=nan'],
      'settings.agent.gamma: found nan, expected',
    ),
    ([smoke, new, f'--config.seed={2**64}'], 'sweep.seed: found 1844674407370'),
    (
      [smoke, new, '--config.pruner.min_steps=5'],
      'pruner.min_steps: found 5, expected at least 1 and at most 4, the steps',
    ),
    ([smoke, new, '--config.pruner.name=x'], "pruner.name: found 'x', expecte"),
    (
      [f'--config={CONFIG}:td4/small', new],
      "preset: found 'td4/small', expected PROGRAM/PRESET with PROGRAM one of ",
    ),
    ([smoke, new, 'stray'], "arguments: found 'stray'"),
    ([smoke, new, '--resume'], f'--workdir: found no run in {tmp_path}/new'),
    ([smoke, f'--workdir={mine}'], f'--workdir: found runs in {mine}, expecte'),
    ([*GRID, f'--workdir={done}'], f'--workdir: found a run in {done}, expec'),
    (
      [*GRID, f'--workdir={done}', '--resume', '--config.seed=1'],
      '--config.seed: found 1, expected 0, with which the run in',
    ),
    ([f'--workdir={other}', '--resume'], f': found a config.json in {other}'),
  ]  # fmt: skip
  before = contents(done)
  for arguments, expected in cases:
    status, stdout, stderr = run(*arguments)
    assert status == 1, (arguments, stderr)
    lines = [s for s in stderr.splitlines() if s.strip()]
    assert len(lines) == 1, (arguments, stderr)
    assert lines[0].startswith('error: '), arguments
    assert expected in lines[0]
    assert stdout == ''
  assert sorted(os.listdir(tmp_path)) == ['done', 'mine', 'run']
  assert contents(done) == before


def contents(folder):
  return {f: f.read_bytes() for f in folder.rglob('*') if f.is_file()}


def test_an_unknown_objective_ends_the_sweep(tmp_path):
  status, _, stderr = run(
    *GRID, f'--workdir={tmp_path}/new', '--config.objective=profit', pause=0.5
  )
  assert status == 1
  assert stderr.strip().splitlines()[-1] == (
    "error: objective: found 'profit', expected one of ['iteration', "
    "'seconds', 'validation_profit']"
  )
  assert not holders(tmp_path / 'new')

"""Tests of experiments.td3, run as its users run it."""

import contextlib
import functools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import time

import jax
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from training_runs import ITERATIONS, num_logged

from eigen3 import data
from eigen3.data import MarketPanel
from eigen3.runs.lock import Lock
from experiments.configs import erl, td3

CONFIG = pathlib.Path(td3.__file__)


@pytest.fixture(scope='session')
def start(programs):
  return functools.partial(programs.start, 'td3')


@pytest.fixture(scope='session')
def train(programs):
  return functools.partial(programs.finish, 'td3')


@pytest.fixture(scope='session')
def arguments(programs):
  return programs.arguments('td3')


@pytest.fixture(scope='session')
def whole(programs):
  """The uninterrupted run."""
  return programs.whole('td3')


@contextlib.contextmanager
def killed(
  start, arguments, folder, seconds=None, iterations=None, *more, **how
):
  """Starts a run; kills it after seconds or so many logged iterations."""
  process = start(*arguments, f'--workdir={folder}', *more, **how)
  begin = time.monotonic()
  while process.poll() is None and time.monotonic() - begin < 550:
    if iterations is None:
      due = time.monotonic() - begin >= seconds
    else:
      due = num_logged(folder) > iterations
    if due:
      process.kill()
      break
    time.sleep(0.002)
  process.wait()
  yield process


def state_of(folder):
  """Returns the newest checkpoint's arrays."""
  path = folder / 'checkpoints' / str(ITERATIONS) / 'state.npz'
  with np.load(path) as arrays:
    return dict(arrays)


def assert_equal_runs(folder, other):
  for name in ('summary.json', 'trades.csv'):
    assert (folder / name).read_bytes() == (other / name).read_bytes(), name
  tables = [
    pd.read_csv(f / 'metrics.csv', dtype=str).drop(columns='seconds')
    for f in (folder, other)
  ]
  pd.testing.assert_frame_equal(*tables)
  state, other_state = state_of(folder), state_of(other)
  leaves = jax.tree_util.tree_leaves_with_path(state)
  assert len(leaves) > 100  # networks, optimisers, replay
  for (path, x), y in zip(leaves, jax.tree.leaves(other_state), strict=True):
    x, y = np.asarray(x), np.asarray(y)
    assert x.tobytes() == y.tobytes(), jax.tree_util.keystr(path)


def test_a_run_leaves_its_report(whole, arguments):
  folder, stdout, stderr = whole
  assert sorted(os.listdir(folder)) == [
    'checkpoints',
    'config.json',
    'daily.csv',
    'holdout.json',
    'metrics.csv',
    'report.html',
    'report.png',
    'run.json',
    'summary.json',
    'tensorboard',
    'trades.csv',
  ]
  assert 'Traceback' not in stderr
  summary = json.loads((folder / 'summary.json').read_text())
  names = {'agent', 'random_entry', 'buy_and_hold', 'momentum', 'informed'}
  assert summary['holdout'].keys() == names
  assert summary['validation'].keys() == names
  config = td3.get_config('smoke')
  assert summary['updates'] == (
    ITERATIONS * config.learner.updates_per_iteration
  )
  assert 'seconds' not in json.dumps(summary)
  # Whoever knows the drift is ahead of whoever draws lots.
  profit = {k: v['profit'] for k, v in summary['holdout'].items()}
  assert profit['informed'] > profit['random_entry'] + 0.02
  trades = pd.read_csv(folder / 'trades.csv')
  assert len(trades) == summary['holdout']['agent']['trades'] > 0
  assert trades['net_profit'].sum() / 1e6 == pytest.approx(
    profit['agent'], abs=1e-5
  )
  metrics = pd.read_csv(folder / 'metrics.csv')
  assert metrics['iteration'].tolist() == list(range(ITERATIONS + 1))
  assert metrics['critic_loss'].iloc[1:].notna().all()
  best = metrics['validation_profit'].max()
  assert summary['champion_score'] == pytest.approx(best)
  # Every validation was a trial, that before the first iteration, too.
  ratios = metrics['validation_sharpe'].dropna() / 252**0.5
  assert summary['trials']['trials'] == len(ratios)
  assert len(ratios) == 1 + ITERATIONS // config.learner.evaluate_every
  assert summary['trials']['deviation'] == pytest.approx(ratios.std())
  assert summary['metrics']['holdout']['profit'] == pytest.approx(
    summary['holdout']['agent']['profit']
  )
  picture = folder / 'report.png'
  assert picture.stat().st_size > 20_000
  assert matplotlib.image.imread(picture).shape[:2] == (960, 1200)
  assert next((folder / 'tensorboard').iterdir()).stat().st_size > 1000
  assert json.loads((folder / 'run.json').read_text())['command'] == [
    *arguments,
    f'--workdir={folder}',
  ]
  # What is printed is what is written.
  assert 'Controls on the validation days:' in stdout
  assert 'Held-out days 2000-11-20 to ' in stdout
  line = next(s for s in stdout.splitlines() if s.startswith('agent '))
  assert f'{profit["agent"]:+.2%}' in line
  assert summary['data']['survivorship'] in stdout


@pytest.mark.long
@pytest.mark.parametrize('more', [(), ('--vary_market',)])
def test_seeds_in_one_process_are_what_they_are_alone(
  whole, train, arguments, tmp_path, more
):
  seeds = ('--seeds=1,0', '--nopage')
  run = train(*arguments, *seeds, f'--workdir={tmp_path}', *more)
  assert run.returncode == 0, run.stderr
  assert sorted(os.listdir(tmp_path)) == ['seed0', 'seed1']
  assert_equal_runs(tmp_path / 'seed0', whole.folder)
  first = json.loads((tmp_path / 'seed1/summary.json').read_text())
  assert first['seed'] == 1
  stored = json.loads((tmp_path / 'seed1/config.json').read_text())
  assert stored['data']['synthetic']['seed'] == len(more)


@pytest.mark.long
def test_seeds_go_on_where_they_were(whole, train, start, arguments, tmp_path):
  seeds = (*arguments, '--seeds=1,0', f'--workdir={tmp_path}')
  process = start(*seeds)
  while num_logged(tmp_path / 'seed0') < 5:
    assert process.poll() is None
    time.sleep(0.002)
  process.kill()
  process.communicate()
  before = contents(tmp_path / 'seed1')
  run = train(*seeds, '--resume')
  assert run.returncode == 0, run.stderr
  assert f'{tmp_path}/seed1: already done' in run.stdout
  assert contents(tmp_path / 'seed1') == before
  assert_equal_runs(tmp_path / 'seed0', whole.folder)


def test_a_killed_run_resumes_bit_for_bit(
  whole, start, train, arguments, programs, tmp_path
):
  """With the settings of its folder, except those that are given."""
  folder, compiled = tmp_path / 'run', tmp_path / 'compiled'
  shutil.copytree(programs.compiled, compiled)
  known = set(compiled.glob('jit__pure_iterate-*'))
  longer = (*arguments, '--config.learner.iterations=1000')
  logged = random.Random(0).randrange(5, ITERATIONS - 5)
  with killed(
    start, longer, folder, iterations=logged, compiled=compiled
  ) as process:
    assert process.returncode == -signal.SIGKILL
  assert logged < num_logged(folder) < ITERATIONS + 2
  assert not (folder / 'summary.json').exists()
  assert (folder / 'lock').exists()
  length = f'--config.learner.iterations={ITERATIONS}'
  run = train(
    *(f'--workdir={folder}', '--resume', length, '--profile=2'),
    compiled=compiled,
  )
  assert run.returncode == 0, run.stderr
  # A trace changes nothing but what is said.
  assert_equal_runs(folder, whole.folder)
  assert {*os.listdir(folder)} == {*os.listdir(whole.folder), 'profile'}
  assert len(list(folder.glob('profile/**/*.trace.json.gz'))) == 1
  assert f'iterations traced: 2, in {folder}/profile; open' in run.stdout
  numbers = re.search(
    r'iterations of (\S+) s .* and (\S+) GFLOP of .*: (\S+) GFLOP/s, '
    r'(\S+)% of the (\S+) GFLOP/s that',
    run.stdout,
  )
  seconds, work, rate, share, peak = map(float, numbers.groups())
  assert rate == pytest.approx(work / seconds, rel=0.01)
  assert share / 100 == pytest.approx(rate / peak, rel=0.05)
  assert not list(folder.rglob('*tmp*'))
  # Both ran the very program of the run that nothing interrupted.
  assert known
  assert set(compiled.glob('jit__pure_iterate-*-cache')) <= known


@pytest.mark.long
def test_a_run_killed_many_times_resumes_bit_for_bit(
  whole, start, train, arguments, tmp_path
):
  """At any moment: while it starts, trains, saves, or reports."""
  rng = random.Random(1)
  folder = tmp_path / 'run'
  begin = time.monotonic()
  control = train(*arguments, f'--workdir={tmp_path}/control')
  assert control.returncode == 0
  duration = time.monotonic() - begin
  for _ in range(8):
    resume = ['--resume'] if (folder / 'config.json').exists() else []
    seconds = duration * rng.uniform(0.2, 1.1)
    with killed(start, arguments, folder, seconds, None, *resume) as process:
      assert process.returncode in (0, -signal.SIGKILL)
  resume = ['--resume'] if (folder / 'config.json').exists() else []
  run = train(*arguments, f'--workdir={folder}', *resume)
  assert run.returncode == 0, run.stderr
  assert_equal_runs(folder, whole.folder)


@pytest.mark.long
def test_ctrl_c_saves_and_leaves(whole, start, train, arguments, tmp_path):
  folder = tmp_path / 'run'
  process = start(*arguments, f'--workdir={folder}')
  while num_logged(folder) < 4:
    assert process.poll() is None
    time.sleep(0.002)
  process.send_signal(signal.SIGINT)
  _, stderr = process.communicate(timeout=300)
  assert process.returncode == 130
  assert 'Traceback' not in stderr
  assert re.search(r'stopped after iteration \d+ of 30; add --resume', stderr)
  run = train(*arguments, f'--workdir={folder}', '--resume')
  assert run.returncode == 0, run.stderr
  assert_equal_runs(folder, whole.folder)


def test_a_loss_that_is_not_finite_is_one_line(train, arguments, tmp_path):
  """Prices so different that no return fits into a float."""
  config = td3.get_config('smoke')
  panel = data.synthetic_market(config.data.synthetic).panel
  ohlc = panel.ohlc.copy()
  stop = data.split_days(panel.num_days, config.data).train[1]
  ohlc[:stop:2], ohlc[1:stop:2] = 1e-30, 1e30
  file = tmp_path / 'panel.parquet'
  MarketPanel(
    dates=panel.dates,
    columns=panel.columns,
    ohlc=ohlc,
    features=panel.features,
    investable=panel.investable,
  ).save(file)
  folder = tmp_path / 'run'
  run = train(
    *arguments,
    '--workdir=run',
    '--config.data.panel=panel.parquet',
    cwd=tmp_path,
  )
  assert run.returncode == 1
  assert 'Traceback' not in run.stderr
  last = run.stderr.strip().splitlines()[-1]
  assert re.match(r'error: critic_loss: found (nan|inf) in update \d+ of', last)
  assert last.endswith('the run stopped and keeps its last checkpoint')
  # The state before it is still there, and no report of what failed.
  assert os.listdir(folder / 'checkpoints') == ['0']
  assert not (folder / 'summary.json').exists()
  # From whatever folder it is resumed, it finds its panel.
  config = json.loads((folder / 'config.json').read_text())
  assert config['data']['panel'] == str(file)
  about = json.loads((folder / 'run.json').read_text())['data']
  assert about['panel_from_here'] == '../panel.parquet'


def test_errors_are_one_line_and_leave_nothing(
  whole, train, arguments, tmp_path
):
  config = td3.get_config('smoke')
  config.data.synthetic.num_days = 40
  short = tmp_path / 'short.parquet'
  data.synthetic_market(config.data.synthetic).panel.save(short)
  (tmp_path / 'text.parquet').write_text('not a panel')
  config = td3.get_config('smoke')
  config.data.synthetic.seed = 1
  others = tmp_path / 'others.parquet'
  data.synthetic_market(config.data.synthetic).panel.save(others)
  (tmp_path / 'empty').mkdir()
  gone = tmp_path / 'gone.parquet'
  moved = begun(whole.folder, tmp_path / 'moved', panel=str(gone))
  held = begun(whole.folder, tmp_path / 'held')
  (tmp_path / 'held_empty').mkdir()
  in_use = f'found it in use by process {os.getpid()} on '
  mine = tmp_path / 'mine'
  (mine / 'tensorboard').mkdir(parents=True)
  (mine / 'tensorboard' / 'events').write_text('of another program')
  population = tmp_path / 'population'
  population.mkdir()
  (population / 'config.json').write_text(erl.get_config('smoke').to_json())
  several = tmp_path / 'several'
  several.mkdir()
  done = begun(whole.folder, several / 'seed0', validation_days=10_000)
  (done / 'summary.json').touch()
  new, run = f'--workdir={tmp_path}/new', f'--workdir={whole.folder}'
  smoke = f'--config={CONFIG}:smoke'
  cases = [
    (
      [smoke, new, '--config.data.panel=/absent/p.parquet'],
      '/absent/p.parquet',
    ),
    (
      [smoke, new, f'--config.data.panel={tmp_path}/text.parquet'],
      'text.parquet',
    ),
    ([smoke, new, f'--config.data.panel={short}'], 'panel: found 40 days'),
    (
      [
        smoke,
        new,
        f'--config.data.panel={short}',
        '--config.data.validation_days=10',
        '--config.data.holdout_days=10',
      ],
      'too short',
    ),
    (
      [smoke, new, '--config.learner.iteratoins=3'],
      '--config.learner.iteratoins: found an unknown setting '
      '(\'iteratoins\' Did you mean "iterations"',
    ),
    (
      [new, '--config.agent.gama=0.5'],  # without --config
      "--config.agent.gama: found an unknown setting ('gama' Did you mean "
      '"gamma"',
    ),
    (
      [smoke, new, '--config.learner.iterations=many'],
      "invalid literal for int() with base 10: 'many'",
    ),
    ([smoke, new, '--config.agent.gamma=2.0'], 'gamma: found 2.0'),
    (
      [smoke, new, '--config.learner.evaluate_every=0'],
      'learner.evaluate_every: found 0, expected at least 1',
    ),
    (
      [smoke, new, '--config.networks.critic.ensemble=0'],
      'networks.critic.ensemble: found 0, expected at least 1',
    ),
    (
      [smoke, new, '--config.evaluation.momentum_days=0'],
      'evaluation.momentum_days: found 0, expected at least 1',
    ),
    (
      [smoke, new, '--config.environment.max_sale_target=10.0'],
      'environment.max_sale_target: found 10.0, expected above',
    ),
    ([smoke, new, '--config.environment.fill=never'], "fill: found 'never'"),
    ([f'--config={CONFIG}:tiny', new], "preset: found 'tiny', expected one of"),
    ([f'--config={tmp_path}/none.py', new], 'none.py'),
    ([smoke, new, '--seeds=0,0'], "--seeds: found '0,0', expected one or "),
    ([smoke, new, '--seeds=a'], "--seeds: found 'a', expected one or m"),
    ([smoke, new, '--vary_market'], '--vary_market: found True, expected Fa'),
    (
      [smoke, new, '--profile=4'],
      '--profile: found 4, expected 1 to 3: learner.iterations without the f',
    ),
    ([smoke], 'Flag --workdir must have a value'),
    ([smoke, new, 'stray'], "arguments: found 'stray'"),
    (
      [smoke, new, '--coordinator=127.0.0.1:1234'],
      '--coordinator: found 127.0.0.1:1234, --num_processes: None, '
      '--process_id: None, expected all three or none',
    ),
    (
      [smoke, new, '--num_processes=2', '--process_id=0'],
      '--coordinator: found None, --num_processes: 2, ',
    ),
    (
      [smoke, new, '--coordinator=auto', '--process_id=0'],
      '--coordinator: found auto with --num_processes or --process_id, ',
    ),
    (
      [smoke, new, '--coordinator=auto'],
      '--coordinator: found auto where JAX detects no cluster, expected',
    ),
    (
      [smoke, new, '--coordinator=h', '--num_processes=2', '--process_id=1'],
      "--coordinator: found 'h', expected HOST:PORT or auto",
    ),
    (
      [smoke, new, '--coordinator=h:1', '--num_processes=2', '--process_id=2'],
      '--process_id: found 2, expected less than --num_processes (2)',
    ),
    ([*arguments, run], f'--workdir: found a run in {whole.folder}'),
    ([smoke, f'--workdir={mine}'], f'found tensorboard in {mine}'),
    ([smoke, new, '--resume'], f'--workdir: found no run in {tmp_path}/new'),
    (
      [*arguments, run, '--resume', '--config.agent.batch_size=4'],
      '--config.agent.batch_size: found 4, expected 8',
    ),
    # Without --config, the settings are those of the run.
    ([new, '--resume'], f'--workdir: found no run in {tmp_path}/new'),
    (
      [f'--workdir={tmp_path}/empty', '--resume'],
      f'--workdir: found no run in {tmp_path}/empty',
    ),
    (
      [f'--workdir={tmp_path}/empty', '--resume', '--seeds=0'],
      f'--workdir: found no run in {tmp_path}/empty/seed0',
    ),
    (
      [run, '--resume', '--config.agent.batch_size=4'],
      '--config.agent.batch_size: found 4, expected 8',
    ),
    (
      [run, '--resume', f'--config.data.panel={others}'],
      '--config.data.panel: found data with hash ',
    ),
    (
      [f'--workdir={moved}', '--resume'],
      f'--config.data.panel: found no file {gone}, expected the panel of the '
      f'run or sweep in {moved}; give its present path with '
      '--config.data.panel',
    ),
    (
      [f'--workdir={population}', '--resume'],
      f'--workdir={population}: found settings with evolution, expected',
    ),
    (
      [f'--workdir={population}', '--resume', '--config.learner.iterations=9'],
      f'--workdir={population}: found settings with evolution, expected',
    ),
    ([smoke, '--workdir='], 'flag --workdir=: found no path, expected at'),
    ([smoke, '--config', 'small', new], ':smoke and --config small, expected'),
    (
      [f'--workdir={several}', '--seeds=0', '--resume', '--config.agent.tau=1'],
      '--config.agent.tau: found 1.0, expected 0.005, with which the run in',
    ),
    # A seed that has not begun is one of the same settings.
    (
      [f'--workdir={several}', '--seeds=1,0', '--resume'],
      'panel: found 300 days, expected more than 10070: 10000 for validation',
    ),
    ([f'--workdir={held}', '--resume'], f'{held}: {in_use}'),
    ([*arguments, f'--workdir={held}', '--resume'], f'{held}: {in_use}'),
    ([smoke, f'--workdir={tmp_path}/held_empty'], f'_empty: {in_use}'),
  ]
  locks = [Lock(held), Lock(tmp_path / 'held_empty')]
  before, before_held = contents(whole.folder), contents(held)
  for given, expected in cases:
    run = train(*given)
    assert run.returncode == 1, (given, run.stderr)
    lines = [s for s in run.stderr.splitlines() if s.strip()]
    assert len(lines) == 1, (given, run.stderr)
    assert lines[0].startswith('error: '), given
    assert expected in lines[0]
    assert run.stdout == '', given
  assert (mine / 'tensorboard' / 'events').exists()
  assert os.listdir(mine) == ['tensorboard']
  assert sorted(os.listdir(tmp_path)) == [
    'empty',
    'held',
    'held_empty',
    'mine',
    'moved',
    'others.parquet',
    'population',
    'several',
    'short.parquet',
    'text.parquet',
  ]
  assert os.listdir(tmp_path / 'empty') == []
  assert os.listdir(tmp_path / 'held_empty') == ['lock']
  assert sorted(os.listdir(moved)) == ['config.json', 'run.json']
  assert contents(whole.folder) == before
  assert contents(held) == before_held
  for lock in locks:
    lock.close()


def begun(run, folder, **settings):
  """Makes a run's folder before training, with other settings of data."""
  folder.mkdir()
  shutil.copy(run / 'run.json', folder)
  config = json.loads((run / 'config.json').read_text())
  config['data'] |= settings
  (folder / 'config.json').write_text(json.dumps(config))
  return folder


def contents(folder):
  return {f: f.read_bytes() for f in folder.rglob('*') if f.is_file()}

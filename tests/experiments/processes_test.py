"""Tests of experiments.processes and of how a main of several ends.

What its flags refuse is with the other errors, in td3_main_test.py.
"""

import json
import os
import pathlib
import signal
import time

import pandas as pd
import pytest
import several_processes
import xla_flags

from experiments.configs import erl, td3

MAIN = """
import sys
from eigen3 import parallel
from experiments import mains, processes

this, fails = map(int, sys.argv.pop().split())

def main(argv):
  processes.join()
  asked = [
    parallel.is_first_process(),
    parallel.agree(False),
    parallel.agree(this == 1),
    parallel.is_same_everywhere('the same'),
    parallel.is_same_everywhere(f'process {this}'),
  ]
  print(asked, flush=True)
  if this == fails:
    raise FileNotFoundError(2, 'No such file or directory', 'panel.parquet')
  parallel.wait_for_all()

mains.run(main)
"""

# Between CPUs, JAX waits 30 seconds for a device that it meets the first time.
LATE = """
import sys, time
import jax, numpy as np
from eigen3 import parallel
from experiments import mains, processes

this = int(sys.argv.pop())

def main(argv):
  processes.join()
  mesh = parallel.make_mesh(devices_per_agent=1)
  time.sleep(40 * this)
  own = jax.make_array_from_callback(
    (4,), parallel.along_population(mesh), lambda index: np.arange(4)[index]
  )
  print(parallel.to_host(own).tolist(), flush=True)

mains.run(main)
"""


@pytest.mark.parametrize('fails', [0, 1])
def test_none_waits_for_one_that_failed(fails):
  begin = time.monotonic()
  ended = several_processes.finish(
    several_processes.start(
      2,
      lambda address, this: (
        '-c',
        MAIN,
        *flags_of(address, this),
        f'{this} {fails}',
      ),
    )
  )
  for this, (_, stdout, _) in enumerate(ended):
    assert f'{[this == 0, False, True, True, False]}\n' in stdout
  status, _, stderr = ended[fails]
  assert status == 1
  assert stderr.splitlines()[-1] == (
    'error: panel.parquet: No such file or directory'
  )
  assert 'Traceback' not in stderr
  status, _, stderr = ended[1 - fails]
  assert status != 0
  # JAX ends a process that misses the first one, whatever it was doing.
  assert 'error: found that another process of this run has ended (' in (
    stderr
  ) or (fails == 0 and 'another task died' in stderr)
  assert time.monotonic() - begin < 90  # JAX alone would take two minutes


@pytest.mark.long
def test_a_process_may_be_late():
  ended = several_processes.finish(
    several_processes.start(
      2, lambda address, this: ('-c', LATE, *flags_of(address, this), this)
    )
  )
  for status, stdout, stderr in ended:
    assert status == 0, stderr
    assert '[0, 1, 2, 3]\n' in stdout


def flags_of(address, this):
  return (
    '--cpu_devices=2',
    f'--coordinator={address}',
    '--num_processes=2',
    f'--process_id={this}',
  )


SMALLEST = (
  '--config.data.synthetic.num_columns=4',
  '--config.data.synthetic.num_context=1',
  '--config.data.synthetic.num_stocks=3',
  '--config.environment.context_days=4',
  '--config.environment.coefficient_threshold=0.5',
  '--config.networks.critic.ensemble=1',
  '--config.agent.batch_size=3',
)
ERL = (
  '--config.evolution.population_size=4',
  '--config.evolution.genetic.elite_share=0.5',
  '--config.learner.fitness_slices=1',
  '--config.learner.validation_slices=1',
  '--config.learner.generations=6',
)


def start(name, count, folder, *arguments):
  """A training program on four devices, as its users start it."""
  config = {'erl': erl, 'td3': td3}[name].__file__
  return several_processes.start(
    count,
    lambda address, this: (
      '-m',
      f'experiments.{name}',
      f'--config={config}:smoke',
      f'--workdir={folder}',
      *SMALLEST,
      *arguments,
      *(flags_of(address, this) if count > 1 else ['--cpu_devices=4']),
    ),
    # Long as they are, these compile far more than they compute.
    XLA_FLAGS=xla_flags.quick(),
    JAX_COMPILATION_CACHE_DIR=str(folder.parent / 'compiled'),
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0.5',
  )


def finish(processes):
  ended = several_processes.finish(processes)
  for status, _, stderr in ended:
    assert status == 0, stderr
    assert 'Traceback' not in stderr
  return [stdout for _, stdout, _ in ended]


def assert_equal_tables(folder, name, tolerance):
  several, one = (
    pd.read_csv(folder / run / name) for run in ('several', 'one')
  )
  pd.testing.assert_frame_equal(
    several.drop(columns='seconds', errors='ignore'),
    one.drop(columns='seconds', errors='ignore'),
    rtol=tolerance,
    atol=tolerance,
  )


def champion_of(folder):
  summary = json.loads((folder / 'summary.json').read_text())
  return {k: v for k, v in summary.items() if k.startswith('champion')}


@pytest.mark.long
def test_erl_in_two_processes(tmp_path):
  """An interrupt of the last stops both; resumed, they equal a single one."""
  folder = tmp_path / 'several'
  processes = start('erl', 2, folder, *ERL)
  while not (folder / 'metrics.csv').exists() or (
    len((folder / 'metrics.csv').read_text().splitlines()) < 3
  ):
    assert all(process.poll() is None for process in processes)
    time.sleep(0.05)
  processes[1].send_signal(signal.SIGINT)
  for status, _, stderr in several_processes.finish(processes):
    assert status == 130, stderr
    assert 'Traceback' not in stderr
    assert 'add --resume to continue' in stderr
  assert not (folder / 'summary.json').exists()
  stdouts = finish(start('erl', 2, folder, *ERL, '--resume'))
  assert 'Held-out days' in stdouts[0]
  assert 'Held-out days' not in stdouts[1]

  finish(start('erl', 1, tmp_path / 'one', *ERL))
  assert sorted(os.listdir(folder)) == sorted(os.listdir(tmp_path / 'one'))
  for name in ('metrics.csv', 'members.csv', 'importance.csv', 'trades.csv'):
    assert_equal_tables(tmp_path, name, 1e-5)
  assert champion_of(folder) == champion_of(tmp_path / 'one')
  # What several saved, one reports on, whose devices share an agent.
  (folder / 'summary.json').unlink()
  more = '--config.evolution.devices_per_agent=2'
  finish(start('erl', 1, folder, *ERL, '--resume', more))
  assert champion_of(folder) == champion_of(tmp_path / 'one')


@pytest.mark.long
def test_td3_in_two_processes(tmp_path):
  finish(start('td3', 2, tmp_path / 'several'))
  finish(start('td3', 1, tmp_path / 'one'))
  assert_equal_tables(tmp_path, 'metrics.csv', 1e-3)


@pytest.mark.long
def test_processes_of_other_settings_are_refused(tmp_path):
  config = pathlib.Path(td3.__file__)
  ended = several_processes.finish(
    several_processes.start(
      2,
      lambda address, this: (
        '-m',
        'experiments.td3',
        f'--config={config}:smoke',
        f'--config.seed={this}',
        f'--workdir={tmp_path}/new',
        *flags_of(address, this),
      ),
    )
  )
  for status, _, stderr in ended:
    assert status == 1
    assert stderr.splitlines()[-1] == (
      'error: --config: found other settings, other data or other values for '
      "'auto' in another process, expected the same in all processes of a run"
    )
  assert not (tmp_path / 'new').exists()

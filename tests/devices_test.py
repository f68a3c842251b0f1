"""Tests of what needs several devices, or a process that has none yet.

How many devices a CPU is split into is settled by a process's first
computation, so each test runs in a process of its own. What tests/devices
holds is a pytest file each, for a CPU of a few devices in double precision:

  JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=3 JAX_ENABLE_X64=1 \
    python -m pytest tests/devices/blocks_checks.py
"""

import os
import subprocess
import sys

import forks
import pytest
import several_processes

# How many devices each is for.
CHECKS = {'blocks': 3, 'learner': 3, 'networks': 3, 'population': 8}

# Each takes a minute and more.
LONG = ('networks', 'population')

IMPORTS = """
import importlib, pkgutil
import eigen3, jax

split = jax.config.jax_num_cpu_devices
modules = {m.name for m in pkgutil.walk_packages(eigen3.__path__, 'eigen3.')}
assert {'eigen3.parallel', 'eigen3.networks.recurrent'} < modules
for name in modules | {'experiments.td3'}:
  importlib.import_module(name)
assert jax.config.jax_num_cpu_devices == split
jax.config.update('jax_num_cpu_devices', 2)  # raises where a backend is there
assert jax.device_count() == 2
"""

# On a machine of which five cores may be used.
MAIN = """
import os
import jax
from experiments import mains

os.sched_getaffinity = lambda process: {0, 2, 3, 5, 7}
mains.run(lambda argv: print(jax.device_count()))
"""


# Compiled steps of all learners, for four devices of what is not at hand.
LOWER = """
import jax
import jax.numpy as jnp
from experiments import wiring
from experiments.configs import erl, ranker, td3


def config_of(module):
  config = module.get_config('smoke')
  synthetic = config.data.synthetic
  synthetic.num_columns, synthetic.num_context, synthetic.num_stocks = 8, 1, 6
  config.networks.compute_dtype = 'bfloat16'
  together = 'evolution' not in config
  config.networks.lstm_directions = 'together' if together else 'apart'
  if 'evolution' in config:
    config.evolution.population_size = 8
  return config


def lower(function, *arguments):
  traced = function.trace(*arguments)
  for platform in ('cuda', 'tpu'):
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert 'num_partitions = 4' in text and 'bf16' in text, platform


one = wiring.build(config_of(td3)).learner
state, world = one.abstract_state(), (one._environment, one._market)
lower(one._iterate, world, state)
lower(one._greedy, state.agent, one._market, jnp.arange(4))
several = wiring.build_population(config_of(erl)).learner
lower(several._iterate, several._world, several.abstract_state())
fitted = wiring.build_ranker(config_of(ranker)).learner
state = jax.eval_shape(fitted._init, jax.random.PRNGKey(0), fitted._market)
lower(fitted._update, state, fitted._market, fitted._training, jnp.zeros(1))
"""


def run(*arguments, **environment):
  """Runs Python on this checkout, on a CPU that nothing else has split."""
  return forks.run(*arguments, **several_processes.AS_USERS | environment)


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=pytest.mark.long if name in LONG else ())
    for name in CHECKS
  ],
)
def test_on_several_devices(name):
  done = run(
    *('-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-m', ''),
    f'tests/devices/{name}_checks.py',
    JAX_NUM_CPU_DEVICES=str(CHECKS[name]),
    JAX_ENABLE_X64='1',
  )
  assert done.returncode == 0, done.stdout + done.stderr


def test_no_checks_are_forgotten():
  files = (forks.ROOT / 'tests/devices').glob('*.py')
  assert sorted(f.name for f in files) == [f'{c}_checks.py' for c in CHECKS]


def test_imports_leave_the_devices_alone():
  done = subprocess.run(
    [sys.executable, '-c', IMPORTS],
    env=os.environ | several_processes.AS_USERS,
    cwd=forks.ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
  'arguments, environment, devices',
  [
    ([], {}, 5),
    (['--cpu_devices=3'], {}, 3),
    (['--cpu_devices=0'], {'JAX_NUM_CPU_DEVICES': '2'}, 2),
    (['--cpu_devices=3'], {'JAX_NUM_CPU_DEVICES': '2'}, 3),
  ],
)
def test_a_main_splits_the_cpu(arguments, environment, devices):
  done = run('-c', MAIN, *arguments, **environment)
  assert done.returncode == 0, done.stderr
  assert done.stdout == f'{devices}\n'


def test_a_main_refuses_less_than_no_device():
  done = run('-c', MAIN, '--cpu_devices=-1')
  assert done.returncode == 1
  assert done.stdout == ''
  assert done.stderr.startswith('error: flag --cpu_devices=-1: -1 is not ')
  assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.long
def test_all_steps_lower_for_gpus_and_tpus():
  """Which is all that can be seen without them."""
  done = run('-c', LOWER, JAX_NUM_CPU_DEVICES='4')
  assert done.returncode == 0, done.stderr

"""Fixtures shared by all tests."""

import os
import pathlib

import pytest
import xla_flags

from experiments import caches

# Tests compile far more than they compute. With little optimisation they take
# a third of the time; values agree to rounding. An XLA_FLAGS that is set
# already, even to nothing, is kept.
if 'XLA_FLAGS' not in os.environ:
  os.environ['XLA_FLAGS'] = xla_flags.quick()

# Workers and runs share what they compile, and so does the next run of tests.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', caches.folder('tests'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')
# So that an entry's name does not depend on the folder.
os.environ.setdefault('JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES', 'none')

# Source lines in lowered programs, which take time and which no test reads.
os.environ.setdefault('JAX_TRACEBACK_IN_LOCATIONS_LIMIT', '0')

# With Shardy a fifth of the compilation is its passes, though one device has
# nothing to partition. Tests of several devices keep what users run.
os.environ.setdefault('JAX_USE_SHARDY_PARTITIONER', '0')

# The files that take longest: none of them may be left to the end.
SLOWEST = (
  'td3_main_test.py',
  'erl_main_test.py',
  'devices_test.py',
  'sweep_main_test.py',
  'recurrent_test.py',
  'population_test.py',
  'evaluate_test.py',
  'act_test.py',
  'jobs_pool_test.py',
  'jobs_shared_test.py',
  'benchmark_test.py',
  'report_main_test.py',
)

ROOT = pathlib.Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items):
  ranks = {name: rank for rank, name in enumerate(SLOWEST)}
  items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture(scope='session')
def shared_dir() -> pathlib.Path:
  """The folder of reference results and market data beside the checkout.

  It is not part of the project: tests that need it skip where it is absent,
  unless EIGEN3_REQUIRE_SHARED is set, which turns the skip into a failure.
  """
  folder = ROOT.parent / 'shared'
  if folder.is_dir():
    return folder
  if os.environ.get('EIGEN3_REQUIRE_SHARED'):
    pytest.fail(f'EIGEN3_REQUIRE_SHARED is set, but {folder} is absent')
  pytest.skip(f'needs the reference files in {folder}, which is absent')

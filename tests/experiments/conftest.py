"""Fixtures of the tests that run programs."""

import os

import pytest
import training_runs


@pytest.fixture(scope='session')
def programs(tmp_path_factory):
  """Shared by all workers of this session."""
  folder = tmp_path_factory.getbasetemp()
  if 'PYTEST_XDIST_WORKER' in os.environ:
    folder = folder.parent
  folder = folder / 'programs'
  folder.mkdir(exist_ok=True)
  return training_runs.Programs(folder)

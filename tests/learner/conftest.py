"""One small learner for all tests of a worker, compiled once."""

import jax
import pytest
import small_run


@pytest.fixture(scope='session')
def config():
  return small_run.make_config(replay_capacity=70).lock()


@pytest.fixture(scope='session')
def learner(config):
  return small_run.make_learner(config)


@pytest.fixture(scope='session')
def first_state(learner):
  """A new run, on the host."""
  return small_run.on_host(learner.init(jax.random.PRNGKey(0)))


@pytest.fixture
def state(first_state):
  """A new run, whose buffers may be donated."""
  return small_run.copied(first_state)

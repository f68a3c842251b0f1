"""Checks of eigen3.learner on several devices; see devices_test.py."""

import contextlib

import jax
import numpy as np
import optax

from eigen3 import parallel
from experiments import wiring
from experiments.configs import td3

KEY = jax.random.PRNGKey(0)


def make_config():
  """Two updates of critic and actor on four columns, some listed late.

  Adam makes whole steps of what rounding leaves of a gradient of zero. With
  rates of 0 nothing is learnt and all can be compared, its moments too.
  """
  config = td3.get_config('smoke')
  synthetic = config.data.synthetic
  synthetic.num_columns, synthetic.num_context, synthetic.num_stocks = 4, 1, 3
  synthetic.late_listings = 0.4
  config.environment.context_days = 4
  config.networks.compute_dtype = 'float64'
  config.networks.critic.ensemble = 1  # compiles in half the time
  config.agent.actor_learning_rate = 0.0
  config.agent.critic_learning_rate = 0.0
  config.agent.gamma = 0.9
  config.agent.policy_delay = 1
  config.agent.batch_size = 5  # 20 sequences: three devices need padding
  config.learner.updates_per_iteration = 2
  config.learner.episodes_per_iteration = 1
  config.learner.learning_starts = 0
  return config


@contextlib.contextmanager
def compilations():
  """Counts what is compiled in its block, in a list of names."""
  names = []

  def note(name, *_, **__):
    if 'backend_compile' in name:
      names.append(name)

  jax.monitoring.register_event_duration_secs_listener(note)
  try:
    yield names
  finally:
    jax.monitoring.unregister_event_duration_listener(note)


def on_host(tree):
  return jax.tree.map(lambda x: np.array(x, copy=True), tree)


def assert_close(result, expected):
  """Equal structures, names, types and, to rounding, values."""
  assert jax.tree.structure(result) == jax.tree.structure(expected)
  for (path, b), a in zip(
    jax.tree_util.tree_leaves_with_path(expected),
    jax.tree.leaves(result),
    strict=True,
  ):
    name = jax.tree_util.keystr(path)
    assert a.dtype == b.dtype, name
    tolerance = 1e-9 if a.dtype == np.float64 else 1e-6
    np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance, err_msg=name
    )


def make_learner(monkeypatch, mesh):
  """As a main builds it, but for the number of devices."""
  monkeypatch.setattr(parallel, 'make_mesh', lambda: mesh)
  return wiring.build(make_config()).learner


def test_an_iteration_does_not_depend_on_devices(monkeypatch):
  mesh = parallel.make_mesh(3)
  spread = make_learner(monkeypatch, mesh)
  state = spread.init(KEY)
  days = np.arange(10, 17)
  fresh, actions = on_host((state, spread.greedy_actions(state.agent, days)))

  # What comes of a state lies where the state lay.
  after, told = spread.iterate(state)
  result = on_host((after, told))
  for leaf in jax.tree.leaves((after, told)):
    assert leaf.sharding.is_equivalent_to(parallel.everywhere(mesh), leaf.ndim)
  # So the next iteration is no new program, nor is one from a checkpoint.
  restored = jax.tree.map(parallel.place_like, result[0], after)
  # Nor is anything moved to the devices on which all of it lies.
  with compilations() as compiled, jax.transfer_guard('disallow'):
    unbroken = spread.iterate(after)
    resumed = spread.iterate(restored)
  assert compiled == []
  for a, b in zip(
    *map(jax.tree.leaves, on_host((unbroken, resumed))), strict=True
  ):
    np.testing.assert_array_equal(a, b)

  plain = make_learner(monkeypatch, None)
  state = jax.tree.map(jax.numpy.asarray, fresh)
  with compilations() as compiled:
    alone = plain.greedy_actions(state.agent, days)
    expected = plain.iterate(state)
  assert compiled  # the count counts
  assert np.ptp(alone) > 1
  np.testing.assert_allclose(actions, alone, rtol=1e-9)
  updates = expected[1].updates
  for name in ('critic_loss', 'actor_loss'):
    assert np.abs(updates[name]).min() > 1e-3
  for name in ('critic_gradient_norm', 'actor_gradient_norm'):
    assert updates[name].min() > 1e-3
  for network in expected[0].agent.actor, expected[0].agent.critic:
    assert np.count_nonzero(optax.tree.get(network.opt_state, 'mu')) > 1_000
  assert_close(result, on_host(expected))

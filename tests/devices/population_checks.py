"""Checks of eigen3.learner.population on several devices; see devices_test.py.

Agents share devices, not numbers: what one computes is to be the same
wherever it lies.
"""

import jax
import numpy as np
import optax

from eigen3 import parallel
from eigen3.learner.checkpoint import Checkpointer
from experiments import wiring
from experiments.configs import erl

KEY = jax.random.PRNGKey(0)


def make_config():
  """Eight agents on four columns; with rates of 0 moments can be compared."""
  config = erl.get_config('smoke')
  synthetic = config.data.synthetic
  synthetic.num_columns, synthetic.num_context, synthetic.num_stocks = 4, 1, 3
  synthetic.late_listings = 0.4
  config.environment.context_days = 4
  config.networks.compute_dtype = 'float64'
  config.networks.critic.ensemble = 1  # compiles in half the time
  config.agent.actor_learning_rate = 0.0
  config.agent.critic_learning_rate = 0.0
  config.agent.policy_delay = 1
  config.agent.batch_size = 3
  config.evolution.population_size = 8
  return config


def make_learner(monkeypatch, mesh, block=0):
  """As a main builds it, but for the number of devices."""
  monkeypatch.setattr(parallel, 'make_mesh', lambda **_: mesh)
  config = make_config()
  config.evolution.block = block
  return wiring.build_population(config).learner


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
    tolerance = 1e-9 if a.dtype == np.float64 else 2e-6
    np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance, err_msg=name
    )


def test_a_generation_does_not_depend_on_devices(monkeypatch, tmp_path):
  mesh = parallel.make_mesh(8, axis=parallel.POPULATION_AXIS)
  spread = make_learner(monkeypatch, mesh)
  state = spread.init(KEY)
  for leaf in jax.tree.leaves(state.agents):
    assert leaf.sharding.is_equivalent_to(
      parallel.along_population(mesh), leaf.ndim
    )
  fresh = on_host(state)
  after, told = spread.iterate(state)
  result = on_host((after, told))
  for leaf in jax.tree.leaves(after.agents):
    assert leaf.sharding.is_equivalent_to(
      parallel.along_population(mesh), leaf.ndim
    )

  alone = make_learner(monkeypatch, None, block=3)
  expected = alone.iterate(jax.tree.map(jax.numpy.asarray, fresh))
  for name in ('critic_loss', 'critic_gradient_norm', 'actor_gradient_norm'):
    assert np.abs(expected[1].updates[name]).min() > 1e-4, name
  moments = optax.tree.get(expected[0].agents.critic.opt_state, 'mu')
  assert np.count_nonzero(moments) > 1_000
  assert_close(result, on_host(expected))

  # Saved on eight devices and restored on one, and the reverse.
  for number, (one, other, saved) in enumerate(
    (
      (after, expected[0], result[0]),
      (expected[0], after, on_host(expected[0])),
    )
  ):
    checkpointer = Checkpointer(tmp_path / str(number), 1, 'hash')
    checkpointer.save(1, one)
    checkpointer.wait()
    _, restored = checkpointer.restore_latest(other)
    checkpointer.close()
    for a, b, like in zip(
      *map(jax.tree.leaves, (restored, saved, other)), strict=True
    ):
      np.testing.assert_array_equal(a, b)
      assert a.sharding.is_equivalent_to(like.sharding, a.ndim)

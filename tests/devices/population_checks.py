"""Checks of eigen3.learner.population on several devices; see devices_test.py.

Agents share devices, not numbers: what one computes is to be the same
wherever it lies, and however many devices share its batch.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from eigen3 import parallel
from eigen3.runs.checkpoint import Checkpointer
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


def make_learner(**evolution):
  """As a main builds it."""
  config = make_config()
  config.evolution.update(evolution)
  return wiring.build_population(config).learner


@pytest.fixture(scope='module')
def alone():
  """A fresh state and what a generation makes of it, on one device."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(parallel, 'make_mesh', lambda **_: None)
    learner = make_learner(block=3)
  state = learner.init(KEY)
  fresh = on_host(state)
  return fresh, learner.iterate(state)


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


@pytest.mark.parametrize('each', [2, 1])
def test_a_generation_does_not_depend_on_devices(alone, each):
  fresh, expected = alone
  for name in ('critic_loss', 'critic_gradient_norm', 'actor_gradient_norm'):
    assert np.abs(expected[1].updates[name]).min() > 1e-4, name
  moments = optax.tree.get(expected[0].agents.critic.opt_state, 'mu')
  assert np.count_nonzero(moments) > 1_000

  spread = make_learner(devices_per_agent=each)
  mesh = parallel.make_mesh(devices_per_agent=each)
  assert parallel.agents_at_once(mesh) == 8 // each
  state = spread.init(KEY)
  assert_on(mesh, state.agents)
  assert_close(on_host(state), fresh)
  # Devices that share an agent share its sequences.
  lowered = spread._greedy.lower(
    state.champion.agent, spread._world[2], np.arange(20, 24)
  )
  assert ('manual_axes={"batch"}' in lowered.as_text()) == (each > 1)
  after, told = spread.iterate(state)
  assert_on(mesh, after.agents)
  assert_close(on_host((after, told)), on_host(expected))


def assert_on(mesh, agents):
  for leaf in jax.tree.leaves(agents):
    assert leaf.sharding.is_equivalent_to(
      parallel.along_population(mesh), leaf.ndim
    )


def test_checkpoints_do_not_depend_on_devices(alone, tmp_path):
  """Saved on eight devices and restored on one, and the reverse."""
  on_one, _ = alone[1]
  agents = parallel.along_population(parallel.make_mesh(devices_per_agent=1))
  on_eight = jax.tree.map(jnp.copy, on_one)._replace(
    agents=jax.device_put(on_one.agents, agents)
  )
  for name, saved, other in (
    ('one', on_one, on_eight),
    ('eight', on_eight, on_one),
  ):
    checkpointer = Checkpointer(tmp_path / name, 1, 'hash')
    checkpointer.save(1, saved)
    checkpointer.wait()
    _, restored = checkpointer.restore_latest(other)
    checkpointer.close()
    for a, b, like in zip(
      *map(jax.tree.leaves, (restored, saved, other)), strict=True
    ):
      np.testing.assert_array_equal(a, b)
      assert a.sharding.is_equivalent_to(like.sharding, a.ndim)


def test_an_agent_s_batch_is_spread_within_its_devices():
  """4 x 2 devices: 8 agents of 5 sequences each."""

  def where(agent, x):
    places = parallel.POPULATION_AXIS, parallel.BATCH_AXIS
    i, j = (jax.lax.axis_index(name) for name in places)
    return jnp.broadcast_to(agent + 10 * i + 100 * j, len(x))

  mesh = parallel.make_mesh(devices_per_agent=2)

  def member(x, agent):
    return parallel.map_blocks(where, agent, x, 2, mesh)

  for block in (0, 1):
    spread = functools.partial(
      parallel.map_members, member, block=block, mesh=mesh
    )
    found = jax.jit(spread)(np.zeros(5), np.arange(8))
    agents = np.arange(8)[:, None]
    share = np.array([0, 0, 0, 0, 1])  # two blocks of two each
    np.testing.assert_array_equal(
      found, agents + 10 * (agents // 2) + 100 * share
    )

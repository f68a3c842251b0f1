"""eigen3.agent.td3 under jit, vmap and donation, and where it must refuse."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_agent

KEY = jax.random.PRNGKey(5)
DAYS = np.arange(4)
SETTINGS = {'gamma': 0.9, 'policy_delay': 2, 'actor_learning_rate': 0.01}


@functools.cache
def _build(**changes):
  """(jitted init, plain update) of the tiny agent."""
  init, _, update = tiny_agent.make_agent(**SETTINGS | changes)
  return jax.jit(init), update


@functools.cache
def _jitted():
  return jax.jit(_build()[1])


def _start():
  context = tiny_agent.make_context()
  return _build()[0](KEY, context, DAYS), context


def _assert_trees(one, other, equal=True):
  same = [
    np.array_equal(x, y)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
  ]
  assert all(same) if equal else not any(same)


def test_a_fresh_state():
  state, _ = _start()
  for network in (state.actor, state.critic):
    _assert_trees(network.online_params, network.target_params)
    _assert_trees(network.online_state, network.target_state)
  names = ['critic_0', 'critic_1', 'value_0', 'value_1']
  assert sorted(state.critic.online_params) == names
  weights = [state.critic.online_params[f'critic_{k}']['w'] for k in (0, 1)]
  _assert_trees(*weights, equal=False)  # twins start apart
  assert float(state.noise_scale) == 0.125
  assert int(state.steps) == 0
  for leaf in jax.tree.leaves(state):
    assert leaf.dtype in (jnp.float32, jnp.int32, jnp.uint32)


def test_a_fresh_state_shares_no_buffer():
  init, _, _ = tiny_agent.make_agent(drawn=True)
  state = init(KEY, tiny_agent.make_context(), DAYS)  # leaf by leaf, no jit
  pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state)]
  assert len(set(pointers)) == len(pointers)


def test_one_trace_serves_all_updates():
  chex.clear_trace_counter()
  update = jax.jit(chex.assert_max_traces(_build()[1], n=1))
  state, context = _start()
  types = jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state)
  for step in range(4):
    state, metrics = update(state, tiny_agent.make_batch(seed=step), context)
    assert types == jax.tree.map(
      lambda x: (x.shape, x.dtype, x.weak_type), state
    )
    chex.assert_tree_shape_prefix(metrics, ())
    assert int(metrics['actor_updates']) == step % 2


def test_the_same_key_gives_the_same_bits_and_another_does_not():
  state, context = _start()
  update, batch = _jitted(), tiny_agent.make_batch()
  one, other = state, state._replace(key=jax.random.PRNGKey(6))
  again = state
  for _ in range(2):
    one, one_metrics = update(one, batch, context)
    again, again_metrics = update(again, batch, context)
    other, _ = update(other, batch, context)
  _assert_trees((one, one_metrics), (again, again_metrics))
  _assert_trees(
    one.critic.online_params, other.critic.online_params, equal=False
  )


def test_states_can_be_donated():
  state, context = _start()
  update = jax.jit(_build()[1], donate_argnums=0)
  plain, batch = state, tiny_agent.make_batch()
  state = jax.jit(lambda state: jax.tree.map(jnp.copy, state))(state)
  for _ in range(5):  # with and without the copy of the network state
    old = state
    state, _ = update(state, batch, context)
    plain, _ = _jitted()(plain, batch, context)
    assert old.critic.online_params['critic_0']['w'].is_deleted()
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(state)]
    assert len(set(pointers)) == len(pointers)
  _assert_trees(state, plain)


def test_a_population_is_its_members():
  init, update = _build()
  context, batch = tiny_agent.make_context(), tiny_agent.make_batch()
  keys = np.asarray(jax.random.split(KEY, 3))
  members = [init(key, context, DAYS) for key in keys]
  population = jax.tree.map(lambda *x: np.stack(x), *members)
  # One member is an update ahead, so that not all actors are due at once.
  population = population._replace(steps=np.array([0, 1, 0], np.int32))
  members = [jax.tree.map(lambda x, i=i: x[i], population) for i in range(3)]
  together = jax.jit(jax.vmap(update, (0, None, None)))
  for step in range(2):
    population, metrics = together(population, batch, context)
    due = [step % 2, 1 - step % 2, step % 2]
    assert metrics['actor_updates'].tolist() == due
    for i in range(3):
      members[i], one_metrics = _jitted()(members[i], batch, context)
      chex.assert_trees_all_close(
        jax.tree.map(lambda x, i=i: np.asarray(x)[i], (population, metrics)),
        (members[i], one_metrics),
        rtol=1e-4,
        atol=1e-5,
      )
  _assert_trees(
    members[0].actor.online_params, members[2].actor.online_params, False
  )


@pytest.mark.parametrize('wrong', [np.nan, np.inf])
def test_a_reward_that_is_not_finite_shows_in_the_metrics(wrong):
  state, context = _start()
  batch = tiny_agent.make_batch()
  rewards = np.array(batch.r_t)
  rewards[3] = wrong
  batch = batch._replace(r_t=rewards)
  state, metrics = _jitted()(state, batch, context)
  assert not np.isfinite(metrics['critic_loss'])
  assert not np.isfinite(metrics['critic_gradient_norm'])
  _, metrics = _jitted()(state, tiny_agent.make_batch(), context)
  assert not np.isfinite(metrics['q'])  # and the damage stays visible
  assert not np.isfinite(metrics['actor_loss'])


@pytest.mark.parametrize('part', ['online_params', 'target_params'])
def test_an_actor_that_is_not_finite_shows_in_the_metrics(part):
  state, context = _start()
  broken = getattr(state.actor, part)
  broken = jax.tree.map(lambda x: np.full_like(x, np.nan), broken)
  state = state._replace(
    actor=state.actor._replace(**{part: broken}), steps=np.int32(1)
  )
  _, metrics = _jitted()(state, tiny_agent.make_batch(), context)
  name = {'online_params': 'actor_loss', 'target_params': 'critic_loss'}
  assert not np.isfinite(metrics[name[part]])


@pytest.mark.parametrize(
  ('field', 'found'),
  [
    ('gamma', -0.1),
    ('gamma', 1.5),
    ('gamma', float('nan')),
    ('tau', 0.0),
    ('tau', 1.01),
    ('accumulation_steps', 0),
    ('policy_delay', 0),
    ('batch_size', 0),
  ],
)
def test_a_setting_out_of_range_is_named(field, found):
  with pytest.raises(ValueError, match=f'agent.{field}: found {found}, exp'):
    tiny_agent.make_agent(**{field: found})


def test_a_batch_that_does_not_divide_is_refused():
  with pytest.raises(
    ValueError,
    match=r'agent.batch_size: found 10, .* agent.accumulation_steps, 4',
  ):
    tiny_agent.make_agent(batch_size=10, accumulation_steps=4)


def test_an_actual_batch_that_does_not_divide_is_refused():
  _, update = _build(batch_size=8, accumulation_steps=4)
  state, context = _start()
  with pytest.raises(AssertionError, match='divisible'):
    jax.eval_shape(update, state, tiny_agent.make_batch(size=6), context)

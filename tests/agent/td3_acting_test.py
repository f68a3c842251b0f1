"""Acting, greedy and noisy, in eigen3.agent.td3."""

import functools

import jax
import numpy as np
import pytest
import tiny_agent
from tiny_agent import RAW_SPEC, SPEC

KEY = jax.random.PRNGKey(9)

normal = jax.jit(jax.random.normal, static_argnums=1)
to_unit = jax.jit(SPEC.to_unit)
from_unit = jax.jit(lambda spec, unit: spec.from_unit(unit), static_argnums=0)


@functools.cache
def _agent(spec=SPEC, **changes):
  """(state, context, select_action) of an agent with running means."""
  _, select_action, _ = tiny_agent.make_agent(spec, **changes)
  return _state(spec), tiny_agent.make_context(), jax.jit(select_action)


@functools.cache
def _state(spec):
  init, _, _ = tiny_agent.make_agent(spec)
  state = jax.jit(init)(KEY, tiny_agent.make_context(), np.arange(4))
  return tiny_agent.scramble_targets(state)


def _greedy(state, context, days, spec=SPEC):
  """The online actor in evaluation mode, in NumPy."""
  layer = jax.device_get(state.actor.online_params['actor'])
  mean = np.asarray(state.actor.online_state['actor']['mean'])
  z = np.asarray(context)[days] @ layer['w'] - mean + layer['b']
  unit = np.tanh(z).reshape(-1, *spec.shape)
  return np.asarray(from_unit(spec, unit))


@pytest.mark.parametrize('spec', [SPEC, RAW_SPEC])
def test_without_a_key_the_actor_decides(spec):
  state, context, select_action = _agent(spec)
  days = np.array([3, 0, 17], np.int32)
  actions = select_action(state, context, days)
  assert actions.shape == (3, *spec.shape)
  np.testing.assert_allclose(
    actions, _greedy(state, context, days, spec), rtol=1e-5, atol=1e-6
  )


def test_exploration_of_an_agent_s_own():
  state, context, select_action = _agent()
  days = np.arange(4, dtype=np.int32)

  def noise(state):
    noisy = select_action(state, context, days, KEY)
    return to_unit(noisy) - to_unit(select_action(state, context, days))

  own = state.hyperparameters._replace(exploration=np.float32(0.25))
  small = state._replace(noise_scale=np.float32(0.04), hyperparameters=own)
  expected = state._replace(noise_scale=np.float32(0.01))
  np.testing.assert_allclose(noise(small), noise(expected), atol=1e-6)
  assert np.abs(noise(small)).max() > 0


@pytest.mark.parametrize('count', [3, 8, 11])
def test_chunks_change_nothing(count):
  """Less than a chunk of 4, an even and an uneven number of them."""
  state, context, whole = _agent(acting_chunk=0)
  chunked = _agent(acting_chunk=4)[2]
  days = np.arange(count, dtype=np.int32) * 3
  for key in (None, KEY):
    expected = whole(state, context, days, key)
    assert expected.shape == (count, *SPEC.shape)
    np.testing.assert_allclose(
      chunked(state, context, days, key), expected, rtol=1e-5, atol=1e-6
    )


def test_chunks_bound_how_much_is_acted_on_at_once():
  seen = []

  def observe(context, days):
    seen.append(days.shape)
    return context[days]

  state, context, _ = _agent()
  _, select_action, _ = tiny_agent.make_td3(
    tiny_agent.make_actor(),
    tiny_agent.make_critic(),
    observe,
    SPEC,
    tiny_agent.make_config(acting_chunk=4),
  )
  assert jax.jit(select_action)(state, context, np.arange(11)).shape[0] == 11
  assert set(seen) == {(4,)}


def test_noise_is_added_in_unit_space_and_clipped_to_the_box():
  state, context, select_action = _agent()
  days = np.arange(40, dtype=np.int32)
  unit = np.asarray(to_unit(_greedy(state, context, days)))
  draws = np.asarray(normal(KEY, unit.shape))
  for scale in (0.1, 2.0):
    noisy = state._replace(noise_scale=np.float32(scale))
    actions = np.asarray(select_action(noisy, context, days, KEY))
    np.testing.assert_allclose(
      to_unit(actions), np.clip(unit + scale * draws, -1, 1), atol=1e-5
    )
  assert np.all(actions >= np.array(SPEC.minimum))
  assert np.all(actions <= np.array(SPEC.maximum))
  corners = np.mean(np.abs(np.asarray(to_unit(actions))) == 1.0)
  assert 0.3 < corners < 0.9


def test_the_deviation_of_the_noise_is_the_noise_scale():
  state, context, select_action = _agent()
  # An actor in the middle of the box: a scale of 0.1 is never clipped.
  zeros = jax.tree.map(np.zeros_like, state.actor)
  state = state._replace(actor=zeros, noise_scale=np.float32(0.1))
  days = np.zeros(5_000, np.int32)
  actions = select_action(state, context, days, KEY)
  noise = np.asarray(to_unit(actions)).reshape(5_000, -1)
  # Four standard errors: 0.1 / sqrt(2 n) and 0.1 / sqrt(n).
  np.testing.assert_allclose(noise.std(0), 0.1, atol=0.004)
  np.testing.assert_allclose(noise.mean(0), 0.0, atol=0.006)
  # Days and entries of the action have their own draws.
  correlation = np.corrcoef(noise.T) - np.eye(noise.shape[1])
  assert np.max(np.abs(correlation)) < 0.06
  assert len(np.unique(noise)) > 0.95 * noise.size
  # In the environment's units a scale of 0.1 is a twentieth of the range.
  np.testing.assert_allclose(
    np.asarray(actions).std((0, 1)), [0.1, 2.0], rtol=0.04
  )


def test_a_raw_box_is_explored_in_the_environments_units():
  state, context, select_action = _agent(RAW_SPEC)
  state = state._replace(noise_scale=np.float32(0.5))
  days = np.arange(40, dtype=np.int32)
  greedy = _greedy(state, context, days, RAW_SPEC)
  actions = np.asarray(select_action(state, context, days, KEY))
  noisy = greedy + 0.5 * np.asarray(normal(KEY, greedy.shape))
  low, high = (np.array(x) for x in (RAW_SPEC.minimum, RAW_SPEC.maximum))
  np.testing.assert_allclose(
    actions, np.clip(noisy, low, high), rtol=1e-5, atol=1e-5
  )
  assert np.any(noisy < low)
  assert np.any(noisy > high)
  assert np.max(actions[..., 1]) > 1.0  # nothing limits it to [-1, 1]


def test_noise_follows_the_key():
  state, context, select_action = _agent()
  days = np.arange(5, dtype=np.int32)
  one, again = (select_action(state, context, days, KEY) for _ in range(2))
  other = select_action(state, context, days, jax.random.PRNGKey(10))
  np.testing.assert_array_equal(one, again)
  assert not np.any(np.asarray(one) == np.asarray(other))


def test_targets_do_not_act():
  state, context, select_action = _agent()
  broken = state.actor.target_params
  broken = jax.tree.map(lambda x: np.full_like(x, np.nan), broken)
  blind = state._replace(actor=state.actor._replace(target_params=broken))
  days = np.arange(5, dtype=np.int32)
  np.testing.assert_array_equal(
    select_action(blind, context, days), select_action(state, context, days)
  )

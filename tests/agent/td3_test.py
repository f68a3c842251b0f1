"""One update of eigen3.agent.td3 against NumPy, number for number."""

import functools

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import slow_td3
import tiny_agent

from experiments.configs import td3 as td3_config

KEY = jax.random.PRNGKey(7)
# Strong enough for every mechanism to be at work within a few updates.
SETTINGS = {
  'gamma': 0.9,
  'tau': 0.1,
  'actor_learning_rate': 0.01,
  'critic_learning_rate': 0.02,
  'weight_decay': 0.05,
  'action_penalty': 0.3,
  'gradient_clip': 2.0,
  'policy_delay': 2,
  'target_noise': 0.6,
  'target_noise_clip': 0.5,
  'exploration_noise': 0.125,
  'exploration_noise_decay': 0.9,
  'exploration_noise_min': 0.1,
}


@pytest.fixture
def x64():
  with double_precision.enable_x64(True):
    yield


def _start(count=2, centred=True, **changes):
  """(state, jitted update, context, config) of a fresh, uneven agent."""
  settings = SETTINGS | changes
  _, update = _build(count, centred, **settings)
  state = _fresh(
    count,
    centred,
    bool(settings['gradient_clip']),
    bool(settings['weight_decay']),
  )
  state = tiny_agent.scramble_targets(state)
  config = tiny_agent.make_config(**settings)
  return state, update, tiny_agent.make_context(), config


@functools.cache
def _build(count, centred, **settings):
  init, _, update = tiny_agent.make_agent(
    count=count, centred=centred, drawn=True, **settings
  )
  return init, jax.jit(update)


@functools.cache
def _fresh(count, centred, clipped, decayed):
  """A fresh state; of the settings only these make its structure."""
  settings = SETTINGS.copy()
  settings['gradient_clip'] *= clipped
  settings['weight_decay'] *= decayed
  init, _ = _build(count, centred, **settings)
  return jax.jit(init)(KEY, tiny_agent.make_context(), np.arange(4))


def _inputs(batch, context):
  """A batch as the NumPy agents take it."""
  table = np.asarray(context)
  return (
    table[batch.s_tm1],
    np.asarray(batch.a_tm1),
    np.asarray(batch.r_t),
    np.asarray(batch.discount_t),
    table[batch.s_t],
  )


def _assert_equal(state, slow, tolerance=1e-10):
  for name in ('actor', 'critic'):
    network = getattr(state, name)
    found = network[:4]
    for part, one, other in zip(
      network._fields, found, slow.trees(name), strict=False
    ):
      assert jax.tree.structure(one) == jax.tree.structure(other)
      for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(one),
        jax.tree.leaves(other),
        strict=True,
      ):
        np.testing.assert_allclose(
          x, y, rtol=0, atol=tolerance, err_msg=f'{name}.{part}{path}'
        )


@jax.jit
def _gradients(network, params):
  """What the first update fed to Adam, from its first moment."""
  moment = optax.tree.get(network.opt_state, 'mu') / 0.1
  _, unravel = jax.flatten_util.ravel_pytree(params)
  return unravel(moment)


def test_two_updates_equal_numpy(x64):
  state, update, context, config = _start()
  slow = slow_td3.SlowTD3(state, config)
  clipped = []
  for step in range(4):
    batch = tiny_agent.make_batch(seed=step)
    draws = tiny_agent.target_noise_draws(state.key, batch.a_tm1.shape)
    expected = slow.update(*_inputs(batch, context), np.asarray(draws))
    before = state
    state, metrics = update(state, batch, context)
    _assert_equal(state, slow)
    np.testing.assert_allclose(state.noise_scale, slow.noise_scale, rtol=1e-6)
    assert int(state.steps) == step + 1
    assert not np.array_equal(state.key, before.key)
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
      np.testing.assert_allclose(metrics[name], value, 1e-6, err_msg=name)
    clipped.append(expected['critic_gradient_norm'] > config.gradient_clip)
    assert 0 < slow.clipped_noise < 1
    assert 0 < slow.clipped_actions < 1
  # Of the four gradients some were clipped and some were not.
  assert set(clipped) == {True, False}
  assert slow.noise_scale == config.exploration_noise_min


@pytest.mark.parametrize('pieces', [1, 2])
@pytest.mark.parametrize('gamma', [0.0, 0.9])
def test_several_actions_of_a_state_are_as_many_transitions(x64, gamma, pieces):
  """They are learnt from at once, as if each had been lived through alone."""
  state, update, context, _ = _start(
    centred=False,
    gamma=gamma,
    accumulation_steps=pieces,
    target_noise=0.0,
    policy_delay=1,
  )
  one, two, three = (tiny_agent.make_batch(seed=seed) for seed in (0, 1, 2))
  several = one._replace(
    a_tm1=np.stack([one.a_tm1, two.a_tm1, three.a_tm1], 1),
    r_t=np.stack([one.r_t, two.r_t, three.r_t], 1),
  )
  repeated = jax.tree.map(lambda x: np.repeat(x, 3, axis=0), one)
  apart = repeated._replace(
    a_tm1=several.a_tm1.reshape(-1, *one.a_tm1.shape[1:]),
    r_t=several.r_t.reshape(-1),
  )
  found, told = update(state, several, context)
  expected, told_apart = update(state, apart, context)
  for name in ('actor', 'critic'):
    for x, y in zip(
      *(
        jax.tree.leaves(_gradients(network, network.online_params))
        for network in (getattr(found, name), getattr(expected, name))
      ),
      strict=True,
    ):
      np.testing.assert_allclose(x, y, atol=1e-12)
      assert np.abs(np.asarray(x)).max() > 1e-6
  np.testing.assert_allclose(told['critic_loss'], told_apart['critic_loss'])
  # The value that is told is of what was done. The mean of each transition
  # thrice is theirs, and takes the program that is there.
  _, alone = update(state, repeated, context)
  np.testing.assert_allclose(told['q'], alone['q'])
  assert abs(told['q'] - told_apart['q']) > 1e-3


def test_an_update_without_the_actor_leaves_it_and_all_targets(x64):
  state, update, context, _ = _start()
  batch = tiny_agent.make_batch()
  first, _ = update(state, batch, context)
  for one, other in [
    (state.actor, first.actor),
    (state.critic[2:4], first.critic[2:4]),
  ]:
    jax.tree.map(np.testing.assert_array_equal, one, other)
  second, _ = update(first, batch, context)
  for one, other in [
    (first.actor.online_params, second.actor.online_params),
    (first.actor.target_params, second.actor.target_params),
    (first.critic.target_params, second.critic.target_params),
  ]:
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
      assert not np.any(np.asarray(x) == np.asarray(y))


def test_the_reference_gradients_are_those_of_finite_differences(x64):
  state, _, context, config = _start()
  slow = slow_td3.SlowTD3(state, config)
  batch = tiny_agent.make_batch()
  x, a, targets, _, _ = _inputs(batch, context)
  unit = 2 * (a - slow_td3.LOW) / (slow_td3.HIGH - slow_td3.LOW) - 1
  critic_state = slow.critic_online_state

  def critic_loss(params):
    q, _ = slow_td3.critic_forward(params, critic_state, x, unit, True)
    return 0.5 * np.mean(np.sum((targets[:, None] - q) ** 2, axis=1))

  q, _ = slow_td3.critic_forward(
    slow.critic_online_params, critic_state, x, unit, True
  )
  gradient, _ = slow_td3.critic_gradient(
    slow.critic_online_params,
    critic_state,
    x,
    unit,
    True,
    (q - targets[:, None]) / len(x),
  )
  _assert_differences(critic_loss, slow.critic_online_params, gradient)

  def fall(params):
    unit, _ = slow_td3.actor_forward(params, slow.actor_online_state, x, True)
    q, _ = slow_td3.critic_forward(
      slow.critic_online_params, critic_state, x, unit, False
    )
    penalty = config.action_penalty / 2 * np.sum(unit**2) / len(x)
    return penalty - np.mean(q[:, 0])

  recorded = []
  slow.actor_adam.step = lambda params, gradients: (
    recorded.append(gradients) or params,
    0.0,
  )
  slow.improve_actor(x)
  _assert_differences(fall, slow.actor_online_params, recorded[0])


def _assert_differences(function, params, gradient, step=1e-5):
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    module, name = (entry.key for entry in path)
    for index in np.ndindex(leaf.shape):
      old = leaf[index]
      leaf[index] = old + step
      high = function(params)
      leaf[index] = old - step
      low = function(params)
      leaf[index] = old
      np.testing.assert_allclose(
        gradient[module][name][index],
        (high - low) / (2 * step),
        rtol=1e-6,
        atol=1e-9,
      )


def test_ddpg_is_a_preset(x64):
  agent = td3_config.get_config('smoke+eigen2').agent
  expected = {
    'action_penalty': 0.0,
    'gamma': 0.99,
    'policy_delay': 1,
    'target_noise': 0.0,
  }
  preset = {name: agent[name] for name in expected}
  assert preset == expected
  state, update, context, config = _start(count=1, gradient_clip=0.4, **preset)
  slow = slow_td3.SlowDDPG(state, config)
  clipped = []
  for step in range(6):
    batch = tiny_agent.make_batch(seed=step)
    norm = slow.update(*_inputs(batch, context))
    state, metrics = update(state, batch, context)
    _assert_equal(state, slow)
    assert metrics['actor_updates'] == 1
    np.testing.assert_allclose(metrics['actor_gradient_norm'], norm, 1e-6)
    clipped.append(norm > config.gradient_clip)
  assert set(clipped) == {True, False}  # the actor's gradients


def test_critics_see_constrained_actions(x64):
  def counts(days):
    """On even days only the first stock counts."""
    return np.stack([days >= 0, days % 2 == 1], axis=-1)

  def constrain(days, unit):
    table = jnp.asarray(counts(np.arange(tiny_agent.NUM_DAYS)))
    return jnp.where(table[days][..., None], unit, -1.0)

  state, _, context, config = _start(policy_delay=1)
  _, _, update = tiny_agent.make_agent(
    constrain=constrain, **SETTINGS | {'policy_delay': 1}
  )
  update = jax.jit(update)
  slow = slow_td3.SlowTD3(state, config)
  for step in range(2):
    batch = tiny_agent.make_batch(seed=step)
    draws = tiny_agent.target_noise_draws(state.key, batch.a_tm1.shape)
    slow.counts_tm1 = counts(np.asarray(batch.s_tm1))
    slow.counts_t = counts(np.asarray(batch.s_t))
    assert not np.array_equal(slow.counts_tm1, slow.counts_t)
    slow.update(*_inputs(batch, context), np.asarray(draws))
    state, _ = update(state, batch, context)
    _assert_equal(state, slow)


def test_no_discount_equals_a_vanishing_one_and_skips_the_targets(x64):
  batch = tiny_agent.make_batch()
  state, update, context, _ = _start(gamma=1e-30)
  general, general_metrics = update(state, batch, context)
  state, update, context, _ = _start(gamma=0.0)
  skipping, metrics = update(state, batch, context)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-14),
    (general, general_metrics),
    (skipping, metrics),
  )
  # Zero times NaN is NaN: were the targets asked, it would show.
  broken = state.critic.target_params
  broken = jax.tree.map(lambda x: np.full_like(x, np.nan), broken)
  state = state._replace(critic=state.critic._replace(target_params=broken))
  _, metrics = update(state, batch, context)
  assert np.isfinite(metrics['critic_loss'])
  _, update, _, _ = _start(gamma=1e-30)
  _, metrics = update(state, batch, context)
  assert np.isnan(metrics['critic_loss'])


def test_micro_batches_give_the_gradients_of_the_batch(x64):
  batch = tiny_agent.make_batch(size=8)
  results = []
  for count in (1, 4):
    state, update, context, _ = _start(
      centred=False,
      accumulation_steps=count,
      target_noise=0.0,
      policy_delay=1,
      gradient_clip=0.0,
      weight_decay=0.0,
      batch_size=8,
    )
    new, metrics = update(state, batch, context)
    gradients = [
      _gradients(getattr(new, name), getattr(state, name).online_params)
      for name in ('actor', 'critic')
    ]
    results.append((gradients, metrics))
  (whole, metrics), (parts, parts_metrics) = results
  for leaf in jax.tree.leaves(whole):
    assert np.max(np.abs(leaf)) > 1e-3
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-12),
    parts,
    whole,
  )
  for name, value in metrics.items():
    np.testing.assert_allclose(parts_metrics[name], value, 1e-6)


def test_micro_batches_update_the_network_state_one_after_another(x64):
  batch = tiny_agent.make_batch(size=8)
  state, update, context, _ = _start(accumulation_steps=4)
  new, _ = update(state, batch, context)
  mean = np.asarray(state.critic.online_state['critic_1']['mean'])
  w = np.asarray(state.critic.online_params['critic_1']['w'])
  x, a, *_ = _inputs(batch, context)
  unit = 2 * (a - slow_td3.LOW) / (slow_td3.HIGH - slow_td3.LOW) - 1
  z = np.concatenate([x, unit.reshape(8, -1)], axis=1) @ w
  for start in range(0, 8, 2):
    mean = 0.9 * mean + 0.1 * np.mean(z[start : start + 2], axis=0)
  np.testing.assert_allclose(
    new.critic.online_state['critic_1']['mean'], mean, atol=1e-12
  )

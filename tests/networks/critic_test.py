"""Tests of eigen3.networks.critic."""

import dataclasses
import functools
import itertools
import math

import double_precision
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import SPEC, draw_variables

from eigen3 import networks
from eigen3.networks import critic as critic_lib
from eigen3.networks import layers
from eigen3.types import Account

KEY = jax.random.PRNGKey(0)
HEAD = 'critic/slot_head'


@pytest.fixture
def action():
  rng = np.random.default_rng(7)
  return rng.uniform(-1, 1, (3, 8, 2)).astype(np.float32)


def _choose(config, variant):
  """Pooling settings, alone or with attention wherever it is possible."""
  pooling, _, attention = variant.partition('+')
  config.critic.pooling = pooling
  config.critic.self_attention = bool(attention)
  config.critic.slot_context = 'attention' if attention else 'mean'


def _build(config, window, action, kind='critic', spec=SPEC):
  network = getattr(networks.make_networks(config, spec), kind)
  return network, *draw_variables(network, window, action)


def _without_action(linear):
  """A layer that ignores its last two inputs."""
  weights = linear['w'].copy()
  weights[-2:] = 0
  return {'w': weights, 'b': linear['b']}


def _apply(network, **options):
  return jax.jit(functools.partial(network.apply, **options))


@pytest.mark.parametrize(
  'variant', ['slot', 'slot+attention', 'mean', 'mean+attention']
)
def test_parameter_paths(config, make_window, action, variant):
  _choose(config, variant)
  network = networks.make_networks(config, SPEC).double_critic
  params, state = jax.eval_shape(network.init, KEY, make_window(), action)
  attention = ('', '/attention', '/layer_norm')
  expected = [
    'feature_extractor/convolution',
    'feature_extractor/convolution/batch_norm',
    'feature_extractor/lstm',
  ]
  if config.critic.self_attention:
    expected += [f'self_attention{name}' for name in attention[1:]]
  if config.critic.pooling == 'mean':
    names = ('linear_1', 'linear_2', 'value')
    expected += [f'mean_head/{name}' for name in names]
  else:
    names = ('stock_1', 'stock_2', 'score', 'idle_1', 'idle_2')
    expected += [f'slot_head/{name}' for name in names]
    if config.critic.slot_context == 'mean':
      expected.append('slot_head/column_mean')
    else:
      expected += [f'slot_head/cross_attention{name}' for name in attention]
  assert set(params) == {
    f'double_critic/critic_{k}/{path}' for k in (1, 2) for path in expected
  }
  assert set(state) == {
    f'double_critic/critic_{k}/{expected[1]}' for k in (1, 2)
  }


@pytest.mark.parametrize('variant', ['slot+attention', 'mean+attention'])
def test_gradients_reach_parameters_and_actions(
  config, make_window, holes, action, silent_gradients, finite, variant
):
  _choose(config, variant)
  config.compute_dtype = 'float64'
  config.remat, config.sequence_block = True, 5
  with double_precision.enable_x64(True):
    window = holes(make_window().astype(np.float64))
    action = action.astype(np.float64)
    network, params, state = _build(config, window, action)

    @jax.jit
    def gradients(params, action):
      def loss(params, action):
        q, _ = network.apply(params, state, KEY, window, action, True)
        return (q[:, 0] * jnp.array([1.0, -2.0, 0.5])).sum()

      return jax.grad(loss, (0, 1))(params, action)

    to_params, to_action = gradients(params, action)
    finite((to_params, to_action))
    silent_gradients(to_params)
    assert (np.abs(to_action).max(0) > 0).all()


@pytest.mark.parametrize('variant', ['slot', 'mean'])
def test_modes_and_batches(config, make_window, action, variant):
  _choose(config, variant)
  window = make_window()
  network, params, state = _build(config, window, action)
  train, evaluate = _apply(network, is_training=True), _apply(network)
  first, after = train(params, state, KEY, window, action)
  again, _ = train(params, state, KEY, window, action)
  other, _ = train(params, state, jax.random.PRNGKey(1), window, action)
  calm, same = evaluate(params, state, None, window, action)
  single, _ = evaluate(params, state, None, window[:1], action[:1])
  assert first.shape == calm.shape == (3, 1)
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-5
  np.testing.assert_allclose(single, calm[:1], rtol=1e-5)
  changed = [
    not np.array_equal(a, b)
    for a, b in zip(*map(jax.tree.leaves, (state, after)), strict=True)
  ]
  assert all(changed)
  for a, b in zip(*map(jax.tree.leaves, (state, same)), strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('pooling', ['slot', 'mean'])
def test_several_actions_of_a_window(config, make_window, action, pooling):
  """Each action has its value alone, and the window is encoded once."""
  config.critic.pooling = pooling
  window = make_window()
  network, params, state = _build(config, window, action, 'double_critic')
  several = np.stack([action, -action, 0.5 * action, action], axis=1)
  q, after = _apply(network, is_training=True)(
    params, state, KEY, window, several
  )
  assert q.shape == (3, 4, 2)
  _, alone = _apply(network, is_training=True)(
    params, state, KEY, window, action
  )
  for a, b in zip(*map(jax.tree.leaves, (after, alone)), strict=True):
    np.testing.assert_array_equal(a, b)  # the same batch statistics
  apply = _apply(network)
  q, _ = apply(params, state, None, window, several)
  for number in range(4):
    one, _ = apply(params, state, None, window, several[:, number])
    np.testing.assert_allclose(q[:, number], one, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(q[:, 0], q[:, 3])
  assert np.abs(q[:, 0] - q[:, 1]).min() > 1e-4


@pytest.mark.parametrize('ensemble', [1, 2])
def test_double_critic_is_separate_critics(
  config, make_window, action, ensemble
):
  config.critic.ensemble = ensemble
  window = make_window()
  network, params, state = _build(config, window, action, 'double_critic')
  q, _ = _apply(network)(params, state, None, window, action)
  assert q.shape == (3, ensemble)
  critic = _apply(networks.make_networks(config, SPEC).critic)
  for k in range(ensemble):
    prefix = f'double_critic/critic_{k + 1}'
    own = [
      {
        path.replace(prefix, 'critic'): module
        for path, module in tree.items()
        if path.startswith(prefix)
      }
      for tree in (params, state)
    ]
    alone, _ = critic(*own, None, window, action)
    np.testing.assert_allclose(alone[:, 0], q[:, k], rtol=1e-5)
  assert ensemble == 1 or np.abs(q[:, 0] - q[:, 1]).min() > 1e-4


@pytest.mark.parametrize('pooling', ['slot', 'mean'])
def test_several_actions_beside_an_account(
  config, make_window, action, pooling
):
  config.critic.pooling = pooling
  rng = np.random.default_rng(1)
  account = Account(
    rng.uniform(size=(3, 8, 5)).astype(np.float32),
    rng.uniform(size=(3, 2)).astype(np.float32),
  )
  seen = (make_window(), account)
  spec = dataclasses.replace(SPEC, observes_account=True)
  network, params, state = _build(config, seen, action, spec=spec)
  several = np.stack([action, -action], axis=1)
  apply = _apply(network)
  q, _ = apply(params, state, None, seen, several)
  assert q.shape == (3, 2, 1)
  for number in range(2):
    one, _ = apply(params, state, None, seen, several[:, number])
    np.testing.assert_allclose(q[:, number], one, rtol=1e-5, atol=1e-6)
  assert np.abs(q[:, 0] - q[:, 1]).min() > 1e-4


def test_population(config, make_window, action):
  window = make_window()
  network = networks.make_networks(config, SPEC).critic
  params, state = draw_variables(network, window, action, lead=(3,))
  together, _ = jax.jit(jax.vmap(network.apply, (0, 0, None, None, None)))(
    params, state, None, window, action
  )
  own = jax.tree.map(lambda x: x[1], (params, state))
  alone, _ = _apply(network)(*own, None, window, action)
  np.testing.assert_allclose(together[1], alone, rtol=1e-4, atol=1e-6)


def test_slot_weights_by_hand():
  weights = critic_lib.slot_weights(jnp.array([[1.25, 1.0]]), 1.0, 0.125)
  e2 = math.exp(2.0)
  expected = np.array([[e2, 1.0, 1.0]]) / (e2 + 2.0)
  np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_no_coefficient_over_the_threshold_is_no_trade():
  weights = critic_lib.slot_weights(jnp.zeros((1, 108)), 1.0, 0.125)
  assert weights[0, -1] > 0.96


def _by_all_sets(logits, count):
  """Weights [N + 1] by the softmax over all sets of at most `count` stocks."""
  numbers = range(len(logits))
  sets = [
    chosen
    for size in range(count + 1)
    for chosen in itertools.combinations(numbers, size)
  ]
  member = np.array([[n in chosen for n in numbers] for chosen in sets])
  likely = np.exp(member @ logits)
  likely /= likely.sum()
  return np.append(likely @ member, likely @ (count - member.sum(1)))


@pytest.mark.parametrize('count', [2, 3, 7])
def test_slot_weights_of_several_entries_are_a_softmax_over_sets(count):
  rng = np.random.default_rng(count)
  coefficients = rng.uniform(0.5, 1.5, (4, 7)).astype(np.float32)
  weigh = jax.jit(lambda x: critic_lib.slot_weights(x, 1.0, 0.25, count))
  found = weigh(coefficients)
  logits = (coefficients.astype(np.float64) - 1.0) / 0.25
  expected = np.stack([_by_all_sets(row, count) for row in logits])
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(found.sum(-1), count, rtol=1e-6)
  # So are their derivatives.
  slope = rng.normal(size=8)
  step = 1e-5
  ours = jax.grad(lambda x: (weigh(x) * slope).sum())(coefficients)
  for stock in range(7):
    moved = step * (np.arange(7) == stock)
    ends = [slope @ _by_all_sets(logits[0] + x, count) for x in (moved, -moved)]
    np.testing.assert_allclose(
      ours[0, stock],
      (ends[0] - ends[1]) / (2 * step) / 0.25,
      rtol=1e-3,
      atol=1e-4,
    )


def test_slot_weights_of_one_entry_are_the_softmax():
  """The sums over sets, asked for one, agree with what one entry has."""
  logits = np.random.default_rng(1).normal(0, 4, (3, 9)).astype(np.float32)
  total = jax.jit(lambda x: critic_lib._log_sum_over_sets(x, 1).sum())
  bought = jax.grad(total)(logits)
  expected = critic_lib.slot_weights(logits, 0.0, 1.0)
  np.testing.assert_allclose(bought, expected[:, :-1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('size', [6.0, 60.0, 6000.0])
def test_slot_weights_stand_far_logits(size):
  """A stock far over the threshold takes one chance, and no more."""
  coefficients = size * np.array([[1.0, -1.0, 0.5, 0.4, -0.2]], np.float32)

  def weigh(x):
    return critic_lib.slot_weights(x, 0.0, 1.0, 2)

  weights = jax.jit(weigh)(coefficients)
  tolerance = 2 * np.exp(-0.1 * size)
  np.testing.assert_allclose(weights, [[1, 0, 1, 0, 0, 0]], atol=tolerance)
  assert np.isfinite(jax.jit(jax.jacobian(weigh))(coefficients)).all()


def test_each_stock_adds_what_it_is_worth(config, make_window, action):
  """Of two entries: together they are worth what they are alone."""
  config.critic.slot_temperature = 0.02
  window = make_window()
  spec = dataclasses.replace(SPEC, max_entries_per_day=2)
  network, params, state = _build(config, window, action, spec=spec)
  apply = _apply(network)

  def value(*stocks):
    only = np.full_like(action, -1.0)
    only[:, stocks] = 3.0
    return apply(params, state, None, window, only)[0][:, 0]

  both, neither = value(1, 6), value()
  np.testing.assert_allclose(
    both + neither, value(1) + value(6), rtol=1e-4, atol=1e-5
  )
  assert np.abs(both - value(1)).max() > 1e-3
  # A third is passed over.
  third = np.full_like(action, -1.0)
  third[:, [1, 6]], third[:, 4] = 3.0, 2.0
  found = apply(params, state, None, window, third)[0][:, 0]
  np.testing.assert_allclose(found, both, rtol=1e-3, atol=1e-3)


def test_slot_value_does_not_depend_on_the_order(
  config, make_window, holes, action
):
  window = holes(make_window())
  network, params, state = _build(config, window, action)
  apply = _apply(network)
  q, _ = apply(params, state, None, window, action)
  order = np.random.default_rng(0).permutation(8)
  shuffled = window.copy()
  shuffled[:, :, 4:] = window[:, :, 4:][:, :, order]
  other, _ = apply(params, state, None, shuffled, action[:, order])
  np.testing.assert_allclose(other, q, rtol=1e-5, atol=1e-6)
  # Actions that do not follow their stocks are another decision.
  wrong, _ = apply(params, state, None, window, action[:, order])
  assert np.abs(wrong - q).max() > 1e-5


def test_slot_gradient_prefers_stocks_that_beat_the_value(
  config, make_window, action
):
  """d value / d coefficient is weight * (score - value) / temperature."""
  config.critic.slot_temperature = 0.5
  window = make_window()
  network, params, state = _build(config, window, action)
  # The score must not depend on the action, so that only the choice does.
  first = params[f'{HEAD}/stock_1']
  params = dict(params)
  params[f'{HEAD}/stock_1'] = _without_action(first)
  params[f'{HEAD}/score'] = jax.tree.map(
    lambda leaf: np.multiply(leaf, [1, 0], dtype=leaf.dtype),
    params[f'{HEAD}/score'],
  )

  @jax.jit
  def value(action):
    return network.apply(params, state, None, window, action)[0][:, 0]

  scores = []
  for stock in range(8):
    # 20 threshold widths up: everything else has no weight.
    only = np.full_like(action, -1.0)
    only[:, stock] = 20.0
    scores.append(value(only))
  scores = np.stack(scores, 1)
  gradient = jax.jit(jax.grad(lambda a: value(a).sum()))(action)
  weights = critic_lib.slot_weights(action[..., 0] + 1.0, 1.0, 0.5)[:, :-1]
  expected = weights * (scores - value(action)[:, None]) / 0.5
  np.testing.assert_allclose(gradient[..., 0], expected, rtol=2e-3, atol=1e-7)
  np.testing.assert_array_equal(gradient[..., 1], 0.0)


def test_slot_score_grows_in_proportion_to_the_coefficient(
  config, make_window, action
):
  window = make_window()
  network, params, state = _build(config, window, action)
  params = dict(params)
  first = params[f'{HEAD}/stock_1']
  params[f'{HEAD}/stock_1'] = _without_action(first)
  # One stock far above the threshold has all the weight.
  values, apply = [], _apply(network)
  for coefficient in (18.0, 19.0, 20.0):  # unit space: one less than ours
    only = np.full_like(action, -1.0)
    only[:, 3, 0] = coefficient
    values.append(apply(params, state, None, window, only)[0][:, 0])
  steps = np.diff(np.stack(values), axis=0)
  assert np.abs(steps).min() > 1e-4
  np.testing.assert_allclose(steps[0], steps[1], rtol=1e-3)


def test_joint_equals_a_linear_layer_on_the_concatenation():
  rng = np.random.default_rng(0)
  stocks, context, action = (
    rng.normal(size=shape).astype(np.float32)
    for shape in ((2, 5, 4), (2, 3), (2, 5, 2))
  )
  policy = layers.precision_policy('float32')
  network = hk.transform(lambda *x: critic_lib.Joint(6, policy, 'joint')(*x))
  params = network.init(KEY, stocks, context, action)
  found = network.apply(params, None, stocks, context, action)
  whole = np.concatenate(
    [stocks, np.repeat(context[:, None], 5, 1), action], -1
  )
  expected = whole @ params['joint']['w'] + params['joint']['b']
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bad_settings_are_named(config, make_window, action):
  config.critic.pooling = 'max'
  with pytest.raises(ValueError, match=r"critic.pooling: found 'max'"):
    _build(config, make_window(), action)
  config.critic.pooling = 'slot'
  config.critic.slot_context = 'none'
  with pytest.raises(ValueError, match=r"critic.slot_context: found 'none'"):
    _build(config, make_window(), action)

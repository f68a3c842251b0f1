"""Tests of eigen3.networks.actor."""

import dataclasses
import functools
import math

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import SPEC, draw_variables

from eigen3 import networks
from eigen3.networks import actor as actor_lib

KEY = jax.random.PRNGKey(0)


def _build(config, window, spec=SPEC):
  network = networks.make_networks(config, spec).actor
  return network, *draw_variables(network, window)


def _apply(network, **options):
  return jax.jit(functools.partial(network.apply, **options))


def _shifted(params, raw):
  """Returns parameters that shift the heads' raw outputs by `raw`."""
  params = dict(params)
  for head in ('actor/coefficient_2', 'actor/sale_target_2'):
    params[head] = {'w': params[head]['w'], 'b': params[head]['b'] + raw}
  return params


def test_parameter_paths(config, make_window):
  params, state = jax.eval_shape(
    networks.make_networks(config, SPEC).actor.init, KEY, make_window()
  )
  assert set(params) == {
    'actor/feature_extractor/convolution',
    'actor/feature_extractor/convolution/batch_norm',
    'actor/feature_extractor/lstm',
    'actor/cross_attention',
    'actor/cross_attention/attention',
    'actor/cross_attention/layer_norm',
    'actor/investable_1',
    'actor/investable_2',
    'actor/context',
    'actor/coefficient_1',
    'actor/coefficient_2',
    'actor/sale_target_1',
    'actor/sale_target_2',
  }
  assert set(params['actor/feature_extractor/lstm']) == {
    f'layer_{layer}_{direction}_{name}'
    for layer in (1, 2)
    for direction in ('forward', 'reverse')
    for name in ('input', 'hidden', 'bias')
  }
  assert list(state) == ['actor/feature_extractor/convolution/batch_norm']


@pytest.mark.parametrize('batch', [1, 5])
def test_shapes_and_ranges(config, make_window, holes, finite, batch):
  window = holes(make_window(batch))
  network, params, state = _build(config, window)
  apply = _apply(network, return_attention=True)
  bounds = {-60.0: (0.0, 10.0), 0.0: None, 60.0: (2.0, 50.0)}
  for raw, bound in bounds.items():
    (actions, attention), _ = apply(_shifted(params, raw), state, None, window)
    assert actions.shape == (batch, 8, 2)
    assert attention.shape == (batch, 12)
    finite(actions)
    np.testing.assert_allclose(attention.sum(-1), 1.0, rtol=1e-5)
    if bound is not None:
      np.testing.assert_allclose(
        actions, np.broadcast_to(bound, actions.shape), atol=1e-6
      )
    else:
      assert (actions > np.array([0.0, 10.0])).all()
      assert (actions < np.array([2.0, 50.0])).all()


def test_training_and_evaluation(config, make_window):
  window = make_window()
  network, params, state = _build(config, window)
  train, evaluate = _apply(network, is_training=True), _apply(network)
  (first, _), state_1 = train(params, state, KEY, window)
  (again, _), _ = train(params, state, KEY, window)
  (other, _), _ = train(params, state, jax.random.PRNGKey(1), window)
  (calm, attention), state_2 = evaluate(params, state, None, window)
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-4
  assert np.abs(first - calm).max() > 1e-4
  assert attention is None
  for a, b in zip(*map(jax.tree.leaves, (state, state_2)), strict=True):
    np.testing.assert_array_equal(a, b)
  assert any(
    np.abs(a - b).max() > 1e-3
    for a, b in zip(*map(jax.tree.leaves, (state, state_1)), strict=True)
  )


@pytest.mark.parametrize('head', ['sigmoid', 'eigen2'])
def test_every_parameter_receives_a_gradient(
  config, make_window, holes, silent_gradients, finite, head
):
  config.actor.coefficient_head = head
  config.remat, config.sequence_block = True, 5
  config.compute_dtype = 'float64'
  with double_precision.enable_x64(True):
    window = holes(make_window().astype(np.float64))
    network, params, state = _build(config, window)

    @jax.jit
    def gradients(params):
      def loss(params):
        (actions, _), _ = network.apply(params, state, KEY, window, True)
        return (actions * jnp.sin(jnp.arange(48.0)).reshape(3, 8, 2)).sum()

      return jax.grad(loss)(params)

    found = gradients(params)
    finite(found)
    silent_gradients(found)


def test_population(config, make_window):
  window = make_window(2)
  network = networks.make_networks(config, SPEC).actor
  params, state = draw_variables(network, window, lead=(3,))
  (together, _), _ = jax.jit(jax.vmap(network.apply, (0, 0, None, None)))(
    params, state, None, window
  )
  own = jax.tree.map(lambda x: x[2], (params, state))
  (alone, _), _ = _apply(network)(*own, None, window)
  np.testing.assert_allclose(together[2], alone, rtol=1e-5)


def test_a_stock_sees_its_own_column(config, make_window):
  window = make_window(1)
  network, params, state = _build(config, window)
  # Without the context, a stock's action depends on its column alone.
  params = dict(params)
  params['actor/context'] = jax.tree.map(
    jnp.zeros_like, params['actor/context']
  )
  apply = _apply(network)
  (actions, _), _ = apply(params, state, None, window)
  # A copy: the CPU may still be reading the first window, which it shares.
  other = window.copy()
  other[:, :, 4 + 3] += 0.5
  (changed, _), _ = apply(params, state, None, other)
  moved = np.abs(actions - changed).max((0, 2)) > 1e-6
  np.testing.assert_array_equal(moved, np.arange(8) == 3)


def test_eigen2_coefficient_by_hand():
  raw = jnp.array([-3.0, 0.0, 2.0, 4.0])
  expected = [0.1 / (1 + math.exp(6)), 0.05, math.e + 0.5, math.exp(2) + 0.5]
  np.testing.assert_allclose(
    actor_lib.eigen2_coefficient(raw), expected, rtol=1e-6
  )


def test_eigen2_coefficient_has_finite_gradients():
  gradient = jax.vmap(jax.grad(actor_lib.eigen2_coefficient))
  found = gradient(jnp.array([-500.0, -1.0, 2.0]))
  sigmoid = 1 / (1 + math.exp(2))
  np.testing.assert_allclose(
    found, [0.0, 0.2 * sigmoid * (1 - sigmoid), math.e / 2], rtol=1e-5
  )


def test_bad_settings_are_named(config, make_window):
  config.actor.coefficient_head = 'tanh'
  with pytest.raises(ValueError, match=r"coefficient_head: found 'tanh'"):
    _build(config, make_window())
  config.actor.coefficient_head = 'sigmoid'
  unbounded = dataclasses.replace(
    SPEC.action, maximum=(float('inf'), 50.0), scaled=False
  )
  with pytest.raises(ValueError, match='coefficients with an upper bound'):
    _build(config, make_window(), dataclasses.replace(SPEC, action=unbounded))

"""Tests of eigen3.networks.feature_extractor."""

import functools

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import SPEC, draw_variables

from eigen3 import networks

KEY = jax.random.PRNGKey(0)
NORM = 'feature_extractor/convolution/batch_norm'


def _build(config, window, dtype='float32'):
  config.compute_dtype = dtype
  network = networks.make_networks(config, SPEC).feature_extractor
  variables = draw_variables(network, window)
  return network, variables


def _apply(network, is_training):
  return jax.jit(functools.partial(network.apply, is_training=is_training))


def _gradients(network, variables, window, key, is_training=True):
  params, state = variables

  @functools.partial(jax.jit, static_argnums=3)
  def evaluate(params, window, key, is_training):
    def loss(params, window):
      y, _ = network.apply(params, state, key, window, is_training)
      mix = jnp.cos(jnp.arange(y.size)).reshape(y.shape)
      return (y * mix).sum(), y

    return jax.value_and_grad(loss, (0, 1), has_aux=True)(params, window)

  return evaluate(params, window, key, is_training)


@pytest.mark.parametrize('batch', [1, 4])
def test_shape(config, make_window, batch):
  network, variables = _build(config, make_window(batch))
  y, _ = _apply(network, False)(*variables, None, make_window(batch))
  assert y.shape == (batch, 12, 2 * config.hidden)
  assert y.dtype == jnp.float32


def test_every_parameter_receives_a_gradient(
  config, make_window, silent_gradients
):
  with double_precision.enable_x64(True):
    window = make_window().astype(np.float64)
    network, variables = _build(config, window, 'float64')
    _, (gradients, _) = _gradients(network, variables, window, KEY)
    silent_gradients(gradients)


def test_columns_are_encoded_alone(config, make_window):
  network, variables = _build(config, make_window())
  apply = _apply(network, False)
  window = make_window()
  changed = window.copy()
  changed[:, :, 4] += 1.0
  y, y_changed = (apply(*variables, None, w)[0] for w in (window, changed))
  same = np.isclose(y, y_changed, atol=1e-7).all((0, 2))
  assert not same[4]
  assert same[np.arange(12) != 4].all()


def test_training_drops_units_and_records_statistics(config, make_window):
  window = make_window()
  network, variables = _build(config, window)
  train = _apply(network, True)
  first, state = train(*variables, KEY, window)
  again, _ = train(*variables, KEY, window)
  other, _ = train(*variables, jax.random.PRNGKey(1), window)
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-4
  evaluate = _apply(network, False)
  y, kept = evaluate(*variables, None, window)
  assert np.abs(first - y).max() > 1e-4
  np.testing.assert_array_equal(kept[NORM]['mean'], variables[1][NORM]['mean'])
  assert np.abs(state[NORM]['mean'] - kept[NORM]['mean']).max() > 1e-3


@pytest.mark.parametrize('is_training', [False, True])
def test_chunks_and_remat_change_nothing(
  config, make_window, holes, is_training
):
  with double_precision.enable_x64(True):
    window = holes(make_window(2).astype(np.float64))
    results = []
    for chunk, remat in ((0, False), (0, True), (5, is_training)):
      config.sequence_block = config.evaluation_block = chunk
      config.remat = remat
      network, variables = _build(config, window, 'float64')
      results.append(_gradients(network, variables, window, KEY, is_training))
    assert np.abs(results[0][0][1]).max() > 1e-2
    for result in results[1:]:
      for a, b in zip(
        jax.tree.leaves(results[0]), jax.tree.leaves(result), strict=True
      ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def _convolve(window, w, b):
  """A plain convolution over days: [B, D, C, F] to [B, D, C, channels]."""
  y = np.zeros((*window.shape[:3], w.shape[2])) + b
  for day in range(window.shape[1]):
    for tap, other in enumerate((day - 1, day, day + 1)):
      if 0 <= other < window.shape[1]:
        y[:, day] += window[:, other] @ w[tap]
  return y


def test_running_statistics_skip_missing_cells(config, make_window, holes):
  window = holes(make_window())
  network, variables = _build(config, window)
  _, state = _apply(network, True)(*variables, KEY, window)
  convolution = variables[0]['feature_extractor/convolution']
  y = _convolve(
    window.astype(np.float64),
    *(np.asarray(convolution[name], np.float64) for name in 'wb'),
  )
  # NaN spreads to the neighbours of a missing cell, and to all channels.
  counted = y[~np.isnan(y).any(-1)]
  assert len(counted) < y[..., 0].size - 3 * 8 * 2
  np.testing.assert_allclose(
    state[NORM]['mean'], 0.1 * counted.mean(0), rtol=1e-4, atol=1e-7
  )
  np.testing.assert_allclose(
    state[NORM]['variance'], 0.9 + 0.1 * counted.var(0, ddof=1), rtol=1e-5
  )


def test_a_batch_without_data_leaves_the_statistics(
  config, make_window, finite
):
  window = np.full_like(make_window(), np.nan)
  network, variables = _build(config, window)
  _, state = variables
  result = _gradients(network, variables, window, KEY)
  finite(result)
  _, after = _apply(network, True)(*variables, KEY, window)
  for name, before in state[NORM].items():
    np.testing.assert_array_equal(after[NORM][name], before)


@pytest.mark.parametrize('is_training', [False, True])
def test_missing_cells_are_never_read(
  config, make_window, holes, finite, is_training
):
  window = holes(make_window())
  network, variables = _build(config, window)
  result = _gradients(network, variables, window, KEY, is_training)
  finite(result)
  # The other features of a cell with one NaN are not looked at either.
  changed = window.copy()
  changed[0, 3, 1, :2] = 77.0
  other = _gradients(network, variables, changed, KEY, is_training)
  for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(other), strict=True):
    np.testing.assert_array_equal(a, b)
  to_window = result[1][1]
  np.testing.assert_array_equal(to_window[np.isnan(window)], 0.0)


def test_population(config, make_window):
  window = make_window(2)
  config.remat, config.sequence_block = True, 5
  network = networks.make_networks(config, SPEC).feature_extractor
  keys = jax.random.split(KEY, 3)
  params, state = draw_variables(network, window, lead=(3,))
  train = functools.partial(network.apply, is_training=True)
  one = jax.jit(train)
  together, states = jax.jit(jax.vmap(train, (0, 0, 0, None)))(
    params, state, keys, window
  )
  for agent in range(3):
    own = jax.tree.map(lambda x, agent=agent: x[agent], (params, state))
    alone, state_alone = one(*own, keys[agent], window)
    np.testing.assert_allclose(together[agent], alone, atol=2e-6)
    np.testing.assert_allclose(
      states[NORM]['variance'][agent],
      state_alone[NORM]['variance'],
      rtol=1e-5,
    )


def test_bfloat16_is_close_and_keeps_state_wide(config, make_window, holes):
  window = holes(make_window())
  results = {}
  for dtype in ('float32', 'bfloat16'):
    network, variables = _build(config, window, dtype)
    y, state = _apply(network, True)(*variables, KEY, window)
    for leaf in jax.tree.leaves((y, state, variables)):
      assert leaf.dtype == jnp.float32
    results[dtype] = y, state
  difference = np.abs(results['float32'][0] - results['bfloat16'][0]).max()
  assert 0 < difference < 0.02
  np.testing.assert_array_equal(
    results['float32'][1][NORM]['mean'], results['bfloat16'][1][NORM]['mean']
  )


def test_a_short_window_is_refused(config, make_window):
  with pytest.raises(ValueError, match='pooled_days: found 3'):
    _build(config, make_window()[:, :2])

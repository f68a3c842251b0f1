"""Tests of eigen3.networks.attention."""

import functools

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import SPEC, draw_variables

from eigen3 import networks

KEY = jax.random.PRNGKey(0)
KINDS = ['cross_attention', 'self_attention']
GAIN = 3.0  # of what is learnt of a column's place


@pytest.fixture
def features():
  rng = np.random.default_rng(5)
  return rng.normal(size=(3, 6, 8)).astype(np.float32)


def _build(config, kind, features, **changes):
  for name, value in changes.items():
    config[name] = value
  network = getattr(networks.make_networks(config, SPEC), kind)
  return network, *draw_variables(network, features)


def _apply(network, **options):
  return jax.jit(functools.partial(network.apply, **options))


def _reference(kind, params, features, heads):
  """Attention head by head, query by query, in NumPy."""
  attention, norm = (
    params[f'{kind}/{name}'] for name in ('attention', 'layer_norm')
  )

  def project(name, x):
    return x @ np.asarray(attention[f'{name}_w']) + attention[f'{name}_b']

  outputs, looks = [], []
  for x in features:
    queries = x
    if kind == 'cross_attention':
      queries = np.asarray(params[kind]['query'])[0]
    q, k, v = project('query', queries), project('key', x), project('value', x)
    size = x.shape[-1] // heads
    attended = np.zeros_like(q)
    look = np.zeros(len(x))
    for head in range(heads):
      part = slice(head * size, (head + 1) * size)
      for row in range(len(q)):
        logits = k[:, part] @ q[row, part] / np.sqrt(size)
        if kind == 'cross_attention':
          bias = np.asarray(params[kind]['column_bias'])
          logits = logits + GAIN * bias[head, 0]
        weights = np.exp(logits) / np.exp(logits).sum()
        attended[row, part] = weights @ v[:, part]
        look += weights / (heads * len(q))
    y = project('output', attended)
    y = y + x if kind == 'self_attention' else y
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(
      y.var(-1, keepdims=True) + 1e-5
    )
    outputs.append(y * norm['scale'] + norm['offset'])
    looks.append(look)
  return np.stack(outputs), np.stack(looks)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('heads', [1, 4])
def test_against_numpy(config, features, kind, heads):
  network, params, state = _build(
    config, kind, features, num_heads=heads, column_gain=GAIN
  )
  if kind == 'cross_attention':
    bias = np.random.default_rng(1).normal(size=(heads, 1, 6))
    params = {**params, kind: {**params[kind], 'column_bias': bias}}
  (y, look), _ = _apply(network, return_weights=True)(
    params, state, None, features
  )
  expected, expected_look = _reference(kind, params, features, heads)
  np.testing.assert_allclose(y, expected, atol=1e-5)
  np.testing.assert_allclose(look, expected_look, atol=1e-6)


@pytest.mark.parametrize('kind,length', [(KINDS[0], 1), (KINDS[1], 6)])
@pytest.mark.parametrize('batch', [1, 3])
def test_shapes(config, features, kind, length, batch):
  network, params, state = _build(config, kind, features)
  (y, look), _ = _apply(network)(params, state, None, features[:batch])
  assert y.shape == (batch, length, 8)
  assert look is None


@pytest.mark.parametrize('kind', KINDS)
def test_training_drops_weights_and_scales_what_it_shows(
  config, features, kind
):
  network, params, state = _build(config, kind, features, attention_dropout=0.5)
  train = _apply(network, is_training=True, return_weights=True)
  (y, look), _ = train(params, state, KEY, features)
  (again, _), _ = train(params, state, KEY, features)
  (other, _), _ = train(params, state, jax.random.PRNGKey(1), features)
  np.testing.assert_array_equal(y, again)
  assert np.abs(y - other).max() > 1e-3
  np.testing.assert_allclose(look.sum(-1), 1.0, rtol=1e-5)
  (_, calm), _ = _apply(network, return_weights=True)(
    params, state, None, features
  )
  np.testing.assert_allclose(calm.sum(-1), 1.0, rtol=1e-5)
  assert np.abs(look - calm).max() > 1e-3


@pytest.mark.parametrize('kind', KINDS)
def test_a_split_batch_draws_the_same_masks(config, features, kind):
  network, params, state = _build(config, kind, features)
  train = _apply(network, is_training=True)
  (whole, _), _ = train(params, state, KEY, features)
  (part, _), _ = train(
    params, state, KEY, features[1:], examples=jnp.array([1, 2])
  )
  np.testing.assert_allclose(part, whole[1:], atol=1e-6)


@pytest.mark.parametrize('kind', KINDS)
def test_gradients_with_and_without_remat(
  config, features, kind, silent_gradients
):
  with double_precision.enable_x64(True):
    found = []
    for remat in (False, True):
      network, params, state = _build(
        config, kind, features, remat=remat, compute_dtype='float64'
      )

      def loss(params, network=network, state=state):
        (y, _), _ = network.apply(
          params, state, KEY, features.astype(np.float64), is_training=True
        )
        return (y * jnp.sin(jnp.arange(y.size)).reshape(y.shape)).sum()

      found.append(jax.jit(jax.grad(loss))(params))
    silent_gradients(found[0])
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
      np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize('kind', KINDS)
def test_population(config, features, kind):
  network, _, _ = _build(config, kind, features)
  params, state = draw_variables(network, features, lead=(3,))
  (together, _), _ = jax.jit(jax.vmap(network.apply, (0, 0, None, None)))(
    params, state, None, features
  )
  own = jax.tree.map(lambda x: x[1], params)
  (alone, _), _ = _apply(network)(own, state, None, features)
  np.testing.assert_allclose(together[1], alone, atol=1e-6)


@pytest.mark.parametrize('kind', KINDS)
def test_bfloat16_is_close(config, features, kind):
  results = []
  for dtype in ('float32', 'bfloat16'):
    network, params, state = _build(config, kind, features, compute_dtype=dtype)
    (y, _), _ = _apply(network)(params, state, None, features)
    assert y.dtype == jnp.float32
    results.append(y)
  assert 0 < np.abs(results[0] - results[1]).max() < 0.1


def test_heads_must_divide_the_width(config, features):
  with pytest.raises(ValueError, match=r'num_heads: found 3.* 8'):
    _build(config, 'cross_attention', features, num_heads=3)


def test_without_a_gain_no_place_is_learnt(config, features):
  _, params, _ = _build(config, KINDS[0], features, column_gain=0.0)
  assert set(params['cross_attention']) == {'query'}


def test_mean_over_columns_by_hand(features):
  logits = jnp.log(jnp.array([1.0, 2.0, 1.0, 4.0, 1.0, 1.0]))
  expected = np.einsum('c,bce->be', [0.1, 0.2, 0.1, 0.4, 0.1, 0.1], features)
  found = networks.column_mean(features, logits)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  np.testing.assert_allclose(
    networks.column_mean(features, jnp.zeros(6)), features.mean(1), atol=1e-6
  )


def test_numbers_of_other_columns_have_places_of_their_own(config, make_window):
  """A critic's value may depend on which context column is which."""
  config.context_numbers = 2
  window = make_window()
  action = np.random.default_rng(2).uniform(-1, 1, (3, 8, 2)).astype('f4')
  critic = networks.make_networks(config, SPEC).critic
  params, state = draw_variables(critic, window, action)
  (name,) = (x for x in params if 'context_numbers' in x)
  assert params[name]['w'].shape == (2 * config.hidden, 2)
  value = jax.jit(lambda *x: critic.apply(params, state, None, *x)[0])
  expected = value(window, action)
  stocks = np.random.default_rng(3).permutation(8)
  shuffled = window.copy()
  shuffled[:, :, 4:] = window[:, :, 4:][:, :, stocks]
  found = value(shuffled, action[:, stocks])
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
  swapped = window[:, :, [1, 0, *range(2, 12)]]
  assert np.abs(value(swapped, action) - expected).max() > 1e-4

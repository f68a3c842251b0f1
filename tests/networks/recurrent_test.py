"""Tests of eigen3.networks.recurrent against an unpruned reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.networks import layers, recurrent

D, ROWS, INPUTS, H = 6, 5, 3, 4
F32 = layers.precision_policy('float32')
F64 = layers.precision_policy('float64')


def _weights(dtype):
  rng = np.random.default_rng(0)

  def direction(inputs):
    return recurrent.DirectionWeights(
      *(
        jnp.asarray(rng.normal(size=shape) / 2, dtype)
        for shape in ((inputs, 4 * H), (H, 4 * H), (4 * H,))
      )
    )

  return recurrent.Weights(*map(direction, (INPUTS, INPUTS, 2 * H, 2 * H)))


def _inputs(dtype):
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(D, ROWS, INPUTS)), dtype)
  keep = jnp.asarray(rng.integers(0, 2, (D, ROWS, 2 * H)) / 0.5, dtype)
  return x, keep


def _pooled(weights, x, keep, pooled_days, policy):
  """The core on arrays [D, rows, ...]; it has rows last itself."""
  if keep is not None:
    keep = keep.swapaxes(1, 2)
  x = x.swapaxes(1, 2)
  return recurrent.pooled_lstm(weights, x, keep, pooled_days, policy)


def _direction(weights, x):
  """One direction in the obvious way: every step, as the textbook says."""
  hidden = cell = jnp.zeros((x.shape[1], H), x.dtype)
  outputs = []
  for x_t in x:
    gates = x_t @ weights.input + hidden @ weights.hidden + weights.bias
    i, f, g, o = (gates[:, k * H : (k + 1) * H] for k in range(4))
    cell = cell / (1 + jnp.exp(-f)) + jnp.tanh(g) / (1 + jnp.exp(-i))
    hidden = jnp.tanh(cell) / (1 + jnp.exp(-o))
    outputs.append(hidden)
  return jnp.stack(outputs)


def _whole(weights, x, keep, pooled_days):
  """Both layers and directions over all steps, pooled at the end."""

  def layer(forward, reverse, x):
    back = _direction(reverse, x[::-1])[::-1]
    return jnp.concatenate([_direction(forward, x), back], -1)

  hidden = layer(weights.layer_1_forward, weights.layer_1_reverse, x)
  if keep is not None:
    hidden = hidden * keep
  hidden = layer(weights.layer_2_forward, weights.layer_2_reverse, hidden)
  return hidden[-pooled_days:].mean(0)


@pytest.mark.parametrize('pooled_days,dropped', [(3, True), (D, False)])
def test_pruning_changes_neither_values_nor_gradients(pooled_days, dropped):
  with jax.enable_x64(True):
    weights = _weights(jnp.float64)
    x, keep = _inputs(jnp.float64)
    keep = keep if dropped else None
    cotangent = jnp.asarray(np.random.default_rng(2).normal(size=(ROWS, 2 * H)))

    def pruned(weights, x):
      y = _pooled(weights, x, keep, pooled_days, F64)
      return (y * cotangent).sum(), y

    def whole(weights, x):
      y = _whole(weights, x, keep, pooled_days)
      return (y * cotangent).sum(), y

    found, y = jax.jit(jax.grad(pruned, (0, 1), has_aux=True))(weights, x)
    expected, y_whole = jax.jit(jax.grad(whole, (0, 1), has_aux=True))(
      weights, x
    )
    np.testing.assert_allclose(y, y_whole, atol=1e-13)
    for a, b in zip(
      jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
      np.testing.assert_allclose(a, b, atol=1e-12)


def test_rows_do_not_meet():
  weights = _weights(jnp.float32)
  x, _ = _inputs(jnp.float32)
  core = jax.jit(lambda x: _pooled(weights, x, None, 3, F32))
  whole = core(x)
  for row in range(ROWS):
    alone = core(x[:, row : row + 1])
    np.testing.assert_allclose(alone[0], whole[row], atol=1e-6)


def test_bfloat16_keeps_wide_outputs():
  weights = _weights(jnp.float32)
  x, keep = _inputs(jnp.float32)
  wide = _pooled(weights, x, keep, 3, F32)
  narrow = _pooled(weights, x, keep, 3, layers.precision_policy('bfloat16'))
  assert narrow.dtype == jnp.float32
  difference = np.abs(narrow - wide).max()
  assert 0 < difference < 0.03


def test_too_few_days_are_refused():
  x, _ = _inputs(jnp.float32)
  with pytest.raises(ValueError, match='pooled_days: found 7'):
    _pooled(_weights(jnp.float32), x, None, 7, F32)


def test_bfloat16_gradients_are_close():
  weights = _weights(jnp.float32)
  x, keep = _inputs(jnp.float32)

  def gradients(policy):
    def loss(weights, x):
      return jnp.square(_pooled(weights, x, keep, 3, policy)).sum()

    return jax.tree.leaves(jax.jit(jax.grad(loss, (0, 1)))(weights, x))

  wide = gradients(F32)
  narrow = gradients(layers.precision_policy('bfloat16'))
  for a, b in zip(wide, narrow, strict=True):
    assert b.dtype == jnp.float32
    assert np.abs(a - b).max() < 0.05 * np.abs(a).max()

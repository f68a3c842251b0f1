"""Tests of eigen3.networks.recurrent against plain autodiff of every step."""

import functools
import itertools

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scanned_loops

from eigen3.networks import dropout, layers, recurrent

D, ROWS, INPUTS, H = 6, 5, 3, 4
RATE = 0.4
F32 = layers.precision_policy('float32')
with double_precision.enable_x64(True):
  F64 = layers.precision_policy('float64')
# The ways in which the core can run, by fields of its plan.
WAYS = [
  *(
    {'save_gates': save_gates, 'hoist': hoist}
    for save_gates, hoist in itertools.product(
      ((True, True), (False, True), (False, False)), (True, False)
    )
  ),
  {'loops': scanned_loops.LOOPS},
  {'save_gates': (True, True), 'together': True},
  {'save_gates': (False, True), 'together': True},
]
in_each_way = pytest.mark.parametrize(
  'way',
  WAYS,
  ids=lambda way: next((x for x in ('loops', 'together') if x in way), None),
)


def _weights(dtype, seed=0):
  rng = np.random.default_rng(seed)

  def direction(inputs):
    return recurrent.DirectionWeights(
      *(
        jnp.asarray(rng.normal(size=shape) / 2, dtype)
        for shape in ((inputs, 4 * H), (H, 4 * H), (4 * H,))
      )
    )

  return recurrent.Weights(*map(direction, (INPUTS, INPUTS, 2 * H, 2 * H)))


def _inputs(dtype, seed=1):
  x = np.random.default_rng(seed).normal(size=(D, INPUTS, ROWS))
  keys = jax.vmap(jax.random.PRNGKey)(jnp.arange(ROWS) + seed)
  return jnp.asarray(x, dtype), keys


def _plan(policy=F64, pooled_days=3, rate=RATE, **way):
  return recurrent.Plan(policy, pooled_days, rate, **way)


def _direction(weights, x):
  """A textbook LSTM direction; [D, rows, I] to [D, rows, H]."""

  def step(carry, x_t):
    hidden, cell = carry
    gates = x_t @ weights.input + hidden @ weights.hidden + weights.bias
    i, f, g, o = (gates[:, k * H : (k + 1) * H] for k in range(4))
    cell = cell / (1 + jnp.exp(-f)) + jnp.tanh(g) / (1 + jnp.exp(-i))
    hidden = jnp.tanh(cell) / (1 + jnp.exp(-o))
    return (hidden, cell), hidden

  zeros = jnp.zeros((x.shape[1], H), x.dtype)
  return jax.lax.scan(step, (zeros, zeros), x)[1]


def _whole(plan, weights, x, keys):
  """Both layers and directions over all steps, pooled at the end."""

  def layer(forward, reverse, x):
    back = _direction(reverse, x[::-1])[::-1]
    return jnp.concatenate([_direction(forward, x), back], -1)

  x = x.swapaxes(1, 2)
  hidden = layer(weights.layer_1_forward, weights.layer_1_reverse, x)
  if keys is not None:
    shape = (x.shape[0], 2 * H)
    keep = dropout.keep_scale(keys, plan.dropout_rate, shape, x.dtype)
    hidden = hidden * keep.swapaxes(1, 2)
  hidden = layer(weights.layer_2_forward, weights.layer_2_reverse, hidden)
  return hidden[-plan.pooled_days :].mean(0)


def _results(core, plan, weights, x, keys):
  """Returns values, and gradients of a mix of them by weights and x."""
  mix = jnp.asarray(np.random.default_rng(2).normal(size=(ROWS, 2 * H)))

  def loss(weights, x):
    y = core(plan, weights, x, keys)
    return (y * mix.astype(y.dtype)).sum(), y

  return jax.grad(loss, (0, 1), has_aux=True)(weights, x)


@functools.cache
def _expected(pooled_days=3, dropped=True, seeds=(0, 1)):
  """Returns `_results` of every step, in float64, for weights and inputs."""
  weights = _weights(jnp.float64, seeds[0])
  x, keys = _inputs(jnp.float64, seeds[1])
  core = functools.partial(_results, _whole, _plan(F64, pooled_days))
  return jax.jit(core)(weights, x, keys if dropped else None)


def _assert_close(found, expected, tolerance):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for a, b in zip(
    jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
  ):
    assert np.abs(b).max() > 1e-3
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@in_each_way
@pytest.mark.parametrize(
  'pooled_days,dropped', [(3, True), (D, False), (2, True)]
)
def test_as_autodiff_of_all_steps(pooled_days, dropped, way):
  with double_precision.enable_x64(True):
    plan = _plan(F64, pooled_days, RATE, **way)
    weights, (x, keys) = _weights(jnp.float64), _inputs(jnp.float64)
    arguments = plan, weights, x, keys if dropped else None
    found = jax.jit(lambda: _results(recurrent.pooled_lstm, *arguments))()
    expected = _expected(pooled_days, dropped)
    _assert_close(found, expected, 1e-13)
    # Without a gradient, less is computed.
    y = jax.jit(lambda: recurrent.pooled_lstm(*arguments))()
    np.testing.assert_allclose(y, expected[1], rtol=0, atol=1e-13)


@in_each_way
def test_under_vmap(way):
  with double_precision.enable_x64(True):
    plan = _plan(**way)
    seeds = (3, 4)
    agents = [
      (_weights(jnp.float64, s), *_inputs(jnp.float64, s)) for s in seeds
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *agents)
    core = functools.partial(_results, recurrent.pooled_lstm, plan)
    together = jax.jit(jax.vmap(core))(*stacked)
    for k, seed in enumerate(seeds):
      own = jax.tree.map(lambda leaf, k=k: leaf[k], together)
      _assert_close(own, _expected(seeds=(seed, seed)), 1e-13)


@in_each_way
def test_under_remat_and_in_a_loop(way):
  with double_precision.enable_x64(True):
    plan = _plan(**way)
    weights, (x, keys) = _weights(jnp.float64), _inputs(jnp.float64)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def block(weights, x, keys):
      return recurrent.pooled_lstm(plan, weights, x, keys)

    def looped(plan, weights, x, keys):
      blocks = x[None].repeat(2, 0), keys[None].repeat(2, 0)
      return jax.lax.map(lambda b: block(weights, *b), blocks).mean(0)

    found = jax.jit(lambda: _results(looped, plan, weights, x, keys))()
    _assert_close(found, _expected(), 1e-13)


def test_rows_do_not_meet():
  weights, (x, keys) = _weights(jnp.float32), _inputs(jnp.float32)
  core = jax.jit(functools.partial(recurrent.pooled_lstm, _plan(F32), weights))
  whole = core(x, keys)
  for row in range(ROWS):
    alone = core(x[..., row : row + 1], keys[row : row + 1])
    np.testing.assert_allclose(alone[0], whole[row], atol=1e-6)


def test_without_a_rate_keys_are_not_used():
  weights, (x, keys) = _weights(jnp.float32), _inputs(jnp.float32)
  core = functools.partial(recurrent.pooled_lstm, _plan(F32, rate=0.0), weights)
  np.testing.assert_array_equal(core(x, keys), core(x, None))


def test_too_few_days_are_refused():
  x, _ = _inputs(jnp.float32)
  plan = _plan(F32, pooled_days=7)
  with pytest.raises(ValueError, match='pooled_days: found 7'):
    recurrent.pooled_lstm(plan, _weights(jnp.float32), x, None)


@in_each_way
def test_bfloat16_is_close_and_wide_outside(way):
  weights, (x, keys) = _weights(jnp.float32), _inputs(jnp.float32)
  plan = _plan(layers.precision_policy('bfloat16'), **way)
  core = functools.partial(_results, recurrent.pooled_lstm, plan)
  narrow = jax.jit(core)(weights, x, keys)
  with double_precision.enable_x64(True):
    wide = jax.tree.map(np.asarray, _expected())
  for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(narrow), strict=True):
    assert b.dtype == jnp.float32
    assert 0 < np.abs(a - b).max() < 0.05 * np.abs(a).max()


def test_one_loop_of_the_first_layer_on_a_gpu():
  """Counts the loops of a lowered program, and what they carry."""
  weights, (x, keys) = _weights(jnp.float32), _inputs(jnp.float32)

  def lowered(together, backward):
    plan = _plan(layers.precision_policy('bfloat16'), together=together)
    core = functools.partial(recurrent.pooled_lstm, plan)
    run = functools.partial(_results, recurrent.pooled_lstm, plan)
    traced = jax.jit(run if backward else core).trace(weights, x, keys)
    return traced.lower(lowering_platforms=('cuda',)).as_text()

  def loops(*how):
    return lowered(*how).count('stablehlo.while')

  # Layer 1, layer 2 forward and the last days of its reverse direction; apart,
  # the forward one is two loops where only the last days of it are wanted.
  assert (loops(False, False), loops(True, False)) == (2 + 2 + 1, 1 + 1 + 1)
  # And back, where blocks of steps are a loop around each of two.
  assert (loops(False, True), loops(True, True)) == (4 + 4, 3 + 3 + 2)
  text = lowered(True, True)
  all_steps, step = f'{D}x2x{H}x{ROWS}', f'2x{H}x{ROWS}'
  assert f'tensor<{all_steps}xbf16>' in text
  assert f'tensor<{all_steps}xf32>' not in text
  assert f'tensor<{step}xf32>' in text  # the cell state

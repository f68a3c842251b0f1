"""Tests of the kernels of eigen3.networks.hopper without a GPU.

To lower them for CUDA at full size refuses too much shared memory, layouts that
do not match and copies that are not contiguous. What they compute is tested on
an interpreter, with a few days, and on a GPU by what benchmark_kernels_test.py
calls. What lies around
them is tested in recurrent_test.py, with scans in their place.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scanned_loops
from interpreted import interpreted
from tiny_networks import SPEC

from eigen3.networks import hopper, layers, make_networks, recurrent
from experiments.configs import td3

D, INPUTS, H, ROWS = 504, 32, 128, 5352
FORWARD = 3  # kernels: both directions of layer 1, and each of layer 2
BACKWARD = 3

pytestmark = pytest.mark.skipif(
  jax.__version_info__ < (0, 10), reason='the kernels need jax 0.10'
)


def _floats(*shape):
  return jax.ShapeDtypeStruct(shape, jnp.float32)


def _arguments(rows, *lead):
  """Weights, inputs and keys, with leading axes."""

  def direction(inputs):
    shapes = (inputs, 4 * H), (H, 4 * H), (4 * H,)
    return recurrent.DirectionWeights(*(_floats(*lead, *x) for x in shapes))

  weights = map(direction, (INPUTS, INPUTS, 2 * H, 2 * H))
  keys = jax.ShapeDtypeStruct((*lead, rows, 2), jnp.uint32)
  return recurrent.Weights(*weights), _floats(*lead, D, INPUTS, rows), keys


def _core(weights, x, keys, loops=hopper.LOOPS):
  policy = layers.precision_policy('bfloat16')
  plan = recurrent.Plan(policy, 3, 0.1, loops=loops)
  return recurrent.pooled_lstm(plan, weights, x, keys)


def _loss(weights, x, keys):
  return jnp.square(_core(weights, x, keys)).sum()


_gradients = jax.grad(_loss, (0, 1))


# The interpreter waits for ever for what it calls from within another program.
PLAIN = hopper.LOOPS._replace(forward=hopper.forward, backward=hopper.backward)


def _kernels(function, *arguments, **options):
  """Counts the kernels of a program compiled for CUDA."""
  traced = jax.jit(function, **options).trace(*arguments)
  text = traced.lower(lowering_platforms=('cuda',)).as_text()
  assert '@mosaic_gpu' in text
  # Equal kernels are lowered once, and called by these names.
  return len(re.findall(r'call @(?:forward|backward)(?:_\d+)?\(', text))


def test_evaluation():
  weights, x, _ = _arguments(ROWS)
  assert _kernels(lambda *both: _core(*both, None), weights, x) == FORWARD


@pytest.mark.parametrize('rows', [65, ROWS])
def test_gradients(rows):
  assert _kernels(_gradients, *_arguments(rows)) == FORWARD + BACKWARD


def test_a_population_of_ensembles_that_share_their_inputs():
  weights, _, _ = _arguments(669, 16, 2)
  _, x, keys = _arguments(669, 16)
  ensemble = jax.vmap(_gradients, (0, None, None))
  found = _kernels(jax.vmap(ensemble), weights, x, keys)
  assert found == FORWARD + BACKWARD


def test_computed_again_in_a_loop_over_blocks():
  weights, _, _ = _arguments(640)
  _, x, keys = _arguments(640, 3)
  block = jax.checkpoint(_core, prevent_cse=False)

  def loss(weights, x, keys):
    of_block = functools.partial(block, weights)
    features = jax.lax.map(lambda blocks: of_block(*blocks), (x, keys))
    return jnp.square(features).sum()

  found = _kernels(jax.grad(loss), weights, x, keys)
  assert found == 2 * FORWARD + BACKWARD


def test_over_the_devices_of_a_mesh():
  kinds = (jax.sharding.AxisType.Auto,)
  mesh = jax.sharding.AbstractMesh((4,), ('batch',), axis_types=kinds)
  whole, shares = jax.P(), jax.P(None, None, 'batch')
  spread = jax.shard_map(
    _loss_of_share,
    mesh=mesh,
    in_specs=(whole, shares, jax.P('batch')),
    out_specs=whole,
    check_vma=False,
  )
  gradients = jax.grad(spread)
  assert _kernels(gradients, *_arguments(ROWS)) == FORWARD + BACKWARD


def _loss_of_share(*arguments):
  return jax.lax.psum(_loss(*arguments), 'batch')


def test_an_ensemble_of_critics():
  config = td3.get_config('smoke').networks
  config.hidden, config.critic.ensemble = H, 2
  config.compute_dtype, config.lstm_kernel = 'bfloat16', 'hopper'
  config.remat, config.lstm_hoist = True, 'never'
  config.sequence_block = config.evaluation_block = 64
  config.lstm_directions = 'apart'
  critic = make_networks(config, SPEC).double_critic
  days, columns = SPEC.context_days, SPEC.num_columns
  window = _floats(8, days, columns, SPEC.num_features)
  action = _floats(8, SPEC.num_investable, 2)
  key = jax.random.PRNGKey(0)
  params, state = jax.eval_shape(critic.init, key, window, action)

  def loss(params, state, window, action):
    values, _ = critic.apply(
      params, state, key, window, action, is_training=True
    )
    return jnp.square(values).sum()

  found = _kernels(jax.grad(loss), params, state, window, action)
  assert found == 2 * (2 * FORWARD + BACKWARD)


def test_weights_may_be_given_away():
  found = _kernels(_descend, *_arguments(669), donate_argnums=0)
  assert found == FORWARD + BACKWARD


def _descend(weights, x, keys):
  gradients = jax.grad(_loss)(weights, x, keys)
  return jax.tree.map(lambda w, g: w - g, weights, gradients)


def _drawn(*shape, scale=1.0):
  rng = np.random.default_rng(sum(shape))
  return jnp.asarray(scale * rng.normal(size=shape), jnp.bfloat16)


def _assert_near(found, expected):
  """Equal, except where another order of a sum rounds to the next bfloat16."""
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
    a, b = (np.asarray(x, np.float32) for x in (a, b))
    assert np.linalg.norm(b) > 1
    error = np.linalg.norm(a - b) / np.linalg.norm(b)
    assert error < 1e-3, error


@pytest.mark.parametrize(
  'reverse, emitted, keeps_cells',
  [((False, True), 3, True), ((True,), 2, False)],
)
def test_forward(reverse, emitted, keeps_cells):
  directions = len(reverse)
  arguments = (
    _drawn(directions, 3, 64, 4 * H),
    _drawn(directions, H, 4 * H, scale=0.1),
    reverse,
    emitted,
    keeps_cells,
  )
  with interpreted():
    found = hopper.forward(*arguments)
  _assert_near(found, scanned_loops.forward(*arguments))


def test_backward():
  states = _drawn(2, 2, 3, 64, H)
  arguments = (
    _drawn(2, 3, 64, 4 * H),
    *states,
    _drawn(2, 4 * H, H, scale=0.1),
    (False, True),
  )
  with interpreted():
    found = hopper.backward(*arguments)
  _assert_near(found, scanned_loops.backward(*arguments))


def test_a_population_in_one_kernel():
  weights = _drawn(H, 4 * H, scale=0.1)[None]

  def walk(loops):
    def of_one(x):
      return loops.forward(x, weights, (False,), 2, False)[0]

    return jax.vmap(of_one)(_drawn(2, 1, 2, 128, 4 * H))

  with interpreted():
    found = walk(PLAIN)
  _assert_near(found, walk(scanned_loops.LOOPS))


@pytest.mark.long
def test_the_whole_core_and_its_gradients():
  rng = np.random.default_rng(0)
  weights, x, keys = jax.tree.map(
    lambda leaf: jnp.asarray(rng.uniform(-0.1, 0.1, leaf.shape), leaf.dtype),
    _arguments(65),
  )
  x, keys = (
    10 * x[:4],
    jnp.asarray(rng.integers(0, 2**32, keys.shape), keys.dtype),
  )

  def results(loops):
    def loss(weights, x):
      y = _core(weights, x, keys, loops)
      return jnp.sin(30 * y).sum(), y

    return jax.grad(loss, (0, 1), has_aux=True)(weights, x)

  with interpreted():
    found = results(PLAIN)
  _assert_near(found, results(scanned_loops.LOOPS))

"""Tests that the kernels of eigen3.networks.hopper lower for CUDA.

That needs no GPU, and refuses too much shared memory, layouts that do not
match and copies that are not contiguous. What they compute is tested on a GPU
by `python -m experiments.lstm_kernel`, and on any machine with scans in their
place in recurrent_test.py.
"""

import functools

import jax
import jax.numpy as jnp
import pytest

from eigen3.networks import layers, recurrent

D, INPUTS, H, ROWS = 504, 32, 128, 5352
FORWARD = 3  # kernels: both directions of layer 1, and each of layer 2
BACKWARD = 3

hopper = pytest.importorskip(
  'eigen3.networks.hopper',
  reason='this jax has no Mosaic GPU as the kernels need it',
  exc_type=ImportError,
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


def _core(weights, x, keys):
  plan = recurrent.Plan(
    layers.precision_policy('bfloat16'), 3, 0.1, loops=hopper.LOOPS
  )
  return recurrent.pooled_lstm(plan, weights, x, keys)


def _loss(weights, x, keys):
  return jnp.square(_core(weights, x, keys)).sum()


_gradients = jax.grad(_loss, (0, 1))


def _kernels(function, *arguments, **options):
  """How many kernels are in what is compiled for CUDA."""
  traced = jax.jit(function, **options).trace(*arguments)
  text = traced.lower(lowering_platforms=('cuda',)).as_text()
  return text.count('@mosaic_gpu')


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
  mesh = jax.sharding.AbstractMesh((4,), ('batch',))
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


def test_weights_may_be_given_away():
  found = _kernels(_descend, *_arguments(669), donate_argnums=0)
  assert found == FORWARD + BACKWARD


def _descend(weights, x, keys):
  gradients = jax.grad(_loss)(weights, x, keys)
  return jax.tree.map(lambda w, g: w - g, weights, gradients)

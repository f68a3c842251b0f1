"""Checks of eigen3.parallel on several devices; see devices_test.py."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3 import parallel


def encode(parameters, inputs):
  """Something of every entry alone, with None and an integer among inputs."""
  x, nothing, number = inputs
  assert nothing is None
  y = jnp.tanh(x @ parameters['w'] + parameters['b'])
  return {'mean': y.mean(1), 'scaled': (y[:, -1] * number[:, None], x[:, 0])}


def make_arguments(total):
  rng = np.random.default_rng(total)
  parameters = {'w': rng.normal(size=(3, 4)), 'b': rng.normal(size=4)}
  inputs = (rng.normal(size=(total, 2, 3)), None, np.arange(1, total + 1))
  return parameters, inputs


def values_and_gradients(mapped, parameters, inputs):
  """Of a sum in which every output has a weight of its own."""
  x, *others = inputs

  def loss(parameters, x):
    outputs = mapped(parameters, (x, *others))
    weighted = (
      (jnp.cos(jnp.arange(y.size) + y.ndim).reshape(y.shape) * y).sum()
      for y in jax.tree.leaves(outputs)
    )
    return sum(weighted), outputs

  return jax.value_and_grad(loss, (0, 1), has_aux=True)(parameters, x)


@pytest.mark.parametrize('devices', [2, 3])  # parallel_test.py has one
@pytest.mark.parametrize('total', [2, 7])
def test_blocks_and_devices_change_nothing(devices, total):
  mesh = parallel.make_mesh(devices)
  arguments = make_arguments(total)
  variants = list(itertools.product((0, 1, 2, 9), (False, True)))

  @jax.jit
  def evaluate(parameters, inputs):
    def mapped(size, remat):
      return lambda *arguments: parallel.map_blocks(
        encode, *arguments, size, mesh, remat
      )

    return values_and_gradients(encode, parameters, inputs), [
      values_and_gradients(mapped(*variant), parameters, inputs)
      for variant in variants
    ]

  expected, results = evaluate(*arguments)
  assert all(jnp.abs(x).max() > 0.1 for x in jax.tree.leaves(expected))
  for variant, result in zip(variants, results, strict=True):
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for a, b in zip(
      jax.tree.leaves(result), jax.tree.leaves(expected), strict=True
    ):
      assert a.dtype == b.dtype
      np.testing.assert_allclose(
        a, b, rtol=1e-12, atol=1e-12, err_msg=f'size, remat: {variant}'
      )


@pytest.mark.parametrize(
  'size, block, places',
  [(0, 3, [0, 0, 0, 1, 1, 1, 2]), (2, 2, [0, 0, 0, 0, 1, 1, 1])],
)
def test_each_device_walks_over_its_share(size, block, places):
  """7 entries are shares of 3: one block of 3 each, or two blocks of 2."""
  seen = set()

  def where(parameters, x):
    del parameters
    seen.add(len(x))
    return jnp.full(len(x), jax.lax.axis_index(parallel.BATCH_AXIS))

  mesh = parallel.make_mesh(3)
  found = jax.jit(lambda x: parallel.map_blocks(where, None, x, size, mesh))(
    np.zeros((7, 2))
  )
  assert found.tolist() == places
  assert seen == {block}


def test_a_mesh_has_the_first_devices():
  assert jax.device_count() == 3
  assert parallel.make_mesh(1) is None
  for mesh, count in ((parallel.make_mesh(2), 2), (parallel.make_mesh(), 3)):
    assert list(mesh.devices.flat) == jax.local_devices()[:count]
    assert mesh.shape[parallel.BATCH_AXIS] == count
    assert parallel.agents_at_once(mesh) == 1
  for count in (-1, 0, 4):
    with pytest.raises(ValueError, match='num_devices') as error:
      parallel.make_mesh(count)
    assert str(error.value) == (
      f'num_devices: found {count}, expected 1 to 3, the number of devices'
    )
  for each in (0, 2, 6):
    with pytest.raises(ValueError, match='devices_per_agent') as error:
      parallel.make_mesh(3, each)
    assert str(error.value) == (
      f'devices_per_agent: found {each}, expected a positive divisor of 3, the '
      'number of devices used'
    )


def test_replicas_lie_whole_on_each_device():
  mesh = parallel.make_mesh(3)
  tree = {'x': np.arange(4.0), 'nothing': None}
  copies = parallel.replicate(tree, mesh)
  assert copies['nothing'] is None
  assert copies['x'].sharding == parallel.everywhere(mesh)
  shards = copies['x'].addressable_shards
  assert {s.device for s in shards} == set(jax.local_devices())
  for shard in shards:
    np.testing.assert_array_equal(shard.data, tree['x'])

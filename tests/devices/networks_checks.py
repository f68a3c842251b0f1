"""Checks of eigen3.networks on several devices; see devices_test.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3 import networks, parallel
from experiments.benchmark.settings import spec_of
from experiments.configs import td3

KEY = jax.random.PRNGKey(0)
COLUMNS = 13  # of 3 examples: 39 sequences, two devices need padding
PLAIN = {'sequence_block': 0, 'remat': False}
BLOCKS = {'sequence_block': 4, 'remat': True}


def make_network(name, mesh, changes):
  """A network of the preset smoke in double precision."""
  whole = td3.get_config('smoke')
  config, spec = whole.networks, spec_of(whole)
  config.compute_dtype = 'float64'
  config.update(changes)
  return getattr(networks.make_networks(config, spec, mesh), name)


def make_window(batch, columns=COLUMNS):
  """[B, 8, C, 5] with every kind of missing data."""
  window = np.random.default_rng(0).normal(size=(batch, 8, columns, 5))
  window[0, 3, 1, 2] = np.nan  # one feature of one cell
  window[:, -1, 5] = np.nan  # an investable stock without a last day
  window[:, :6, 6] = np.nan  # lists late
  window[:, :, 7] = np.nan  # never lists
  return window


def make_variables(network, *inputs, population=()):
  """Random parameters and statistics: sooner made than `init` compiles."""
  rng = np.random.default_rng(1)
  params, state = jax.eval_shape(network.init, KEY, *inputs)

  def draw(low, high, tree):
    return jax.tree.map(
      lambda x: rng.uniform(low, high, size=(*population, *x.shape)), tree
    )

  return draw(-0.4, 0.4, params), draw(0.5, 1.5, state)


def training_gradients(network):
  """`(params, state, key, *inputs) -> ((loss, (values, state)), gradients)`."""

  def loss(params, state, key, *inputs):
    values, state = network.apply(params, state, key, *inputs, is_training=True)
    values = values[0] if isinstance(values, tuple) else values
    mix = jnp.cos(jnp.arange(values.size)).reshape(values.shape)
    return (values * mix).sum(), (values, state)

  return jax.value_and_grad(loss, has_aux=True)


def assert_close(result, expected, tolerance=1e-10):
  """Equal structures, names and values."""
  assert jax.tree.structure(result) == jax.tree.structure(expected)
  for (path, b), a in zip(
    jax.tree_util.tree_leaves_with_path(expected),
    jax.tree.leaves(result),
    strict=True,
  ):
    name = jax.tree_util.keystr(path)
    assert a.dtype == b.dtype, name
    np.testing.assert_allclose(
      a, b, rtol=tolerance, atol=tolerance, err_msg=name
    )


def assert_all_of_it_counts(gradients):
  """Every parameter has a gradient, but those that are taken out again.

  They are the bias before batch norm and the keys' bias in a softmax.
  """
  for module, leaves in gradients.items():
    for name, gradient in leaves.items():
      silent = name == 'key_b' or (
        module.endswith('/convolution') and name == 'b'
      )
      assert silent or jnp.abs(gradient).max() > 1e-6, f'{module}/{name}'


@pytest.mark.parametrize(
  'name, spread',
  [
    ('double_critic', ((2, BLOCKS), (3, PLAIN))),
    # learner_checks.py has it on three.
    ('actor', ((2, BLOCKS),)),
  ],
)
def test_training_does_not_depend_on_devices(name, spread):
  inputs = [make_window(3)]
  if name == 'double_critic':
    inputs.append(np.random.default_rng(2).uniform(-1, 1, size=(3, 8, 2)))
  plain = make_network(name, None, PLAIN)
  params, state = make_variables(plain, *inputs)
  evaluate = jax.jit(training_gradients(plain))
  expected = evaluate(params, state, KEY, *inputs)
  (_, (values, after)), gradients = expected
  assert_all_of_it_counts(gradients)
  # Units are dropped and statistics move.
  (_, (others, _)), _ = evaluate(params, state, jax.random.PRNGKey(1), *inputs)
  assert jnp.abs(values - others).max() > 1e-4
  for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
    assert np.abs(a - b).min() > 1e-6

  for devices, changes in spread:
    network = make_network(name, parallel.make_mesh(devices), changes)
    result = jax.jit(training_gradients(network))(params, state, KEY, *inputs)
    assert_close(result, expected)


def test_a_population_is_one_agent_after_another():
  window = make_window(1)
  spread, plain = (
    make_network('feature_extractor', mesh, changes)
    for mesh, changes in ((parallel.make_mesh(2), BLOCKS), (None, PLAIN))
  )
  keys = jax.random.split(KEY, 3)
  params, state = make_variables(plain, window, population=(3,))
  together = jax.jit(
    jax.vmap(training_gradients(spread), in_axes=(0, 0, 0, None))
  )(params, state, keys, window)
  alone = jax.jit(training_gradients(plain))
  for agent in range(3):
    own, result = jax.tree.map(
      lambda x, agent=agent: x[agent], ((params, state, keys), together)
    )
    expected = alone(*own, window)
    assert_all_of_it_counts(expected[1])
    assert_close(result, expected)


def test_the_program_does_not_grow_with_the_columns():
  mesh = parallel.make_mesh(2)

  def lowered(columns, changes):
    network = make_network('feature_extractor', mesh, changes)
    window = make_window(2, columns)
    variables = jax.eval_shape(network.init, KEY, window)
    train = jax.jit(training_gradients(network))
    return train.lower(*variables, KEY, window).as_text()

  few, many = (lowered(columns, BLOCKS) for columns in (12, 48))
  whole = lowered(12, PLAIN)
  loops = [text.count('stablehlo.while') for text in (whole, few, many)]
  assert 0 < loops[0] < loops[1] == loops[2]
  assert len(few.splitlines()) == len(many.splitlines())

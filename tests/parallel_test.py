"""Tests of eigen3.parallel."""

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xla_flags

from eigen3 import parallel


def scaled_tanh(parameters, inputs):
  """Maps each entry alone; `inputs` holds None and a whole number."""
  x, nothing, number = inputs
  assert nothing is None
  return {'y': number[:, None] * jnp.tanh(x @ parameters)}


def weighted_sum(mapped, parameters, x):
  """Returns the outputs, and a sum [] with a different weight for each."""
  outputs = mapped(parameters, (x, None, jnp.arange(1, len(x) + 1)))
  y = outputs['y']
  return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum(), outputs


@pytest.mark.parametrize('total', [1, 5])
@pytest.mark.parametrize('size', [0, 1, 2, 9])
@pytest.mark.parametrize('remat', [False, True])
def test_blocks_change_nothing(total, size, remat):
  def blocks(parameters, inputs):
    return parallel.map_blocks(
      scaled_tanh, parameters, inputs, size, remat=remat
    )

  with double_precision.enable_x64(True):
    rng = np.random.default_rng(0)
    arguments = rng.normal(size=(3, 4)), rng.normal(size=(total, 3))
    result, expected = (
      jax.jit(
        jax.value_and_grad(
          lambda *a, mapped=mapped: weighted_sum(mapped, *a),
          argnums=(0, 1),
          has_aux=True,
        )
      )(*arguments)
      for mapped in (blocks, scaled_tanh)
    )
  assert all(np.abs(x).max() > 0.01 for x in jax.tree.leaves(expected))
  assert jax.tree.structure(result) == jax.tree.structure(expected)
  for a, b in zip(
    jax.tree.leaves(result), jax.tree.leaves(expected), strict=True
  ):
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
  'total, size, block',
  [
    (5, 0, 5),
    (5, 2, 2),
    (7, 4, 4),
    (9, 4, 3),
    (2, 9, 2),
    (15, 99, 15),
    # Whole vectors, few blocks, little padding.
    (335, 384, 336),
    (335, 128, 112),
    (335, 64, 48),
    (368, 112, 96),
    (18, 16, 16),
  ],
)
def test_blocks_are_equal_and_at_most_as_large_as_asked(total, size, block):
  seen = set()

  def note(parameters, x):
    seen.add(len(x))
    return x

  x = np.arange(float(total))
  np.testing.assert_array_equal(parallel.map_blocks(note, None, x, size), x)
  assert seen == {block}


@pytest.mark.parametrize('size', [0, 2])
@pytest.mark.parametrize('remat', [False, True])
def test_only_remat_computes_a_block_again(size, remat):
  def blocks(parameters, inputs):
    return parallel.map_blocks(
      scaled_tanh, parameters, inputs, size, remat=remat
    )

  gradient = jax.value_and_grad(lambda *a: weighted_sum(blocks, *a)[0])
  text = jax.jit(gradient).lower(np.ones((3, 4)), np.ones((5, 3))).as_text()
  assert text.count('stablehlo.tanh') == 1 + remat
  # Outside of a loop the compiler would see through it.
  assert ('optimization_barrier' in text) == (remat and not size)


def test_the_loop_does_not_grow():
  def lines_for(total):
    def blocks(parameters, inputs):
      return parallel.map_blocks(scaled_tanh, parameters, inputs, 2)

    gradient = jax.grad(lambda *a: weighted_sum(blocks, *a)[0])
    x = np.ones((total, 3))
    return len(
      jax.jit(gradient).lower(np.ones((3, 4)), x).as_text().split('\n')
    )

  assert lines_for(6) == lines_for(60)


def test_one_device_needs_no_mesh():
  assert parallel.make_mesh(1) is None
  assert parallel.everywhere(None) is None
  tree = {'x': np.zeros(2)}
  assert parallel.replicate(tree, None) is tree


@pytest.mark.parametrize('missing', [0, 1])
def test_refuses_more_devices_than_there_are_or_none(missing):
  available = jax.local_device_count()
  found = available + 1 if missing else 0
  with pytest.raises(ValueError, match='num_devices') as error:
    parallel.make_mesh(found)
  expected = '1' if available == 1 else f'1 to {available}'
  assert str(error.value) == (
    f'num_devices: found {found}, expected {expected}, the number of devices'
  )


def test_pads_the_end_of_one_axis():
  x = np.arange(6.0).reshape(2, 3)
  padded = parallel.pad_to_multiple(x, 4, axis=1, value=-1)
  np.testing.assert_array_equal(padded, [[0, 1, 2, -1], [3, 4, 5, -1]])


def test_a_size_that_fits_is_left_alone():
  x = np.zeros((4, 6))
  assert parallel.pad_to_multiple(x, 3, axis=1) is x


@pytest.mark.parametrize(
  'size,multiple,expected', [(669, 64, 35), (704, 64, 0), (1, 8, 7), (0, 4, 0)]
)
def test_padding(size, multiple, expected):
  assert parallel.padding(size, multiple) == expected


@pytest.mark.parametrize(
  'flags,expected',
  [
    (
      '',
      {
        'xla_backend_optimization_level': 2,
        'xla_cpu_prefer_vector_width': 512,
      },
    ),
    ('--xla_backend_optimization_level=0', {}),
  ],
)
def test_a_level_of_the_user_is_left_alone(monkeypatch, flags, expected):
  monkeypatch.setattr(parallel.jax, 'default_backend', lambda: 'cpu')
  monkeypatch.setenv('XLA_FLAGS', flags)
  assert parallel.compiler_options() == expected


def test_options_are_those_of_the_backend(monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', '')
  monkeypatch.setattr(parallel, 'known_options', dict)
  monkeypatch.setattr(parallel.jax, 'default_backend', lambda: 'gpu')
  assert not parallel.compiler_options()['xla_gpu_enable_triton_gemm']
  monkeypatch.setattr(parallel.jax, 'default_backend', lambda: 'tpu')
  assert parallel.compiler_options() == {}


def test_options_that_the_compiler_lacks_are_not_asked_for():
  known = {'xla_backend_optimization_level': 0}
  assert parallel.known_options({**known, 'xla_no_such_thing': True}) == known


def test_a_wrong_value_of_an_option_is_an_error():
  """Only a missing option is skipped."""
  with pytest.raises(jax.errors.JaxRuntimeError, match='optimization_level'):
    parallel.known_options({'xla_backend_optimization_level': 'much'})


def test_other_backends_take_no_options_for_quick_compilation(monkeypatch):
  monkeypatch.setattr(parallel.jax, 'default_backend', lambda: 'gpu')
  assert parallel.quick_compilation() == {}


def test_flags_of_tests_are_the_options_of_quick_compilation():
  options = parallel.quick_compilation()
  assert xla_flags.quick().split() == [
    f'--{name}={str(value).lower()}' for name, value in options.items()
  ]
  assert options['xla_backend_optimization_level'] == 0


def test_a_flag_that_xla_lacks_is_not_set():
  assert not xla_flags.knows('--xla_no_such_thing=true')


def test_refuses_a_block_of_nothing():
  with pytest.raises(ValueError, match='found 0, expected at least 1'):
    parallel.padding(3, 0)

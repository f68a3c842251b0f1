"""Tests of eigen3.parallel."""

import numpy as np
import pytest

from eigen3 import parallel


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
    ('', {'xla_backend_optimization_level': 2}),
    ('--xla_backend_optimization_level=0', {}),
  ],
)
def test_a_level_of_the_user_is_left_alone(monkeypatch, flags, expected):
  monkeypatch.setattr(parallel.jax, 'default_backend', lambda: 'cpu')
  monkeypatch.setenv('XLA_FLAGS', flags)
  assert parallel.compiler_options() == expected
  monkeypatch.setattr(parallel.jax, 'default_backend', lambda: 'gpu')
  assert parallel.compiler_options() == {}


def test_refuses_a_block_of_nothing():
  with pytest.raises(ValueError, match='found 0, expected at least 1'):
    parallel.padding(3, 0)

"""Tests of the comparison of two futures of one past, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.evaluation.lookahead import (
  Compared,
  Leak,
  LookAheadError,
  compare_pasts,
  first_leak,
)
from eigen3.evaluation.lookahead.leaks import summed


def changed_at(values, *cells, to=9.0):
  other = values.copy()
  for cell in cells:
    other[cell] = to
  return other


def test_what_comes_later_may_differ():
  values = np.arange(6.0)
  after = changed_at(values, 4, 5)
  assert first_leak({'a': values}, {'a': after}, 3) is None
  assert first_leak({'a': values}, {'a': after}, 4) == Leak('a', 4, (4,), 4, 9)


def test_the_earliest_day_is_named_and_of_equals_the_first_array():
  values = np.zeros((5, 2, 3))
  before = {'a': values, 'b': values, 'c': values}
  after = {
    'a': changed_at(values, (3, 0, 0)),
    'b': changed_at(values, (2, 1, 2), (2, 1, 1)),
    'c': changed_at(values, (2, 0, 0)),
  }
  leak = first_leak(before, after, 4)
  assert leak == Leak('b', 2, (2, 1, 1), 0.0, 9.0)


def test_steps_are_of_the_days_that_are_given():
  """Uses two episodes; a step of day 7 and one of day 5 changed."""
  days = np.array([[6, 7, 8], [4, 5, 6]])
  values = np.zeros((2, 3, 2), np.int32)
  after = changed_at(values, (0, 1, 0), (1, 1, 1), to=9)
  assert first_leak({'a': values}, {'a': after}, 4, days) is None
  leak = first_leak({'a': values}, {'a': after}, 8, days)
  assert leak == Leak('a', 5, (1, 1, 1), 0, 9)


@pytest.mark.parametrize(
  'one, other, leaks',
  [
    (np.float32(0.0), np.float32(-0.0), True),
    (np.float32(1.0), np.nextafter(np.float32(1.0), np.float32(2.0)), True),
    (np.float64(np.nan), np.float64(1.0), True),
    (np.float64(1.0), np.float64(np.nan), True),
    (np.float32(np.nan), np.uint32(0xFFC00001).view(np.float32), False),
    (np.float32(np.inf), np.float32(np.inf), False),
    (np.bool_(True), np.bool_(False), True),
    (np.int32(3), np.int32(3), False),
    (np.datetime64('2020-01-01'), np.datetime64('2020-01-02'), True),
    (np.datetime64('NaT', 'D'), np.datetime64('NaT', 'D'), False),
    (jnp.bfloat16(1.0), jnp.bfloat16(1.0), False),
    (jnp.bfloat16(1.0), jnp.bfloat16(1.01), True),
    (jnp.bfloat16(np.nan), jnp.bfloat16(np.nan), False),
  ],
)
def test_bits_count_and_one_nan_is_like_another(one, other, leaks):
  before, after = ({'a': np.asarray(x)[None]} for x in (one, other))
  assert (first_leak(before, after, 0) is not None) == leaks


def test_how_much_was_compared():
  values = np.zeros((5, 2))
  after = changed_at(values, (3, 0), (4, 1))
  compared = compare_pasts(
    {'x.a': values, 'x.b': values, 'y': values[:, 0]},
    {'x.a': after, 'x.b': values, 'y': after[:, 0]},
    2,
  )
  assert compared == {
    'x.a': Compared(6, 2),
    'x.b': Compared(6, 0),
    'y': Compared(3, 1),
  }
  assert summed([compared, {'y': Compared(10, 1)}]) == {
    'x': Compared(12, 2),
    'y': Compared(13, 2),
  }
  days = np.array([[1, 2], [2, 3]])
  episodes = np.zeros((2, 2, 7))
  assert compare_pasts({'a': episodes}, {'a': episodes}, 2, days) == {
    'a': Compared(21, 0)
  }


def test_a_leak_is_one_line_that_says_where():
  values = np.zeros((5, 2))
  with pytest.raises(LookAheadError) as raised:
    compare_pasts({'a.b': values}, {'a.b': changed_at(values, (1, 1))}, 3)
  assert str(raised.value) == (
    'look-ahead: found that a.b of day 1 changed from 0.0 to 9.0 (at [1, 1]), '
    'expected no change: only data after day 3 were changed'
  )
  assert isinstance(raised.value, ValueError)
  assert raised.value.leak.day == 1
  assert raised.value.last_day == 3


@pytest.mark.parametrize(
  'after, message',
  [
    ({'b': np.zeros(3)}, 'found a, b in only one of two'),
    ({'a': np.zeros(4)}, r'found a as float64 \(3,\), but as float64 \(4,\)'),
    ({'a': np.zeros(3, np.float32)}, r'float64 \(3,\), but as float32'),
  ],
)
def test_what_cannot_be_compared_is_refused(after, message):
  with pytest.raises(ValueError, match=message):
    first_leak({'a': np.zeros(3)}, after, 1)


def test_days_of_another_shape_are_refused():
  values = {'a': np.zeros((2, 3))}
  with pytest.raises(ValueError, match=r'a with shape \(2, 3\), expected'):
    first_leak(values, values, 1, np.zeros((2, 4), int))

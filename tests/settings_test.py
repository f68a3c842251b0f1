"""Tests of eigen3.settings."""

import math

import numpy as np
import pytest

from eigen3 import settings

NAN = float('nan')


INFINITE = math.inf
NO_NUMBERS = [None, '1', (1,), {}]


@pytest.mark.parametrize(
  'expected, good, bad',
  [
    (settings.AT_LEAST_ONE, [1, 7, np.int64(3)], [0, -1, 0.5, 1.0, NAN, True]),
    (settings.AT_LEAST_ONE, [2**31 - 1], [2**31, 2**64, *NO_NUMBERS]),
    (settings.COUNT, [0, 1], [-1, 0.0, INFINITE, False, 2**31, *NO_NUMBERS]),
    (settings.FACTOR, [1, 1.0, 2.5], [0.9, NAN, INFINITE, True, *NO_NUMBERS]),
    (settings.NOT_NEGATIVE, [0, 0.0, 3], [-1, -1e-9, NAN, INFINITE, 1e39]),
    (settings.NOT_NEGATIVE, [np.float32(2)], [True, *NO_NUMBERS]),
    (settings.POSITIVE, [1e-9, 3], [0, 0.0, -1, INFINITE, NAN, 1e-50, True]),
    (settings.SHARE, [0, 0.5, 1], [-0.1, 1.1, NAN, False, *NO_NUMBERS]),
    (settings.DROPOUT, [0, 0.99], [-0.1, 1, 1.0, NAN, True, *NO_NUMBERS]),
    (settings.SWITCH, [True, False], [0, 1, 'True', None, ()]),
    (settings.TEXT, ['', 'a'], [None, 1, ('a',)]),
    (settings.SEED, [0, 7, 2**32 - 1], [-1, 2**32, 7 + 2**32, 2**64]),
    (settings.SEED, [], [7.0, NAN, True, *NO_NUMBERS]),
    (settings.SEEDS, [(0,), (2, 1), [3]], [(), (1, 1), (-1,), (0, 2**32)]),
    (settings.SEEDS, [], [0, '01', None, (0.5,), ('0',), (True,), ([1],)]),
    (settings.one_of('a', 'b'), ['a', 'b'], ['', 'c', 'a, b', 1, None, ('a',)]),
    (settings.sizes(), [(1,), (3, 2, 1)], [(), (0,), (3, -1), (32.5, 16)]),
    (settings.sizes(), [[4]], [3, '12', (NAN,), ('8',), (True,), ((1,),), {1}]),
    (settings.sizes(2), [(1, 1), [4, 2]], [(), (1,), (1, 0), (1, 1, 1)]),
    (settings.whole(2, 5), [2, 5], [1, 6, 2.0]),
  ],
  ids=lambda x: getattr(x, 'words', None),
)
def test_what_meets_a_condition(expected, good, bad):
  for value in good:
    assert expected.meets(value), value
  for value in bad:
    assert not expected.meets(value), value


@pytest.mark.parametrize(
  'expected, found, words',
  [
    (settings.AT_LEAST_ONE, 0, 'at least 1'),
    (settings.AT_LEAST_ONE, 1.5, 'a whole number, at least 1'),
    (settings.AT_LEAST_ONE, 2**31, 'at most 2147483647, at least 1'),
    (settings.SHARE, 2.0, 'at least 0 and at most 1'),
    (settings.SHARE, '1', 'a number, at least 0 and at most 1'),
    (settings.FACTOR, INFINITE, 'a finite number, at least 1'),
    (settings.FACTOR, 10**400, 'a finite number, at least 1'),
    (settings.TEXT, 1, 'a string'),
    (settings.POSITIVE, 'x', 'a number, above 0'),
    (
      settings.POSITIVE,
      1e-50,
      'a number that float32 does not round to 0, above 0',
    ),
    (settings.one_of('', 'a'), 'b', "one of '', a"),
  ],
)
def test_what_is_wanted_instead(expected, found, words):
  assert expected.wanted(found) == words


def test_the_first_offender_is_named():
  section = {'size': 0, 'inner': {'kind': 'odd', 'rate': 2.0}}
  table = {
    'inner.rate': settings.NOT_NEGATIVE,
    'inner.kind': settings.one_of('left', 'right'),
    'size': settings.AT_LEAST_ONE,
  }
  with pytest.raises(ValueError, match='kind') as error:
    settings.check('part', section, table)
  assert str(error.value) == (
    "part.inner.kind: found 'odd', expected one of left, right"
  )
  section['inner']['kind'] = 'left'
  with pytest.raises(ValueError, match='size') as error:
    settings.check('part', section, table)
  assert str(error.value) == 'part.size: found 0, expected at least 1'
  section['size'] = 1
  settings.check('part', section, table)
  with pytest.raises(ValueError, match='size') as error:
    settings.check('', {'size': 0}, {'size': settings.AT_LEAST_ONE})
  assert str(error.value) == 'size: found 0, expected at least 1'

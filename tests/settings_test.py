"""Tests of eigen3.settings."""

import math

import pytest

from eigen3 import settings

NAN = float('nan')


@pytest.mark.parametrize(
  'expected, good, bad',
  [
    (settings.AT_LEAST_ONE, [1, 7], [0, -1, 0.5, NAN]),
    (settings.NOT_NEGATIVE, [0, 0.0, 3, math.inf], [-1, -1e-9, NAN]),
    (settings.POSITIVE, [1e-9, 3], [0, 0.0, -1, math.inf, NAN]),
    (settings.SHARE, [0, 0.5, 1], [-0.1, 1.1, NAN]),
    (settings.DROPOUT, [0, 0.99], [-0.1, 1, 1.0, NAN]),
    (settings.one_of('a', 'b'), ['a', 'b'], ['', 'c', 'a, b']),
    (settings.sizes(), [(1,), (3, 2, 1)], [(), (0,), (3, -1)]),
    (settings.sizes(2), [(1, 1), [4, 2]], [(), (1,), (1, 0), (1, 1, 1)]),
  ],
  ids=lambda x: getattr(x, 'words', None),
)
def test_what_a_condition_holds_for(expected, good, bad):
  assert all(expected.holds(value) for value in good)
  assert not any(expected.holds(value) for value in bad)


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

"""Checks settings; the error message names the first bad field.

Every section of a config is checked against a table of its fields where it is
first used, before anything is computed or written.
"""

import numbers
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# The ranges of int32 and float32. With larger numbers JAX would overflow, or
# truncate them without a warning.
_MOST_WHOLE = 2**31 - 1
_LEAST_FLOAT, _MOST_FLOAT = 1.1754944e-38, 3.4028235e38
_MOST_SEED = 2**32 - 1
_MOST_SIZE = 8192
# The value of a setting that is chosen to fit the machine; see eigen3.sizes.
AUTO = 'auto'


class Expected(NamedTuple):
  """A condition on a setting.

  Attributes:
    holds: tests whether a value of the right kind meets the condition; must be
      False for NaN.
    words: the condition, as the error message words it after 'expected'.
    kind: returns '' for a value of the right kind, such as a number; for any
      other value words for the right kind, which precede `words` in the error
      message.
  """

  holds: Callable[[Any], bool]
  words: str
  kind: Callable[[Any], str] = lambda unused: ''

  def meets(self, value: Any) -> bool:
    """Returns whether a value of any type meets the condition."""
    return not self.kind(value) and bool(self.holds(value))

  def wanted(self, value: Any) -> str:
    """Returns what the error message for a bad value says after 'expected'."""
    kind = self.kind(value)
    return ', '.join(filter(None, (kind, self.words)))


def _whole(value: Any) -> str:
  is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
  return '' if is_whole else 'a whole number'


def _at_most(most: int) -> Callable[[Any], str]:
  def kind(value: Any) -> str:
    if not _whole(value) and value > most:
      return f'at most {most}'
    return _whole(value)

  return kind


def _number(value: Any) -> str:
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    return 'a number'
  # NaN has the right kind, but is in no range. A large int has no float.
  try:
    is_finite = not abs(float(value)) > _MOST_FLOAT
  except OverflowError:
    is_finite = False
  return '' if is_finite else 'a finite number'


def _positive(value: Any) -> str:
  if not _number(value) and 0 < value < _LEAST_FLOAT:
    return 'a number that float32 does not round to 0'
  return _number(value)


def _text(value: Any) -> str:
  return '' if isinstance(value, str) else 'a string'


def _tuple(value: Any) -> str:
  # JSON turns tuples into lists.
  return '' if isinstance(value, tuple | list) else 'a tuple'


def whole(least: int, most: int | None = None) -> Expected:
  """Returns a condition: a whole number from `least` to `most`.

  The default of `most` is the maximum of int32.
  """
  words = f'at least {least}'
  return Expected(lambda x: x >= least, words, _at_most(most or _MOST_WHOLE))


def number(holds: Callable[[Any], bool], words: str) -> Expected:
  """Returns a condition: a finite number for which `holds` is True."""
  return Expected(holds, words, _number)


AT_LEAST_ONE = whole(1)
COUNT = whole(0)
SIZE = whole(1, _MOST_SIZE)  # of a layer
FACTOR = number(lambda x: x >= 1, 'at least 1')
NOT_NEGATIVE = number(lambda x: x >= 0, 'at least 0')
POSITIVE = Expected(lambda x: x >= _LEAST_FLOAT, 'above 0', _positive)
SHARE = number(lambda x: 0 <= x <= 1, 'at least 0 and at most 1')
DROPOUT = number(lambda x: 0 <= x < 1, 'at least 0 and below 1')
SWITCH = Expected(lambda x: isinstance(x, bool), 'True or False')
TEXT = Expected(lambda unused: True, '', _text)
# A PRNG key has 32 bits. Larger seeds would be truncated without a warning, and
# two of them could give the same run.
SEED = Expected(
  lambda x: 0 <= x <= _MOST_SEED, f'at least 0 and at most {_MOST_SEED}', _whole
)
SEEDS = Expected(
  lambda x: all(map(SEED.meets, x)) and len(set(x)) == len(x) > 0,
  f'one or more different whole numbers from 0 to {_MOST_SEED}',
  _tuple,
)


def one_of(*choices: str) -> Expected:
  """Returns a condition: one of the given strings."""
  return Expected(
    lambda x: isinstance(x, str) and x in choices,
    f'one of {", ".join(choice or repr(choice) for choice in choices)}',
  )


def or_auto(expected: Expected) -> Expected:
  """Returns a condition: 'auto', or a value that meets `expected`."""

  def is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == AUTO

  return Expected(
    lambda x: is_auto(x) or expected.holds(x),
    f"{expected.words}, or '{AUTO}'",
    lambda x: '' if is_auto(x) else expected.kind(x),
  )


def several(
  each: Expected, words: str, count: int | None = None, least: int = 0
) -> Expected:
  """Returns a condition: a tuple or list of values that all meet `each`.

  Args:
    each: the condition on each value.
    words: see `Expected`.
    count: the number of values; None for any number from `least`.
    least: the least number of values, if `count` is None.
  """
  return Expected(
    lambda x: (
      (len(x) >= least if count is None else len(x) == count)
      and all(map(each.meets, x))
    ),
    words,
    _tuple,
  )


def sizes(count: int | None = None) -> Expected:
  """Returns a condition: `count` layer sizes, by default one or more."""
  words = f'{count or "one or more"} whole numbers from 1 to {_MOST_SIZE}'
  return several(SIZE, words, count, 1)


def check(
  section: str, settings: Mapping[str, Any], table: Mapping[str, Expected]
) -> None:
  """Checks settings against their conditions.

  Args:
    section: name of the section, for the message; '' for fields outside
      sections.
    settings: the fields of the section.
    table: conditions, keyed by field; a field of a nested section is named
      'nested.field'.

  Raises:
    KeyError: if a field of the table is missing.
    ValueError: if a field does not meet its condition; the message names the
      first such field, what was found and what is expected.
  """
  for field, expected in table.items():
    found: Any = settings
    for name in field.split('.'):
      found = found[name]
    full = f'{section}.{field}' if section else field
    require(expected.meets(found), full, found, expected.wanted(found))


def require(good: bool, field: str, found: Any, expected: str) -> None:
  """Unless `good`, raises a ValueError that states the other arguments."""
  if not good:
    raise ValueError(f'{field}: found {found!r}, expected {expected}')


def span(first: int, last: int) -> str:
  """Returns a range as text: '1 to 4', or '4' if both ends are 4."""
  return f'{first} to {last}' if first < last else f'{first}'


def named(
  field: str,
  name: str,
  known: Mapping[str, Any],
  fits: Callable[[Any], bool],
  words: str,
) -> Any:
  """Returns the object that a setting names: a known or an imported one.

  Args:
    field: full name of the setting, for the message.
    name: the setting's value: a key of `known` or a Python path such as
      'my_module.MINE', whose module is imported.
    known: objects, keyed by name.
    fits: tests whether an object is of the right kind.
    words: what a path should name, with an example, for the message.

  Raises:
    ValueError: if no such object exists, or it does not fit.
  """
  is_text = isinstance(name, str)
  found, reason = known.get(name) if is_text else None, ''
  if found is None and is_text and '.' in name:
    try:
      found = pkgutil.resolve_name(name)
    except (AttributeError, ImportError, ValueError) as error:
      reason = f' ({error})'
  require(
    found is not None and fits(found),
    field,
    name,
    f'one of {", ".join(known)}, or the path of {words}{reason}',
  )
  return found

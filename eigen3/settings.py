"""What settings must be like: the first that is not is named in one line.

Every section of a config is checked, by a table of its fields, where it is
used first, and before anything is computed or written.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Expected(NamedTuple):
  """A condition on a setting.

  Attributes:
    holds: whether a value meets it; NaN meets none.
    words: what to say after 'expected'.
  """

  holds: Callable[[Any], bool]
  words: str


AT_LEAST_ONE = Expected(lambda x: x >= 1, 'at least 1')
NOT_NEGATIVE = Expected(lambda x: x >= 0, 'at least 0')
POSITIVE = Expected(lambda x: 0 < x < math.inf, 'a positive number')
SHARE = Expected(lambda x: 0 <= x <= 1, 'at least 0 and at most 1')
DROPOUT = Expected(lambda x: 0 <= x < 1, 'at least 0 and below 1')


def one_of(*choices: str) -> Expected:
  """One of some words."""
  return Expected(lambda x: x in choices, f'one of {", ".join(choices)}')


def sizes(count: int | None = None) -> Expected:
  """So many sizes of layers, or any number but none."""
  return Expected(
    lambda x: len(x) == (count or max(len(x), 1)) and min(x) >= 1,
    f'{count or "one or more"} sizes of at least 1',
  )


def check(
  section: str, settings: Mapping[str, Any], table: Mapping[str, Expected]
) -> None:
  """Refuses settings that do not meet their conditions.

  Args:
    section: its name, for the message.
    settings: of the section.
    table: conditions by field; a dot leads into a section within.

  Raises:
    ValueError: naming the first such field, what was found and what is
      expected.
  """
  for field, expected in table.items():
    found: Any = settings
    for name in field.split('.'):
      found = found[name]
    require(expected.holds(found), f'{section}.{field}', found, expected.words)


def require(good: bool, field: str, found: Any, expected: str) -> None:
  """Refuses one setting, by its full name, unless `good`; a ValueError."""
  if not good:
    raise ValueError(f'{field}: found {found!r}, expected {expected}')

"""Two futures of one past, and whether anything in the past knew which.

What is known at the close of a day must not depend on any later day: whatever
happens after it, not one bit may change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

# Arrays by name.
Values: TypeAlias = Mapping[str, np.ndarray]
# The same arrays in two futures, and their days; see `first_leak`.
Comparison: TypeAlias = tuple[Values, Values, np.ndarray | None]


class Leak(NamedTuple):
  """A value that knew of later days.

  Attributes:
    name: of its array.
    day: the earliest on which a value of the array changed.
    cell: the index of that value in the array.
    before: the value.
    after: what it is in another future.
  """

  name: str
  day: int
  cell: tuple[int, ...]
  before: Any
  after: Any


class LookAheadError(ValueError):
  """What was known at the close of a day depends on later days.

  Attributes:
    leak: the earliest value that does.
    last_day: the last day that was the same in both futures.
  """

  def __init__(self, leak: Leak, last_day: int):
    self.leak, self.last_day = leak, last_day
    cell = ', '.join(map(str, leak.cell))
    super().__init__(
      f'look-ahead: {leak.name} of day {leak.day} changed from {leak.before} '
      f'to {leak.after} (at [{cell}]), though only days after {last_day} did'
    )


class Compared(NamedTuple):
  """How much was compared.

  Attributes:
    known: values up to the last common day; all are the same.
    changed: values of later days that differ. Where there are none, the other
      future did not reach them, and nothing is proven.
  """

  known: int
  changed: int


def first_leak(
  before: Values,
  after: Values,
  last_day: int,
  days: np.ndarray | None = None,
) -> Leak | None:
  """The earliest difference up to and with a day; of equals the first array.

  NaN equals NaN. All else is compared by its bits.

  Args:
    before: arrays by name, any types.
    after: the same of another future; the same shapes.
    last_day: the last day that is the same in both futures.
    days: int, on which day each entry was known. Its axes are the first of
      every array. By default row i is of day i.

  Raises:
    ValueError: names, types or shapes of the two differ.
  """
  leaks = []
  for name, one, other, its_days in _paired(before, after, days):
    early = _differs(one, other)
    early &= _along(its_days <= last_day, early)
    if early.any():
      # Days beyond any panel keep what is the same from being the earliest.
      when = np.where(early, _along(its_days, early), np.iinfo(np.int64).max)
      index = np.unravel_index(when.argmin(), when.shape)
      leaks.append(
        Leak(
          name,
          int(when[index]),
          tuple(map(int, index)),
          one[index].item(),
          other[index].item(),
        )
      )
  return min(leaks, key=lambda leak: leak.day, default=None)


def compare_pasts(
  before: Values,
  after: Values,
  last_day: int,
  days: np.ndarray | None = None,
) -> dict[str, Compared]:
  """How much of each array was compared, if none of it looks ahead.

  Args:
    before: see `first_leak`.
    after: likewise.
    last_day: likewise.
    days: likewise.

  Raises:
    LookAheadError: something does.
    ValueError: names, types or shapes of the two differ.
  """
  leak = first_leak(before, after, last_day, days)
  if leak is not None:
    raise LookAheadError(leak, last_day)
  return {
    name: Compared(
      int(np.broadcast_to(_along(its_days <= last_day, one), one.shape).sum()),
      int(_differs(one, other).sum()),
    )
    for name, one, other, its_days in _paired(before, after, days)
  }


def summed(results: Iterable[Mapping[str, Compared]]) -> dict[str, Compared]:
  """All results of a kind as one, the kind being a name up to its first dot."""
  total: dict[str, Compared] = {}
  for result in results:
    for name, compared in result.items():
      kind, _, _ = name.partition('.')
      known, changed = total.get(kind, Compared(0, 0))
      total[kind] = Compared(known + compared.known, changed + compared.changed)
  return total


def named(kind: str, names: Sequence[str], values: np.ndarray) -> Values:
  """Values [T, C, F] as F arrays [T, C]."""
  return {f'{kind}.{name}': values[..., i] for i, name in enumerate(names)}


def _paired(
  before: Values, after: Values, days: np.ndarray | None
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
  """Yields (name, one, other, days) of arrays that may be compared."""
  if before.keys() != after.keys():
    names = ', '.join(sorted(before.keys() ^ after.keys()))
    raise ValueError(f'look-ahead: {names} is in one future only')
  for name in before:
    one, other = np.asarray(before[name]), np.asarray(after[name])
    if (one.shape, one.dtype) != (other.shape, other.dtype):
      raise ValueError(
        f'look-ahead: {name} is {one.dtype} {one.shape} in one future, '
        f'{other.dtype} {other.shape} in the other'
      )
    its_days = np.arange(len(one)) if days is None else np.asarray(days)
    if one.shape[: its_days.ndim] != its_days.shape:
      raise ValueError(
        f'look-ahead: {name} has shape {one.shape}, expected the axes '
        f'{its_days.shape} of its days first'
      )
    yield name, one, other, its_days


def _differs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Where the bits differ, one NaN being like another."""
  bits = f'u{one.itemsize}'
  one_bits, other_bits = (
    np.ascontiguousarray(values).view(bits) for values in (one, other)
  )
  return (one_bits != other_bits) & ~(np.isnan(one) & np.isnan(other))


def _along(of_days: np.ndarray, values: np.ndarray) -> np.ndarray:
  """`of_days` with as many axes as `values`, to be broadcast to it."""
  return of_days.reshape(of_days.shape + (1,) * (values.ndim - of_days.ndim))

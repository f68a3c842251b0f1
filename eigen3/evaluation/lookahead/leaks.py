"""Finds look-ahead by comparing values computed from two data sets.

The two data sets, called futures, are the same up to some day and differ after
it. Values known at the close of that day or before must be equal, bit for bit.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

# Arrays by name.
Values: TypeAlias = Mapping[str, np.ndarray]
# Arrays in two futures, and the days on which their values became known, as in
# the arguments `before`, `after` and `days` of `first_leak`.
Comparison: TypeAlias = tuple[Values, Values, np.ndarray | None]


class Leak(NamedTuple):
  """A value that depends on later days.

  Attributes:
    name: name of the array that holds the value.
    day: the day on which the value became known; it is the array's first day
      with a changed value.
    cell: the index of the value in the array.
    before: the value in the first future, usually the unchanged data.
    after: the value in the second future.
  """

  name: str
  day: int
  cell: tuple[int, ...]
  before: Any
  after: Any


class LookAheadError(ValueError):
  """Raised if values known at the close of a day depend on later days.

  Attributes:
    leak: the earliest such value.
    last_day: the last day on which the two futures are the same.
  """

  def __init__(self, leak: Leak, last_day: int):
    self.leak, self.last_day = leak, last_day
    cell = ', '.join(map(str, leak.cell))
    super().__init__(
      f'look-ahead: found that {leak.name} of day {leak.day} changed from '
      f'{leak.before} to {leak.after} (at [{cell}]), expected no change: only '
      f'data after day {last_day} were changed'
    )


class Compared(NamedTuple):
  """Counts of compared values, of one array or of all arrays of a kind.

  Attributes:
    known: number of values known by the last common day; they are the same in
      both futures.
    changed: number of later values that differ. If it is 0, the changed data do
      not affect these values at all, and nothing is proven.
  """

  known: int
  changed: int


def first_leak(
  before: Values,
  after: Values,
  last_day: int,
  days: np.ndarray | None = None,
) -> Leak | None:
  """Returns the earliest difference in values known by `last_day`, or None.

  NaN equals NaN. All other values are compared bit by bit.

  Args:
    before: arrays of numbers, bools or dates in the first future, by name.
    after: the same arrays in the second future.
    last_day: the last day that is the same in both futures.
    days: int, the day on which each value became known. Its axes are the first
      axes of every array. By default row i became known on day i.

  Raises:
    ValueError: names, types or shapes of `before` and `after` differ, or a
      shape does not begin with that of `days`.
  """
  leaks = []
  for name, one, other, its_days in _paired(before, after, days):
    early = _differs(one, other)
    early &= _along(its_days <= last_day, early)
    if early.any():
      # A day beyond any panel, so that equal values are never the earliest.
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
  """Counts the compared values of each array, if none of them looks ahead.

  Args:
    before: see `first_leak`.
    after: see `first_leak`.
    last_day: see `first_leak`.
    days: see `first_leak`.

  Raises:
    LookAheadError: a value looks ahead.
    ValueError: see `first_leak`.
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
  """Sums results of `compare_pasts` by kind.

  The kind is the part of an array's name before the first dot.
  """
  total: dict[str, Compared] = {}
  for result in results:
    for name, compared in result.items():
      kind, _, _ = name.partition('.')
      known, changed = total.get(kind, Compared(0, 0))
      total[kind] = Compared(known + compared.known, changed + compared.changed)
  return total


def named(kind: str, names: Sequence[str], values: np.ndarray) -> Values:
  """Splits values [T, C, F] into F arrays [T, C] named `kind.name`."""
  return {f'{kind}.{name}': values[..., i] for i, name in enumerate(names)}


def _paired(
  before: Values, after: Values, days: np.ndarray | None
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
  """Yields (name, values before, values after, days) for each array.

  Raises:
    ValueError: see `first_leak`.
  """
  if before.keys() != after.keys():
    names = ', '.join(sorted(before.keys() ^ after.keys()))
    raise ValueError(
      f'look-ahead: found {names} in only one of two compared sets of values, '
      'expected the same arrays in both'
    )
  for name in before:
    one, other = np.asarray(before[name]), np.asarray(after[name])
    if (one.shape, one.dtype) != (other.shape, other.dtype):
      raise ValueError(
        f'look-ahead: found {name} as {one.dtype} {one.shape}, but as '
        f'{other.dtype} {other.shape} after later data were changed, expected '
        'the same type and shape'
      )
    its_days = np.arange(len(one)) if days is None else np.asarray(days)
    if one.shape[: its_days.ndim] != its_days.shape:
      raise ValueError(
        f'look-ahead: found {name} with shape {one.shape}, expected its first '
        f'axes to match the shape of its days, {its_days.shape}'
      )
    yield name, one, other, its_days


def _differs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Returns where the bits differ; all NaN are equal."""
  bits = f'u{one.itemsize}'
  one_bits, other_bits = (
    np.ascontiguousarray(values).view(bits) for values in (one, other)
  )
  return (one_bits != other_bits) & ~(np.isnan(one) & np.isnan(other))


def _along(of_days: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Adds axes to `of_days` so that it broadcasts to `values`."""
  return of_days.reshape(of_days.shape + (1,) * (values.ndim - of_days.ndim))

"""What is measured: cases, side by side in groups.

This module imports neither JAX nor PyTorch: a worker must hold only what its
own case needs, or its memory could not be compared with another's.
"""

import dataclasses
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
  """One thing that is timed, in a process of its own.

  Attributes:
    name: unique in its group.
    builder: 'module:function', imported and called in the worker; the
      function returns a `Built`.
    arguments: of the function, by name; plain values.
    devices: CPU devices of the worker's JAX; 0 where it uses no JAX.
    needs: a package that may be absent, or ''.
    work: what one run does, in the group's unit; 0 if nothing is counted.
    operations: useful floating point operations of one run; 0 if not counted.
    position: where the case stands on the group's axis.
    is_product: whether this is the matrix product whose rate the others'
      shares are taken of; of several, the fastest counts.
    once: whether its first run is the measured one, because it takes too long
      for a second.
    untimed: whether there is nothing to run, so that it can share the device.
    cache: folder of what was compiled ahead; '' compiles by the clock.
  """

  name: str
  builder: str
  arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  devices: int = 0
  needs: str = ''
  work: float = 0.0
  operations: float = 0.0
  position: float = 0.0
  is_product: bool = False
  once: bool = False
  untimed: bool = False
  cache: str = ''


@dataclasses.dataclass(frozen=True)
class Built:
  """A case that is ready to run.

  Attributes:
    run: does the work once; what it returns is ready. None where there is
      nothing to run, only to compile or to count.
    compile_seconds: tracing, lowering and compilation; None without JAX.
    temp_bytes: temporary memory of the program as XLA states it.
    output: from a result of `run` to what the group's cases must agree on.
    settle: waits for what a run leaves behind; called after each, and not
      timed. None where runs leave nothing.
    facts: further numbers, by name.
  """

  run: Callable[[], Any] | None
  compile_seconds: float | None = None
  temp_bytes: int | None = None
  output: Callable[[Any], np.ndarray] | None = None
  settle: Callable[[], None] | None = None
  facts: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Group:
  """Cases that take turns.

  Attributes:
    name: unique in its suite.
    cases: in the order of their turns.
    reference: name of the case that the others are compared with, or ''.
    unit: of `Case.work`, or ''.
    axis: what grows from case to case, or ''.
    note: what a reader must know of the numbers.
    alone: whether each case is measured and ended before the next is built,
      and no longer than `turns.BRIEF` seconds: each has the device's memory
      for itself, and the device does nothing else.
  """

  name: str
  cases: tuple[Case, ...]
  reference: str = ''
  unit: str = ''
  axis: str = ''
  note: str = ''
  alone: bool = False


def matching(groups: Iterable[Group], pattern: str) -> list[Group]:
  """The groups with only those cases whose 'group: case' has `pattern`.

  Matrix products stay wherever another case of their group does.

  Raises:
    ValueError: `pattern` is not a regular expression.
  """
  try:
    expression = re.compile(pattern)
  except re.error as error:
    raise ValueError(
      f"--only: found '{pattern}', expected a regular expression: {error}"
    ) from error

  def wanted(group: Group, case: Case) -> bool:
    return expression.search(f'{group.name}: {case.name}') is not None

  kept = []
  for group in groups:
    if any(wanted(group, case) for case in group.cases if not case.is_product):
      cases = (c for c in group.cases if c.is_product or wanted(group, c))
      kept.append(dataclasses.replace(group, cases=tuple(cases)))
  return kept


def available(groups: Iterable[Group]) -> tuple[list[Group], list[str]]:
  """The groups without cases whose package is absent, and their full names."""
  kept, left_out = [], []
  for group in groups:
    present = []
    for case in group.cases:
      if case.needs and not is_installed(case.needs):
        left_out.append(f'{group.name}: {case.name}')
      else:
        present.append(case)
    if any(not case.is_product for case in present):
      kept.append(dataclasses.replace(group, cases=tuple(present)))
  return kept, left_out


def is_installed(package: str) -> bool:
  """Whether `package` can be imported."""
  return importlib.util.find_spec(package) is not None

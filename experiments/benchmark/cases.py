"""Defines and selects benchmark cases, in groups to compare.

This module imports neither JAX nor PyTorch: each worker process must load only
what its case needs, or the memory of two workers could not be compared.
"""

import dataclasses
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
  """A program to measure, in its own process.

  Attributes:
    name: unique in its group.
    builder: 'module:function', imported and called in the case's process; the
      function returns a `Built`.
    arguments: the function's arguments, keyed by name; plain values.
    devices: number of devices into which JAX splits the CPU; 0 for a case that
      is not in JAX.
    needs: name of a required package that may be absent, or ''.
    work: amount of work of one run, in the group's unit; 0 if not counted.
    operations: number of useful floating point operations of one run; 0 if not
      counted.
    position: the case's value of the quantity that the group's `axis` names.
    is_product: whether the case is a matrix product. The FLOP/s of the other
      cases are compared with those of the group's fastest product.
    once: whether to measure only the first run, because a second would take too
      long.
    untimed: whether the case is complete once it is built, with nothing to time
      afterwards, so that it may share the device with other cases.
    cache: JAX's folder of programs compiled ahead; '' for no cache, so that
      compilation is measured.
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
    run: does the work once and waits for the result. None if building the case
      is all of its work, such as compiling, counting or checking something.
    compile_seconds: time of tracing, lowering and compilation; None if not
      measured.
    temp_bytes: temporary memory of the program as XLA reports it, or None.
    output: maps a result of `run` to the array that is compared with the one of
      the group's reference; None if outputs are not compared.
    settle: waits for work that a run leaves in the background; called after
      each run, untimed. None if there is no such work.
    facts: further numbers to report, keyed by name.
  """

  run: Callable[[], Any] | None
  compile_seconds: float | None = None
  temp_bytes: int | None = None
  output: Callable[[Any], np.ndarray] | None = None
  settle: Callable[[], None] | None = None
  facts: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Group:
  """Cases to compare.

  Attributes:
    name: unique in its suite.
    cases: in the order of their turns.
    reference: name of the case that the others are compared with, or ''.
    unit: the unit of `Case.work`, or ''.
    axis: name of the quantity that grows from case to case, or ''.
    note: a remark on the numbers, for the reader.
    alone: whether each case ends before the next one starts, so that it has the
      device to itself. Its repeated runs then take about `turns.BRIEF` seconds
      at most, unless a single one takes longer.
  """

  name: str
  cases: tuple[Case, ...]
  reference: str = ''
  unit: str = ''
  axis: str = ''
  note: str = ''
  alone: bool = False


def matching(groups: Iterable[Group], pattern: str) -> list[Group]:
  """Selects the cases for which `pattern` has a match in 'group: case'.

  A group also keeps its matrix products if any of its other cases matches;
  otherwise the whole group is left out.

  Raises:
    ValueError: if `pattern` is not a regular expression.
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
  """Removes cases whose required package is not installed.

  Returns:
    The groups that still have cases other than matrix products, and the names
    of the removed cases, as 'group: case'.
  """
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
  """Returns whether a package is installed; does not import it."""
  return importlib.util.find_spec(package) is not None

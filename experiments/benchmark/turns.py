"""Runs the cases of a group in turns, each in its own process.

Other load on the machine then affects all cases alike, so the ratio of two
cases' times in a round is meaningful even if the load changes between rounds.
In a group that is `alone`, each case instead ends before the next one starts.
"""

import contextlib
import dataclasses
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from experiments.benchmark import worker
from experiments.benchmark.cases import Case, Group
from experiments.benchmark.worker import Prepared

# Seconds between two turns: OpenMP threads spin for a while after their work
# and would take a core from the next case.
_PAUSE = 0.1
_PATIENCE = 2.0  # seconds for a worker to exit
BRIEF = 10.0  # time budget in seconds for all repeats of a case run alone


class Limits(NamedTuple):
  """Limits of the repeated runs of a case.

  Attributes:
    repeats: maximum number of repeats.
    min_repeats: minimum number, however long they take, up to `repeats`.
    max_seconds: time budget for all repeats, which the first `min_repeats`
      may exceed.
  """

  repeats: int
  min_repeats: int
  max_seconds: float

  def of(self, seconds: float) -> int:
    """Returns the number of repeats if one run of a case takes `seconds`."""
    affordable = int(self.max_seconds / max(seconds, 1e-9))
    return min(self.repeats, max(self.min_repeats, affordable))


class Measurement(NamedTuple):
  """All measurements of a case.

  Attributes:
    case: the case.
    seconds: times of the case's measured runs, keyed by the number of the
      round. The first run counts only if the case is run `once`.
    prepared: the result of the case's preparation; None if that failed.
    peak_bytes: peak memory of the case's process; None after a failure.
    device_bytes: peak memory that an accelerator reports; None on a CPU or
      after a failure.
    failure: the error in one line, or '' on success.
  """

  case: Case
  seconds: dict[int, float]
  prepared: Prepared | None
  peak_bytes: int | None
  device_bytes: int | None
  failure: str

  @property
  def output(self) -> np.ndarray | None:
    """Returns the output of the case's first run; None if there is none."""
    return self.prepared.output if self.prepared else None


# Measurements of cases built ahead, keyed by the names of group and case.
Ahead = Mapping[tuple[str, str], Measurement]


class WorkerError(Exception):
  """Raised if a worker fails or dies; the message is one line."""


def build_ahead(groups: Sequence[Group], jobs: int, cache: str) -> Ahead:
  """Compiles the JAX cases of `alone` groups in parallel, before any is timed.

  The parallel processes share the device's memory. `untimed` cases are then
  complete. A case that fails here is omitted, and `measure` tries it again.

  Args:
    groups: the groups of a suite.
    jobs: maximum number of parallel compilations.
    cache: folder for compiled programs.

  Returns:
    Measurements of the successful cases, which have not been run yet.
  """

  def build(case: Case) -> Measurement:
    with _worker(dataclasses.replace(case, cache=cache)) as process:
      turns = _Turns(process)
      turns.prepare(ahead=True)
      return turns.finish()

  names = [(g.name, c) for g in groups if g.alone for c in g.cases if c.devices]
  names.reverse()  # suites end with their largest programs
  with futures.ThreadPoolExecutor(jobs) as pool:
    found = pool.map(build, [case for _, case in names])
    bar = tqdm(found, 'compile ahead', len(names), unit='case')
    return {
      (group, each.case.name): each
      for (group, _), each in zip(names, bar, strict=True)
      if not each.failure
    }


def measure(
  group: Group, limits: Limits, ahead: Ahead | None = None
) -> Iterator[list[Measurement]]:
  """Measures a group's cases, in turns or, if the group is `alone`, one by one.

  A case that fails is left out of later rounds, and its measurement holds the
  failure; the other cases continue.

  Args:
    group: the cases to measure. Their processes coexist, unless the group is
      `alone`.
    limits: limits of the repeats. In a group that is `alone` one repeat is
      enough, and the time budget is at most `BRIEF` seconds.
    ahead: result of `build_ahead`, or None. It matters only if the group is
      `alone`: its compilation times are used, and its measurements of `untimed`
      cases are final.

  Yields:
    The measurements so far, in the order of the group's cases: once, with all
    cases, or after each case of a group that is `alone`.
  """
  if not group.alone:
    yield _measure(group, limits)
    return
  limits = limits._replace(
    min_repeats=1, max_seconds=min(BRIEF, limits.max_seconds)
  )
  found: list[Measurement] = []
  for case in group.cases:
    built = (ahead or {}).get((group.name, case.name))
    found.append(
      built
      if built and case.untimed
      else _measure_alone(group, case, limits, built)
    )
    yield found


def _measure_alone(
  group: Group, case: Case, limits: Limits, built: Measurement | None
) -> Measurement:
  """Measures one case, with the program that was `built` ahead, if any."""
  if built:
    case = built.case
  (found,) = _measure(dataclasses.replace(group, cases=(case,)), limits)
  if built and built.prepared and found.prepared:
    seconds = built.prepared.compile_seconds
    prepared = found.prepared._replace(compile_seconds=seconds)
    found = found._replace(prepared=prepared)
  return found


def _measure(group: Group, limits: Limits) -> list[Measurement]:
  with contextlib.ExitStack() as stack:
    turns = [_Turns(stack.enter_context(_worker(c))) for c in group.cases]
    with tqdm(turns, desc=f'{group.name}: prepare', unit='case') as bar:
      for each in bar:
        each.prepare()
    repeats = {
      index: limits.of(each.warm_up_seconds)
      for index, each in enumerate(turns)
      if each.warm_up_seconds is not None
    }
    rounds = schedule(repeats)
    total = sum(map(len, rounds))
    with tqdm(total=total, desc=f'{group.name}: measure', unit='run') as bar:
      for number, indices in enumerate(rounds):
        for index in indices:
          turns[index].run(number)
          bar.update()
    return [each.finish() for each in turns]


def schedule(repeats: Mapping[int, int]) -> list[list[int]]:
  """Returns which cases run in which round.

  Args:
    repeats: number of repeats of each case, keyed by the case's index.

  Returns:
    For each round, the indices of its cases, in the order of `repeats`. There
    are as many rounds as the largest number of repeats; a case with fewer
    repeats takes part in evenly spread rounds.
  """
  count = max(repeats.values(), default=0)

  def takes_part(own: int, number: int) -> bool:
    return (number + 1) * own // count > number * own // count

  return [
    [index for index, own in repeats.items() if takes_part(own, number)]
    for number in range(count)
  ]


class _Worker:
  """A worker process as its parent sees it."""

  def __init__(self, case: Case):
    # Spawned: a fork would inherit the parent's memory and its threads' locks.
    context = multiprocessing.get_context('spawn')
    self.case = case
    self._connection, theirs = context.Pipe()
    self._process = context.Process(
      target=worker.serve, args=(theirs, case), daemon=True
    )
    self._process.start()
    theirs.close()

  def ask(self, request: str) -> Any:
    """Sends a request, and returns the worker's answer.

    Raises:
      WorkerError: if the worker failed, or its process is gone.
    """
    try:
      self._connection.send(request)
      good, value = self._connection.recv()
    except (EOFError, OSError) as error:
      self._process.join(_PATIENCE)
      status = self._process.exitcode
      ended = 'no exit status' if status is None else f'exit status {status}'
      hint = ', usually because memory was full' if status == -9 else ''
      raise WorkerError(
        f'worker process: found no answer and {ended}{hint}, expected an answer'
      ) from error
    if not good:
      raise WorkerError(value)
    return value

  def close(self) -> None:
    """Ends the process, by force if it does not exit."""
    self._connection.close()
    self._process.join(_PATIENCE)
    if self._process.is_alive():
      self._process.terminate()
      self._process.join(_PATIENCE)


@contextlib.contextmanager
def _worker(case: Case) -> Iterator[_Worker]:
  process = _Worker(case)
  try:
    yield process
  finally:
    process.close()


class _Turns:
  """Runs one worker's case on request, and collects the measurements."""

  def __init__(self, process: _Worker):
    self._worker = process
    self._seconds: dict[int, float] = {}
    self._prepared: Prepared | None = None
    self._failure = ''

  @property
  def warm_up_seconds(self) -> float | None:
    """Returns the duration of the first run, in seconds.

    It is None if the case is not to be run again, because building it failed
    or it is measured once, and if it has nothing to run.
    """
    if self._prepared is None or self._worker.case.once:
      return None
    return self._prepared.warm_up_seconds

  def prepare(self, ahead: bool = False) -> None:
    """Builds the case and, unless `ahead`, runs it once."""
    prepared = self._prepared = self._ask('build' if ahead else 'prepare')
    if prepared and self._worker.case.once and not ahead:
      self._seconds[0] = prepared.warm_up_seconds

  def run(self, number: int) -> None:
    """Runs the case in round `number`."""
    time.sleep(_PAUSE)
    seconds = self._ask('run')
    if seconds is not None:
      self._seconds[number] = seconds

  def finish(self) -> Measurement:
    """Ends the worker, and returns the measurements of its case."""
    peak, of_device = self._ask('finish') or (None, None)
    return Measurement(
      self._worker.case,
      self._seconds,
      self._prepared,
      peak,
      of_device,
      self._failure,
    )

  def _ask(self, request: str) -> Any:
    if self._failure:
      return None
    try:
      return self._worker.ask(request)
    except WorkerError as error:
      self._failure = str(error)
      return None

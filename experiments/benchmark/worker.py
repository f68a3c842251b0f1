"""The process that builds one case and runs it when its parent asks."""

import importlib
import os
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmark import memory
from experiments.benchmark.cases import Built, Case


class Prepared(NamedTuple):
  """The result of a case's preparation, before its measured runs.

  Attributes:
    compile_seconds: see `Built`.
    temp_bytes: see `Built`.
    warm_up_seconds: time of the first run, after compilation; None without a
      run.
    resident_before_bytes: the process's resident memory after the imports,
      before the case is built.
    output: output of the first run, to compare with other cases; None if there
      is none.
    device: kind of the device that JAX or PyTorch computes on; '' without
      either.
    facts: see `Built`.
  """

  compile_seconds: float | None
  temp_bytes: int | None
  warm_up_seconds: float | None
  resident_before_bytes: int
  output: np.ndarray | None
  device: str
  facts: dict[str, float]


def serve(connection: Connection, case: Case) -> None:
  """Answers the parent's requests until 'finish', or until the parent is gone.

  Every answer is a pair: True and a value, or False and the error in one line.
  The value for 'build' and 'prepare' is a `Prepared`; 'build' omits the first
  run. For 'run' it is the seconds of a run; for 'finish' this process's peak
  memory in bytes, on the host and on an accelerator (None on a CPU).

  Args:
    connection: the connection to the parent.
    case: the case to build in this process.
  """
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
  holder = _Holder(case)
  answers: dict[str, Callable[[], Any]] = {
    'build': lambda: holder.prepare(ahead=True),
    'prepare': holder.prepare,
    'run': holder.run,
    'finish': lambda: (memory.peak_bytes(), memory.device_peak_bytes()),
  }
  request = ''
  while request != 'finish':
    try:
      request = connection.recv()
    except EOFError:  # the parent is gone
      return
    try:
      answer = (True, answers[request]())
    except Exception as error:  # reported to the parent, which continues
      traceback.print_exc()
      answer = (False, f'{type(error).__name__}: {error}'.splitlines()[0])
    connection.send(answer)


class _Holder:
  """A case and its built program."""

  def __init__(self, case: Case):
    self._case = case
    self._built: Built | None = None

  def prepare(self, ahead: bool = False) -> Prepared:
    """Builds the case, which includes compilation, and runs it once.

    A case that only compiles or counts something is not run.

    Args:
      ahead: if True, the case is not run, and JAX does not preallocate the
        device's memory.
    """
    if ahead:
      os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
    builder = _load(self._case)
    before = memory.resident_bytes()
    built = self._built = builder(**self._case.arguments)
    seconds, output = None, None
    if built.run is not None and not ahead:
      seconds, result = _timed(built.run, built.settle)
      if built.output is not None:
        output = np.asarray(built.output(result))
      del result
    memory.release()
    return Prepared(
      built.compile_seconds,
      built.temp_bytes,
      seconds,
      before,
      output,
      memory.device_kind(),
      dict(built.facts),
    )

  def run(self) -> float:
    """Runs the case and returns the seconds; the run's result is freed.

    Raises:
      ValueError: if the case was not prepared, or has nothing to run.
    """
    built = self._built
    if built is None or built.run is None:
      raise ValueError(
        f'{self._case.name}: found nothing to run, expected a case that was '
        'prepared before and has a function to run'
      )
    seconds, result = _timed(built.run, built.settle)
    del result
    memory.release()
    return seconds


def _load(case: Case) -> Callable[..., Built]:
  """Imports and returns the case's builder; sets up JAX if it is needed."""
  module, _, function = case.builder.partition(':')
  builder = getattr(importlib.import_module(module), function)
  if case.devices:
    import jax

    jax.config.update('jax_num_cpu_devices', case.devices)
    if case.cache:
      jax.config.update('jax_compilation_cache_dir', case.cache)
    else:
      # To measure compilation, not reading of a cached program.
      jax.config.update('jax_enable_compilation_cache', False)
    jax.devices()
  return builder


def _timed(
  run: Callable[[], Any], settle: Callable[[], None] | None
) -> tuple[float, Any]:
  """Runs `run`, then `settle` untimed; returns `run`'s seconds and result."""
  start = time.perf_counter()
  result = run()
  seconds = time.perf_counter() - start
  if settle is not None:
    settle()
  return seconds, result

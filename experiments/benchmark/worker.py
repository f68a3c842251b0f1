"""The process that holds one case and runs it when its turn comes."""

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
  """What is known of a case before its measured runs.

  Attributes:
    compile_seconds: see `Built`.
    temp_bytes: see `Built`.
    warm_up_seconds: of the first run, after compilation; None without runs.
    resident_before_bytes: held after the imports, before the case was built.
    output: what the first run gave, to be compared; None if it has none.
    device: kind of the device that JAX or PyTorch computes on.
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
  """Answers the parent's requests until it asks for the end.

  Every answer is a pair: whether it went well, and the value or what went
  wrong. 'build' and 'prepare' are answered by a `Prepared`, of which 'build'
  leaves out the first run; 'run' is answered by the seconds it took,
  'finish' by the peaks of this process's memory in bytes: of the host, and of
  an accelerator or None.

  Args:
    connection: to the parent.
    case: to be built here.
  """
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent decides.
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
    except EOFError:  # The parent is gone.
      return
    try:
      answer = (True, answers[request]())
    except Exception as error:  # Told to the parent, which goes on.
      traceback.print_exc()
      answer = (False, f'{type(error).__name__}: {error}'.splitlines()[0])
    connection.send(answer)


class _Holder:
  """A case between its runs."""

  def __init__(self, case: Case):
    self._case = case
    self._built: Built | None = None

  def prepare(self, ahead: bool = False) -> Prepared:
    """Builds the case, compiles it and runs it once.

    Args:
      ahead: leave out the run, and share the device's memory with others.
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
    """Seconds of one run; what it made is given back."""
    built = self._built
    if built is None or built.run is None:
      raise ValueError(f'{self._case.name}: has nothing to run')
    seconds, result = _timed(built.run, built.settle)
    del result
    memory.release()
    return seconds


def _load(case: Case) -> Callable[..., Built]:
  """The case's builder, with everything that it needs imported."""
  module, _, function = case.builder.partition(':')
  builder = getattr(importlib.import_module(module), function)
  if case.devices:
    import jax

    jax.config.update('jax_num_cpu_devices', case.devices)
    if case.cache:
      jax.config.update('jax_compilation_cache_dir', case.cache)
    else:
      # What is measured is compilation, not reading what an earlier one left.
      jax.config.update('jax_enable_compilation_cache', False)
    jax.devices()
  return builder


def _timed(
  run: Callable[[], Any], settle: Callable[[], None] | None
) -> tuple[float, Any]:
  """Seconds of `run` alone, and its result; settled when this returns."""
  start = time.perf_counter()
  result = run()
  seconds = time.perf_counter() - start
  if settle is not None:
    settle()
  return seconds, result

"""Profiles training iterations with JAX's profiler, and measures their FLOP/s.

Profiling does not change how programs are compiled or called, so results are
those of a run without it, bit for bit.
"""

import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections

from eigen3 import parallel, sizes
from eigen3.learner.loop import Learner
from eigen3.networks import layers
from eigen3.settings import require, span
from experiments.benchmark import jax_cases, operations
from experiments.options import training as options
from experiments.wiring import Experiment

# The width of the square matrices whose product measures the peak rate: smaller
# ones leave part of an accelerator idle, larger ones take seconds on a CPU.
_WIDTH, _WIDTH_ON_CPU = 8192, 1024
# With these settings a program computes nothing twice, and all its operations
# can be counted when JAX traces it.
_PLAIN = {
  'networks.sequence_block': 0,
  'networks.evaluation_block': 0,
  'networks.remat': False,
  'networks.lstm_hoist': 'never',
  'networks.lstm_directions': 'apart',
  'networks.lstm_kernel': 'scan',
  'networks.lstm_save_gates': (True, True),
  'evolution.block': 1,
}


def check(config: ml_collections.ConfigDict) -> None:
  """Checks that a run has enough iterations for --profile.

  Raises:
    ValueError: if --profile is given, and not from 1 to the number of
      iterations (or generations) less one.
  """
  units = 'generations' if 'evolution' in config else 'iterations'
  wanted, most = options.PROFILE.value, config.learner[units] - 1
  expected = (
    f'{span(1, most)}: learner.{units} without the first, which compiles'
  )
  if most < 1:
    expected = (
      f'no --profile with learner.{units}={most + 1}, because the first of '
      f'the {units} compiles and is not traced'
    )
  require(wanted is None or 1 <= wanted <= most, '--profile', wanted, expected)


def of_flag(learner: Learner, workdir: pathlib.Path) -> 'Profile':
  """Wraps a learner to trace as many iterations as --profile says.

  Without --profile, nothing is traced. The trace is written to
  `workdir`/profile.
  """
  return Profile(learner, workdir / 'profile', options.PROFILE.value or 0)


class Profile:
  """A learner that traces the first iterations after compilation.

  An iteration is one call of `iterate`; for a population, a generation.

  Attributes:
    unit: the wrapped learner's `unit`; its methods `count`, `blank` and `begin`
      are also attributes.
    iterate: the wrapped learner's `iterate`, which is also timed and traced
      (see `_timed`) unless no iterations are to be traced.
    folder: folder to which the trace is written.
    traced: seconds that each traced iteration took.
    others: seconds that each iteration after the traced ones took.
  """

  def __init__(self, learner: Learner, folder: pathlib.Path, wanted: int):
    """Wraps `learner` to trace `wanted` iterations; 0 traces none."""
    self.unit, self.count = learner.unit, learner.count
    self.blank, self.begin = learner.blank, learner.begin
    self.folder = folder
    self.traced: list[float] = []
    self.others: list[float] = []
    self.iterate = self._timed if wanted else learner.iterate
    self._iterate = learner.iterate
    self._wanted = wanted
    self._is_compiled = self._is_tracing = False

  def _timed(self, state: Any) -> tuple[Any, Any]:
    """Runs an iteration; times all but the first, which compiles.

    The first `wanted` of the timed iterations are also traced.
    """
    if not self._is_compiled:
      self._is_compiled = True
      return self._iterate(state)
    wants = len(self.traced) < self._wanted
    if wants and not self._is_tracing:
      self._start()
    start = time.perf_counter()
    with jax.profiler.StepTraceAnnotation(self.unit, step_num=len(self.traced)):
      result = jax.block_until_ready(self._iterate(state))
    seconds = time.perf_counter() - start
    (self.traced if wants else self.others).append(seconds)
    if len(self.traced) == self._wanted:
      self.close()
    return result

  def _start(self) -> None:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # it would slow the program down
    jax.profiler.start_trace(str(self.folder), profiler_options=options)
    self._is_tracing = True

  def close(self) -> None:
    """Ends and writes the trace, even of fewer iterations than requested.

    Nothing happens if no trace was started, or it was already written.
    """
    if self._is_tracing:
      self._is_tracing = False
      jax.profiler.stop_trace()


def print_report(
  profile: Profile,
  build: Callable[..., Experiment],
  config: ml_collections.ConfigDict,
  resolved: Mapping[str, Any],
) -> None:
  """Prints the FLOP/s of iterations, and the folder of their trace.

  The FLOP/s are those of the iterations that were not traced, or, if there are
  none, of the traced ones; they are compared with those of a large matrix
  product. All processes of a run must call this function; only the first one
  prints.

  Args:
    profile: the profile of a finished training run; nothing is printed if no
      iteration was traced.
    build: `(config, spread) -> Experiment`, see `training.Program`.
    config: all settings.
    resolved: values of the settings that may be 'auto', by full name.
  """
  if not profile.traced:
    return
  dtype = resolved['networks.compute_dtype']
  width = _WIDTH_ON_CPU if jax.default_backend() == 'cpu' else _WIDTH
  with layers.at_precision(config.networks.precision):
    peak = jax_cases.product_rate(width, dtype)
  work = count(build, sizes.filled(config, resolved))
  if not parallel.is_first_process():
    return
  # A trace slows down a CPU.
  timed = profile.others or profile.traced
  rate = work / statistics.median(timed)
  print(
    f'profile: {profile.unit}s of {statistics.median(timed):.3g} s (median of '
    f'{len(timed)} {"without" if profile.others else "with"} a trace) and '
    f'{work / 1e9:,.4g} GFLOP of matrix products: {rate / 1e9:,.4g} GFLOP/s, '
    f'{100 * rate / peak:.3g}% of the {peak / 1e9:,.4g} GFLOP/s that a product '
    f'of {width} x {width} in {dtype} reaches on {jax.device_count()} x '
    f'{jax.devices()[0].device_kind}'
  )
  print(
    f'{profile.unit}s traced: {len(profile.traced)}, in {profile.folder}; open '
    'the *.trace.json.gz in there at https://ui.perfetto.dev, or the folder by '
    f'xprof {profile.folder}'
  )


def count(
  build: Callable[..., Experiment], config: ml_collections.ConfigDict
) -> float:
  """Counts the FLOPs of an iteration's matrix products, summed over devices.

  The program is traced by JAX but not run, with the settings `_PLAIN`, so that
  nothing is computed twice. The actor is counted as updated in one of
  `agent.policy_delay` updates. In its loss all critics are counted, although
  XLA computes only those that the loss uses.

  Args:
    build: see `print_report`.
    config: all settings, with values in place of 'auto'.
  """
  config = config.copy_and_resolve_references()
  known = config.keys()
  plain = {x: y for x, y in _PLAIN.items() if x.partition('.')[0] in known}
  with config.ignore_type():  # a setting that was 'auto' becomes a number
    config.update_from_flattened_dict(plain)
  learner = build(config, spread=False).learner
  jitted, world = learner.iterate.func, learner.iterate.args
  traced = jitted.trace(*world, learner.abstract_state())
  # The policy's update is a branch of a switch.
  return operations.of_program(
    traced.jaxpr.jaxpr, 1 / config.agent.policy_delay
  )

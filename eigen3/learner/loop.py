"""The training loop around a learner: iterate, record, save, resume, stop."""

import time
from typing import Any, NamedTuple, Protocol

import jax
import ml_collections
import tqdm

from eigen3 import parallel
from eigen3.learner import guards
from eigen3.runs.checkpoint import Checkpointer


class Learner(Protocol):
  """What is trained: one agent, or a population.

  Attributes:
    unit: of its work, as the config counts it: 'iteration' or 'generation'.
    iterate: `(state) -> (state, told)`, one unit; the buffers of the state are
      given up.
  """

  unit: str
  iterate: Any

  def blank(self, key) -> Any:
    """A run that has not begun."""

  def begin(self, state) -> Any:
    """Fills an empty replay; the buffers of `state` are given up."""

  def count(self, state) -> int:
    """Units done."""


class Remark(NamedTuple):
  """What a record says of a unit.

  Attributes:
    score: keeps its checkpoint while no later one scores higher, or None.
    title: what the progress bar says of the run; None leaves it.
    rates: of the work that was done.
  """

  score: float | None
  title: str | None
  rates: str


class Record(Protocol):
  """What is written of a run while it goes on."""

  def begin(self, state, last: int) -> Any:
    """Opens the logs, without rows after `last`; the state to go on with."""

  def add(self, number: int, seconds: float, state, told) -> tuple[Any, Remark]:
    """Checks and writes one unit; the state to go on with.

    Raises:
      NonFiniteError: a loss, gradient or parameter is not finite.
    """

  def close(self) -> None:
    """Closes all files."""


def train(
  learner: Learner,
  record: Record,
  checkpointer: Checkpointer,
  config: ml_collections.ConfigDict,
  resume: bool = False,
) -> tuple[Any, bool]:
  """Trains until all units are done or an interrupt asks to stop.

  Args:
    learner: what is trained.
    record: of this run.
    checkpointer: of this run.
    config: all settings; `seed` and `learner` are read.
    resume: go on from the latest readable checkpoint.

  Returns:
    The final state, and whether all units are done.

  Raises:
    NonFiniteError: a loss, gradient or parameter is not finite; the state
      that holds it is not saved.
  """
  total = config.learner[f'{learner.unit}s']
  state = learner.blank(jax.random.PRNGKey(config.seed))
  restored = checkpointer.restore_latest(state) if resume else None
  if restored is not None:
    state = restored[1]
  # A fresh run has taken no step here, nor has one that was imported.
  begins = not int(state.environment_steps)
  if begins:
    state = learner.begin(state)
  first = learner.count(state)
  state = record.begin(state, -1 if begins else first)
  if restored is None:
    checkpointer.save(0, state)
  with guards.Stop(learner.unit) as stop, _bar(learner, first, total) as bar:
    try:
      for number in range(first + 1, total + 1):
        start = time.monotonic()
        state, told = learner.iterate(state)
        told = jax.device_get(told)
        seconds = time.monotonic() - start
        state, remark = record.add(number, seconds, state, told)
        stopping = parallel.agree(stop.requested) and number < total
        due = number % config.learner.checkpoint_every == 0
        if stopping or due or number == total:
          checkpointer.save(number, state, remark.score)
        _advance(bar, remark, compiled=number == first + 1)
        if stopping:
          return state, False
      return state, True
    finally:
      checkpointer.wait()
      record.close()


def _bar(learner: Learner, first: int, total: int) -> tqdm.tqdm:
  return tqdm.tqdm(
    total=total, initial=first, unit=learner.unit, desc='training',
    dynamic_ncols=True, disable=not parallel.is_first_process(),
  )  # fmt: skip


def _advance(bar: tqdm.tqdm, remark: Remark, compiled: bool) -> None:
  """Counts a unit; one that compiled says nothing of how long others take."""
  if remark.title is not None:
    bar.set_description(remark.title)
  bar.set_postfix_str(remark.rates)
  if compiled:
    bar.n += 1
    bar.initial = bar.last_print_n = bar.n
    bar.unpause()
    bar.refresh()
  else:
    bar.update()

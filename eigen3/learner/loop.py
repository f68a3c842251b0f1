"""The training loop of any learner: iterate, log, save, resume, stop."""

import time
from typing import Any, NamedTuple, Protocol

import jax
import ml_collections
import tqdm

from eigen3 import parallel
from eigen3.learner import guards
from eigen3.runs.checkpoint import Checkpointer


class Learner(Protocol):
  """A trainable agent or population.

  Attributes:
    unit: of work, as in the config: 'iteration' or 'generation'.
    iterate: `(state) -> (state, outcome)`, one unit; donates the state's
      buffers.
  """

  unit: str
  iterate: Any

  def blank(self, key) -> Any:
    """Returns the state before training."""

  def begin(self, state) -> Any:
    """Fills an empty replay; donates the buffers of `state`."""

  def count(self, state) -> int:
    """Returns the number of units done."""


class Remark(NamedTuple):
  """A record's report of one unit.

  Attributes:
    score: the unit's checkpoint is kept until a later one scores higher; None
      means no score.
    title: new text of the progress bar; None keeps the old one.
    rates: text about the speed of training.
  """

  score: float | None
  title: str | None
  rates: str


class Record(Protocol):
  """Writes a run's logs."""

  def begin(self, state, last: int) -> Any:
    """Opens the logs and drops rows after unit `last`, -1 for a new run.

    Returns:
      The state to train.
    """

  def add(
    self, number: int, seconds: float, state, outcome
  ) -> tuple[Any, Remark]:
    """Checks and logs one unit; returns the state to continue with.

    Raises:
      NonFiniteError: if a loss, gradient or parameter is not finite.
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
  """Trains until all units are done or an interrupt requests a stop.

  Args:
    learner: to train.
    record: of this run.
    checkpointer: of this run.
    config: all settings; `seed` and `learner` are read.
    resume: whether to continue from the latest readable checkpoint.

  Returns:
    The final state, and whether all units are done.

  Raises:
    NonFiniteError: if a loss, gradient or parameter is not finite; that state
      is not saved.
  """
  total = config.learner[f'{learner.unit}s']
  state = learner.blank(jax.random.PRNGKey(config.seed))
  restored = checkpointer.restore_latest(state) if resume else None
  if restored is not None:
    state = restored[1]
  # Neither a new nor an imported run has taken a step.
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
        state, outcome = learner.iterate(state)
        outcome = jax.device_get(outcome)
        seconds = time.monotonic() - start
        state, remark = record.add(number, seconds, state, outcome)
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
  """Advances the bar; its time estimate ignores a unit that compiled."""
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

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
    unit: what one call of `iterate` does: an 'iteration' or a 'generation'. The
      setting `learner.iterations` or `learner.generations` is the number of
      units in a run.
    iterate: `(state) -> (state, outcome)`, does one unit; donates the buffers
      of the given state.
  """

  unit: str
  iterate: Any

  def blank(self, key) -> Any:
    """Returns the state of a new run, with an empty replay."""

  def begin(self, state) -> Any:
    """Fills the replay as settings require; donates the buffers of `state`."""

  def count(self, state) -> int:
    """Returns the number of units done."""


class Remark(NamedTuple):
  """A report on one unit: an iteration or a generation.

  Attributes:
    score: score of a checkpoint saved after the unit, or None. The checkpoint
      with the highest score (of equal ones, the earliest) is always kept.
    title: new text of the progress bar; None keeps the old text.
    rates: text about the speed of training, shown after the bar.
  """

  score: float | None
  title: str | None
  rates: str


class Record(Protocol):
  """Writes a run's logs."""

  def begin(self, state, last: int) -> Any:
    """Opens the logs and drops rows after unit `last` (-1 for a new run).

    Returns:
      The state to train, which may have a new champion.

    Raises:
      ValueError: if an existing log has other columns.
    """

  def add(
    self, number: int, seconds: float, state, outcome
  ) -> tuple[Any, Remark]:
    """Checks and logs unit `number`, whose results are `state` and `outcome`.

    The unit took `seconds`.

    Returns:
      The state to continue with, and a report on the unit.

    Raises:
      NonFiniteError: if a metric of the updates, a parameter or a network's
        state is not finite.
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
    learner: the learner to train.
    record: writes the run's logs.
    checkpointer: saves and restores the run's states.
    config: all settings; `seed` and `learner` are read.
    resume: whether to continue from the latest readable checkpoint; without any
      checkpoint, training starts anew.

  Returns:
    The final state, and whether all units are done.

  Raises:
    CheckpointError: if there are checkpoints to resume from, but none is
      readable or the latest readable one does not fit the run, or processes
      find different ones.
    ValueError: if an existing log has other columns.
    OSError: if a checkpoint or a log cannot be written.
    NonFiniteError: see `Record.add`; the state of that unit is not saved.
    KeyboardInterrupt: at a second interrupt.
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
  """Advances the bar by one unit.

  If the unit's time includes compilation (`compiled`), that time is left out of
  the estimate of the remaining time.
  """
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

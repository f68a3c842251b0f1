"""Stops a run early: on an interrupt, or if a number is not finite."""

import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import haiku as hk
import numpy as np
import tqdm

from eigen3 import parallel


class NonFiniteError(FloatingPointError):
  """Raised when a number in training is not finite; the run stops."""


class Stop:
  """Defers an interrupt until the current iteration or generation is done.

  This context manager only sets `requested` at the first SIGINT or SIGTERM; the
  training loop reads it and stops. The second signal raises KeyboardInterrupt.
  A signal may reach only one of a run's processes, so the processes have to
  agree on a stop; see `parallel.agree`.
  """

  def __init__(self, unit: str = 'iteration'):
    self.requested = False
    self._unit = unit
    self._previous: dict[int, Any] = {}

  def __enter__(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      self._previous[number] = signal.signal(number, self._request)
    return self

  def __exit__(self, *unused):
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def _request(self, number, unused_frame):
    if self.requested:  # the second signal stops at once
      raise KeyboardInterrupt
    self.requested = True
    name = signal.Signals(number).name
    tqdm.tqdm.write(
      f'{name}: saving after this {self._unit}; repeat it to stop at once',
      file=sys.stderr,
    )


def check_updates(
  updates: Mapping[str, Any], names: Sequence[str], when: str
) -> None:
  """Checks that metrics of updates are finite.

  Args:
    updates: metrics of U updates, keyed by name, [U] for one agent, [A, U]
      for A agents.
    names: the metrics to check, causes before effects: of several that are not
      finite in the same update, the first in `names` is reported. The order of
      `updates` cannot be used, because `jax.jit` does not keep it. Names that
      are not in `updates` are ignored.
    when: when the updates were made, e.g. 'iteration 5'.

  Raises:
    NonFiniteError: if a value is not finite; the message names the first update
      with such a value, the metric and, among several agents, the agent.
  """
  offenders = []
  for order, name in enumerate(name for name in names if name in updates):
    bad = np.argwhere(~np.isfinite(updates[name]))
    if bad.size:
      first = bad[np.argmin(bad[:, -1])]
      value = updates[name][tuple(first)]
      offenders.append((int(first[-1]), order, name, value, first[:-1]))
  if offenders:
    update, _, name, value, who = min(offenders, key=lambda found: found[:2])
    agent = f' of agent {int(who[0])}' if who.size else ''
    raise NonFiniteError(
      f'{name}: found {value} in update {update + 1}{agent} of {when}, '
      'expected a finite number; the run stopped and keeps its last checkpoint'
    )


def check_agent(trained: Mapping[str, Any], when: str) -> None:
  """Checks that parameters and network state are finite.

  All processes must call this function.

  Args:
    trained: for each network, keyed by its name, the trees of parameters and of
      network state, of one agent or several; leaves of any shape.
    when: when these values were computed, e.g. 'iteration 5'.

  Raises:
    NonFiniteError: if a value is not finite; the message names the first array
      with such a value.
  """
  for name, trees in trained.items():
    for tree in trees:
      for module, leaf, value in hk.data_structures.traverse(tree):
        found = parallel.to_host(value)
        bad = found[~np.isfinite(found)]
        if bad.size:
          raise NonFiniteError(
            f'{name}: {module}/{leaf}: found {bad[0]} after {when}, expected '
            'finite numbers; the run stopped and keeps its last checkpoint'
          )

"""Builds benchmark cases of a simple replay in NumPy.

Like Eigen2's, the replay stores two windows for each transition, before and
after the action. It uses neither PyTorch nor JAX.
"""

import math
from typing import Any

import ml_collections
import numpy as np

from experiments.benchmark.cases import Built
from experiments.benchmark.settings import config_of, spec_of

CALLS = 20  # in a run; a single call is too short to time
ADDED = 128  # transitions that a call adds
_AFFORDABLE = 2**28  # bytes that the ring buffers may take


def add_case(*, runs: bool, **settings: Any) -> Built:
  """Builds a case that copies transitions with windows into NumPy buffers.

  Args:
    runs: whether the case is run and timed; if not, it only counts the bytes of
      a transition.
    **settings: see `config_of`.
  """
  config = config_of(settings)
  facts = {'bytes a transition': _bytes(config)}
  if not runs:
    return Built(None, facts=facts)
  rings = _rings(config, ADDED)
  batch = {name: x[:ADDED].copy() for name, x in rings.items()}
  capacity = len(rings['r_t'])
  start = 0

  def run():
    nonlocal start
    for _ in range(CALLS):
      places = (start + np.arange(ADDED)) % capacity
      for name, x in rings.items():
        x[places] = batch[name]
      start = (start + ADDED) % capacity

  return Built(run, facts=facts)


def sample_case(*, runs: bool, **settings: Any) -> Built:
  """Builds a case that copies random batches out of NumPy buffers.

  For Args see `add_case`.
  """
  config = config_of(settings)
  facts = {'bytes a transition': _bytes(config)}
  if not runs:
    return Built(None, facts=facts)
  rings = _rings(config, ADDED)
  random, size = np.random.default_rng(0), config.agent.batch_size

  def run():
    for _ in range(CALLS):
      places = random.integers(0, len(rings['r_t']), size)
      batch = {name: x[places] for name, x in rings.items()}
    return batch

  return Built(run, facts=facts)


def _rings(
  config: ml_collections.ConfigDict, at_least: int
) -> dict[str, np.ndarray]:
  """Makes full ring buffers of the replay's capacity, or smaller ones.

  The buffers are smaller if full capacity would take more than `_AFFORDABLE`
  bytes, but hold at least `at_least` transitions.
  """
  affordable = _AFFORDABLE // _bytes(config)
  capacity = min(config.learner.replay_capacity, affordable)
  return {
    # Filled, so that no memory page is first mapped while a run is timed.
    name: np.full((max(capacity, at_least), *shape), 0.5, np.float32)
    for name, shape in _shapes(config).items()
  }


def _shapes(
  config: ml_collections.ConfigDict,
) -> dict[str, tuple[int, ...]]:
  spec = spec_of(config)
  window = (config.environment.context_days, spec.num_columns)
  return {
    's_tm1': (*window, spec.num_features),
    'a_tm1': spec.action.shape,
    'r_t': (),
    'discount_t': (),
    's_t': (*window, spec.num_features),
  }


def _bytes(config: ml_collections.ConfigDict) -> int:
  return 4 * sum(map(math.prod, _shapes(config).values()))

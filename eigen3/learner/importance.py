"""Attention of a population to the market's columns over time.

As in Eigen2, it is reported as an exponential moving average, and as the number
of successive updates of this average (one per generation) for which a column
has been almost ignored.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from eigen3.types import Array

# Columns whose share of all attention is below one of these count as almost
# ignored (as in Eigen2); a lower threshold is stricter.
THRESHOLDS = (0.01, 0.001, 0.0001)


class ImportanceState(NamedTuple):
  """The attention to each column so far.

  Attributes:
    mean: float32 [C], exponential moving average of each column's share of
      all attention; all 0 before the first update, then the sum is 1.
    below: int32 [3, C], for each of `THRESHOLDS` the number of successive
      updates, up to the latest, with the average below that threshold.
    updates: int32 [], number of updates of the average.
  """

  mean: Array
  below: Array
  updates: Array


def init(num_columns: int) -> ImportanceState:
  """Returns the state before the first update, for C columns.

  Raises:
    ValueError: if `num_columns` is below 1.
  """
  if num_columns < 1:
    raise ValueError(f'num_columns: found {num_columns}, expected at least 1')
  return ImportanceState(
    mean=jnp.zeros(num_columns, jnp.float32),
    below=jnp.zeros((len(THRESHOLDS), num_columns), jnp.int32),
    updates=jnp.int32(0),
  )


def update(
  state: ImportanceState, weights: Array, decay: float
) -> ImportanceState:
  """Updates the averages with new attention weights.

  The first update sets each average to the column's share of the weights, so
  that no correction for a start at zero is needed.

  Args:
    state: attention so far.
    weights: float [C], attention averaged over days and agents, at least 0,
      with any sum. If all are 0, or one is negative or not finite, the state
      is returned unchanged.
    decay: weight of the old average, from 0 to 1.

  Returns:
    The updated state.
  """
  chex.assert_equal_shape([state.mean, weights])
  weights = jnp.asarray(weights, jnp.float32)
  kept = jnp.asarray(decay, jnp.float32)
  total = jnp.sum(weights)
  usable = jnp.all(weights >= 0) & jnp.isfinite(total) & (total > 0)
  shares = weights / jnp.where(usable, total, 1.0)
  mean = kept * state.mean + (1 - kept) * shares
  mean = jnp.where(state.updates == 0, shares, mean)
  low = mean < jnp.array(THRESHOLDS, jnp.float32)[:, None]
  updated = ImportanceState(
    mean=mean,
    below=jnp.where(low, state.below + 1, 0),
    updates=state.updates + 1,
  )
  return jax.tree.map(
    lambda new, old: jnp.where(usable, new, old), updated, state
  )

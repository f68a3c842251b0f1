"""Fitness of agents that play the same slices, and how well it is known.

In a generation all agents play the same slices. What is common to all is the
slices' luck; a two-way layout (agents by slices) takes it out, and what is left
says how certain the difference between two agents is. An agent that stays is
measured again, so that luck fades.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from eigen3.types import Array, PRNGKey


class Estimate(NamedTuple):
  """What is known of agents, relative to their generation's mean.

  Attributes:
    deviation: float32 [A], fitness less the mean of all agents.
    variance: float32 [A], of that estimate; infinite where nothing is known.
  """

  deviation: Array
  variance: Array


def unknown(count: int) -> Estimate:
  """Nothing of so many agents."""
  return Estimate(
    jnp.zeros(count, jnp.float32), jnp.full(count, jnp.inf, jnp.float32)
  )


def common_starts(
  key: PRNGKey, count: int, first_day: Array, last_day: Array
) -> Array:
  """The first days of a generation's slices, one from each part of the days.

  Stratified sampling: no generation is judged by one season alone.

  Args:
    key: consumed.
    count: E, of slices.
    first_day: int32 [], the earliest.
    last_day: int32 [], the latest.

  Returns:
    int32 [E], ascending.
  """
  places = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
  days = first_day + jnp.floor(places * (last_day + 1 - first_day))
  # Where rounding reached the end.
  return jnp.minimum(days.astype(jnp.int32), last_day)


def mean_of_worst(scores: Array, worst: int) -> Array:
  """The mean of the lowest `worst` scores of each agent, [..., E] to [...]."""
  return jnp.sort(scores, axis=-1)[..., :worst].mean(axis=-1)


def error_variance(scores: Array) -> Array:
  """The variance of one slice's score, after its luck and the agent's mean.

  Args:
    scores: [A, E], of all agents on the same slices.

  Returns:
    [], the residual mean square of the two-way layout; 0 for one slice, which
    tells nothing of it.
  """
  chex.assert_rank(scores, 2)
  agents, slices = scores.shape
  residual = (
    scores
    - scores.mean(axis=1, keepdims=True)
    - scores.mean(axis=0, keepdims=True)
    + scores.mean()
  )
  freedom = max((agents - 1) * (slices - 1), 1)
  return jnp.sum(residual**2) / freedom


def estimated(
  scores: Array, carried: Estimate, worst: int, memory: float
) -> Estimate:
  """What a generation's slices and those before say of all agents.

  What an agent has from before says how it compares with others that stayed,
  whose mean is moved to what these slices say of it: the generation before had
  another mean, and its best were lucky, too. An agent learns from generation
  to generation, so that old estimates lose precision: a Kalman filter whose
  state's variance grows by a factor.

  Args:
    scores: [A, E], of all agents on the same slices.
    carried: from the generation before.
    worst: of how many of an agent's lowest scores its fitness is the mean.
    memory: what an old estimate keeps of its precision, from 0 (no more is
      known than these slices say) to 1 (all slices count the same).

  Returns:
    Estimates [A]. The variance is that of an agent's mean over as many slices
    as count, among agents that are known for as long; where `worst` leaves
    some out, it is an approximation.
  """
  fitness = mean_of_worst(scores, worst)
  deviation = fitness - fitness.mean()
  variance = error_variance(scores) / worst
  stayed = jnp.isfinite(carried.variance)
  shift = jnp.sum(jnp.where(stayed, deviation - carried.deviation, 0.0))
  shift /= jnp.maximum(stayed.sum(), 1)
  # Precision of what is carried, in units of that of these slices.
  known = carried.variance > 0.0
  precision = memory * variance / jnp.where(known, carried.variance, 1.0)
  precision = jnp.where(known, precision, 0.0)
  weight = precision / (1.0 + precision)
  before = carried.deviation + shift
  return Estimate(
    (deviation + weight * (before - deviation)).astype(jnp.float32),
    (variance / (1.0 + precision)).astype(jnp.float32),
  )


def inherited(estimate: Estimate, parent: Array, stays: Array) -> Estimate:
  """Estimates of the next agents [A], those of who stays, else nothing."""
  return Estimate(
    jnp.where(stays, estimate.deviation[parent], 0.0),
    jnp.where(stays, estimate.variance[parent], jnp.inf),
  )


class Reliability(NamedTuple):
  """How well slices tell agents apart, [].

  Attributes:
    between: deviation of the agents' true fitness, estimated; 0 where the
      slices show no more than luck.
    within: deviation of one slice's score around its agent's, less the luck
      that the slice has for all.
    retest_correlation: expected, of fitness with a repeat of it on as many
      fresh slices (Hoyt's reliability, https://doi.org/10.1007/BF02289270);
      below 0 by chance where agents are alike, at least -1. NaN for one slice.
  """

  between: Array
  within: Array
  retest_correlation: Array


def reliability(scores: Array, common: bool) -> Reliability:
  """From analysis of variance.

  Args:
    scores: [A, E].
    common: whether all agents played the same slices.
  """
  agents, slices = scores.shape
  means = scores.mean(axis=1)
  between = slices * jnp.sum((means - means.mean()) ** 2) / max(agents - 1, 1)
  if common:
    within = error_variance(scores)
  else:
    within = jnp.sum((scores - means[:, None]) ** 2) / max(
      agents * (slices - 1), 1
    )
  moved = between > 0.0
  correlation = jnp.where(moved, 1 - within / jnp.where(moved, between, 1), 0)
  known = jnp.nan if slices == 1 else jnp.maximum(correlation, -1.0)
  return Reliability(
    jnp.sqrt(jnp.maximum(between - within, 0.0) / slices),
    jnp.sqrt(within),
    jnp.asarray(known, jnp.float32),
  )

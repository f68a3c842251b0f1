"""Estimates agents' fitness, and its precision, from scores on slices.

By default all agents play the same slices in a generation. A two-way layout
(agents by slices) removes the effect that a slice has on all agents alike; the
residual gives the standard error of the difference between two agents. An agent
that stays in the population is measured again on new slices, which reduces the
effect of luck.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from eigen3.types import Array, PRNGKey


class Estimate(NamedTuple):
  """Estimated fitness of A agents, relative to their generation's mean.

  Attributes:
    deviation: float32 [A], each agent's fitness less all agents' mean fitness.
    variance: float32 [A], error variance of `deviation`; infinite for an agent
      without results.
  """

  deviation: Array
  variance: Array


def unknown(count: int) -> Estimate:
  """Returns the estimate for `count` agents without any results."""
  return Estimate(
    jnp.zeros(count, jnp.float32), jnp.full(count, jnp.inf, jnp.float32)
  )


def common_starts(
  key: PRNGKey, count: int, first_day: Array, last_day: Array
) -> Array:
  """Draws the first days of a generation's slices by stratified sampling.

  One day is drawn from each of E equal ranges of days, so that no generation is
  evaluated on one season alone.

  Args:
    key: consumed.
    count: E, the number of slices.
    first_day: int32 [], the earliest possible day.
    last_day: int32 [], the latest possible day.

  Returns:
    int32 [E], ascending.
  """
  places = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
  days = first_day + jnp.floor(places * (last_day + 1 - first_day))
  # Rounding can reach the end.
  return jnp.minimum(days.astype(jnp.int32), last_day)


def mean_of_worst(scores: Array, worst: int) -> Array:
  """Averages each agent's `worst` lowest scores, [..., E] to [...]."""
  return jnp.sort(scores, axis=-1)[..., :worst].mean(axis=-1)


def error_variance(scores: Array) -> Array:
  """Estimates the variance in scores that is due to neither slice nor agent.

  Args:
    scores: [A, E], scores of all agents on the same slices.

  Returns:
    [], the residual mean square of the two-way layout; 0 for a single slice or
    a single agent, which give no estimate.
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
  """Combines the scores of a generation with earlier estimates of fitness.

  An earlier estimate is relative to the mean of an earlier generation. The
  agents that stayed were selected, partly by luck. So their earlier estimates
  are shifted to have the mean that these agents have on the new slices. Agents
  learn between generations, so earlier estimates lose precision: the method is
  a Kalman filter whose state variance grows by the factor 1 / `memory` in each
  generation.

  Args:
    scores: [A, E], scores of all agents on the same slices.
    carried: earlier estimates [A]; each is ignored if its variance is infinite,
      as for new agents, or 0, as after a single slice.
    worst: how many of an agent's lowest scores are averaged for its fitness.
    memory: the share of its precision that an earlier estimate keeps, from 0
      (only the new slices count) to 1 (all slices count the same).

  Returns:
    Estimates [A]. The variance is the residual variance of a score divided by
    the agent's effective number of slices, in which earlier slices have the
    weight `memory` or less; it is meant for comparing agents with the same
    effective number. If `worst` excludes some slices, it is approximate.
  """
  fitness = mean_of_worst(scores, worst)
  deviation = fitness - fitness.mean()
  variance = error_variance(scores) / worst
  stayed = jnp.isfinite(carried.variance)
  shift = jnp.sum(jnp.where(stayed, deviation - carried.deviation, 0.0))
  shift /= jnp.maximum(stayed.sum(), 1)
  # Precision of the earlier estimate, relative to that of these slices.
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
  """Returns the next members' estimates [P], `unknown` for new members.

  Args:
    estimate: estimates of the current members.
    parent: int32 [P], each next member's parent.
    stays: bool [P], which of the next members equal their parents.
  """
  return Estimate(
    jnp.where(stays, estimate.deviation[parent], 0.0),
    jnp.where(stays, estimate.variance[parent], jnp.inf),
  )


class Reliability(NamedTuple):
  """How well slices distinguish agents; all fields are float32 [].

  Attributes:
    between: estimated standard deviation of the agents' true fitness; 0 if
      they differ no more than by luck.
    within: standard deviation of an agent's scores around their mean. If all
      agents played the same slices, the effect that a slice has on all of them
      is removed first.
    retest_correlation: expected correlation of fitness with a second
      measurement on the same number of new slices: Hoyt's reliability
      (https://doi.org/10.1007/BF02289270) or, if each agent played its own
      slices, its one-way counterpart. With 4 or more agents it is estimated by
      Kristof's unbiased estimator (1963, Psychometrika 28, 221). At least -1;
      below 0 only by chance. NaN for a single slice, else 0 if all agents have
      the same mean score.
  """

  between: Array
  within: Array
  retest_correlation: Array


def reliability(scores: Array, common: bool) -> Reliability:
  """Estimates the `Reliability` by analysis of variance.

  An agent's fitness is taken as its mean score on all slices.

  Args:
    scores: [A, E], scores of A agents on E slices each.
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
  share = within / jnp.where(moved, between, 1.0)
  if agents > 3:
    share *= (agents - 3) / (agents - 1)
  correlation = jnp.where(moved, 1.0 - share, 0.0)
  known = jnp.nan if slices == 1 else jnp.maximum(correlation, -1.0)
  return Reliability(
    jnp.sqrt(jnp.maximum(between - within, 0.0) / slices),
    jnp.sqrt(within),
    jnp.asarray(known, jnp.float32),
  )

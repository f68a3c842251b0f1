"""Distances between policies, measured by their actions.

Distances between parameters mean little: different networks may act alike, and
a small change of parameters may change all actions.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from eigen3.evolution import operators
from eigen3.types import Array


class Diversity(NamedTuple):
  """Distances between the members of a population, and redundant members.

  Attributes:
    median: float32 [], the median distance over all pairs of members.
    nearest: float32 [], the smallest distance of any pair.
    replaced: int32 [], number of members whose fitness becomes -inf, because a
      fitter member acts alike.
  """

  median: Array
  nearest: Array
  replaced: Array


def distances(actions: Array, others: Array) -> Array:
  """Returns root mean square differences between policies' actions.

  Args:
    actions: [P, ...], actions of P policies on some observations, in unit
      space.
    others: [Q, ...], actions of Q policies on the same observations.

  Returns:
    float32 [Q, P], the distance of each of `others` from each of `actions`.
  """
  chex.assert_equal_shape_suffix([actions, others], actions.ndim - 1)
  axes = tuple(range(1, actions.ndim))

  def from_all(one):
    return jnp.sqrt(jnp.mean((actions - one) ** 2, axis=axes))

  # One at a time: all pairs at once would need much memory.
  return jax.lax.map(from_all, others).astype(jnp.float32)


def between_pairs(apart: Array) -> Array:
  """Returns each pair's distance, [P (P - 1) / 2], from the matrix [P, P]."""
  first, second = jnp.triu_indices(len(apart), k=1)
  return apart[first, second]


def redundant(apart: Array, fitness: Array, least: Array) -> Array:
  """Finds members that act like a fitter member.

  Args:
    apart: distances, [P, P].
    fitness: [P]; of members with equal fitness, the one with the lower index
      counts as fitter.
    least: [], members at this distance or closer count as acting alike.

  Returns:
    bool [P], True for the members that were found.
  """
  place = jnp.argsort(operators.ranking(fitness))
  is_fitter = place[None, :] < place[:, None]
  return jnp.any(is_fitter & (apart <= least), axis=1)

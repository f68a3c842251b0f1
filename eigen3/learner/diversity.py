"""How far policies are from each other, by what they do.

Parameters tell little of it: networks with other numbers may act alike, and a
small step may change all that is done.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from eigen3.evolution import operators
from eigen3.types import Array


class Diversity(NamedTuple):
  """Distances within a population, float32 [], and what came of them.

  Attributes:
    median: of the distances between two members.
    nearest: the least of them.
    replaced: int32 [], members that were left out because a better one does the
      same.
  """

  median: Array
  nearest: Array
  replaced: Array


def distances(actions: Array, others: Array) -> Array:
  """Root mean square differences of actions in unit space.

  Args:
    actions: [P, ...], of members on common observations.
    others: [Q, ...], on the same ones.

  Returns:
    float32 [Q, P].
  """
  chex.assert_equal_shape_suffix([actions, others], actions.ndim - 1)
  axes = tuple(range(1, actions.ndim))

  def from_all(one):
    return jnp.sqrt(jnp.mean((actions - one) ** 2, axis=axes))

  # One after another: all pairs at once would be large.
  return jax.lax.map(from_all, others).astype(jnp.float32)


def between_pairs(apart: Array) -> Array:
  """The distances of different members, [P (P - 1) / 2], of [P, P]."""
  first, second = jnp.triu_indices(len(apart), k=1)
  return apart[first, second]


def redundant(apart: Array, fitness: Array, least: Array) -> Array:
  """Members that do what a fitter one does.

  Args:
    apart: distances, [P, P].
    fitness: [P]; of equals the lower index counts as fitter.
    least: [], the largest distance of those that do the same.

  Returns:
    bool [P].
  """
  place = jnp.argsort(operators.ranking(fitness))
  is_fitter = place[None, :] < place[:, None]
  return jnp.any(is_fitter & (apart <= least), axis=1)

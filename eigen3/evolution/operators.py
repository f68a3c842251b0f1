"""Selection and variation of populations.

Populations are pytrees with a leading axis of members; leaves may have any
rank. For uniform crossover and mutation each member has its own key, so that
its draws do not depend on the number of members.
"""

import math
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from eigen3.types import Array, PRNGKey

# The standard deviation of proximal noise is at most this share of the root
# mean square of a member's entries.
_MOST_CHANGE = 0.3
_TINY = 1e-20  # against divisions by 0


def ranking(fitness: Array) -> Array:
  """Sorts the members from best to worst.

  Args:
    fitness: [P], higher is better; NaN and -inf rank last.

  Returns:
    int32 [P], indices of members; at equal fitness the lower index is first.
  """
  chex.assert_rank(fitness, 1)
  comparable = jnp.where(jnp.isnan(fitness), -jnp.inf, fitness)
  return jnp.argsort(-comparable, stable=True).astype(jnp.int32)


def tournament(
  key: PRNGKey, fitness: Array, shape: tuple[int, ...], size: int
) -> Array:
  """Selects members by tournaments (Goldberg and Deb 1991).

  The entrants of a tournament are drawn without replacement. Source:
  https://doi.org/10.1016/B978-0-08-050684-5.50008-2.

  Args:
    key: consumed.
    fitness: [P], higher is better.
    shape: shape of the result, one tournament for each entry.
    size: number of entrants of each tournament, from 1 (any member may win) to
      P (the fittest always wins).

  Returns:
    int32 [*shape], the fittest entrant of each tournament.
  """
  lots = jax.random.uniform(key, (*shape, fitness.shape[0]))
  return _winners(fitness, lots, size)


def two_parents(
  key: PRNGKey, fitness: Array, count: int, size: int
) -> tuple[Array, Array]:
  """Selects pairs of parents, each the winner of a tournament.

  The entrants of the first tournament are drawn from all P members, those of
  the second from the P - 1 that did not win the first, so the two parents
  always differ. Which of them is returned first is drawn with equal chances.

  Args:
    key: consumed.
    fitness: [P], P at least 2.
    count: M, the number of pairs.
    size: number of entrants of each tournament; the second of a pair has at
      most P - 1.

  Returns:
    The first and the second parents, int32 [M] each, indices of members.
  """
  chex.assert_axis_dimension_gteq(fitness, 0, 2)
  population_size = fitness.shape[0]
  key_one, key_other, key_order = jax.random.split(key, 3)
  one = tournament(key_one, fitness, (count,), size)
  lots = jax.random.uniform(key_other, (count, population_size))
  # A lot below all others, so that the first winner does not enter again.
  lots = jnp.where(one[:, None] == jnp.arange(population_size), -1.0, lots)
  other = _winners(fitness, lots, min(size, population_size - 1))
  swapped = jax.random.bernoulli(key_order, shape=(count,))
  return jnp.where(swapped, other, one), jnp.where(swapped, one, other)


def blend(first: Any, second: Any, alpha: Array) -> Any:
  """Mixes pairs of parents, with one weight for each child.

  This is whole arithmetical crossover (Michalewicz 1992,
  https://doi.org/10.1007/978-3-662-03315-9).

  Args:
    first: leaves [M, ...].
    second: the same structure, shapes and types.
    alpha: [M], the weights of the first parents.

  Returns:
    Leaves [M, ...], alpha * first + (1 - alpha) * second.
  """
  chex.assert_trees_all_equal_shapes_and_dtypes(first, second)

  def of_leaf(x, y):
    weight = along_members(alpha.astype(x.dtype), x)
    return weight * x + (1 - weight) * y

  return jax.tree.map(of_leaf, first, second)


def uniform_crossover(
  key: PRNGKey, first: Any, second: Any, probability: float | Array
) -> Any:
  """Takes each entry from one parent or the other at random.

  Source: Syswerda 1989, Uniform crossover in genetic algorithms, ICGA 3.

  Args:
    key: consumed.
    first: leaves [M, ...].
    second: the same structure, shapes and types.
    probability: [], the probability of taking the first parent's entry.

  Returns:
    Leaves [M, ...].
  """
  chex.assert_trees_all_equal_shapes_and_dtypes(first, second)

  def coins(key, shape):
    return jax.random.bernoulli(key, probability, shape)

  return jax.tree.map(jnp.where, draw_like(coins, key, first), first, second)


def mutate(
  key: PRNGKey, trees: Any, rate: float | Array, std: float | Array
) -> Any:
  """Adds Gaussian noise to some entries.

  Args:
    key: consumed.
    trees: leaves [M, ...].
    rate: [], the probability of noise, independent for each entry.
    std: [], the standard deviation of the noise.

  Returns:
    Leaves [M, ...].
  """

  def sparse(key, shape):
    key_chosen, key_noise = jax.random.split(key)
    chosen = jax.random.bernoulli(key_chosen, rate, shape)
    return jnp.where(chosen, std * jax.random.normal(key_noise, shape), 0.0)

  def of_leaf(x, noise):
    # Adding 0 would turn -0 into 0.
    return jnp.where(noise != 0, x + noise.astype(x.dtype), x)

  return jax.tree.map(of_leaf, trees, draw_like(sparse, key, trees))


def mutate_proximally(
  key: PRNGKey,
  trees: Any,
  sensitivity: Any,
  rate: float | Array,
  distance: float | Array,
) -> Any:
  """Adds noise that changes network outputs by at most about `distance`.

  This is proximal mutation (Bodnar et al. 2020,
  https://arxiv.org/abs/1906.09807; after Lehman et al. 2018,
  https://arxiv.org/abs/1712.06563): the noise of an entry is divided by how
  much the outputs depend on that entry. In the papers the resulting
  change grows with the number of entries. Here, to first order, the expected
  root mean square change of the outputs is at most `distance`. The standard
  deviation of an entry's noise is also limited to a share of the root mean
  square of its member's entries. Without this limit, entries with hardly any
  first-order effect (most entries of a fresh network) would get huge noise,
  although they gain an effect once other entries have changed.

  Args:
    key: consumed.
    trees: parameters of M networks, leaves [M, ...].
    sensitivity: like `trees`, the root mean square of the outputs' derivatives
      with respect to each entry.
    rate: [], the probability of noise, independent for each entry.
    distance: [], the largest expected change, in the outputs' units.

  Returns:
    Leaves [M, ...].
  """
  values, slopes = map(jax.tree.leaves, (trees, sensitivity))

  def total(function, *leaves):
    return sum(
      jnp.sum(function(*x), axis=tuple(range(1, x[0].ndim)))
      for x in zip(*leaves, strict=True)
    )

  count = sum(math.prod(x.shape[1:]) for x in values)
  most = _MOST_CHANGE * jnp.sqrt(total(jnp.square, values) / count)  # [M]
  # The effective number of entries: if all slopes are equal, all entries.
  matter = total(jnp.abs, slopes) ** 2 / total(lambda x: x**2 + _TINY, slopes)
  share = distance / jnp.sqrt(jnp.maximum(rate * matter, 1.0))

  def deviation(slope):
    own, limit = (along_members(x, slope) for x in (share, most))
    return own * limit / (slope * limit + own + _TINY)

  change = jnp.sqrt(rate * total(lambda x: (x * deviation(x)) ** 2, slopes))
  scale = jnp.minimum(1.0, distance / jnp.maximum(change, _TINY))

  def sparse(key, shape):
    key_chosen, key_noise = jax.random.split(key)
    chosen = jax.random.bernoulli(key_chosen, rate, shape)
    return jnp.where(chosen, jax.random.normal(key_noise, shape), 0.0)

  def of_leaf(x, noise, slope):
    step = along_members(scale, x) * deviation(slope) * noise
    # Adding 0 would turn -0 into 0.
    return jnp.where(noise != 0, x + step.astype(x.dtype), x)

  noise = draw_like(sparse, key, trees)
  return jax.tree.map(of_leaf, trees, noise, sensitivity)


def take(trees: Any, indices: Array) -> Any:
  """Selects members of a population by index.

  Args:
    trees: leaves [P, ...].
    indices: int32 [M], each in [0, P); not checked.

  Returns:
    Leaves [M, ...].
  """
  packed, unpack = pack(trees)
  return unpack([x.at[indices].get(mode='promise_in_bounds') for x in packed])


def pack(trees: Any) -> tuple[list[Array], Callable[[list[Array]], Any]]:
  """Flattens and concatenates all leaves of each dtype, member by member.

  An agent has about 200 leaves. For members that are sharded over devices, an
  operation on every single leaf takes longer to compile than the whole training
  step.

  Args:
    trees: leaves [P, ...].

  Returns:
    An array [P, n] for each dtype, where n is a member's number of entries of
    this dtype; and a function that turns such arrays of any number M of
    members, [M, n], back into the structure of `trees`, leaves [M, ...].
  """
  leaves, structure = jax.tree.flatten(trees)
  types = list(dict.fromkeys(leaf.dtype for leaf in leaves))
  places = [
    [i for i, leaf in enumerate(leaves) if leaf.dtype == kind] for kind in types
  ]

  def flat(leaf):
    return leaf.reshape(len(leaf), -1)

  def unpack(packed):
    found: list[Any] = [None] * len(leaves)
    for x, of_type in zip(packed, places, strict=True):
      sizes = [math.prod(leaves[i].shape[1:]) for i in of_type]
      parts = jnp.split(x, np.cumsum(sizes)[:-1], axis=1)
      for i, part in zip(of_type, parts, strict=True):
        found[i] = part.reshape(len(x), *leaves[i].shape[1:])
    return jax.tree.unflatten(structure, found)

  packed = [
    jnp.concatenate([flat(leaves[i]) for i in of_type], axis=1)
    for of_type in places
  ]
  return packed, unpack


def draw_like(
  sampler: Callable[[PRNGKey, tuple[int]], Array], key: PRNGKey, trees: Any
) -> Any:
  """Draws a random number for every entry of every member.

  Each member draws once for all of its leaves, because every further call of a
  generator adds a third of a second of compilation.

  Args:
    sampler: `(key, shape) -> draws`, called with a shape of one dimension.
    key: consumed.
    trees: leaves [M, ...]; only structure and shapes matter.

  Returns:
    The draws, structured like `trees`, leaves [M, ...] of the sampler's dtype.
  """
  leaves, structure = jax.tree.flatten(trees)
  if not leaves:
    return trees
  members = jnp.arange(leaves[0].shape[0])
  sizes = [math.prod(leaf.shape[1:]) for leaf in leaves]
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, members)
  # In a loop: fused with their consumers, the draws would be computed, and
  # compiled, once for every leaf.
  draws = jax.lax.map(lambda key: sampler(key, (sum(sizes),)), keys)
  parts = jnp.split(draws, np.cumsum(sizes)[:-1], axis=1)
  shaped = [x.reshape(y.shape) for x, y in zip(parts, leaves, strict=True)]
  return jax.tree.unflatten(structure, shaped)


def along_members(values: Array, leaf: Array) -> Array:
  """Reshapes `values` [M] to [M, 1, ...], with the rank of `leaf` [M, ...]."""
  return jnp.expand_dims(values, tuple(range(1, leaf.ndim)))


def _winners(fitness: Array, lots: Array, size: int) -> Array:
  """Returns the fittest entrant of each tournament.

  Args:
    fitness: [P].
    lots: [..., P], a random number per tournament and member.
    size: number of entrants of each tournament: the members with the highest
      lots enter.

  Returns:
    int32 [...], indices of members.
  """
  order = ranking(fitness)
  places = jnp.argsort(order)
  _, entrants = jax.lax.top_k(lots, size)
  return order[jnp.min(places[entrants], axis=-1)]

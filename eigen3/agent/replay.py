"""A ring of transitions whose observations are indices, not windows.

A transition at Eigen2's full size takes 908 bytes: the day and what could be
bought, twice, the action, the reward and the discount. What the day looked like
is gathered from the market when a network needs it. What a policy saw of its
account can't be: where it is observed, a transition takes 5,244 bytes.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from eigen3.types import Array, PRNGKey, Transition


class ReplayState(NamedTuple):
  """The ring.

  Attributes:
    storage: transitions with a leading axis of the capacity.
    insert_index: int32 [], where the next transition goes.
    size: int32 [], transitions held.
  """

  storage: Transition
  insert_index: Array
  size: Array


def init(transition: Transition, capacity: int) -> ReplayState:
  """An empty ring for `capacity` transitions shaped like `transition`."""
  if capacity < 1:
    raise ValueError(f'replay_capacity: found {capacity}, expected at least 1')

  def empty(leaf):
    leaf = jnp.asarray(leaf)
    return jnp.zeros((capacity, *leaf.shape), leaf.dtype)

  storage = jax.tree.map(empty, transition)
  return ReplayState(storage, jnp.int32(0), jnp.int32(0))


def capacity_of(state: ReplayState) -> int:
  """How many transitions the ring can hold."""
  return jax.tree.leaves(state.storage)[0].shape[0]


def add(state: ReplayState, transitions: Transition) -> ReplayState:
  """Adds a batch, over the oldest where the ring is full.

  Args:
    state: the ring.
    transitions: a batch with a leading axis of at most the capacity.

  Returns:
    The ring with the batch.

  Raises:
    ValueError: the batch is larger than the ring.
  """
  chex.assert_trees_all_equal_structs(state.storage, transitions)
  count = jax.tree.leaves(transitions)[0].shape[0]
  capacity = capacity_of(state)
  if count > capacity:
    raise ValueError(
      f'replay_capacity: found {capacity}, expected at least the '
      f'{count} transitions that are added at once'
    )
  places = (state.insert_index + jnp.arange(count)) % capacity
  storage = jax.tree.map(
    lambda ring, new: ring.at[places].set(new.astype(ring.dtype)),
    state.storage,
    transitions,
  )
  return ReplayState(
    storage=storage,
    insert_index=(state.insert_index + count) % capacity,
    size=jnp.minimum(state.size + count, capacity),
  )


def sample(state: ReplayState, key: PRNGKey, batch_size: int) -> Transition:
  """Transitions drawn uniformly with replacement, [batch_size, ...].

  The ring must hold at least one; an empty one gives its zeros.
  """
  places = jax.random.randint(key, (batch_size,), 0, state.size)
  return jax.tree.map(lambda ring: ring[places], state.storage)

"""A ring buffer of transitions whose observations are indices, not windows.

At Eigen2's full size a transition takes 908 bytes: the day and the mask of
stocks that can be bought (both before and after the action), the action, the
reward and the discount. A day's window is gathered from the market when a
network needs it. If the account is observed, it has to be stored, because it
cannot be recomputed: a transition then takes 5,244 bytes. If counterfactual
orders are simulated, the environment's state is stored as well.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from eigen3.types import Array, PRNGKey, Transition


class ReplayState(NamedTuple):
  """The ring buffer.

  Attributes:
    storage: transitions with a leading axis, whose size is the capacity.
    insert_index: int32 [], the place of the next transition to be added.
    size: int32 [], number of transitions stored.
  """

  storage: Transition
  insert_index: Array
  size: Array


def init(transition: Transition, capacity: int) -> ReplayState:
  """Makes an empty ring for `capacity` transitions shaped like `transition`.

  Raises:
    ValueError: the capacity is below 1.
  """
  if capacity < 1:
    raise ValueError(
      f'learner.replay_capacity: found {capacity}, expected at least 1'
    )

  def empty(leaf):
    leaf = jnp.asarray(leaf)
    return jnp.zeros((capacity, *leaf.shape), leaf.dtype)

  storage = jax.tree.map(empty, transition)
  return ReplayState(storage, jnp.int32(0), jnp.int32(0))


def capacity_of(state: ReplayState) -> int:
  """Returns the number of transitions that the ring can hold."""
  return jax.tree.leaves(state.storage)[0].shape[0]


def add(state: ReplayState, transitions: Transition) -> ReplayState:
  """Adds a batch, overwriting the oldest transitions if the ring is full.

  Args:
    state: the ring.
    transitions: a batch [B, ...], not larger than the ring's capacity.

  Returns:
    The ring with the batch.

  Raises:
    ValueError: the batch is larger than the ring's capacity.
  """
  chex.assert_trees_all_equal_structs(state.storage, transitions)
  count = jax.tree.leaves(transitions)[0].shape[0]
  capacity = capacity_of(state)
  if count > capacity:
    raise ValueError(
      f'learner.replay_capacity: found {capacity}, expected at least the '
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
  """Draws transitions uniformly with replacement, [batch_size, ...].

  The ring must not be empty: the result would be zeros.
  """
  places = jax.random.randint(key, (batch_size,), 0, state.size)
  return jax.tree.map(lambda ring: ring[places], state.storage)

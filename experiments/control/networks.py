"""Perceptrons as in TD3's paper, with the interface of `eigen3.networks`."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from eigen3.networks import layers
from eigen3.types import ActionSpec, Array

# `(sizes of hidden layers, action spec) -> (actor, double critic)`; a double
# critic is one network of two critics.
Maker: TypeAlias = Callable[
  [Sequence[int], ActionSpec],
  tuple[hk.TransformedWithState, hk.TransformedWithState],
]

_POLICY = layers.precision_policy('float32')


def make_networks(
  hidden: Sequence[int], spec: ActionSpec
) -> tuple[hk.TransformedWithState, hk.TransformedWithState]:
  """Makes TD3's actor, and one network of both critics."""
  return make_actor(hidden, spec), make_double_critic(hidden)


def make_actor(
  hidden: Sequence[int], spec: ActionSpec
) -> hk.TransformedWithState:
  """Makes the actor's network.

  It maps observations [B, O] to `(actions [B, A], None)`, the actions in the
  task's units.
  """

  def actor(observations: Array, is_training: bool):
    del is_training  # no layer needs it
    x = perceptron(observations, hidden, int(np.prod(spec.shape)), 'actor')
    return spec.from_unit(jnp.tanh(x)), None

  return hk.transform_with_state(actor)


def make_double_critic(hidden: Sequence[int]) -> hk.TransformedWithState:
  """Makes a network of two critics.

  It maps observations [B, O] and unit actions [B, A] to values [B, 2].
  """

  def double_critic(
    observations: Array, unit_actions: Array, is_training: bool
  ) -> Array:
    del is_training
    x = jnp.concatenate([observations, unit_actions], axis=-1)
    values = [perceptron(x, hidden, 1, f'critic_{k}') for k in (1, 2)]
    return jnp.concatenate(values, axis=-1)

  return hk.transform_with_state(double_critic)


def perceptron(x: Array, hidden: Sequence[int], size: int, name: str) -> Array:
  """Maps inputs [B, I] to [B, size]: ReLU layers, then a linear layer.

  Args:
    x: the inputs.
    hidden: sizes of the ReLU layers.
    size: number of outputs.
    name: prefix of the layers' names in Haiku.
  """
  for number, width in enumerate(hidden, start=1):
    x = jax.nn.relu(layers.Linear(width, _POLICY, f'{name}_{number}')(x))
  return layers.Linear(size, _POLICY, f'{name}_out')(x)

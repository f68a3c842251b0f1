"""Networks of SAC for the control tasks: the actor gives a distribution."""

from collections.abc import Sequence

import haiku as hk
import jax.numpy as jnp
import numpy as np

from eigen3.types import ActionSpec, Array
from experiments.control import networks

# Bounds of the log of a deviation, as they are usual for SAC.
_LEAST, _MOST = -20.0, 2.0


def make_networks(
  hidden: Sequence[int], spec: ActionSpec
) -> tuple[hk.TransformedWithState, hk.TransformedWithState]:
  """The actor, which gives a Gaussian, and TD3's two critics."""
  return make_actor(hidden, spec), networks.make_double_critic(hidden)


def make_actor(
  hidden: Sequence[int], spec: ActionSpec
) -> hk.TransformedWithState:
  """Observations [B, O] to `((mean, log deviation), None)`, each [B, ...].

  Both are of an action in unit space before it is squashed by tanh.
  """

  def actor(observations: Array, is_training: bool):
    del is_training  # no layer asks for it
    size = 2 * int(np.prod(spec.shape))
    x = networks.perceptron(observations, hidden, size, 'actor')
    x = x.reshape(-1, 2, *spec.shape)
    return (x[:, 0], jnp.clip(x[:, 1], _LEAST, _MOST)), None

  return hk.transform_with_state(actor)

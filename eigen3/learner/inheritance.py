"""What evolution varies of an agent, and what the newborn take over."""

import haiku as hk
import jax
import jax.numpy as jnp

from eigen3.agent import td3
from eigen3.evolution import Genome, Origin, Proposal
from eigen3.types import Array, PRNGKey


def genome_of(members: td3.TrainingState) -> Genome:
  """What evolution varies of members, leaves [P, ...]."""
  return Genome(
    parameters={
      'actor': members.actor.online_params,
      'critic': members.critic.online_params,
    },
    hyperparameters=members.hyperparameters._asdict(),
  )


def born(
  members: td3.TrainingState, proposal: Proposal, key: PRNGKey
) -> td3.TrainingState:
  """The agents that a proposal describes.

  An elite is its parent, whole. A copy is, too, but for its hyperparameters
  and the key of its chance. Any other has parameters of its own, and its
  targets start as copies of these; network state, the optimiser's moments, the
  exploration noise and the count of updates are its parent's.

  Args:
    members: leaves [P, ...].
    proposal: of the strategy.
    key: consumed.

  Returns:
    Leaves [P, ...].
  """
  parents = jax.tree.map(lambda x: x[proposal.parent], members)
  elite = proposal.origin == int(Origin.ELITE)
  whole = elite | (proposal.origin == int(Origin.COPY))

  def child_of(parent: td3.Network, params: hk.Params) -> td3.Network:
    return parent._replace(
      online_params=params,
      target_params=_where(whole, parent.target_params, params),
      target_state=_where(whole, parent.target_state, parent.online_state),
    )

  parameters = proposal.genomes.parameters
  return parents._replace(
    actor=child_of(parents.actor, parameters['actor']),
    critic=child_of(parents.critic, parameters['critic']),
    hyperparameters=td3.Hyperparameters(**proposal.genomes.hyperparameters),
    key=_where(elite, parents.key, jax.random.split(key, len(elite))),
  )


def _where(mask: Array, one, other):
  """By a mask [P] of trees with leaves [P, ...]."""

  def choose(x, y):
    return jnp.where(mask.reshape(-1, *[1] * (x.ndim - 1)), x, y)

  return jax.tree.map(choose, one, other)

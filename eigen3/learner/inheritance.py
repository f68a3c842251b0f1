"""What evolution varies of an agent, and what the newborn take over."""

from typing import Any

import jax
import jax.numpy as jnp

from eigen3.agent import Agent
from eigen3.agent.network import choose
from eigen3.agent.protocol import ACTING, Genes
from eigen3.evolution import Genome, Origin, Proposal, operators
from eigen3.types import PRNGKey


def genome_of(agent: Agent, members: Any, policies_only: bool) -> Genome:
  """What evolution varies of members, leaves [P, ...].

  Args:
    agent: the algorithm.
    members: leaves [P, ...].
    policies_only: leave out what does not act, such as critics.
  """
  genome = Genome(*agent.genes(members))
  if not policies_only:
    return genome
  return genome._replace(parameters={ACTING: genome.parameters[ACTING]})


def born(agent: Agent, members: Any, proposal: Proposal, key: PRNGKey) -> Any:
  """The agents that a proposal describes.

  An elite is its parent, whole. A copy is, too, but for its hyperparameters
  and the key of its chance. Any other has parameters of its own, and its
  targets start as copies of these; network state, the optimiser's moments, the
  exploration noise and the count of updates are its parent's. A network that
  the proposal leaves out, such as a critic where policies alone are bred, is
  the parent's, with its targets and its optimiser.

  Args:
    agent: the algorithm.
    members: leaves [P, ...].
    proposal: of the strategy.
    key: consumed.

  Returns:
    Leaves [P, ...].
  """
  parents = operators.take(members, proposal.parent)
  elite = proposal.origin == int(Origin.ELITE)
  whole = elite | (proposal.origin == int(Origin.COPY))
  keys = choose(elite, parents.key, jax.random.split(key, len(elite)))
  bred, hyperparameters = proposal.genomes
  kept = agent.genes(parents).parameters
  return agent.born(
    parents,
    Genes({**kept, **bred}, hyperparameters),
    {name: whole if name in bred else jnp.ones_like(whole) for name in kept},
    keys,
  )

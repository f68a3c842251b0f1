"""What evolution varies of an agent, and what the newborn take over."""

from typing import Any

import jax

from eigen3.agent import Agent
from eigen3.agent.network import choose
from eigen3.agent.protocol import Genes
from eigen3.evolution import Genome, Origin, Proposal, operators
from eigen3.types import PRNGKey


def genome_of(agent: Agent, members: Any) -> Genome:
  """What evolution varies of members, leaves [P, ...]."""
  return Genome(*agent.genes(members))


def born(agent: Agent, members: Any, proposal: Proposal, key: PRNGKey) -> Any:
  """The agents that a proposal describes.

  An elite is its parent, whole. A copy is, too, but for its hyperparameters
  and the key of its chance. Any other has parameters of its own, and its
  targets start as copies of these; network state, the optimiser's moments, the
  exploration noise and the count of updates are its parent's.

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
  return agent.born(parents, Genes(*proposal.genomes), whole, keys)

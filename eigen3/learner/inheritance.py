"""Agents' genomes, and what new agents inherit."""

from typing import Any

import jax
import jax.numpy as jnp

from eigen3.agent import Agent
from eigen3.agent.network import choose
from eigen3.agent.protocol import ACTING, Genes
from eigen3.evolution import Genome, Origin, Proposal, operators
from eigen3.types import PRNGKey


def genome_of(agent: Agent, members: Any, policies_only: bool) -> Genome:
  """Returns the evolvable part of members, leaves [P, ...].

  Args:
    agent: the algorithm.
    members: the members' states, leaves [P, ...].
    policies_only: whether to omit networks that do not act, such as critics.
  """
  genome = Genome(*agent.genes(members))
  if not policies_only:
    return genome
  return genome._replace(parameters={ACTING: genome.parameters[ACTING]})


def offspring(
  agent: Agent, members: Any, proposal: Proposal, key: PRNGKey
) -> Any:
  """Returns the next members that a proposal describes.

  An elite equals its parent. A copy (`Origin.COPY`) also does, except that it
  has other hyperparameters and a new PRNG key. Any other member gets a new PRNG
  key, and its parameters and hyperparameters from the proposal; it inherits
  network state, optimiser moments, exploration noise and the number of updates
  from its parent; and its target networks start as copies of its new networks.
  A network that is not in the proposal, such as a critic if only policies are
  bred, is inherited from the parent, with its target network and its
  optimiser's state.

  Args:
    agent: the algorithm.
    members: the current members' states, leaves [P, ...].
    proposal: the strategy's choice of the next members.
    key: consumed.

  Returns:
    The next members' states, leaves [P, ...].
  """
  parents = operators.take(members, proposal.parent)
  elite = proposal.origin == int(Origin.ELITE)
  whole = elite | (proposal.origin == int(Origin.COPY))
  keys = choose(elite, parents.key, jax.random.split(key, len(elite)))
  bred, hyperparameters = proposal.genomes
  kept = agent.genes(parents).parameters
  return agent.offspring(
    parents,
    Genes({**kept, **bred}, hyperparameters),
    {name: whole if name in bred else jnp.ones_like(whole) for name in kept},
    keys,
  )

"""The state of a population between generations, and a generation's outcome."""

from typing import Any, NamedTuple

import jax
import numpy as np

from eigen3.agent import replay
from eigen3.learner import diversity, fitness, importance, slices
from eigen3.types import Array, PRNGKey


class Champion(NamedTuple):
  """The complete agent with the best validation score so far.

  Before the first validation it is the first agent, with score -inf.

  Attributes:
    agent: its networks and all its training state.
    score: float32 [], its validation score.
    generation: int32 [], the generation in which it was validated, from 1; 0
      before the first validation.
  """

  agent: Any
  score: Array
  generation: Array


class Lineage(NamedTuple):
  """The origin of a generation's members.

  Attributes:
    parent: int32 [P], the index of each member's parent in the previous
      generation, in which the champion and a learner may have replaced members
      before breeding; -1 in the first generation.
    origin: int32 [P], each member's `evolution.Origin`.
  """

  parent: Array
  origin: Array


class Standing(NamedTuple):
  """Fitness and ancestry of agents that are evaluated on the same slices.

  Attributes:
    estimate: estimated fitness of all agents, P members and R learners.
    founder: int32 [P + R], the index of the first-generation agent that each
      agent descends from through `Lineage.parent`; mates do not count.
    champion_founder: int32 [], the founder of the champion.
    mate: int32 [P], the index of each member's second parent, numbered as in
      `Lineage.parent`; -1 for a member without one.
  """

  estimate: fitness.Estimate
  founder: Array
  champion_founder: Array
  mate: Array


class PopulationState(NamedTuple):
  """The complete state of a run; saved and restored as a whole.

  Attributes:
    agents: leaves [P + R, ...]: P members, which are bred, then R learners,
      which only learn.
    lineage: of the members.
    strategy: state of the evolution strategy.
    replay: transitions of all agents.
    champion: the agent with the best validation score.
    importance: attention to each column of the market so far.
    generation: int32 [], generations done.
    environment_steps: int32 [], environment steps taken to fill the replay;
      those that only measure fitness or validate agents are not counted.
    key: consumed by the next generation.
    standing: of the agents if they are evaluated on the same slices, else None.
  """

  agents: Any
  lineage: Lineage
  strategy: Any
  replay: replay.ReplayState
  champion: Champion
  importance: importance.ImportanceState
  generation: Array
  environment_steps: Array
  key: PRNGKey
  standing: Standing | None = None


class Fitness(NamedTuple):
  """The fitness of P members and R learners, the basis of selection.

  Attributes:
    value: float32 [P + R], the fitness.
    error: float32 [P + R], the fitness's standard error, for comparisons
      between agents; NaN if each agent played its own slices.
    reliability: how well the slices distinguish agents.
  """

  value: Array
  error: Array
  reliability: fitness.Reliability


class Generation(NamedTuple):
  """The outcome of a generation, to be read on the host.

  Attributes:
    updates: metrics of U updates of each of the A agents that learn, [A, U],
      keyed by name.
    training: results on the training slices.
    fitness: the basis of selection.
    validation: results on the validation days.
    lineage: of the members that were evaluated.
    hyperparameters: of all agents, float32 [P + R], keyed by name.
    strategy: metrics of the evolution strategy, keyed by name, each [].
    spread: float32 [], RMS distance of the members' bred parameters from their
      mean, divided by the norm of that mean.
    attention: float32 [C], attention to each column, averaged over agents and
      validation days.
    standing: of the agents if they played the same slices, else None.
    diversity: of the members that are bred; None if `standing` is None.
  """

  updates: dict[str, Array]
  training: slices.Judged
  fitness: Fitness
  validation: slices.Judged
  lineage: Lineage
  hyperparameters: dict[str, Array]
  strategy: dict[str, Array]
  spread: Array
  attention: Array
  standing: Standing | None
  diversity: diversity.Diversity | None


def memory_of(state: PopulationState) -> dict[str, int]:
  """Returns the bytes of an agent's state and of a stored transition.

  The keys are 'agent' and 'transition'.
  """

  def size(tree) -> int:
    return sum(
      np.dtype(x.dtype).itemsize * x.size for x in jax.tree.leaves(tree)
    )

  agents = jax.tree.leaves(state.agents)[0].shape[0]
  return {
    'agent': size(state.agents) // agents,
    'transition': size(state.replay.storage)
    // replay.capacity_of(state.replay),
  }

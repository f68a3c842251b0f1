"""What a population carries from one generation to the next, and tells."""

from typing import Any, NamedTuple

import jax
import numpy as np

from eigen3.agent import replay
from eigen3.learner import diversity, fitness, importance, slices
from eigen3.types import Array, PRNGKey


class Champion(NamedTuple):
  """The agent that validated best so far, whole.

  Attributes:
    agent: its networks and all that learning carries.
    score: float32 [], its validation score.
    generation: int32 [], when it was validated.
  """

  agent: Any
  score: Array
  generation: Array


class Lineage(NamedTuple):
  """Where the members of a generation come from.

  Attributes:
    parent: int32 [P], the member of the generation before that each follows;
      -1 where there was none.
    origin: int32 [P], an `evolution.Origin`.
  """

  parent: Array
  origin: Array


class Standing(NamedTuple):
  """What is known of agents that are judged on common slices.

  Attributes:
    estimate: of the fitness of all agents, [P + R].
    founder: int32 [P + R], the agent of the first generation that each descends
      from.
    champion_founder: int32 [], that the champion descends from.
    mate: int32 [P], the other parent of a member, in the generation before;
      -1 where there was none.
  """

  estimate: fitness.Estimate
  founder: Array
  champion_founder: Array
  mate: Array


class PopulationState(NamedTuple):
  """All of a run that goes on: saved and restored whole.

  Attributes:
    agents: leaves [P + R, ...]: P members that evolve, then R learners.
    lineage: of the members.
    strategy: of evolution.
    replay: experience of all.
    champion: the best validated agent.
    importance: of columns, by attention.
    generation: int32 [], generations done.
    environment_steps: int32 [], steps taken in training.
    key: consumed by the next generation.
    standing: of agents that are judged on common slices, else None.
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
  """By what agents are selected.

  Attributes:
    value: float32 [P + R].
    error: float32 [P + R], its standard error, for comparisons between agents;
      NaN where each played slices of its own.
    reliability: of the slices.
  """

  value: Array
  error: Array
  reliability: fitness.Reliability


class Generation(NamedTuple):
  """What a generation tells, to be read on the host.

  Attributes:
    updates: metrics of every update of every agent that learns, [A, U].
    training: what the training slices tell.
    fitness: by what agents are selected.
    validation: as `training`, of the validation slices.
    lineage: of the members that were judged.
    hyperparameters: of all agents, by name, float32 [P + R].
    strategy: numbers of evolution, by name, [].
    spread: float32 [], how far members are from their mean, over its size.
    attention: float32 [C], mean over agents and validation days.
    standing: of the agents that were judged, on common slices, else None.
    diversity: of these, on common observations, else None.
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
  """Bytes that an agent and a transition take."""

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

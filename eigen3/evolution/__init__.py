"""Evolution of populations; start with `make_strategy`.

A strategy is a set of pure functions on pytrees of parameters and
hyperparameters. It proposes the next population from the fitness of the current
one. The caller holds the population, and trains and evaluates it between
proposals.
"""

from eigen3.evolution.cross_entropy import CrossEntropyState, make_cross_entropy
from eigen3.evolution.factory import make_strategy
from eigen3.evolution.genetic import GeneticState, make_genetic
from eigen3.evolution.population_based import (
  PopulationBasedState,
  make_population_based,
)
from eigen3.evolution.strategy import (
  Genome,
  Origin,
  Proposal,
  Sensitivity,
  Strategy,
)

__all__ = [
  'CrossEntropyState',
  'GeneticState',
  'Genome',
  'Origin',
  'PopulationBasedState',
  'Proposal',
  'Sensitivity',
  'Strategy',
  'make_cross_entropy',
  'make_genetic',
  'make_population_based',
  'make_strategy',
]

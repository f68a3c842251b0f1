"""The interface of evolution: genomes, proposals and strategies."""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import chex
import jax

from eigen3 import settings
from eigen3.types import Array, PRNGKey


class Genome(NamedTuple):
  """The evolvable part of the P members of a population.

  Attributes:
    parameters: floating-point leaves [P, ...] of any rank.
    hyperparameters: float32 leaves [P], at least 0; may be an empty dict.
  """

  parameters: Any
  hyperparameters: Any


class Origin(enum.IntEnum):
  """How a member of a new population was made."""

  ELITE = 0  # kept unchanged
  OFFSPRING = 1  # of two parents
  MUTANT = 2  # an elite with noise
  SAMPLE = 3  # drawn from a distribution
  COPY = 4  # of a better member, with other hyperparameters
  INITIAL = 5  # member of the first population; no strategy proposes it


class Proposal(NamedTuple):
  """The next population, and the origin of its members.

  Attributes:
    genomes: leaves [P, ...], structured as those of the last population.
    parent: int32 [P], for each new member the index of the old member from
      which it inherits its hyperparameters (varied in a COPY) and all that is
      not in a genome, such as optimiser moments and batch-norm statistics.
    origin: int32 [P], the `Origin` of each member. An ELITE equals its parent
      bit for bit.
    mate: int32 [P], the index of the other parent of an OFFSPRING; -1 for other
      members.
  """

  genomes: Genome
  parent: Array
  origin: Array
  mate: Array


# Computes how much actions depend on each parameter:
# `(indices of members [M]) -> leaves [M, ...]`, structured as the parameters:
# root mean squares, over observations and entries of actions, of the
# derivatives of actions in unit space.
Sensitivity: TypeAlias = Callable[[Array], Any]


class Strategy(NamedTuple):
  """An evolutionary algorithm: pure functions on an opaque, small state.

  A state is a NamedTuple of arrays whose structure, shapes and types never
  change. Higher fitness is better; NaN and -inf rank last, and of members with
  equal fitness the one with the lower index ranks first.

  Attributes:
    init: `(key, genomes) -> state`.
    tell: `(state, genomes, fitness [P], progress []) -> state`, called after
      every evaluation. Progress is the champion's score, from which a schedule
      may detect a plateau.
    ask: `(state, key, genomes, sensitivity=None) -> Proposal`; the genomes are
      those of the last `tell`, except that one member may have been replaced.
      Consumes the key. Strategies with `needs_sensitivity` require a
      `Sensitivity` of these genomes.
    begin: `(state, key, genomes) -> genomes`, makes a first population from
      copies of one member, which were also given to `init`. Consumes the key.
    replaceable: `(state) -> int32 []`, returns the index of the member that a
      champion may replace between `tell` and `ask`: the weakest elite, or in
      population-based training the weakest member that may be copied, so that
      the champion stays. With `samples` no member stays: the weakest of all is
      returned, and replacing it has no effect.
    report: `(state) -> metrics`, a dict of arrays [] by name, for a run's logs.
    samples: whether all members are drawn around a mean. The population must
      then start with `begin`: the mean of independently initialised networks
      is a poor network.
    needs_sensitivity: whether `ask` needs a `Sensitivity`.
  """

  init: Callable[[PRNGKey, Genome], Any]
  tell: Callable[[Any, Genome, Array, Array], Any]
  ask: Callable[..., Proposal]
  begin: Callable[[Any, PRNGKey, Genome], Genome]
  replaceable: Callable[[Any], Array]
  report: Callable[[Any], dict[str, Array]]
  samples: bool = False
  needs_sensitivity: bool = False


def require_population(population_size: int) -> None:
  """Raises a ValueError if a population has fewer than 2 members."""
  settings.require(
    population_size >= 2,
    'evolution.population_size',
    population_size,
    'at least 2',
  )


def assert_population(genomes: Genome, population_size: int) -> None:
  """Asserts that genomes have P members and only floating-point leaves.

  Args:
    genomes: only shapes and dtypes matter.
    population_size: P.

  Raises:
    AssertionError: a leaf lacks the leading axis P or is not a floating-point
      array, or a hyperparameter is not [P].
  """
  chex.assert_tree_shape_prefix(genomes, (population_size,))
  chex.assert_shape(
    jax.tree.leaves(genomes.hyperparameters), (population_size,)
  )
  chex.assert_type(jax.tree.leaves(genomes), float)

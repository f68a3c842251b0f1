"""What evolution takes and gives: populations, proposals, strategies."""

import enum
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import chex
import jax

from eigen3 import settings
from eigen3.types import Array, PRNGKey


class Genome(NamedTuple):
  """What evolution may change of the P members of a population.

  Attributes:
    parameters: floating-point leaves [P, ...] of any rank.
    hyperparameters: positive float32 leaves [P]; may be an empty dict.
  """

  parameters: Any
  hyperparameters: Any


class Origin(enum.IntEnum):
  """How a member of a new population came about."""

  ELITE = 0  # it stayed
  OFFSPRING = 1  # of two parents
  MUTANT = 2  # an elite and noise
  SAMPLE = 3  # drawn from a distribution
  COPY = 4  # of a better member, with other hyperparameters
  INITIAL = 5  # nobody came before it; no strategy proposes it


class Proposal(NamedTuple):
  """The next population, and where its members come from.

  Attributes:
    genomes: leaves [P, ...], structured as those of the last population.
    parent: int32 [P], the old member whose other state (optimiser, batch
      norm) the new member follows, as do its hyperparameters.
    origin: int32 [P], an `Origin` each. An ELITE equals its parent bit for
      bit.
    mate: int32 [P], the other parent of an OFFSPRING; of others -1.
  """

  genomes: Genome
  parent: Array
  origin: Array
  mate: Array


# How much actions change with each parameter: `(members [M]) -> leaves
# [M, ...]`, like parameters; the root mean square of the derivatives, in unit
# space.
Sensitivity: TypeAlias = Callable[[Array], Any]


class Strategy(NamedTuple):
  """An evolutionary algorithm: pure functions on an opaque, light state.

  A state is a NamedTuple of arrays whose structure, shapes and types never
  change. Higher fitness is better; a fitness of NaN or -inf ranks last, and
  of equals the lower index ranks first.

  Attributes:
    init: `(key, genomes) -> state`.
    tell: `(state, genomes, fitness [P], progress []) -> state`, after every
      evaluation. Progress is the score by which a schedule sees whether the
      search is stuck.
    ask: `(state, key, genomes, sensitivity=None) -> Proposal`; the genomes are
      those told of last, but for a member that was replaced since. Consumes
      the key. Those that `needs_sensitivity` have to be given a `Sensitivity`
      of these genomes.
    begin: `(state, key, genomes) -> genomes`, a first population, of copies of
      one member. Consumes the key.
    replaceable: `(state) -> int32 []`, the member that a champion may replace
      between `tell` and `ask`: the weakest elite, so that the champion stays.
      Where all are samples nobody stays; it is the weakest, and a champion
      counts once it is told of.
    report: `(state) -> numbers []` by name, for a run's records.
    samples: whether all members are drawn around a mean. Such a strategy is to
      `begin`: the mean of independent networks is a poor network.
    needs_sensitivity: whether it asks how much actions change.
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
  """Refuses a population that is too small to evolve; a ValueError."""
  settings.require(
    population_size >= 2,
    'evolution.population_size',
    population_size,
    'at least 2',
  )


def assert_population(genomes: Genome, population_size: int) -> None:
  """Asserts that genomes are of so many members, and can evolve.

  Args:
    genomes: to look at; only shapes and types matter.
    population_size: P.

  Raises:
    AssertionError: a leaf lacks the leading axis P or is no floating-point
      array, or a hyperparameter is not [P].
  """
  chex.assert_tree_shape_prefix(genomes, (population_size,))
  chex.assert_shape(
    jax.tree.leaves(genomes.hyperparameters), (population_size,)
  )
  chex.assert_type(jax.tree.leaves(genomes), float)

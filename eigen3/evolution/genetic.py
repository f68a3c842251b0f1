"""A genetic algorithm: elites, offspring of tournament winners, and mutants.

It extends Eigen2's algorithm, for example by proximal mutation. Mutation grows
while the champion's score stays on a plateau.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import settings
from eigen3.evolution import operators
from eigen3.evolution.strategy import (
  Genome,
  Origin,
  Proposal,
  Sensitivity,
  Strategy,
  assert_population,
  require_population,
)
from eigen3.types import Array, PRNGKey

# Changes of a score with a smaller magnitude are measured relative to this.
_LEAST_MAGNITUDE = 1e-3


class GeneticState(NamedTuple):
  """The last population's fitness, and the mutation schedule.

  Attributes:
    fitness: float32 [P], as given to the last `tell`; -inf before the first.
    progress: float32 [plateau_generations + 1], the champion's scores in the
      last generations, oldest first; NaN for generations that have not yet run.
    mutation_rate: float32 [], the probability that an entry of a mutant's
      parameters gets noise.
    mutation_std: float32 [], the standard deviation of this noise, or with
      'proximal' mutation the largest expected change of actions in unit space.
  """

  fitness: Array
  progress: Array
  mutation_rate: Array
  mutation_std: Array


def make_genetic(
  config: ml_collections.ConfigDict, population_size: int
) -> Strategy:
  """Binds the genetic algorithm to its settings.

  A new population holds the elites, best first, then offspring, then mutants.
  The numbers of elites (at least one) and of offspring are rounded shares of P;
  the rest are mutants. The parents of offspring win tournaments among all
  members; offspring are not mutated. Mutants are copies of the elites in turn,
  best first, with noise. The noise is 'gaussian', or 'proximal' (Bodnar et al.
  2020, https://arxiv.org/abs/1906.09807): smaller where actions depend more on
  a parameter, and scaled to change actions by about `mutation_std` or less.

  Let s be the champion's score just before the last `plateau_generations`
  scores. While each of these differs from s by less than the share
  `plateau_change` of |s| (taken as at least 0.001), the rate and the standard
  deviation of mutation are multiplied by `mutation_growth` in each generation,
  up to their maxima. Otherwise they return to the configured values.

  Args:
    config: the `evolution.genetic` section.
    population_size: P.

  Returns:
    The strategy, with a `GeneticState`. Of an offspring's two parents, its
    `parent` in a `Proposal` is the one with the larger weight in the crossover.

  Raises:
    ValueError: if a setting or the population size is out of range.
  """
  require_population(population_size)
  _validate(config, population_size)
  genetic = _Genetic(config, population_size)
  return Strategy(
    genetic.init,
    genetic.tell,
    genetic.ask,
    genetic.begin,
    genetic.replaceable,
    genetic.report,
    needs_sensitivity=config.mutation == 'proximal',
  )


class _Genetic:
  """The strategy's functions; fields are never set after creation."""

  def __init__(self, config, population_size):
    self._config = config
    self._population_size = population_size
    self._num_elites, self._num_offspring = _sizes(config, population_size)
    self._num_mutants = population_size - self._num_elites - self._num_offspring

  def init(self, key: PRNGKey, genomes: Genome) -> GeneticState:
    """Starts without fitness or scores, and with mutation as configured."""
    del key  # nothing is drawn
    assert_population(genomes, self._population_size)
    generations = self._config.plateau_generations
    return GeneticState(
      fitness=jnp.full(self._population_size, -jnp.inf, jnp.float32),
      progress=jnp.full(generations + 1, jnp.nan, jnp.float32),
      mutation_rate=jnp.array(self._config.mutation_rate, jnp.float32),
      mutation_std=jnp.array(self._config.mutation_std, jnp.float32),
    )

  def tell(
    self, state: GeneticState, genomes: Genome, fitness: Array, progress: Array
  ) -> GeneticState:
    """Records `fitness` [P] and the champion's score, `progress` [].

    Also advances the mutation schedule.
    """
    assert_population(genomes, self._population_size)
    chex.assert_shape(fitness, (self._population_size,))
    chex.assert_shape(progress, ())
    newest = jnp.asarray(progress, jnp.float32)
    scores = jnp.append(state.progress[1:], newest)
    stuck = _is_flat(scores, self._config.plateau_change)

    def next_value(value, base, largest):
      grown = jnp.minimum(self._config.mutation_growth * value, largest)
      return jnp.where(stuck, grown, base)

    return GeneticState(
      fitness=jnp.asarray(fitness, jnp.float32),
      progress=scores,
      mutation_rate=next_value(
        state.mutation_rate,
        self._config.mutation_rate,
        self._config.max_mutation_rate,
      ),
      mutation_std=next_value(
        state.mutation_std,
        self._config.mutation_std,
        self._config.max_mutation_std,
      ),
    )

  def begin(self, state: GeneticState, key: PRNGKey, genomes: Genome) -> Genome:
    """Keeps the first member and adds Gaussian noise to the others.

    The noise is never proximal: the actions of a fresh network hardly depend on
    most of its parameters.
    """
    assert_population(genomes, self._population_size)
    old, unpack = operators.pack(genomes.parameters)
    how = state.mutation_rate, state.mutation_std
    mutants = operators.mutate(key, [x[1:] for x in old], *how)
    return genomes._replace(
      parameters=unpack(
        [jnp.concatenate([x[:1], y]) for x, y in zip(old, mutants, strict=True)]
      )
    )

  def ask(
    self,
    state: GeneticState,
    key: PRNGKey,
    genomes: Genome,
    sensitivity: Sensitivity | None = None,
  ) -> Proposal:
    """Proposes the next population: elites, offspring, mutants."""
    assert_population(genomes, self._population_size)
    key_offspring, key_mutants = jax.random.split(key)
    old, unpack = operators.pack(genomes.parameters)
    elites = operators.ranking(state.fitness)[: self._num_elites]
    offspring, closest, mates = self._offspring(
      key_offspring, state.fitness, old
    )
    models = elites[jnp.arange(self._num_mutants) % self._num_elites]
    mutants = self._mutants(key_mutants, state, old, models, sensitivity)
    parameters = jax.tree.map(
      lambda *parts: jnp.concatenate(parts),
      operators.take(old, elites),
      offspring,
      mutants,
    )
    parent = jnp.concatenate([elites, closest, models])
    nobody = jnp.full_like(parent, -1)
    start = self._num_elites
    return Proposal(
      Genome(
        unpack(parameters), operators.take(genomes.hyperparameters, parent)
      ),
      parent,
      self._origins(),
      nobody.at[start : start + self._num_offspring].set(mates),
    )

  def replaceable(self, state: GeneticState) -> Array:
    """Returns the index of the weakest elite, int32 []."""
    return operators.ranking(state.fitness)[self._num_elites - 1]

  def report(self, state: GeneticState) -> dict[str, Array]:
    """Reports the current rate and standard deviation of mutation."""
    return {
      'mutation_rate': state.mutation_rate,
      'mutation_std': state.mutation_std,
    }

  def _mutants(
    self,
    key: PRNGKey,
    state: GeneticState,
    parameters: Any,
    models: Array,
    sensitivity: Sensitivity | None,
  ) -> Any:
    """Returns mutants of the members `models` [M], packed like `parameters`."""
    how = state.mutation_rate, state.mutation_std
    chosen = operators.take(parameters, models)
    if self._config.mutation == 'gaussian':
      return operators.mutate(key, chosen, *how)
    assert sensitivity is not None, 'see Strategy.needs_sensitivity'
    if not len(models):
      return chosen
    packed, _ = operators.pack(sensitivity(models))
    return operators.mutate_proximally(key, chosen, packed, *how)

  def _offspring(
    self, key: PRNGKey, fitness: Array, parameters: Any
  ) -> tuple[Any, Array, Array]:
    """Returns children [M, ...], their main parents [M] and other parents [M].

    The main parent has the larger weight in the crossover.
    """
    key_parents, key_crossover = jax.random.split(key)
    first, second = operators.two_parents(
      key_parents, fitness, self._num_offspring, self._config.tournament_size
    )
    pair = (
      operators.take(parameters, first),
      operators.take(parameters, second),
    )
    if self._config.crossover == 'blend':
      share = jax.random.uniform(
        key_crossover,
        first.shape,
        minval=self._config.blend_low,
        maxval=self._config.blend_high,
      )
      children = operators.blend(*pair, share)
    else:
      share = self._config.uniform_probability
      children = operators.uniform_crossover(key_crossover, *pair, share)
    like_first = share >= 0.5
    return (
      children,
      jnp.where(like_first, first, second),
      jnp.where(like_first, second, first),
    )

  def _origins(self) -> Array:
    """Returns the `Origin` of each place in a new population, int32 [P]."""
    origins = (
      [Origin.ELITE] * self._num_elites
      + [Origin.OFFSPRING] * self._num_offspring
      + [Origin.MUTANT] * self._num_mutants
    )
    return jnp.array(origins, jnp.int32)


def _is_flat(scores: Array, change: float) -> Array:
  """Tests whether all scores are close to the oldest one.

  Args:
    scores: [G + 1], oldest first.
    change: a score is close if its distance from the oldest one is below this
      share of the oldest one's magnitude, or of `_LEAST_MAGNITUDE` if that is
      larger.

  Returns:
    bool []; False if any score is infinite or NaN.
  """
  oldest = scores[0]
  magnitude = jnp.maximum(jnp.abs(oldest), _LEAST_MAGNITUDE)
  return jnp.all(jnp.abs(scores - oldest) < change * magnitude)


def _sizes(
  config: ml_collections.ConfigDict, population_size: int
) -> tuple[int, int]:
  """Returns the numbers of elites and of offspring."""
  return (
    max(1, round(config.elite_share * population_size)),
    round(config.offspring_share * population_size),
  )


EXPECTED = {
  'elite_share': settings.SHARE,
  'offspring_share': settings.SHARE,
  'tournament_size': settings.AT_LEAST_ONE,
  'crossover': settings.one_of('blend', 'uniform'),
  'blend_low': settings.SHARE,
  'blend_high': settings.SHARE,
  'uniform_probability': settings.SHARE,
  'mutation': settings.one_of('gaussian', 'proximal'),
  'mutation_rate': settings.SHARE,
  'mutation_std': settings.NOT_NEGATIVE,
  'max_mutation_rate': settings.SHARE,
  'max_mutation_std': settings.NOT_NEGATIVE,
  'mutation_growth': settings.FACTOR,
  'plateau_generations': settings.AT_LEAST_ONE,
  'plateau_change': settings.NOT_NEGATIVE,
}

# Pairs of fields; the first may not exceed the second.
_ORDERED = (
  ('blend_low', 'blend_high'),
  ('mutation_rate', 'max_mutation_rate'),
  ('mutation_std', 'max_mutation_std'),
)


def _validate(config: ml_collections.ConfigDict, population_size: int) -> None:
  section = 'evolution.genetic'
  settings.check(section, config, EXPECTED)
  settings.require(
    config.tournament_size <= population_size,
    f'{section}.tournament_size',
    config.tournament_size,
    f'at most evolution.population_size, {population_size}',
  )
  for low, high in _ORDERED:
    settings.require(
      config[low] <= config[high],
      f'{section}.{low}',
      config[low],
      f'at most {section}.{high}, {config[high]}',
    )
  elites, offspring = _sizes(config, population_size)
  settings.require(
    elites + offspring <= population_size,
    f'{section}.offspring_share',
    config.offspring_share,
    f'a share that gives at most {population_size - elites} offspring besides '
    f'{elites} elites of {population_size} members; this one gives {offspring}',
  )

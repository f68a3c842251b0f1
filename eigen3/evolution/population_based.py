"""Population-based training: the weakest members become copies of the best.

Source: Jaderberg et al. 2017, https://arxiv.org/abs/1711.09846; selection is
by truncation. Only training and copying change parameters; what evolves is the
schedule of the hyperparameters.
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


class PopulationBasedState(NamedTuple):
  """The last population's fitness, and the initial hyperparameters.

  Attributes:
    fitness: float32 [P], as given to the last `tell`; -inf before the first.
    centre: structured as the hyperparameters, float32 [] leaves: the geometric
      mean of each hyperparameter over the members that were given to `init`.
  """

  fitness: Array
  centre: Any


def make_population_based(
  config: ml_collections.ConfigDict, population_size: int
) -> Strategy:
  """Binds population-based training to its settings.

  Let n be `exploit_share` times P, rounded. The n members with the lowest
  fitness become copies of members drawn, with replacement, from the n with the
  highest fitness. Each hyperparameter of a copy is then multiplied or divided
  by `perturb_factor`, at random, and clipped to a range from `lowest_factor` to
  `highest_factor` times its value in `PopulationBasedState.centre`.

  Args:
    config: the `evolution.population_based` section.
    population_size: P.

  Returns:
    The strategy, with a `PopulationBasedState`. The next members are copies, at
    the indices of the members they replace, and elites, at their old indices.

  Raises:
    ValueError: if a setting or the population size is out of range.
  """
  require_population(population_size)
  _validate(config, population_size)
  training = _PopulationBased(config, population_size)
  return Strategy(
    training.init,
    training.tell,
    training.ask,
    training.begin,
    training.replaceable,
    training.report,
  )


class _PopulationBased:
  """The strategy's functions; fields are never set after creation."""

  def __init__(self, config, population_size):
    self._config = config
    self._population_size = population_size
    self._num_copies = round(config.exploit_share * population_size)

  def init(self, key: PRNGKey, genomes: Genome) -> PopulationBasedState:
    """Starts without fitness; sets `centre` from the hyperparameters."""
    del key  # nothing is drawn
    assert_population(genomes, self._population_size)
    return PopulationBasedState(
      fitness=jnp.full(self._population_size, -jnp.inf, jnp.float32),
      centre=jax.tree.map(
        lambda x: jnp.exp(jnp.mean(jnp.log(x))), genomes.hyperparameters
      ),
    )

  def tell(
    self,
    state: PopulationBasedState,
    genomes: Genome,
    fitness: Array,
    progress: Array,
  ) -> PopulationBasedState:
    """Records `fitness` [P]."""
    del progress  # there is no schedule
    assert_population(genomes, self._population_size)
    chex.assert_shape(fitness, (self._population_size,))
    return state._replace(fitness=jnp.asarray(fitness, jnp.float32))

  def begin(
    self, state: PopulationBasedState, key: PRNGKey, genomes: Genome
  ) -> Genome:
    """Keeps the parameters and spreads the hyperparameters.

    Each hyperparameter of each member but the first is multiplied by a factor
    drawn log-uniformly from 1 / `initial_factor` to `initial_factor`.
    """
    del state  # not used
    assert_population(genomes, self._population_size)
    most = jnp.log(jnp.float32(self._config.initial_factor))
    powers = operators.draw_like(
      lambda key, shape: jax.random.uniform(key, shape, minval=-1.0),
      key,
      genomes.hyperparameters,
    )
    return genomes._replace(
      hyperparameters=jax.tree.map(
        lambda x, power: (x * jnp.exp(most * power.at[0].set(0.0))).astype(
          x.dtype
        ),
        genomes.hyperparameters,
        powers,
      )
    )

  def ask(
    self,
    state: PopulationBasedState,
    key: PRNGKey,
    genomes: Genome,
    sensitivity: Sensitivity | None = None,
  ) -> Proposal:
    """Proposes the same members, with the weakest replaced by copies."""
    del sensitivity  # only training changes parameters
    size, count = self._population_size, self._num_copies
    assert_population(genomes, size)
    key_model, key_factor = jax.random.split(key)
    order = operators.ranking(state.fitness)
    models = jax.random.choice(key_model, order[:count], (count,))
    weakest = order[size - count :]
    parent = jnp.arange(size, dtype=jnp.int32).at[weakest].set(models)
    copied = jnp.zeros(size, bool).at[weakest].set(True)
    inherited = operators.take(genomes.hyperparameters, parent)
    hyperparameters = jax.tree.map(
      lambda new, old: jnp.where(copied, new, old),
      self._perturbed(key_factor, inherited, state.centre),
      inherited,
    )
    return Proposal(
      Genome(operators.take(genomes.parameters, parent), hyperparameters),
      parent,
      jnp.where(copied, Origin.COPY, Origin.ELITE).astype(jnp.int32),
      jnp.full(size, -1, jnp.int32),
    )

  def replaceable(self, state: PopulationBasedState) -> Array:
    """Returns the index of the weakest member that may be copied, int32 []."""
    return operators.ranking(state.fitness)[self._num_copies - 1]

  def report(self, state: PopulationBasedState) -> dict[str, Array]:
    """Returns no metrics: the learner logs each member's hyperparameters."""
    del state
    return {}

  def _perturbed(self, key: PRNGKey, values: Any, centre: Any) -> Any:
    """Scales hyperparameters up or down at random, and clips them.

    Args:
      key: consumed.
      values: the hyperparameters, leaves [P].
      centre: see `PopulationBasedState`; sets the range of the results.
    """
    factor = self._config.perturb_factor
    up = operators.draw_like(
      lambda key, shape: jax.random.bernoulli(key, shape=shape), key, values
    )

    def step(value, up, middle):
      return jnp.clip(
        value * jnp.where(up, factor, 1 / factor),
        self._config.lowest_factor * middle,
        self._config.highest_factor * middle,
      )

    return jax.tree.map(step, values, up, centre)


EXPECTED = {
  'exploit_share': settings.SHARE,
  'perturb_factor': settings.FACTOR,
  'initial_factor': settings.FACTOR,
  'lowest_factor': settings.number(
    lambda x: 0 < x <= 1, 'above 0 and at most 1'
  ),
  'highest_factor': settings.FACTOR,
}


def _validate(config: ml_collections.ConfigDict, population_size: int) -> None:
  settings.check('evolution.population_based', config, EXPECTED)
  count = round(config.exploit_share * population_size)
  settings.require(
    1 <= count <= population_size // 2,
    'evolution.population_based.exploit_share',
    config.exploit_share,
    f'a share that gives 1 to {population_size // 2} of {population_size} '
    f'members, rounded; this one gives {count}',
  )

"""The cross-entropy method with a diagonal Gaussian, as in CEM-RL.

Source: Pourchot and Sigaud 2019, https://arxiv.org/abs/1810.01222. After a
population has been trained by gradients and evaluated, the Gaussian is fitted
to its elites, and a new population is drawn from the Gaussian. Sampling and
fitting differ from the paper in two points: samples come in mirrored pairs, and
members with a fitness of NaN or -inf have weight 0. The authors' code divides
the variance by the number of elites; the paper does not, and neither does this
module.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

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


class CrossEntropyState(NamedTuple):
  """The distribution of parameters, and the last population's fitness.

  Attributes:
    fitness: float32 [P], as given to the last `tell`; -inf before the first.
    mean: mean of the distribution, structured as the parameters, without the
      axis P.
    variance: like `mean`, a variance for each entry.
    noise: float32 [], the term that the last `tell` added to each fitted
      variance; `initial_std` squared before the first `tell`.
  """

  fitness: Array
  mean: Any
  variance: Any
  noise: Array


def make_cross_entropy(
  config: ml_collections.ConfigDict, population_size: int
) -> Strategy:
  """Binds the cross-entropy method to its settings.

  The K elites have ranks i = 1 to K and weights proportional to
  log((1 + K) / i). The mean becomes the elites' weighted mean. The variance
  becomes the weighted mean of their squared distances from the old mean, plus a
  noise term. This term goes from `initial_std` squared towards `final_std`
  squared; each generation removes a share 1 - `std_decay` of the remaining
  difference.

  Args:
    config: the `evolution.cross_entropy` section.
    population_size: P. Members i and i + ceil(P / 2) are mirror images about
      the mean; if P is odd, the last of the first half has no mirror image.

  Returns:
    The strategy, with a `CrossEntropyState`. All new members are samples. They
    inherit everything but their parameters from the fittest member.

  Raises:
    ValueError: if a setting or the population size is out of range.
  """
  require_population(population_size)
  _validate(config, population_size)
  method = _CrossEntropy(config, population_size)
  return Strategy(
    method.init,
    method.tell,
    method.ask,
    method.begin,
    method.replaceable,
    method.report,
    samples=True,
  )


class _CrossEntropy:
  """The strategy's functions; fields are never set after creation."""

  def __init__(self, config, population_size):
    self._config = config
    self._population_size = population_size
    self._num_elites = round(config.elite_share * population_size)

  def init(self, key: PRNGKey, genomes: Genome) -> CrossEntropyState:
    """Starts at the members' mean, with `initial_std` for every parameter."""
    del key  # nothing is drawn
    assert_population(genomes, self._population_size)
    mean = jax.tree.map(lambda x: jnp.mean(x, axis=0), genomes.parameters)
    variance = self._config.initial_std**2
    return CrossEntropyState(
      fitness=jnp.full(self._population_size, -jnp.inf, jnp.float32),
      mean=mean,
      variance=jax.tree.map(lambda x: jnp.full_like(x, variance), mean),
      noise=jnp.array(variance, jnp.float32),
    )

  def tell(
    self,
    state: CrossEntropyState,
    genomes: Genome,
    fitness: Array,
    progress: Array,
  ) -> CrossEntropyState:
    """Fits the distribution to those elites whose fitness is above -inf.

    If there are none, mean and variance stay as they are.
    """
    del progress  # the noise has its own schedule
    assert_population(genomes, self._population_size)
    chex.assert_shape(fitness, (self._population_size,))
    fitness = jnp.asarray(fitness, jnp.float32)
    elites = operators.ranking(fitness)[: self._num_elites]
    weights = self._weights(fitness[elites])
    decay = self._config.std_decay
    noise = decay * state.noise + (1 - decay) * self._config.final_std**2

    def distance(x, mean):
      # A member of weight 0 may have parameters that are NaN.
      counts = operators.along_members(weights > 0, x)
      return jnp.where(counts, x - mean, 0)

    def average(x):
      weight = operators.along_members(weights.astype(x.dtype), x)
      return jnp.sum(weight * x, axis=0)

    def spread(x, variance):
      known = jnp.any(weights > 0)
      return jnp.where(known, average(x**2) + noise.astype(x.dtype), variance)

    distances = jax.tree.map(
      distance, operators.take(genomes.parameters, elites), state.mean
    )
    return CrossEntropyState(
      fitness=fitness,
      mean=jax.tree.map(lambda m, x: m + average(x), state.mean, distances),
      variance=jax.tree.map(spread, distances, state.variance),
      noise=noise,
    )

  def begin(
    self, state: CrossEntropyState, key: PRNGKey, genomes: Genome
  ) -> Genome:
    """Draws a first population around the member that `genomes` repeats."""
    return self.ask(state, key, genomes).genomes

  def ask(
    self,
    state: CrossEntropyState,
    key: PRNGKey,
    genomes: Genome,
    sensitivity: Sensitivity | None = None,
  ) -> Proposal:
    """Draws mirrored samples around the mean, [P, ...]."""
    del sensitivity  # the distribution sets the step sizes
    size = self._population_size
    assert_population(genomes, size)
    half = -(-size // 2)
    noise = operators.draw_like(
      jax.random.normal,
      key,
      operators.take(genomes.parameters, jnp.arange(half)),
    )

    def mirrored(noise, mean, variance):
      step = jnp.sqrt(variance) * noise.astype(variance.dtype)
      return jnp.concatenate([mean + step, mean - step])[:size]

    parameters = jax.tree.map(mirrored, noise, state.mean, state.variance)
    fittest = operators.ranking(state.fitness)[0]
    parent = jnp.full(size, fittest, jnp.int32)
    return Proposal(
      Genome(parameters, operators.take(genomes.hyperparameters, parent)),
      parent,
      jnp.full(size, Origin.SAMPLE, jnp.int32),
      jnp.full(size, -1, jnp.int32),
    )

  def replaceable(self, state: CrossEntropyState) -> Array:
    """Returns the index of the weakest member, int32 []."""
    return operators.ranking(state.fitness)[-1]

  def report(self, state: CrossEntropyState) -> dict[str, Array]:
    """Reports the RMS of the sampling standard deviations of all parameters."""
    leaves = jax.tree.leaves(state.variance)
    total = sum(jnp.sum(x) for x in leaves)
    return {'sampling_std': jnp.sqrt(total / sum(x.size for x in leaves))}

  def _weights(self, fitness: Array) -> Array:
    """Returns the elites' weights [K], best first.

    They sum to 1, or are all 0 if every elite's fitness is NaN or -inf.

    Args:
      fitness: the elites' fitness [K], best first.
    """
    ranks = np.arange(1, self._num_elites + 1)
    by_rank = jnp.array(np.log((1 + self._num_elites) / ranks), jnp.float32)
    weights = jnp.where(fitness > -jnp.inf, by_rank, 0.0)  # 0 for NaN
    total = jnp.sum(weights)
    return weights / jnp.where(total > 0, total, 1.0)


EXPECTED = {
  'elite_share': settings.SHARE,
  'initial_std': settings.NOT_NEGATIVE,
  'final_std': settings.NOT_NEGATIVE,
  'std_decay': settings.SHARE,
}


def _validate(config: ml_collections.ConfigDict, population_size: int) -> None:
  settings.check('evolution.cross_entropy', config, EXPECTED)
  settings.require(
    round(config.elite_share * population_size) >= 1,
    'evolution.cross_entropy.elite_share',
    config.elite_share,
    f'a share that gives at least 1 of {population_size} members, rounded',
  )

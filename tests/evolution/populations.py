"""Settings and small populations with leaves of every rank."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import config_dict

from eigen3.evolution import Genome

KEY = jax.random.PRNGKey(7)

# Without the axis of members. Two leaves have the same shape.
SHAPES = {
  'conv': {'w': (3, 2, 4), 'b': (4,)},
  'lstm': {'w': (4, 8), 'twin': (4, 8)},
  'scale': (),
  'deep': (2, 1, 3, 2),
}

GENETIC = {
  'elite_share': 0.375,
  'offspring_share': 0.375,
  'tournament_size': 3,
  'crossover': 'blend',
  'blend_low': 0.2,
  'blend_high': 0.8,
  'uniform_probability': 0.5,
  'mutation': 'gaussian',
  'mutation_rate': 0.2,
  'mutation_std': 0.025,
  'max_mutation_rate': 0.4,
  'max_mutation_std': 0.05,
  'mutation_growth': 1.5,
  'plateau_generations': 3,
  'plateau_change': 0.02,
}
CROSS_ENTROPY = {
  'elite_share': 0.5,
  'initial_std': 1e-3,
  'final_std': 1e-5,
  'std_decay': 0.95,
}
POPULATION_BASED = {
  'exploit_share': 0.25,
  'perturb_factor': 1.25,
  'initial_factor': 2.0,
  'lowest_factor': 0.1,
  'highest_factor': 10.0,
}


def section(defaults, **changes):
  """One algorithm's section, with changes; an unknown field is an error."""
  config = config_dict.ConfigDict(defaults).lock()
  config.update(changes)
  return config


def compiled(strategy):
  """The same strategy, with each of its long functions compiled."""
  return strategy._replace(
    init=jax.jit(strategy.init),
    tell=jax.jit(strategy.tell),
    ask=jax.jit(strategy.ask),
  )


def make_config(algorithm):
  """The whole `evolution` section."""
  return config_dict.ConfigDict(
    {
      'algorithm': algorithm,
      'genetic': GENETIC,
      'cross_entropy': CROSS_ENTROPY,
      'population_based': POPULATION_BASED,
    }
  ).lock()


def make_trees(size, seed=0, dtype=jnp.float32):
  """Normal parameters, leaves [size, ...]."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda shape: jnp.asarray(rng.normal(size=(size, *shape)), dtype),
    SHAPES,
    is_leaf=lambda x: isinstance(x, tuple),
  )


def make_genomes(size, seed=0):
  """Parameters of every rank and two hyperparameters, all different."""
  rates = 1e-3 * (1 + np.arange(size, dtype=np.float32) / size)
  return Genome(
    make_trees(size, seed),
    {'rate': jnp.asarray(rates), 'discount': jnp.asarray(0.5 + 100 * rates)},
  )


def zeros(size, **shapes):
  """Members without parameters or hyperparameters."""
  return Genome({k: jnp.zeros((size, *v)) for k, v in shapes.items()}, {})


def slow_ranking(fitness):
  """Sorts members from best to worst, by comparing Python numbers."""
  known = [-np.inf if np.isnan(x) else float(x) for x in fitness]
  return sorted(range(len(known)), key=lambda member: (-known[member], member))


def deviations(counts, probabilities):
  """Returns by how many standard deviations binomial counts are off."""
  counts = np.asarray(counts, float)
  probabilities = np.asarray(probabilities, float)
  total = counts.sum()
  spread = np.sqrt(total * probabilities * (1 - probabilities))
  return np.abs(counts - total * probabilities) / np.maximum(spread, 1e-9)

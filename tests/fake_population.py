"""Histories of populations, by hand and by chance."""

import numpy as np
import pandas as pd

from eigen3.evaluation import population

NAN = float('nan')

# Generation, member, origin, parent, fitness, validation, profit, trades and
# share of winning trades.
MEMBERS = pd.DataFrame(
  [
    (1, 0, 'initial', -1, 1.0, NAN, 0.01, 3.0, 0.5),
    (1, 1, 'initial', -1, 4.0, NAN, 0.04, 4.0, 0.25),
    (2, 0, 'elite', 1, 4.0, 0.5, 0.04, 4.0, 0.25),
    (2, 1, 'offspring', 0, 7.0, 1.5, 0.0625, 12.5, 0.75),
    (2, 2, 'mutant', 1, -2.0, NAN, -0.02, 0.0, NAN),
    (3, 0, 'elite', 1, 6.0, 1.0, 0.06, 12.0, 0.75),
    (3, 1, 'copy', 0, 6.0, 1.0, 0.06, 12.0, 0.75),
    (4, 0, 'elite', 0, 5.0, NAN, 0.05, 12.0, 0.75),
  ],
  columns=population.MEMBER_COLUMNS,
)


def with_selection(members, generations, seed=0):
  """The same, of agents that were judged on common slices."""
  rng = np.random.default_rng(seed)
  count = len(generations)
  founder = rng.integers(0, 4, len(members))
  # From the middle on all are of one.
  founder = np.where(members['generation'] > count / 2, 2, founder)
  members = members.assign(founder=founder, fitness_error=0.004)
  numbers = generations['generation'].to_numpy()
  return members, generations.assign(
    retest_correlation=rng.uniform(0.2, 0.7, count),
    fitness_between=0.01,
    fitness_error=0.004,
    distance_median=0.3 / numbers,
    distance_nearest=0.01 / numbers,
    redundant=0,
    founders=members.groupby('generation')['founder'].nunique().to_numpy(),
    champion_founder=2,
    offspring_gain=rng.normal(-0.3, 0.5, count),
    mutant_gain=np.where(numbers % 2 == 0, NAN, -0.2),
  )


def fake_run(num_generations=6, size=4, hyperparameters=(), seed=0):
  """A plausible history: (members, generations)."""
  rng = np.random.default_rng(seed)
  generation = np.repeat(np.arange(1, num_generations + 1), size)
  count = len(generation)
  fitness = 0.02 * np.sqrt(generation) + rng.normal(0, 0.01, count)
  validation = 0.6 * fitness + rng.normal(0, 0.005, count)
  validation[generation % 3 == 0] = NAN
  members = pd.DataFrame(
    {
      'generation': generation,
      'member': np.tile(np.arange(size), num_generations),
      'origin': rng.choice(['elite', 'offspring', 'mutant'], count),
      'parent': rng.integers(0, size, count),
      'fitness': fitness,
      'validation': validation,
      'profit': fitness + 0.01,
      'trades': rng.integers(0, 40, count).astype(float),
      'win_rate': rng.uniform(0.3, 0.7, count),
      **{name: np.exp(rng.normal(-8, 0.3, count)) for name in hyperparameters},
    }
  )
  best = members.groupby('generation')['validation'].max()
  score = best.cummax().ffill()
  generation = np.arange(1, num_generations + 1)
  generations = pd.DataFrame(
    {
      'generation': generation,
      'seconds': rng.uniform(20, 40, num_generations),
      'replay_size': np.minimum(1600 * generation, 14_000),
      'replay_capacity': 14_000,
      'champion_score': score.to_numpy(),
      'champion_generation': [
        int(best.loc[:g].idxmax()) if best.loc[:g].notna().any() else 0
        for g in generation
      ],
      'mutation_rate': np.linspace(0.2, 0.4, num_generations),
      'mutation_std': 0.025,
      'spread': 0.5 / generation,
    }
  )
  return members, generations

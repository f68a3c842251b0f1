"""Settings of evolutionary reinforcement learning.

Data, environment, networks, agent and evaluation are those of the preset of
the same name in td3.py; this is the only home of the other defaults. A preset
is SIZE or SIZE+VARIANT.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import td3

PRESETS = td3.PRESETS
# What --help shows.
OFTEN_CHANGED = {
  name: words
  for name, words in td3.OFTEN_CHANGED.items()
  if not name.startswith('learner.')
} | {
  'evolution.population_size': 'members that evolve',
  'evolution.algorithm': 'genetic, cross_entropy or population_based',
  'evolution.members_learn': 'whether by gradient, too',
  'evolution.learners': 'agents beside them that learn and do not evolve',
  'learner.generations': 'each plays, learns, validates and breeds',
  'learner.updates_per_generation': 'of every agent that learns',
  'learner.fitness': 'profit over initial cash, or reward',
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """The locked settings of `preset`; an unknown preset is a ValueError."""
  config = td3.get_config(preset).unlock()
  del config.learner
  config.learner = _learner()
  config.evolution = _evolution()
  size, _, variant = preset.partition('+')
  sizes = {'smoke': _smoke, 'small': _small, 'medium': _small, 'full': _full}
  sizes[size](config)
  if variant:
    {'rl': _rl, 'eigen2': _eigen2}[variant](config)
  return config.lock()


def _learner() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.generations = 20
  # Slices of the training days that each agent plays in a generation.
  config.fitness_slices = 5
  # How many of its worst make its fitness: all are the mean, and fewer are for
  # who is averse to risk, but tell less surely who is better.
  config.fitness_worst = config.get_ref('fitness_slices') + 0
  # 'common': after the gradient steps, without noise, on slices that are the
  # same for all and drawn anew. 'exploring', as in Eigen2: before the gradient
  # steps, with noise, on slices of an agent's own.
  config.fitness_play = 'common'
  # What the estimate of an agent's fitness keeps of its precision from one
  # generation to the next, while it stays; 0: it is that of these slices alone.
  config.fitness_memory = 0.5
  # What an agent's validation score is, by which the champion is chosen:
  # 'continuous', the profit of a backtest of the validation days, as for a
  # single agent; or 'slices', as in Eigen2, what fitness counts on the worst
  # few slices of these days, the same for all agents.
  config.validation_play = 'continuous'
  config.validation_slices = 3
  config.validation_worst = 2
  # Where these start: 'even', the same in every generation, or 'random'.
  config.validation_starts = 'even'
  config.fitness = 'profit'  # over initial cash, or 'reward', as in Eigen2
  config.no_trade_penalty = 0.0  # off the score of a slice without a trade
  config.updates_per_generation = 32  # of every agent that learns
  config.replay_capacity = 50_000  # transitions, of all agents together
  config.learning_starts = 0  # random transitions in replay before the first
  config.counterfactuals = 8  # see td3.py
  # Whether replay keeps the days after the last entry, when no action acts.
  config.store_settlement = False
  config.importance_decay = 0.9  # of the average attention, per generation
  # Generations in a row under a threshold that make a column useless.
  config.importance_persistent = 5
  config.checkpoint_every = 1  # generations
  config.keep_checkpoints = 3
  return config


def _evolution() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.population_size = 16  # P, members that evolve
  config.algorithm = 'genetic'  # 'cross_entropy' or 'population_based'
  config.members_learn = True  # by gradient, as in Eigen2
  config.learners = 0  # R, agents beside them that learn and do not evolve
  config.injection_every = 1  # generations until the fittest learner moves in
  config.inject_champion = True  # in place of the weakest elite
  # All agents begin from one initialisation: parents that never had a common
  # ancestor have poor offspring. Only then are first members mutants of one, or
  # have hyperparameters that are apart.
  config.common_start = True
  # 'policies': a newborn's critic is its parent's, with all that it learnt;
  # 'networks': critics are crossed and mutated, too, as in Eigen2.
  config.bred = 'policies'
  # Members are left out, and the champion does not come back, where the actions
  # of a fitter member are nearer than this share of the median distance.
  config.least_distance = 1e-3
  config.projections = 8  # for the sensitivity that proximal mutation asks for
  # What agents have of their own: 'all' (see Agent.more), or 'learning_rates'.
  config.hyperparameters = 'all'
  # Devices over which an agent's batch is spread; they share the agents among
  # as many groups as there are. All processes' devices count.
  config.devices_per_agent = 1
  # Members that a device computes at once; 0 is all of its share. Memory grows
  # with it, and on a CPU time does, too.
  config.block = 1
  genetic = config.genetic = config_dict.ConfigDict()
  genetic.elite_share = 0.375
  genetic.offspring_share = 0.375  # the rest are mutants of elites
  genetic.tournament_size = 3
  genetic.crossover = 'blend'  # or 'uniform'
  genetic.blend_low = 0.2  # share of the one parent
  genetic.blend_high = 0.8
  genetic.uniform_probability = 0.5  # of an entry of the one parent
  # 'proximal': noise that is smaller where actions depend more on an entry, and
  # moves them by at most `mutation_std` in unit space; 'gaussian': noise of
  # that size.
  genetic.mutation = 'proximal'
  genetic.mutation_rate = 1.0  # share of the entries
  genetic.mutation_std = 0.05
  genetic.max_mutation_rate = 1.0
  genetic.max_mutation_std = 0.2
  genetic.mutation_growth = 1.5  # while the champion's score stands still:
  genetic.plateau_generations = 3
  genetic.plateau_change = 0.02  # relative
  cross_entropy = config.cross_entropy = config_dict.ConfigDict()
  cross_entropy.elite_share = 0.5
  cross_entropy.initial_std = 1e-2
  cross_entropy.final_std = 1e-3
  cross_entropy.std_decay = 0.9  # per generation
  based = config.population_based = config_dict.ConfigDict()
  based.exploit_share = 0.25  # the worst, replaced by copies of the best
  based.perturb_factor = 1.25  # of a copy's hyperparameters, or its inverse
  # The first ones are those of the agent times this to a power of -1 to 1.
  based.initial_factor = 2.0
  based.lowest_factor = 0.1  # of the hyperparameters at the start
  based.highest_factor = 10.0
  return config


def _smoke(config: config_dict.ConfigDict) -> None:
  config.learner.generations = 3
  config.learner.fitness_slices = 2
  config.learner.validation_slices = 2
  config.learner.validation_worst = 1
  config.learner.updates_per_generation = 2
  config.evolution.population_size = 6
  config.evolution.genetic.tournament_size = 2


def _small(config: config_dict.ConfigDict) -> None:
  config.learner.generations = 40


def _full(config: config_dict.ConfigDict) -> None:
  del config  # Eigen2's dimensions are the defaults.


def _rl(config: config_dict.ConfigDict) -> None:
  # Policies are bred, each with an extractor of its own.
  config.networks.shared_extractor = 'critics'
  config.learner.store_settlement = True


def _eigen2(config: config_dict.ConfigDict) -> None:
  """The original system's choices."""
  config.learner.validation_play = 'slices'
  config.learner.validation_starts = 'random'
  config.learner.fitness = 'reward'
  config.learner.fitness_play = 'exploring'
  config.learner.fitness_memory = 0.0
  # A preset may be smaller than Eigen2.
  config.learner.fitness_worst = min(2, config.learner.fitness_slices - 1)
  config.learner.no_trade_penalty = 10_000.0
  config.learner.replay_capacity = 14_000
  config.learner.learning_starts = 9_000
  config.learner.store_settlement = True
  evolution = config.evolution
  evolution.common_start = False
  evolution.bred = 'networks'
  evolution.least_distance = 0.0
  evolution.hyperparameters = 'learning_rates'
  genetic = evolution.genetic
  genetic.mutation = 'gaussian'
  genetic.mutation_rate, genetic.max_mutation_rate = 0.2, 0.4
  genetic.mutation_std, genetic.max_mutation_std = 0.025, 0.05
  evolution.population_based.initial_factor = 1.0

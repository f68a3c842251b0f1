"""Settings of evolutionary reinforcement learning.

Data, environment, networks, agent and evaluation are those of the preset of
the same name in td3.py, except that with `+rl` the actor has an extractor of
its own. The other defaults are defined only here. A preset is SIZE or
SIZE+VARIANT.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import td3

PRESETS = td3.PRESETS
# Settings that --help shows.
OFTEN_CHANGED = {
  name: words
  for name, words in td3.OFTEN_CHANGED.items()
  if not name.startswith('learner.')
} | {
  'evolution.population_size': 'members that evolve',
  'evolution.algorithm': 'genetic, cross_entropy or population_based',
  'evolution.members_learn': 'whether members also learn by gradient',
  'evolution.learners': 'further agents that learn but do not evolve',
  'learner.generations': 'number; each plays, learns, validates, breeds',
  'learner.updates_per_generation': 'gradient updates of each agent',
  'learner.fitness': 'profit over initial cash, or reward',
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """Returns the locked settings; an unknown preset raises a ValueError."""
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
  # Slices of the training days that each agent plays in a generation. With 32,
  # about half of the days, fitness agrees with a repeat of it (retest
  # correlation 0.57); with 5 it does not (0.19).
  config.fitness_slices = 32
  # On how many of them, at most, it also plays with noise, for the replay.
  config.exploring_slices = 5
  # Number of an agent's worst slices that fitness averages. All of them give
  # the mean; fewer are risk-averse, but the estimate has more noise.
  config.fitness_worst = config.get_ref('fitness_slices') + 0
  # 'common': after the gradient steps, without noise, on slices that are the
  # same for all agents and new in each generation. 'exploring', as in Eigen2:
  # before the gradient steps, with noise, on separate slices for each agent.
  config.fitness_play = 'common'
  # Share of the fitness estimate's precision that a surviving agent keeps from
  # one generation to the next; 0: only the current slices count.
  config.fitness_memory = 0.5
  # The validation score, which selects the champion: 'continuous', the profit
  # of a backtest of the validation days, as for a single agent; or 'slices', as
  # in Eigen2, the fitness on the worst few slices of these days, which are the
  # same for all agents.
  config.validation_play = 'continuous'
  config.validation_slices = 3
  config.validation_worst = 2
  # Starts of these slices: 'even', the same in every generation, or 'random'.
  config.validation_starts = 'even'
  config.fitness = 'profit'  # divided by initial cash; or 'reward' (Eigen2)
  config.no_trade_penalty = 0.0  # penalty of a slice without a trade
  config.updates_per_generation = 32  # of every agent that learns
  # Batches of these updates: 'own' of each agent, or 'common' to all, which
  # leaves agents so alike that there is little to select.
  config.batches = 'own'
  config.replay_capacity = 50_000  # transitions, of all agents together
  config.learning_starts = 0  # random transitions before the first generation
  config.counterfactuals = 8  # see td3.py
  # Whether replay stores the days after the last entry, when actions have no
  # effect.
  config.store_settlement = False
  config.importance_decay = 0.9  # of the average attention, per generation
  # A column counts as ignored after this many generations under a threshold.
  config.importance_persistent = 5
  config.checkpoint_every = 1  # generations
  config.keep_checkpoints = 3
  return config


def _evolution() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.population_size = 16  # P, members that evolve
  config.algorithm = 'genetic'  # or 'cross_entropy' or 'population_based'
  config.members_learn = True  # by gradient, as in Eigen2
  config.learners = 0  # R, agents that learn but do not evolve
  # The fittest learner replaces the weakest member every so many generations.
  config.injection_every = 1
  config.inject_champion = True  # in place of the weakest elite
  # All agents start from one initialisation, because crossover of unrelated
  # networks gives poor offspring. The first members are then varied: mutated if
  # the algorithm is 'genetic', with other hyperparameters if it is
  # 'population_based'. With 'cross_entropy' they are samples in any case.
  config.common_start = True
  # 'policies': a newborn inherits its parent's critic unchanged; 'networks':
  # critics are crossed and mutated, too, as in Eigen2.
  config.bred = 'policies'
  # A member is not selected, and the champion is not injected, if the actions
  # of a fitter member are nearer than this share of the median distance.
  config.least_distance = 1e-3
  config.projections = 8  # for the sensitivity that proximal mutation needs
  # Hyperparameters of each agent: 'all' (see Agent.more) or 'learning_rates'.
  config.hyperparameters = 'all'
  # Devices that share an agent's batch. The agents are divided among groups of
  # this many devices of all processes.
  config.devices_per_agent = 1
  # Members that a device computes at once; 0 means all of its share. A larger
  # number needs more memory, and on a CPU more time.
  config.block = 1
  genetic = config.genetic = config_dict.ConfigDict()
  genetic.elite_share = 0.375
  genetic.offspring_share = 0.375  # the rest are mutants of elites
  genetic.tournament_size = 3
  genetic.crossover = 'blend'  # or 'uniform'
  genetic.blend_low = 0.2  # share of the first parent
  genetic.blend_high = 0.8
  genetic.uniform_probability = 0.5  # of taking an entry from the first parent
  # 'proximal': noise is smaller in parameters that actions are more sensitive
  # to, and moves actions by at most `mutation_std` in unit space; 'gaussian':
  # noise with that standard deviation.
  genetic.mutation = 'proximal'
  genetic.mutation_rate = 1.0  # share of the entries
  genetic.mutation_std = 0.05
  genetic.max_mutation_rate = 1.0
  genetic.max_mutation_std = 0.2
  # Factor of rate and std in each generation while the champion's score is on a
  # plateau: for `plateau_generations` it changed by less than `plateau_change`.
  genetic.mutation_growth = 1.5
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
  # Initial hyperparameters are the agent's, multiplied by this factor to a
  # random power from -1 to 1.
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
  config.learner.fitness_slices = 8  # half of the days, as slices are longer


def _rl(config: config_dict.ConfigDict) -> None:
  # Breeding needs a policy with its own extractor.
  config.networks.shared_extractor = 'critics'
  config.learner.store_settlement = True


def _eigen2(config: config_dict.ConfigDict) -> None:
  """Applies the choices of Eigen2."""
  config.learner.validation_play = 'slices'
  config.learner.validation_starts = 'random'
  config.learner.fitness = 'reward'
  config.learner.fitness_play = 'exploring'
  config.learner.fitness_memory = 0.0
  config.learner.batches = 'common'
  # A preset may be smaller than Eigen2.
  config.learner.fitness_slices = min(5, config.learner.fitness_slices)
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

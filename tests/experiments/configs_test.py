"""Tests of experiments.configs."""

import pytest

from eigen3 import evolution
from eigen3.environment import Rules
from experiments.benchmark.settings import spec_of
from experiments.configs import erl, td3

ENDS = ('', '+rl', '+eigen2')
PRESETS = [f'{size}{end}' for size in td3.SIZES for end in ENDS]


@pytest.mark.parametrize('preset', PRESETS)
def test_presets_load_locked(preset):
  config = td3.get_config(preset)
  assert config.preset == preset
  assert config.is_locked
  for section in ('data', 'environment', 'networks', 'agent', 'learner'):
    with pytest.raises(AttributeError):
      config[section].no_such_setting = 1
  with pytest.raises(AttributeError, match='Did you mean "iterations"'):
    config.learner.iteratons = 3
  Rules.from_config(config.environment)  # all in range
  assert config.to_json()  # and all can be written down


@pytest.mark.parametrize('preset', PRESETS)
def test_settlement_lets_every_position_close(preset):
  config = td3.get_config(preset).environment
  later = 0 if preset.endswith('eigen2') else 2
  assert config.settlement_days == config.max_holding_days + later
  # It follows an override.
  config.max_holding_days = 11
  assert config.settlement_days == 11 + later


@pytest.mark.parametrize('preset', PRESETS)
def test_networks_are_told_of_the_environment(preset):
  config = td3.get_config(preset)
  config.environment.context_days = 77
  spec = spec_of(config)
  assert spec.context_days == 77
  assert spec.action.scaled == config.environment.scaled_actions
  first, stop = spec.investable
  assert 0 <= first < stop <= spec.num_columns


def test_eigen2_s_constants():
  """The numbers of the original system."""
  config = td3.get_config('full+eigen2')
  environment, agent = config.environment, config.agent
  assert environment.context_days == 504
  assert environment.trading_days == 125
  assert environment.settlement_days == environment.max_holding_days == 20
  assert (environment.min_sale_target, environment.max_sale_target) == (10, 50)
  assert environment.inaction_penalty == 5
  assert environment.loss_multiplier == 1
  assert (environment.fill, environment.reward) == ('close', 'eigen2')
  assert not environment.scaled_actions
  assert agent.gamma == 0.99
  assert agent.tau == 0.005
  assert agent.actor_learning_rate == 1e-4
  assert agent.critic_learning_rate == 3e-4
  assert agent.weight_decay == 5e-4
  assert agent.gradient_clip == 1
  assert agent.batch_size == 32 * agent.accumulation_steps == 64
  assert (agent.exploration_noise, agent.exploration_noise_min) == (0.125, 0.01)
  assert agent.exploration_noise_decay == 0.99995
  # One critic, an actor update each time, no target noise: DDPG.
  assert config.networks.critic.ensemble == 1
  assert (agent.policy_delay, agent.target_noise) == (1, 0)
  assert config.networks.critic.pooling == 'mean'
  assert config.networks.critic.self_attention
  assert spec_of(config).num_columns == 669
  assert spec_of(config).investable == (8, 116)
  assert config.networks.hidden == 128


def test_what_sets_reinforcement_learning_apart():
  config = td3.get_config('small+rl')
  assert config.agent.gamma > 0
  assert config.environment.observe_account
  assert erl.get_config('small+rl').learner.store_settlement
  # Alone, the default is a contextual bandit.
  assert td3.get_config('small').agent.gamma == 0


def test_configs_are_independent():
  one, other = td3.get_config('smoke'), td3.get_config('smoke')
  one.agent.batch_size = 77
  assert other.agent.batch_size != 77


@pytest.mark.parametrize(
  'preset', ['', 'large', 'small+eigen3', 'smoke+eigen2+eigen2', 'eigen2']
)
def test_an_unknown_preset_is_refused(preset):
  with pytest.raises(ValueError, match='expected one of smoke, small, medium,'):
    td3.get_config(preset)


@pytest.mark.parametrize('preset', PRESETS)
def test_erl_shares_all_but_the_learner(preset):
  config, single = erl.get_config(preset), td3.get_config(preset)
  if preset.endswith('+rl'):  # Policies are bred with extractors of their own.
    single.networks.shared_extractor = 'critics'
  assert config.is_locked
  for section in ('data', 'environment', 'networks', 'agent', 'evaluation'):
    assert config[section].to_dict() == single[section].to_dict()
  with pytest.raises(AttributeError, match='Did you mean "generations"'):
    config.learner.generation = 3
  evolution.make_strategy(
    config.evolution, config.evolution.population_size
  )  # all in range
  assert config.to_json()  # and all can be written down


def test_eigen2_s_constants_of_evolution():
  config = erl.get_config('full+eigen2')
  learner, genetic = config.learner, config.evolution.genetic
  assert config.evolution.population_size == 16
  assert config.evolution.members_learn
  assert config.evolution.inject_champion
  assert (genetic.elite_share, genetic.offspring_share) == (0.375, 0.375)
  assert genetic.tournament_size == 3
  assert (genetic.blend_low, genetic.blend_high) == (0.2, 0.8)
  assert (genetic.mutation_rate, genetic.mutation_std) == (0.2, 0.025)
  assert (genetic.max_mutation_rate, genetic.max_mutation_std) == (0.4, 0.05)
  assert (genetic.mutation_growth, genetic.plateau_generations) == (1.5, 3)
  assert genetic.plateau_change == 0.02
  assert (learner.fitness_slices, learner.fitness_worst) == (5, 2)
  assert learner.fitness_play == 'exploring'
  assert learner.fitness_memory == 0
  assert not config.evolution.common_start
  assert config.evolution.bred == 'networks'
  assert config.evolution.least_distance == 0
  assert config.evolution.hyperparameters == 'learning_rates'
  assert genetic.mutation == 'gaussian'
  assert (learner.validation_slices, learner.validation_worst) == (3, 2)
  assert learner.validation_play == 'slices'
  assert learner.validation_starts == 'random'
  assert (learner.fitness, learner.no_trade_penalty) == ('reward', 10_000)
  assert (learner.generations, learner.updates_per_generation) == (20, 32)
  assert (learner.replay_capacity, learner.learning_starts) == (14_000, 9_000)


def test_fitness_is_the_mean_unless_one_is_averse_to_risk():
  config = erl.get_config('small')
  config.learner.fitness_slices = 9
  assert config.learner.fitness_worst == 9
  config.learner.fitness_worst = 2
  assert (config.learner.fitness_slices, config.learner.fitness_worst) == (9, 2)

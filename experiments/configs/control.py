"""Settings of TD3 on public control tasks, with values usual for such tasks."""

import ml_collections
from ml_collections import config_dict

from experiments.configs import td3

# Settings that --help shows.
OFTEN_CHANGED = {
  'num_steps': 'number of steps of the task',
  'random_steps': 'number of random steps before learning',
  'hidden': 'numbers of units of the hidden layers',
  'evaluate_every': 'steps between evaluations',
  'agent.gamma': 'discount',
  'agent.actor_learning_rate': "of the actor's Adam",
  'agent.critic_learning_rate': "of the critics' Adam",
  'agent.batch_size': 'transitions in an update',
  'agent.exploration_noise': 'standard deviation in unit space',
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the locked settings."""
  config = config_dict.ConfigDict()
  config.num_steps = 20_000  # of the task, including random ones
  config.random_steps = 1_000  # before learning; then one update a step
  config.replay_capacity = 1_000_000  # transitions
  config.hidden = (256, 256)  # of the actor and of each critic
  config.evaluate_every = 1_000  # steps
  config.evaluation_episodes = 10  # without noise
  # The last policy is evaluated in `last_rounds` times as many episodes, for
  # comparisons.
  config.last_rounds = 10
  config.agent = td3.get_config().agent.copy_and_resolve_references()
  with config.agent.ignore_type():  # of 'auto'
    config.agent.acting_chunk = 0
  config.agent.update(
    gamma=0.99,
    tau=0.005,
    actor_learning_rate=1e-3,
    critic_learning_rate=1e-3,
    weight_decay=0.0,
    gradient_clip=0.0,
    accumulation_steps=1,
    batch_size=256,
    policy_delay=2,
    invert_gradients=False,
    target_noise=0.2,
    target_noise_clip=0.5,
    exploration_noise=0.1,
    exploration_noise_decay=1.0,
    exploration_noise_min=0.0,
  )
  return config.lock()

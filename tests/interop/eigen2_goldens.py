"""Eigen2's own results, and the networks that produced them."""

import pathlib

from eigen3.environment import Rules
from experiments.configs import td3

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'


def part(golden, prefix):
  """Returns the arrays below `prefix`, without it."""
  return {
    name.removeprefix(prefix): golden[name]
    for name in golden
    if name.startswith(prefix)
  }


def config_of(golden, tiny):
  """Returns the section `networks` and the spec of a golden's parameters."""
  config = td3.get_config('full+eigen2').networks
  investable = (8, 116)
  config.critic.ensemble = 2
  config.critic.self_attention = any(
    name.startswith('critic_1/attention') for name in golden
  )
  if tiny:
    config.convolution_channels = 8
    config.hidden = 16
    config.num_heads = 4
    config.sequence_block = config.evaluation_block = 8
    config.actor.investable_sizes = (32, 16)
    config.actor.context_size = 16
    config.actor.head_size = 8
    config.critic.sizes = (32, 16)
    investable = (4, 16)
  rules = Rules.from_config(td3.get_config('full+eigen2').environment)
  return config, rules.spec(669, 5, investable)

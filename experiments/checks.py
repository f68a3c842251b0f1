"""Checks settings, among them those that no part of the library checks."""

import ml_collections

from eigen3 import settings
from eigen3.agent import td3
from eigen3.environment import Rules, rewards
from eigen3.learner import single_agent
from eigen3.networks import check_settings as check_networks
from eigen3.runs.logs import SCORE

_DATA = {
  'panel': settings.TEXT,
  'validation_days': settings.AT_LEAST_ONE,
  'holdout_days': settings.AT_LEAST_ONE,
  'embargo_days': settings.COUNT,
  'observed_features': settings.several(
    settings.TEXT, 'the names of one or more features', least=1
  ),
}
_EVALUATION = {
  'critic_hurdle': settings.SWITCH,
  'measures': settings.SWITCH,
  'champion_by': settings.one_of(
    'validation_profit', 'validation_ic', 'iteration'
  ),
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks settings that nothing else checks.

  Raises:
    ValueError: if a setting is invalid, or does not fit another one; the
      message names the field.
  """
  settings.check('', config, {'preset': settings.TEXT, 'seed': settings.SEED})
  settings.check('data', config.data, _DATA)
  evaluation = config.evaluation
  settings.check('evaluation', evaluation, _EVALUATION)
  # A policy that observes its account orders the stocks by the account, too.
  is_plain = not config.environment.observe_account
  for field, value in (('measures', False), ('champion_by', SCORE)):
    settings.require(
      is_plain or evaluation[field] == value,
      f'evaluation.{field}',
      evaluation[field],
      f"{value} with environment.observe_account=True, because such a policy's "
      'order of the stocks also depends on its account',
    )
  settings.require(
    'evolution' not in config or evaluation.champion_by == SCORE,
    'evaluation.champion_by',
    evaluation.champion_by,
    f'{SCORE} for a population',
  )


def check_fields(config: ml_collections.ConfigDict) -> None:
  """Checks most settings of a training run, without data.

  The settings of populations and of the embedded market, most combinations of
  settings, and whether they fit the data are checked when an experiment is
  built.

  Raises:
    ValueError: if a setting is invalid; the message names the field.
  """
  check_settings(config)
  rewards.find(Rules.from_config(config.environment).reward)
  check_networks(config.networks)
  td3.check_settings(config.agent)
  if 'evolution' not in config:
    single_agent.check_settings(config.learner)


def check_reward(config: ml_collections.ConfigDict) -> None:
  """Checks that training can use a reward that pays after the order's day.

  Raises:
    ValueError: if `environment.reward` names no reward, or one that pays later
      although the discount is 0 or replay does not store the settlement days.
  """
  name = config.environment.reward
  reward = rewards.find(name)
  if not reward.pays_later:
    return
  settings.require(
    config.agent.gamma > 0,
    'agent.gamma',
    config.agent.gamma,
    f"above 0 with environment.reward='{name}', which pays after the day of "
    'the order (0.95 looks 20 days ahead); set learner.store_settlement=True, '
    'too' + (', and environment.observe_account=True' * reward.needs_account),
  )
  settings.require(
    config.learner.store_settlement,
    'learner.store_settlement',
    config.learner.store_settlement,
    f"True with environment.reward='{name}', because this reward is also paid "
    'on the settlement days, until positions are sold',
  )

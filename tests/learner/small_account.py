"""Learners whose policy observes its account, with networks of one layer."""

import haiku as hk
import jax
import jax.numpy as jnp
import small_run

from eigen3.environment import TradingEnvironment
from eigen3.learner.population import Population
from eigen3.learner.single_agent import SingleAgent
from eigen3.networks import Divided
from eigen3.networks.actor import Encoded

FIRST, STOP = small_run.FIRST, small_run.STOP


def observed(config):
  """`config` with the account observed and its growth rewarded."""
  config.environment.observe_account = True
  config.environment.reward = 'portfolio'
  config.agent.gamma = 0.9
  config.learner.store_settlement = True
  return config


def make_networks(config, spec):
  """Returns (actor, double critic); `config` has `critic`."""

  def actor_parts():
    layer = hk.Linear(2, name='head')

    def encoder(window, is_training=False, return_attention=False):
      features = small_run._centred(window[:, -1, FIRST:STOP], is_training)
      attention = jax.nn.softmax(jnp.nan_to_num(window[:, -1, :, 0]))
      return Encoded(features, None, attention if return_attention else None)

    def head(encoded, account):
      lead = account.stocks.shape[:-1]  # B, N, or of M accounts B, M, N
      whole = jnp.broadcast_to(account.whole[..., None, :], (*lead, 2))
      stocks = encoded.stocks
      if len(lead) == 3:
        stocks = stocks[:, None]
      stocks = jnp.broadcast_to(stocks, (*lead, stocks.shape[-1]))
      inputs = jnp.concatenate([stocks, account.stocks, whole], -1)
      return spec.action.from_unit(jnp.tanh(0.5 + layer(inputs)))

    def whole(x, is_training=False, return_attention=False):
      window, account = x
      encoded = encoder(window, is_training, return_attention)
      return head(encoded, account), encoded.attention

    return whole, encoder, head

  def critic(x, unit_actions, is_training):
    window, account = x
    features = small_run._centred(window[:, -1], is_training)
    if account.whole.ndim == 3:  # An account for each action.
      count = unit_actions.shape[1]
      features = jnp.repeat(features, count, 0)
      account, unit_actions = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]), (account, unit_actions)
      )
    seen = [features, account.stocks, account.whole]
    inputs = small_run.beside_actions(seen, unit_actions)
    if len(window) != len(inputs):
      inputs = inputs.reshape(len(window), -1, inputs.shape[-1])
    return hk.Linear(config.critic.ensemble, name='value')(inputs)

  return small_run.Pair(
    Divided.of(actor_parts), hk.transform_with_state(critic)
  )


def make_learner(config):
  """One agent."""
  _, environment, market = small_run.make_market(config)
  networks = make_networks(config.networks, environment.spec)
  return SingleAgent(networks, environment, market, config)


def make_population(config):
  """Six members."""
  panel, environment, market = small_run.make_market(config)
  days = (panel.num_days - config.data.validation_days, panel.num_days)
  validation = TradingEnvironment(
    panel, config.environment, days, config.data.observed_features
  )
  networks = make_networks(config.networks, environment.spec)
  return Population(networks, environment, validation, market, config)

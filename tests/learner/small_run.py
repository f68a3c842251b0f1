"""A learner on the embedded market with networks that compile in a second."""

from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from eigen3 import data
from eigen3.environment import Market, TradingEnvironment
from eigen3.learner.population import Population
from eigen3.learner.single_agent import SingleAgent
from experiments import wiring
from experiments.configs import erl, td3

FIRST, STOP = 1, 4  # investable columns
traces = 0  # how often a network was traced for training


def make_config(**learner):
  """The preset smoke, on three stocks."""
  config = td3.get_config('smoke')
  _shrink(config)
  config.learner.update(learner)
  return config


def _shrink(config):
  config.data.synthetic.num_days = 120
  config.data.synthetic.num_columns = STOP
  config.data.synthetic.num_context = FIRST
  config.data.synthetic.num_stocks = STOP - FIRST
  config.environment.context_days = 4
  config.environment.trading_days = 10
  config.environment.max_holding_days = 3


class Pair(NamedTuple):
  """The networks that learners need."""

  actor: hk.TransformedWithState
  double_critic: hk.TransformedWithState
  shared: None = None


def make_market(config):
  """Returns (panel, environment, market); all days are training days."""
  panel = data.synthetic_market(config.data.synthetic).panel
  days = (0, panel.num_days)
  observed = config.data.observed_features
  environment = TradingEnvironment(panel, config.environment, days, observed)
  market = Market.fit(panel, observed, days, config.environment.context_days)
  return panel, environment, market


def make_learner(config):
  """The learner that `config` describes, with small networks."""
  _, environment, market = make_market(config)
  networks = make_networks(config.networks, environment.spec)
  return SingleAgent(networks, environment, market, config)


def make_population_config(**evolution):
  """Six members in the market of `make_config`, two updates a generation."""
  config = erl.get_config('smoke')
  _shrink(config)
  config.data.validation_days = 40
  config.learner.replay_capacity = 300
  config.evolution.update(evolution)
  return config


def make_population(config, mesh=None):
  """The population that `config` describes, with small networks."""
  panel, environment, market = make_market(config)
  days = (panel.num_days - config.data.validation_days, panel.num_days)
  validation = wiring.validation_environment(config, panel, days)
  networks = make_networks(config.networks, environment.spec)
  return Population(networks, environment, validation, market, config, mesh)


def make_networks(config, spec):
  """Returns (actor, double critic) of one layer; `config` has `critic`."""

  def actor(x, is_training, return_attention=False):
    features = _centred(x[:, -1, FIRST:STOP], is_training)  # [B, N, F]
    unit = jnp.tanh(0.5 + hk.Linear(2, name='head')(features))
    attention = jax.nn.softmax(jnp.nan_to_num(x[:, -1, :, 0]))  # [B, C]
    return spec.action.from_unit(unit), attention if return_attention else None

  def critic(x, unit_actions, is_training):
    features = _centred(x[:, -1], is_training)
    inputs = beside_actions([features], unit_actions)
    if is_training:
      inputs = hk.dropout(hk.next_rng_key(), 0.1, inputs)
    return hk.Linear(config.critic.ensemble, name='value')(inputs)

  return Pair(hk.transform_with_state(actor), hk.transform_with_state(critic))


def beside_actions(seen, unit_actions):
  """Returns observations, [B, ...] each, flat beside actions [B, ..., N, 2]."""
  flat = hk.Flatten(preserve_dims=unit_actions.ndim - 2)(unit_actions)
  seen = jnp.concatenate([hk.Flatten()(x) for x in seen], axis=-1)
  seen = jnp.expand_dims(seen, tuple(range(1, flat.ndim - 1)))
  seen = jnp.broadcast_to(seen, (*flat.shape[:-1], seen.shape[-1]))
  return jnp.concatenate([seen, flat], axis=-1)


def days_of(observations):
  """Returns the days of observations, which may hold more."""
  return getattr(observations, 'day', observations)


@jax.jit
def copied(state):
  """Copies `state` to its own buffers, which an iteration may take."""
  return jax.tree.map(jnp.copy, state)


def on_host(tree):
  """Copies `tree` to arrays that are not donated."""
  return jax.tree.map(lambda x: np.array(x, copy=True), tree)


def assert_equal_bits(one, other):
  """Checks that both trees have the same structure, types and bits."""
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for (path, a), b in zip(
    jax.tree_util.tree_leaves_with_path(one),
    jax.tree.leaves(other),
    strict=True,
  ):
    name = jax.tree_util.keystr(path)
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype, name
    assert a.shape == b.shape, name
    assert a.tobytes() == b.tobytes(), name


def _centred(x, is_training):
  """Subtracts a running mean from `x`, so that networks have state."""
  global traces
  traces += is_training
  mean = hk.get_state('mean', x.shape[-1:], x.dtype, init=jnp.zeros)
  if is_training:
    axes = tuple(range(x.ndim - 1))
    hk.set_state('mean', 0.9 * mean + 0.1 * jnp.mean(x, axis=axes))
  return x - mean

"""Rewarded by its account's growth, an agent learns which stock to buy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_account
import small_run

from eigen3.data import MarketPanel
from eigen3.environment import Market, TradingEnvironment
from eigen3.learner.single_agent import SingleAgent

DRIFTS = np.array([0.0, 0.02, 0.0, -0.02])  # a day; the first is an index
NUM_DAYS = 100
ITERATIONS = 6


def make_learner(reward):
  """On stocks that rise, stand still and fall; a feature shows which."""
  config = small_account.observed(small_run.make_config())
  config.environment.reward = reward
  config.learner.update(
    learning_starts=400, replay_capacity=2_000, updates_per_iteration=50
  )
  config.agent.update(
    actor_learning_rate=1e-2,
    critic_learning_rate=1e-2,
    batch_size=32,
    policy_delay=1,
  )
  close = 100 * np.exp(np.arange(NUM_DAYS)[:, None] * DRIFTS)
  panel = MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(NUM_DAYS),
    columns=('INDEX', 'UP', 'FLAT', 'DOWN'),
    ohlc=np.repeat(close[..., None], 4, axis=-1),
    features=np.zeros((NUM_DAYS, 4, 9)),
    investable=(small_account.FIRST, small_account.STOP),
  )
  told = np.broadcast_to(np.sign(DRIFTS)[:, None], (NUM_DAYS, 4, 1))
  market = Market(jnp.asarray(told, jnp.float32), 4)
  environment = TradingEnvironment(panel, config.environment, None, ('drift',))
  networks = small_account.make_networks(config.networks, environment.spec)
  return SingleAgent(networks, environment, market, config)


def train(learner, change=lambda state, key: state):
  """Returns the last state, and the profit of each iteration's episodes."""
  state = learner.init(jax.random.PRNGKey(0))
  profits = []
  for number in range(ITERATIONS):
    state = change(state, jax.random.PRNGKey(number))
    state, told = learner.iterate(state)
    profits.append(float(told.episodes['profit']))
  return state, profits


@pytest.mark.parametrize(
  'reward',
  [pytest.param('portfolio', marks=pytest.mark.long), 'shaped_portfolio'],
)
def test_it_learns_to_buy_what_rises(reward):
  learner = make_learner(reward)
  state, profits = train(learner)
  # Two days a trade, a tenth of the equity: some 0.6 % each, thrice at most.
  assert profits[-1] > profits[0] + 0.005
  assert profits[-1] > 0.015
  plans = learner.greedy_actions(state.agent, np.arange(10, 14))
  account = jax.tree.map(
    lambda x: np.zeros((4, *x.shape[1:]), np.float32),
    state.replay.storage.s_tm1.account,
  )
  decide = jax.jit(plans.decide)
  actions = decide(plans.parameters, plans.encoded, account)
  rising, _, falling = np.asarray(actions)[..., 0].mean(0)
  assert rising > 1.0 > falling


@pytest.mark.parametrize(
  'reward,most',
  [
    pytest.param('portfolio', 0.002, marks=pytest.mark.long),
    ('shaped_portfolio', 0.012),
  ],
)
def test_with_noise_for_targets_learning_breaks(reward, most):
  """If an order is paid at once, some choices are random."""

  def as_noise(state, key):
    agent = state.agent
    leaves, structure = jax.tree.flatten(
      (agent.actor.target_params, agent.critic.target_params)
    )
    keys = jax.random.split(key, len(leaves))
    drawn = [
      jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)
    ]
    actor, critic = jax.tree.unflatten(structure, drawn)
    return state._replace(
      agent=agent._replace(
        actor=agent.actor._replace(target_params=actor),
        critic=agent.critic._replace(target_params=critic),
      )
    )

  _, profits = train(make_learner(reward), as_noise)
  assert np.mean(profits[1:]) < most

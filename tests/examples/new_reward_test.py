"""A reward of one's own: this file and a setting, nothing in the package."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.data.panel import MarketPanel
from eigen3.environment import Rules, TradingEnvironment
from eigen3.environment.rewards import Reward
from eigen3.learner.experience import counterfactuals
from experiments import checks, wiring
from experiments.configs import td3


def realised(environment, state, next_state, extras):
  """What the day's closed trades brought, in % of the initial cash."""
  del state, next_state
  profit = jnp.sum(jnp.where(extras.closed.mask, extras.closed.net_profit, 0))
  return 100 * profit / environment.rules.initial_cash


REALISED = Reward(realised, pays_later=True)
PATH = f'{__name__}.REALISED'  # the setting, such as my_rewards.REALISED

# Open, high, low, close of a stock that is bought at the open of the second
# day and sold on the third, 20 % higher.
PRICES = [(100, 101, 99, 100)] * 2 + [(110, 130, 110, 125)] * 6


def test_an_episode_by_hand():
  config = td3.get_config('smoke').environment
  config.update(
    reward=PATH,
    context_days=1,
    trading_days=2,
    max_holding_days=2,
    settlement_days=4,
    initial_cash=10_000.0,
    max_position_fraction=0.5,
    commission_bp=100.0,
    slippage_bp=0.0,
  )
  ohlc = np.array(PRICES, np.float32)[:, None]
  panel = MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(len(ohlc)),
    columns=('A',),
    ohlc=ohlc,
    features=ohlc,
    investable=(0, 1),
  )
  environment = TradingEnvironment(panel, config)
  state, _ = environment.reset_at(0)
  step, rewards = jax.jit(TradingEnvironment.step), []
  for coefficient in (2.0, 0.0, 0.0, 0.0):
    state, timestep = step(environment, state, jnp.array([[coefficient, 20.0]]))
    rewards.append(float(timestep.reward))
  shares = 5_000 / 101  # half of the cash, with 1 % of costs
  profit = shares * (120 * 0.99 - 101)
  assert rewards == pytest.approx([0, 0, 100 * profit / 10_000, 0], rel=1e-4)


def settings():
  """Of a tiny run with that reward."""
  config = td3.get_config('smoke')
  config.environment.reward = PATH
  return config


def test_what_it_asks_of_a_run_is_checked():
  config = settings()
  with pytest.raises(ValueError, match=r'agent\.gamma: found 0\.0, expected'):
    checks.check_reward(config)  # it pays later
  config.agent.gamma = 0.95
  with pytest.raises(ValueError, match=r'store_settlement: found False, expec'):
    checks.check_reward(config)
  config.learner.store_settlement = True
  checks.check_reward(config)
  rules = Rules.from_config(config.environment)
  assert (
    counterfactuals.count_of(rules, config) == 0
  )  # orders are not paid alone


@pytest.mark.long
def test_a_run_learns_from_it():
  config = settings()
  config.agent.gamma = 0.95
  config.learner.store_settlement = True
  learner = wiring.build(config, spread=False).learner
  state = learner.init(jax.random.PRNGKey(0))
  state, told = learner.iterate(state)
  # All trades are closed at the end: what was earned is what was realised.
  assert told.episodes['reward'] == pytest.approx(
    100 * float(told.episodes['profit']), rel=1e-3, abs=1e-5
  )
  assert np.isfinite(told.updates['critic_loss']).all()


@pytest.mark.parametrize('path', [f'{__name__}.PATH', 'no_such.REWARD', 'rsi'])
def test_what_is_no_reward_is_refused(path):
  config = td3.get_config('smoke')
  config.environment.reward = path
  with pytest.raises(ValueError, match=r'environment\.reward') as error:
    checks.check_reward(config)
  assert str(error.value).startswith(
    f"environment.reward: found '{path}', expected one of eigen2, entry, "
    'entry_excess, portfolio, shaped_portfolio, or the path of a Reward'
  )

"""Times the environment without networks, in steps per second."""

import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import data
from eigen3.environment import TradingEnvironment
from experiments.benchmark import jax_cases
from experiments.benchmark.cases import Built, Case, Group
from experiments.configs import td3

# Random actions for this many steps are used in turn: few enough that the time
# to read them from memory hardly counts.
_DISTINCT_ACTIONS = 16
_EPISODES = {'smoke': 4, 'small': 256, 'full': 1024}
_STOCKS = {'smoke': 3, 'small': 8, 'full': 108}


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`; cases use one device."""
  del cores
  episodes, stocks = _EPISODES[size], _STOCKS[size]
  steps = td3.get_config('full').environment
  steps = steps.trading_days + steps.settlement_days
  cases = [
    Case(
      reward + (', rules of Eigen2' if parity else ''),
      'experiments.benchmark.suites.environment:episodes_case',
      {
        'episodes': episodes,
        'stocks': stocks,
        'reward': reward,
        'parity': parity,
      },
      devices=1,
      work=episodes * steps,
    )
    for parity in (False, True)
    for reward in ('entry', 'eigen2')
  ]
  note = f'{episodes} episodes of {steps} steps, {stocks} stocks, account on'
  return [Group('environment steps', tuple(cases), unit='steps', note=note)]


def episodes_case(
  *, episodes: int, stocks: int, reward: str, parity: bool
) -> Built:
  """Builds a case of full-length episodes with random actions, no networks.

  About half of the coefficients reach the threshold, so that nearly every
  action asks for an order.

  Args:
    episodes: number of episodes that are played at once.
    stocks: N, the number of stocks.
    reward: the setting `environment.reward`.
    parity: whether to use Eigen2's rules instead of ours.
  """
  config = td3.get_config('full')
  synthetic = config.data.synthetic
  synthetic.num_stocks = stocks
  # There are no columns after the stocks.
  synthetic.num_columns = synthetic.num_context + stocks
  environment = TradingEnvironment(
    data.synthetic_market(synthetic).panel,
    _section(config.environment, reward, parity),
  )
  key_actions, key_reset = jax.random.split(jax.random.PRNGKey(0))
  rules = config.environment
  actions = jax.random.uniform(
    key_actions,
    (_DISTINCT_ACTIONS, episodes, stocks, 2),
    minval=jnp.array([0.0, rules.min_sale_target]),
    maxval=jnp.array([rules.coefficient_ceiling, rules.max_sale_target]),
  )
  keys = jax.random.split(key_reset, episodes)
  return jax_cases.built(_play, (environment, keys, actions))


def _section(
  ours: ml_collections.ConfigDict, reward: str, parity: bool
) -> ml_collections.ConfigDict:
  """Returns `ours` or, if `parity`, Eigen2's section `environment`.

  The reward is set to `reward`; without `parity` this changes `ours` itself. In
  Eigen2's section, the number of settlement days is set so that episodes are as
  long as ours.
  """
  section = ours
  if parity:
    section = td3.get_config('full+eigen2').environment
    steps = ours.trading_days + ours.settlement_days
    section.settlement_days = steps - section.trading_days
  section.reward = reward
  return section


def _play(environment: TradingEnvironment, keys, actions):
  state, _ = jax.vmap(environment.reset)(keys)

  def body(state, step):
    state, timestep = jax.vmap(environment.step)(
      state, actions[step % _DISTINCT_ACTIONS]
    )
    return state, (timestep.reward, timestep.extras.equity)

  return jax.lax.scan(body, state, jnp.arange(environment.num_steps))

"""Compares acting on all days of an episode at once with acting day by day.

Also compares several agents acting all at once with the same agents acting one
after another. All cases play the first `num_steps` days of an episode. The
arguments `**settings` are those of `config_of`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import data
from eigen3.agent import td3
from eigen3.environment import Market, TradingEnvironment, rollout
from eigen3.learner import experience
from eigen3.learner.experience import Observation
from eigen3.types import Array
from experiments.benchmark import jax_cases
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.settings import config_of

_HERE = 'experiments.benchmark.suites.acting'
# Days of an episode: for a single agent, and for each of several agents.
_DAYS = {'smoke': 6, 'small': 145, 'full': 8}
_DAYS_OF_MANY = {'smoke': 6, 'small': 145, 'full': 4}
_AGENTS = 4


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`, on `cores` cores."""
  return [_one_agent(size, cores), _many_agents(size, cores)]


def _one_agent(size: str, cores: int) -> Group:
  days = _DAYS[size]
  make = functools.partial(
    Case,
    arguments={'preset': size, 'num_steps': days},
    devices=cores,
    work=days,
  )
  step_by_step = 'day by day, in the scan over the account'
  return Group(
    'one agent',
    (
      make('one batch, then the account', f'{_HERE}:batched_case'),
      make(step_by_step, f'{_HERE}:scanned_case'),
      make('day by day, a call a day', f'{_HERE}:looped_case'),
    ),
    reference=step_by_step,
    unit='days',
    note=f'{days} days of an episode, account included',
  )


def _many_agents(size: str, cores: int) -> Group:
  days = _DAYS_OF_MANY[size]
  make = functools.partial(
    Case,
    arguments={'preset': size, 'num_steps': days, 'agents': _AGENTS},
    devices=cores,
    work=_AGENTS * days,
  )
  in_turn = 'one after another'
  return Group(
    f'{_AGENTS} agents',
    (
      make('all at once', f'{_HERE}:vmapped_case'),
      make(in_turn, f'{_HERE}:sequential_case'),
    ),
    reference=in_turn,
    unit='days',
    note=f'{days} days of an episode for each, account included',
  )


class _Stage(NamedTuple):
  """Agents and the environment in which they act.

  Attributes:
    environment: executes the actions.
    market: the data that the policies observe.
    select_action: maps (agent, market, M days [M]) to greedy actions
      [M, N, 2].
    agents: training states of the agents.
    first_day: int32 [], the day on which the episodes start.
  """

  environment: TradingEnvironment
  market: Market
  select_action: Callable[[td3.TrainingState, Market, Array], Array]
  agents: list[td3.TrainingState]
  first_day: Array


def batched_case(*, num_steps: int, **settings: Any) -> Built:
  """Builds a case that computes all actions in one batch, then the account."""
  stage = _stage(config_of(settings), num_steps)
  play = functools.partial(_batched, stage.select_action, num_steps)
  return jax_cases.built(play, _arguments(stage, 0), output=_actions)


def scanned_case(*, num_steps: int, **settings: Any) -> Built:
  """Builds a case of one scan that computes action and account in each step."""
  stage = _stage(config_of(settings), num_steps)

  def play(agent, environment, market, first_day):
    def step(state, _):
      action = stage.select_action(agent, market, state.day[None])[0]
      state, timestep = environment.step(state, action)
      return state, (action, timestep.reward)

    state, _ = environment.reset_at(first_day)
    return jax.lax.scan(step, state, length=num_steps)[1]

  return jax_cases.built(play, _arguments(stage, 0), output=_actions)


def looped_case(*, num_steps: int, **settings: Any) -> Built:
  """Builds a case of a Python loop that calls policy and account each day."""
  stage = _stage(config_of(settings), num_steps)
  arguments = jax_cases.everywhere(_arguments(stage, 0))
  agent, environment, market, first_day = arguments

  def act(agent, market, day):
    return stage.select_action(agent, market, day[None])[0]

  def advance(environment, state, action):
    state, timestep = environment.step(state, action)
    return state, timestep.reward

  start, _ = jax_cases.everywhere(environment.reset_at(first_day))
  policy = jax_cases.compiled(act, (agent, market, start.day))
  example = policy.call(agent, market, start.day)
  account = jax_cases.compiled(advance, (environment, start, example))

  def run():
    state, steps = start, []
    for _ in range(num_steps):
      action = policy.call(agent, market, state.day)
      state, reward = account.call(environment, state, action)
      steps.append((action, reward))
    return jax.block_until_ready(tuple(zip(*steps, strict=True)))

  return Built(
    run,
    policy.seconds + account.seconds,
    policy.temp_bytes,
    output=_actions,
  )


def vmapped_case(*, num_steps: int, agents: int, **settings: Any) -> Built:
  """Builds a case like `batched_case`, with `agents` agents under `vmap`."""
  stage = _stage(config_of(settings), num_steps, agents)
  play = functools.partial(_batched, stage.select_action, num_steps)
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *stage.agents)
  _, *others = _arguments(stage, 0)
  return jax_cases.built(
    jax.vmap(play, in_axes=(0, None, None, None)),
    (stacked, *others),
    output=_actions,
  )


def sequential_case(*, num_steps: int, agents: int, **settings: Any) -> Built:
  """Builds a case like `batched_case`, with `agents` agents in turn."""
  stage = _stage(config_of(settings), num_steps, agents)
  play = functools.partial(_batched, stage.select_action, num_steps)
  arguments = [
    jax_cases.everywhere(_arguments(stage, index)) for index in range(agents)
  ]
  program = jax_cases.compiled(play, arguments[0])

  def run():
    steps = [program.call(*each) for each in arguments]
    return jax.block_until_ready(tuple(zip(*steps, strict=True)))

  return Built(run, program.seconds, program.temp_bytes, output=_actions)


def _batched(
  select_action, num_steps: int, agent, environment, market, first_day
) -> tuple[Array, Array]:
  """Returns actions [S, N, 2] and rewards [S] on S = `num_steps` days."""
  days = first_day + jnp.arange(num_steps)
  actions = select_action(agent, market, days)
  episodes = rollout.play(environment, days[None], actions[None])
  return actions, episodes.timesteps.reward[0]


def _arguments(stage: _Stage, index: int) -> tuple[Any, ...]:
  agent = stage.agents[index]
  return agent, stage.environment, stage.market, stage.first_day


def _actions(result: tuple[Any, Any]) -> np.ndarray:
  return np.asarray(result[0])


def _stage(
  config: ml_collections.ConfigDict, num_steps: int, agents: int = 1
) -> _Stage:
  """Makes `agents` untrained agents, and an environment for them.

  The embedded market has the context days, the days of an episode and
  `data.MIN_TRAINING_DAYS` more days.

  Changes `config`: the market's length, and the number of trading days if it is
  below `num_steps`.
  """
  rules = config.environment
  # The days that the cases play must fit into the environment's episode.
  rules.trading_days = max(num_steps, rules.trading_days)
  synthetic = config.data.synthetic
  episode = rules.trading_days + rules.settlement_days
  synthetic.num_days = rules.context_days + episode + data.MIN_TRAINING_DAYS
  panel = data.synthetic_market(synthetic).panel
  observed = config.data.observed_features
  environment = TradingEnvironment(panel, rules, None, observed)
  market = Market.fit(panel, observed, (0, panel.num_days), rules.context_days)
  spec = environment.spec
  networks = jax_cases.make_networks(config.networks, spec)
  init, select, _ = td3.make_td3(
    networks.actor,
    networks.double_critic,
    experience.observe,
    spec.action,
    config.agent,
    functools.partial(experience.constrain, spec.action),
  )
  everything = np.packbits(np.ones(spec.num_investable, bool))

  def observations(days: Array) -> Observation:
    shape = (days.shape[0], len(everything))
    return Observation(days, jnp.broadcast_to(everything, shape))

  def select_action(agent, market, days):
    return select(agent, market, observations(days))

  first = observations(environment.first_day[None])
  fresh = jax.jit(init)
  return _Stage(
    environment,
    market,
    select_action,
    [fresh(jax.random.PRNGKey(k), market, first) for k in range(agents)],
    environment.first_day,
  )

"""Compares accounts, rewards, controls and backtests in two futures.

Futures are data sets that differ only after a given day.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.environment import TradingEnvironment, rewards, rollout
from eigen3.environment.rollout import Actions, EncodedPolicy
from eigen3.evaluation.backtest import Backtest, Backtester
from eigen3.evaluation.controls import Controls
from eigen3.evaluation.lookahead.leaks import Comparison, Values
from eigen3.types import Array

_EPISODES = 8  # number of compared episodes; their first days are spread


def accounts(
  name: str,
  environments: Sequence[TradingEnvironment],
  actions: Sequence[Actions],
  last_day: int,
) -> Iterator[Comparison]:
  """Yields comparisons of the events, observations and rewards of episodes.

  Args:
    name: prefix of the arrays' names, except that the array of rewards is named
      'rewards.' followed by this name.
    environments: one for each future.
    actions: for each future, actions or an encoded policy on all T days.
    last_day: the last day that is the same in both futures.
  """
  environment = environments[0]
  rules = environment.rules
  starts = last_day - np.linspace(0, rules.num_steps - 1, _EPISODES).round()
  starts = np.clip(starts, environment.first_day, environment.last_day)
  days = starts.astype(int)[:, None] + np.arange(rules.num_steps)
  played = [
    jax.device_get(_play(e, jnp.asarray(days), a))
    for e, a in zip(environments, actions, strict=True)
  ]
  before, after = (_named(name, *steps) for steps in played)
  yield before, after, days
  # The inputs of the next action are known when it is decided.
  before, after = (
    _by_path(f'{name}.observed', (t.observation, t.account)) for t, *_ in played
  )
  yield before, after, days + 1
  timesteps, *_ = played[0]
  settled = rewards.find(rules.reward).known_on(rules, days, timesteps.extras)
  before, after = (
    {f'rewards.{name}': timesteps.reward} for timesteps, *_ in played
  )
  yield before, after, settled


def named_actions(name: str, actions: Actions) -> Values:
  """Returns actions, or a policy's encoding of the market, as arrays by name.

  Each array has a row per day.
  """
  if isinstance(actions, EncodedPolicy):
    return _by_path(f'{name}.encoded', jax.device_get(actions.encoded))
  return {name: np.asarray(actions)}


def with_policy(
  actions: np.ndarray, days: np.ndarray, of_policy: Actions
) -> Actions:
  """Replaces given actions by those of a policy, on some days.

  Args:
    actions: the given actions, float32 [T, N, 2].
    days: the days on which to use the policy, int [M].
    of_policy: the policy's actions on `days`, or a policy that has encoded
      these days; the result is of the same kind, for all T days.
  """
  if not isinstance(of_policy, EncodedPolicy):
    actions = actions.copy()
    actions[days] = of_policy
    return actions

  def spread(x):
    x = np.asarray(x)
    everywhere = np.zeros((len(actions), *x.shape[1:]), x.dtype)
    everywhere[days] = x
    return everywhere

  asked = spread(np.ones(len(days), bool))
  encoded = jax.tree.map(spread, of_policy.encoded)
  return EncodedPolicy(
    _WhereAsked(of_policy.decide),
    of_policy.parameters,
    (asked, encoded, actions),
  )


@dataclasses.dataclass(frozen=True)
class _WhereAsked:
  """Uses a policy on days that it has encoded, and given actions on others."""

  decide: Callable

  def __call__(self, parameters, encoded, account) -> Array:
    asked, of_policy, given = encoded
    actions = self.decide(parameters, of_policy, account)
    return jnp.where(asked[:, None, None], actions, given)


def backtests(
  backtesters: Sequence[Backtester],
  make_controls: Sequence[Callable[[Any], Controls]],
  actions: Sequence[np.ndarray],
) -> Iterator[Comparison]:
  """Yields one comparison of backtests in two futures.

  The backtests are those of the controls and of the given actions.

  Args:
    backtesters: one for each future.
    make_controls: for each future, a function that makes the controls from a
      backtester.
    actions: for each future, the given actions on all days, float32 [T, N, 2].
  """
  futures = []
  for backtester, make, of_days in zip(
    backtesters, make_controls, actions, strict=True
  ):
    # An extreme future can make an account's equity infinite.
    with np.errstate(over='ignore', invalid='ignore'):
      futures.append(_backtested(backtester, make, of_days))
  yield futures[0], futures[1], backtesters[0].days


@jax.jit
def _play(environment: TradingEnvironment, days: Array, actions: Actions):
  """Returns time steps, the states after the steps, and actions, [E, S, ...].

  E is the number of episodes, S that of steps. Actions are returned only if
  they come from an encoded policy.
  """

  is_encoded = isinstance(actions, EncodedPolicy)

  def keep(before, after, timestep, account, decided):
    del before, account  # both belong to the previous time step
    return timestep, after, decided if is_encoded else ()

  of_steps = rollout.on_days(actions, days)
  _, kept = rollout.walk(environment, days, of_steps, keep)
  return kept


def _named(name: str, timesteps: Any, states: Any, actions: Any) -> Values:
  """Returns arrays by pytree path, but no rewards or inputs of the next action.

  Those may become known after a step's day.
  """
  timesteps = timesteps._replace(reward=(), observation=(), account=())
  states = states._replace(cumulative_reward=())
  return {
    **_by_path(f'{name}.timestep', timesteps),
    **_by_path(f'{name}.state', states),
    **_by_path(f'{name}.actions', actions),
  }


def _by_path(name: str, tree: Any) -> Values:
  return {
    f'{name}{jax.tree_util.keystr(path)}': leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


class _Recorder:
  """A backtester that records the actions of each backtest."""

  def __init__(self, backtester: Backtester):
    self.days = backtester.days
    self.actions: dict[int, np.ndarray] = {}
    self._backtester = backtester

  def run(self, actions: Array, account_aware: bool = False) -> Backtest:
    """Backtests like `Backtester.run`, and records the actions."""
    backtest = self._backtester.run(actions, account_aware)
    self.actions[id(backtest)] = np.asarray(actions)
    return backtest


def _backtested(
  backtester: Backtester,
  make_controls: Callable[[Any], Controls],
  actions: np.ndarray,
) -> Values:
  """Backtests in one future; returns arrays by name, a row per decision day."""
  recorder = _Recorder(backtester)
  values: dict[str, np.ndarray] = {}
  for name, (first, *_) in make_controls(recorder).run().items():
    if id(first) in recorder.actions:
      values[f'controls.{name}.actions'] = recorder.actions[id(first)]
    values |= _by_day(f'controls.{name}', first)
  backtest = backtester.run(jnp.asarray(actions[backtester.days]))
  return values | _by_day('backtest', backtest)


def _by_day(name: str, backtest: Backtest) -> dict[str, np.ndarray]:
  """Returns each day's equity, and the profit of the trades closed on it."""
  profit = np.zeros(len(backtest.dates))
  dates = backtest.trades['exit_date'].to_numpy('datetime64[D]')
  closed_on = np.searchsorted(backtest.dates, dates)
  np.add.at(profit, closed_on, backtest.trades['net_profit'].to_numpy(float))
  return {f'{name}.equity': backtest.equity, f'{name}.closed_profit': profit}

"""How an agent fared on slices of the market, and what that is worth."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from eigen3.environment import TradingEnvironment, rollout
from eigen3.learner import fitness
from eigen3.types import Array


class Judged(NamedTuple):
  """How agents fared on some slices, leaves float32 [P + R].

  Attributes:
    score: the mean of the worst few slices, or of all.
    profit: over initial cash, mean.
    reward: sum over a slice, mean.
    trades: closed ones of a slice, mean.
    win_rate: share of all closed trades that were won.
    daily_sharpe: mean over deviation of the daily returns of all slices, not
      annualised; 0 where nothing moved.
  """

  score: Array
  profit: Array
  reward: Array
  trades: Array
  win_rate: Array
  daily_sharpe: Array


def judge(
  environment: TradingEnvironment,
  episodes: rollout.Episodes,
  by: str,
  worst: int,
  no_trade_penalty: float,
) -> Judged:
  """An agent's numbers from its E episodes.

  Args:
    environment: in which they were played.
    episodes: leaves [E, ...].
    by: 'profit' or 'reward', what the score counts.
    worst: how many of the worst episodes make the score.
    no_trade_penalty: off the score of an episode without a trade.

  Returns:
    Leaves [].
  """
  final = episodes.final_state
  profit, reward = _profit_and_reward(environment, episodes)
  score = scores(environment, episodes, by, no_trade_penalty)
  numbers = Judged(
    score=fitness.mean_of_worst(score, worst),
    profit=profit.mean(),
    reward=reward.mean(),
    trades=final.num_trades.astype(profit.dtype).mean(),
    win_rate=final.num_wins.sum() / jnp.maximum(final.num_trades.sum(), 1),
    daily_sharpe=_daily_sharpe(
      environment.rules.initial_cash, episodes.timesteps.extras.equity
    ),
  )
  return jax.tree.map(lambda x: x.astype(jnp.float32), numbers)


def scores(
  environment: TradingEnvironment,
  episodes: rollout.Episodes,
  by: str,
  no_trade_penalty: float,
) -> Array:
  """What each of E episodes is worth, [E]; arguments as of `judge`."""
  profit, reward = _profit_and_reward(environment, episodes)
  score = profit if by == 'profit' else reward
  return score - no_trade_penalty * (episodes.final_state.num_trades == 0)


def _profit_and_reward(
  environment: TradingEnvironment, episodes: rollout.Episodes
) -> tuple[Array, Array]:
  """Of each episode, [E]."""
  equity = episodes.final_state.equity
  profit = equity / environment.rules.initial_cash - 1.0
  return profit, jnp.sum(episodes.timesteps.reward, axis=1)


def _daily_sharpe(initial_cash: float, equity: Array) -> Array:
  """Of the days of all episodes, equity [E, S]; each begins with the cash."""
  before = jnp.pad(
    equity[:, :-1], ((0, 0), (1, 0)), constant_values=initial_cash
  )
  returns = equity / before - 1.0
  deviation = returns.std(ddof=1)
  moved = deviation > 0.0
  return jnp.where(moved, returns.mean() / jnp.where(moved, deviation, 1), 0.0)

"""Results and scores of agents in episodes, each on a slice of days."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from eigen3.environment import TradingEnvironment, rollout
from eigen3.learner import fitness
from eigen3.types import Array


class Judged(NamedTuple):
  """Results of agents on some slices, float32 [] for one agent.

  For a population they are [P + R]: P members, and R = `evolution.learners`
  agents that learn but do not evolve.

  Attributes:
    score: mean score of the worst slices; `worst` in `judge` says how many.
    profit: mean profit over slices, as a share of the initial cash.
    reward: mean total reward over slices.
    trades: mean number of closed trades in a slice.
    win_rate: share of closed trades that exited at the entry price or above; 0
      without trades.
    daily_sharpe: mean of the daily returns of all slices divided by their
      standard deviation, not annualised; 0 if all returns are equal.
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
  """Computes an agent's results from its E episodes.

  Args:
    environment: the environment of the episodes.
    episodes: the agent's episodes, leaves [E, ...].
    by: 'profit' or 'reward', the basis of an episode's score; see `scores`.
    worst: how many of the lowest scores are averaged; E for all.
    no_trade_penalty: subtracted from the score of an episode without a closed
      trade.

  Returns:
    Results with leaves [].
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
  """Returns the score of each of E episodes, [E].

  It is the profit or total reward, less `no_trade_penalty` if no trade was
  closed. The arguments are as in `judge`.
  """
  profit, reward = _profit_and_reward(environment, episodes)
  score = profit if by == 'profit' else reward
  return score - no_trade_penalty * (episodes.final_state.num_trades == 0)


def _profit_and_reward(
  environment: TradingEnvironment, episodes: rollout.Episodes
) -> tuple[Array, Array]:
  """Returns profit / initial cash and total reward of each episode, [E]."""
  equity = episodes.final_state.equity
  profit = equity / environment.rules.initial_cash - 1.0
  return profit, jnp.sum(episodes.timesteps.reward, axis=1)


def _daily_sharpe(initial_cash: float, equity: Array) -> Array:
  """Returns `Judged.daily_sharpe`, one number for all slices.

  `equity` [E, S] is the equity at the closes of the S days of E slices.
  """
  before = jnp.pad(
    equity[:, :-1], ((0, 0), (1, 0)), constant_values=initial_cash
  )
  returns = equity / before - 1.0
  deviation = returns.std(ddof=1)
  moved = deviation > 0.0
  return jnp.where(moved, returns.mean() / jnp.where(moved, deviation, 1), 0.0)

"""Tests of eigen3.learner.slices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from eigen3.environment import rollout
from eigen3.learner import slices


@pytest.fixture(scope='module')
def environment():
  _, environment, _ = small_run.make_market(small_run.make_population_config())
  return environment


@jax.jit
def play_and_judge(environment, days, actions):
  episodes = rollout.play(environment, days, actions)
  judged = slices.judge(
    environment, episodes, by='profit', worst=1, no_trade_penalty=0.0
  )
  return judged, episodes


def judge(environment, coefficient):
  """Plays two episodes in which all stocks have the same coefficient."""
  first = int(environment.first_day)
  days = first + np.array([[0], [3]]) + np.arange(environment.num_steps)
  shape = (*days.shape, *environment.spec.action.shape)
  actions = np.full(shape, coefficient, np.float32)
  judged, episodes = play_and_judge(environment, days, actions)
  return judged, np.asarray(episodes.timesteps.extras.equity, np.float64)


def test_the_daily_sharpe_is_of_the_days_of_all_episodes(environment):
  judged, equity = judge(environment, 2.0)
  returns = []
  for path in equity:
    before = environment.rules.initial_cash
    for after in path:
      returns.append(after / before - 1)
      before = after
  assert np.std(returns) > 0
  expected = np.mean(returns) / np.std(returns, ddof=1)
  assert float(judged.daily_sharpe) == pytest.approx(expected, rel=1e-3)
  assert judged.daily_sharpe.dtype == jnp.float32


def test_who_buys_nothing_has_none(environment):
  judged, equity = judge(environment, 0.0)
  assert np.ptp(equity) == 0
  assert float(judged.daily_sharpe) == 0.0

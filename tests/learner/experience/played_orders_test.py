"""Other orders of a day, played from the state in which they were possible."""

import jax
import numpy as np
import pytest
import small_run

from eigen3.environment import rollout
from eigen3.learner import acting, experience
from eigen3.learner.experience import counterfactuals

KEY = jax.random.PRNGKey(3)
COUNT = 4


def _config():
  config = small_run.make_config(counterfactuals=COUNT)
  config.environment.observe_account = True
  config.environment.reward = 'shaped_portfolio'
  config.agent.gamma = 0.9
  config.learner.store_settlement = True
  return config


@pytest.fixture(scope='module')
def environment():
  return small_run.make_market(_config())[1]


@pytest.fixture(scope='module')
def batch(environment):
  """Of an episode of random actions, with the states that they met."""

  @jax.jit
  def play(environment, days):
    episodes = rollout.rollout(
      environment,
      lambda days: acting.random_actions(
        environment.spec.action, KEY, days.shape[0]
      ),
      days,
      keep_states=True,
    )
    return experience.transitions_of(episodes, environment.num_steps)

  days = np.asarray(environment.first_day)[None] + 3
  return jax.device_get(play(environment, days))


@pytest.fixture(scope='module')
def found(environment, batch):
  add = jax.jit(counterfactuals.add, static_argnums=3)
  return jax.device_get(add(environment, batch, KEY, COUNT))


def test_what_was_done_stays_and_the_next_order_is_none(
  environment, batch, found
):
  num_steps = environment.num_steps
  assert found.a_tm1.shape == (num_steps, 1 + COUNT, 3, 2)
  assert found.r_t.shape == found.discount_t.shape == (num_steps, 1 + COUNT)
  assert found.s_t.account.whole.shape == (num_steps, 1 + COUNT, 2)
  firsts = jax.tree.map(
    lambda x: x[:, 0],
    (found.a_tm1, found.r_t, found.discount_t, found.s_t.account),
  )
  done = (batch.a_tm1, batch.r_t, batch.discount_t, batch.s_t.account)
  jax.tree.map(np.testing.assert_array_equal, firsts, done)
  lowest = np.asarray(environment.spec.action.minimum, np.float32)
  assert (found.a_tm1[:, 1] == lowest).all()
  np.testing.assert_array_equal(found.r_t[:, 1], 0)
  assert ((found.a_tm1[:, 2:] != lowest).any(-1).sum(-1) == 1).all()


def test_each_is_a_step_of_the_environment(environment, batch, found):
  step = jax.jit(environment.step)
  available = jax.jit(environment.available)
  bought = 0
  for place in range(0, environment.rules.trading_days, 2):
    state = jax.tree.map(lambda x, i=place: x[i], batch.s_tm1.state)
    for number in range(1 + COUNT):
      after, timestep = step(state, found.a_tm1[place, number])
      np.testing.assert_allclose(
        found.r_t[place, number], timestep.reward, rtol=1e-5, atol=1e-6
      )
      assert found.discount_t[place, number] == timestep.discount
      of_account = jax.tree.map(
        lambda x, i=place, j=number: x[i, j], found.s_t.account
      )
      for seen, expected in zip(of_account, timestep.account, strict=True):
        np.testing.assert_allclose(seen, expected, rtol=1e-5, atol=1e-6)
      could = np.unpackbits(found.s_t.available[place, number], count=3)
      expected = available(after)
      if place + 1 < environment.rules.trading_days:
        np.testing.assert_array_equal(could, expected)
      bought += bool(timestep.extras.entries.accepted.any())
  assert bought > 5


def test_it_is_known_whether_they_can_be_played():
  config = _config()
  rules = small_run.make_market(config)[1].rules
  assert counterfactuals.count_of(rules, config) == COUNT
  assert not counterfactuals.are_paid_at_once(rules, config)

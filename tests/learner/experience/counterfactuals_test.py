"""Tests of eigen3.learner.experience.counterfactuals: what episodes pay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from eigen3.agent import replay
from eigen3.environment import TradingEnvironment, rollout
from eigen3.learner import acting, experience
from eigen3.learner.experience import counterfactuals

KEY = jax.random.PRNGKey(3)
COUNT = 6

add = jax.jit(counterfactuals.add, static_argnums=3)


@pytest.fixture(scope='module')
def environment():
  return small_run.make_market(small_run.make_config())[1]


@pytest.fixture(scope='module')
def batch(environment):
  """What an episode of random actions left, settlement too."""

  @jax.jit
  def play(environment, days):
    episodes = rollout.rollout(
      environment,
      lambda days: acting.random_actions(
        environment.spec.action, KEY, days.shape[0]
      ),
      days,
    )
    return experience.transitions_of(episodes, environment.num_steps)

  days = np.asarray(environment.first_day)[None] + 3
  return jax.device_get(play(environment, days))


@pytest.fixture(scope='module')
def found(environment, batch):
  return jax.device_get(add(environment, batch, KEY, COUNT))


def test_what_was_done_stays_and_comes_first(batch, found):
  assert found.a_tm1.shape == (len(batch.r_t), 1 + COUNT, 3, 2)
  assert found.r_t.shape == (len(batch.r_t), 1 + COUNT)
  np.testing.assert_array_equal(found.a_tm1[:, 0], batch.a_tm1)
  np.testing.assert_array_equal(found.r_t[:, 0], batch.r_t)
  rest = ('s_tm1', 'discount_t', 's_t')
  for name in rest:
    assert getattr(found, name) is not None
    for a, b in zip(
      *(jax.tree.leaves(getattr(one, name)) for one in (found, batch)),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)


def test_none_leaves_the_batch_alone(environment, batch):
  assert counterfactuals.add(environment, batch, KEY, 0) is batch


def test_they_are_orders_of_one_stock_and_each_stock_has_as_many(
  environment, found
):
  actions = np.asarray(found.a_tm1[:, 1:])
  lowest = np.asarray(environment.spec.action.minimum, np.float32)
  ordered = (actions != lowest).any(-1)
  np.testing.assert_array_equal(ordered.sum(-1), 1)
  np.testing.assert_array_equal(ordered.sum(1), COUNT // 3)
  order = actions[ordered]
  threshold = environment.spec.coefficient_threshold
  highest = environment.spec.action.maximum
  assert (order >= (threshold, lowest[1])).all()
  assert (order <= highest).all()
  middle = (np.array([threshold, lowest[1]]) + highest) / 2
  assert np.abs(order.mean(0) / middle - 1).max() < 0.1
  assert len(np.unique(order[:, 0])) == len(order)


def test_they_are_paid_what_an_episode_that_makes_them_pays(
  environment, batch, found
):
  """An account that holds nothing yet, on each of the days."""
  reset, step = jax.jit(environment.reset_at), jax.jit(environment.step)
  paid, unpaid = 0, 0
  for place in range(0, environment.rules.trading_days, 3):
    day = int(batch.s_tm1.day[place])
    could = np.unpackbits(
      np.asarray(batch.s_tm1.available[place]), count=3
    ).astype(bool)
    for number in range(1, 1 + COUNT):
      action = found.a_tm1[place, number]
      state, _ = reset(day)
      _, timestep = step(state, action)
      reward = float(found.r_t[place, number])
      if could[np.asarray(action[:, 0]).argmax()]:
        np.testing.assert_allclose(reward, timestep.reward, rtol=1e-5)
        paid += reward != 0
      else:
        assert reward == 0
        unpaid += 1
  assert paid > 5
  assert unpaid > 0


def played(environment, batch, found):
  """Yields the other orders of every third day, and their steps.

  What cannot be bought is not ordered.
  """
  lowest = np.asarray(environment.spec.action.minimum, np.float32)
  reset, step = jax.jit(environment.reset_at), jax.jit(environment.step)
  for place in range(0, environment.rules.trading_days, 3):
    could = np.unpackbits(
      np.asarray(batch.s_tm1.available[place]), count=3
    ).astype(bool)
    state, _ = reset(int(batch.s_tm1.day[place]))
    for number in range(1, 1 + COUNT):
      action = np.where(could[:, None], found.a_tm1[place, number], lowest)
      _, timestep = step(state, action)
      yield number, action, could, found.r_t[place, number], timestep


@pytest.mark.parametrize('entries', [1, 2])
def test_under_a_reward_that_pays_for_none_the_first_orders_none(
  batch, entries
):
  config = small_run.make_config().environment
  config.update(
    {'reward': 'entry_excess', 'market_timing': True},
    max_entries_per_day=entries,
  )
  panel = small_run.make_market(small_run.make_config())[0]
  environment = TradingEnvironment(panel, config)
  found = jax.device_get(add(environment, batch, KEY, COUNT))
  lowest = np.asarray(environment.spec.action.minimum, np.float32)
  assert (found.a_tm1[:, 1] == lowest).all()
  assert found.r_t.shape == (len(batch.r_t), 1 + COUNT)
  compared = 0
  for number, action, could, reward, timestep in played(
    environment, batch, found
  ):
    np.testing.assert_allclose(reward, timestep.reward, rtol=1e-4, atol=1e-4)
    compared += number > 1 and could[action[:, 0].argmax()]
  assert compared > 5
  # What cannot be bought pays as if nothing was ordered.
  after = environment.rules.trading_days
  np.testing.assert_allclose(
    found.r_t[after:, 2:],
    np.repeat(found.r_t[after:, 1:2], COUNT - 1, 1),
    atol=1e-4,
  )
  assert (found.r_t[after:, 1] != 0).all()


def test_in_the_settlement_no_order_is_paid(environment, batch, found):
  after = environment.rules.trading_days
  assert (np.asarray(batch.s_tm1.available[after:]) == 0).all()
  assert (np.asarray(found.r_t[after:]) == 0).all()
  assert (np.asarray(found.r_t[:after]) != 0).any()


def test_keys_and_transitions_draw_their_own(environment, batch, found):
  again = add(environment, batch, KEY, COUNT)
  np.testing.assert_array_equal(again.a_tm1, found.a_tm1)
  other = add(environment, batch, jax.random.PRNGKey(4), COUNT)
  assert (np.asarray(other.a_tm1[:, 1:]) != found.a_tm1[:, 1:]).any()
  orders = np.asarray(found.a_tm1[:, 1:]).max(2)
  assert len(np.unique(orders[..., 0])) == orders[..., 0].size


def test_with_several_entries_a_day_each_orders_as_many(batch):
  config = small_run.make_config()
  config.environment.max_entries_per_day = 2
  environment = small_run.make_market(config)[1]
  found = jax.device_get(add(environment, batch, KEY, COUNT))
  lowest = np.asarray(environment.spec.action.minimum, np.float32)
  ordered = (found.a_tm1[:, 1:] != lowest).any(-1)
  np.testing.assert_array_equal(ordered.sum(-1), 2)
  np.testing.assert_array_equal(ordered.sum(1), 2 * COUNT // 3)
  bought = 0
  for *_, reward, timestep in played(environment, batch, found):
    np.testing.assert_allclose(reward, timestep.reward, rtol=1e-5, atol=1e-5)
    bought += timestep.extras.entries.accepted.sum() == 2
  assert bought > 5


def test_fewer_orders_than_stocks(environment, batch):
  found = add(environment, batch, KEY, 1)
  ordered = (np.asarray(found.a_tm1)[:, 1, :, 0] > 0).argmax(-1)
  assert set(ordered.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
  'name,value',
  [
    ('environment.reward', 'entry'),
    ('environment.reward', 'entry_excess'),
    ('environment.reward', 'eigen2'),
    ('environment.reward', 'portfolio'),
    ('environment.entry_choice', 'best'),
    ('environment.scaled_actions', False),
    ('agent.gamma', 0.9),
  ],
)
def test_none_where_it_is_not_known_what_they_bring(name, value):
  config = small_run.make_config(counterfactuals=5)
  config.update_from_flattened_dict({name: value})
  rules = small_run.make_market(config)[1].rules
  count = counterfactuals.count_of(rules, config)
  assert count == (5 if value in ('entry', 'entry_excess') else 0)


def test_a_negative_number_is_refused():
  config = small_run.make_config(counterfactuals=-1)
  with pytest.raises(ValueError, match=r'learner\.counterfactuals: found -1'):
    small_run.make_learner(config)


def test_they_are_learnt_from(learner, first_state):
  """With and without: the same experience, other critics."""
  config = small_run.make_config(replay_capacity=70, counterfactuals=0)
  without = small_run.make_learner(config)
  critics = []
  for one in (learner, without):
    state, _ = one.iterate(small_run.copied(first_state))
    critics.append(small_run.on_host(state.agent.critic.online_params))
  assert any(
    (a != b).any() for a, b in zip(*map(jax.tree.leaves, critics), strict=True)
  )


def test_the_ring_keeps_only_what_was_done(first_state):
  transition = jax.tree.map(lambda x: x[0], first_state.replay.storage)
  assert transition.a_tm1.shape == (3, 2)
  assert jnp.shape(transition.r_t) == ()
  assert replay.capacity_of(first_state.replay) == 70

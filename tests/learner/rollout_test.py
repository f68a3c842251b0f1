"""Tests of eigen3.environment.rollout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from eigen3.environment import rollout
from eigen3.learner import experience

EPISODES = 3

transitions_of = jax.jit(experience.transitions_of, static_argnums=1)


@pytest.fixture(scope='module')
def environment(config):
  _, environment, _ = small_run.make_market(config)
  return environment


@pytest.fixture(scope='module')
def policy(environment):
  """A table of random actions, one for every day of the market."""
  num_days = int(environment.stop)
  rng = np.random.default_rng(3)
  shape = (num_days, environment.spec.num_investable)
  table = np.stack([rng.uniform(0, 2, shape), rng.uniform(10, 50, shape)], -1)
  table = table.astype(np.float32)

  def act(days):
    # In NumPy where the days are known, as a constant where they are traced.
    return (table if isinstance(days, np.ndarray) else jnp.asarray(table))[days]

  return act


@pytest.fixture(scope='module')
def first_days(environment):
  first, last = int(environment.first_day), int(environment.last_day)
  return np.array([first, first + 17, last], np.int32)


@pytest.fixture(scope='module')
def episodes(environment, policy, first_days):
  run = jax.jit(
    lambda environment, days: rollout.rollout(environment, policy, days)
  )
  return jax.device_get(run(environment, first_days))


@pytest.fixture(scope='module')
def day_by_day(environment, policy, first_days):
  """Plays the same episodes, asking the policy daily with its account."""
  reset = jax.jit(lambda environment, day: environment.reset_at(day))
  step = jax.jit(lambda environment, *rest: environment.step(*rest))
  stack = lambda *x: np.stack(x)  # noqa: E731
  told, finals = [], []
  for first in first_days:
    state, timestep = reset(environment, first)
    steps = []
    while not bool(timestep.last):
      day = np.asarray(timestep.observation)
      action = policy(day[None])[0]
      state, timestep = step(environment, state, action)
      steps.append((day, action, timestep))
    told.append(jax.tree.map(stack, *steps))
    finals.append(state)
  return jax.tree.map(stack, *told), jax.tree.map(stack, *finals)


def test_equals_a_loop_over_days(episodes, day_by_day, environment):
  (days, actions, timesteps), final = day_by_day
  assert episodes.days.shape == (EPISODES, environment.num_steps)
  np.testing.assert_array_equal(episodes.days, days)
  np.testing.assert_array_equal(episodes.actions, actions)
  assert jax.tree.structure(episodes.timesteps) == jax.tree.structure(timesteps)
  for mine, theirs in (
    (episodes.timesteps, timesteps),
    (episodes.final_state, final),
  ):
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-4),
      mine,
      theirs,
    )
  # Something happened: trades, and more than one of them in an episode.
  assert (np.asarray(final.num_trades) > 1).all()


def test_play_walks_given_actions(environment, episodes):
  play = jax.jit(rollout.play)
  played = play(environment, episodes.days, episodes.actions)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-4),
    played,
    episodes,
  )
  # Without a coefficient nothing is bought and the cash stays.
  idle = play(environment, episodes.days, episodes.actions * np.float32([0, 1]))
  np.testing.assert_array_equal(idle.final_state.num_trades, 0)
  np.testing.assert_array_equal(
    idle.timesteps.extras.equity, environment.rules.initial_cash
  )


@pytest.mark.parametrize('settlement', [False, True])
def test_transitions_are_the_first_steps(environment, episodes, settlement):
  count = (
    environment.num_steps if settlement else environment.rules.trading_days
  )
  found = transitions_of(episodes, count)
  days = small_run.days_of(found.s_tm1)
  assert days.shape == (EPISODES * count,)
  np.testing.assert_array_equal(small_run.days_of(found.s_t), days + 1)
  for episode in range(EPISODES):
    rows = slice(episode * count, (episode + 1) * count)
    first = int(episodes.days[episode, 0])
    np.testing.assert_array_equal(
      days[rows], first + np.arange(count), err_msg=str(episode)
    )
    for name, values in (
      ('a_tm1', episodes.actions),
      ('r_t', episodes.timesteps.reward),
      ('discount_t', episodes.timesteps.discount),
    ):
      np.testing.assert_array_equal(
        getattr(found, name)[rows], values[episode, :count], err_msg=name
      )


def test_transitions_know_what_could_be_bought(environment, episodes):
  """States before a step and before the next: both ends of a transition."""
  count = environment.num_steps
  found = transitions_of(episodes, count)
  available = np.asarray(episodes.timesteps.extras.available)

  def unpacked(observation):
    bits = np.asarray(observation.available)
    stocks = np.unpackbits(bits, axis=-1, count=available.shape[-1])
    return stocks.reshape(available.shape).astype(bool)

  before, after = unpacked(found.s_tm1), unpacked(found.s_t)
  np.testing.assert_array_equal(before, available)
  np.testing.assert_array_equal(after[:, :-1], available[:, 1:])
  # Nothing is known of the day after an episode.
  assert after[:, -1].all()
  # On the first day all could be bought, later not what was held.
  assert available[:, 0].all()
  assert not available.all()


def test_the_policy_is_asked_for_trading_days_only(
  environment, policy, first_days, episodes
):
  """Actions of the settlement change nothing."""
  trading = environment.rules.trading_days
  asked = []

  def counting(days):
    asked.append(days.shape[0])
    return policy(days)

  run = jax.jit(
    lambda environment, days: rollout.rollout(
      environment, counting, days, trading
    )
  )
  short = jax.device_get(run(environment, first_days))
  assert asked == [EPISODES * trading]
  np.testing.assert_array_equal(
    short.actions[:, :trading], episodes.actions[:, :trading]
  )
  np.testing.assert_array_equal(
    short.actions[:, trading:, :, 0], environment.spec.action.minimum[0]
  )
  np.testing.assert_allclose(
    short.timesteps.reward, episodes.timesteps.reward, rtol=1e-5, atol=1e-5
  )
  np.testing.assert_array_equal(
    short.final_state.num_trades, episodes.final_state.num_trades
  )

"""Tests of eigen3.learner.single_agent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run


def run(learner, key, iterations=3):
  state = learner.init(key)
  told = []
  for _ in range(iterations):
    state, metrics = learner.iterate(state)
    told.append(small_run.on_host(metrics))
  return small_run.on_host(state), told


def test_an_iteration_counts_and_remembers(learner, config, state):
  section, rules = config.learner, config.environment
  stored = section.episodes_per_iteration * rules.trading_days
  warm_up = -(-section.learning_starts // stored)
  assert int(state.replay.size) == warm_up * stored >= section.learning_starts
  assert int(state.environment_steps) == warm_up * learner.steps_per_iteration
  assert int(state.iteration) == 0
  assert int(state.agent.steps) == 0

  before = small_run.on_host(state)
  state, told = learner.iterate(state)
  assert int(state.iteration) == 1
  assert int(state.agent.steps) == section.updates_per_iteration
  assert int(state.replay.size) == (warm_up + 1) * stored
  assert int(state.environment_steps - before.environment_steps) == (
    learner.steps_per_iteration
  )
  assert learner.steps_per_iteration == section.episodes_per_iteration * (
    rules.trading_days + rules.settlement_days
  )
  assert not np.array_equal(state.key, before.key)
  for name, values in told.updates.items():
    assert values.shape == (section.updates_per_iteration,), name
    assert np.isfinite(values).all(), name
  # The delayed actor was trained, and so was the critic.
  assert np.sum(told.updates['actor_updates']) == (
    section.updates_per_iteration // config.agent.policy_delay
  )
  for name in ('actor', 'critic'):
    with pytest.raises(AssertionError):
      small_run.assert_equal_bits(
        getattr(before.agent, name).online_params,
        small_run.on_host(getattr(state.agent, name).online_params),
      )
  # What was in replay is still there, the new lies behind it.
  old = slice(0, warm_up * stored)
  small_run.assert_equal_bits(
    jax.tree.map(lambda x: x[old], before.replay.storage),
    jax.tree.map(lambda x: np.asarray(x[old]), state.replay.storage),
  )
  new = jax.tree.map(
    lambda x: x[warm_up * stored : (warm_up + 1) * stored], state.replay.storage
  )
  days = small_run.days_of(new.s_tm1)
  np.testing.assert_array_equal(small_run.days_of(new.s_t), days + 1)
  assert (days >= rules.context_days - 1).all()


def test_warm_up_actions_fill_the_box(learner, state):
  held = state.replay.storage.a_tm1[: int(state.replay.size)]
  targets = np.asarray(held[..., 1])
  assert targets.min() >= 10
  assert targets.max() <= 50
  # Uniform draws come near both ends.
  assert targets.min() < 14
  assert targets.max() > 46


def test_the_replay_ring_overwrites_the_oldest(learner, state):
  sizes, places = [], []
  for _ in range(3):  # 20 transitions each, after the 40 of the warm-up
    state, _ = learner.iterate(state)
    sizes.append(int(state.replay.size))
    places.append(int(state.replay.insert_index))
  assert sizes == [60, 70, 70]
  assert places == [60, 10, 30]


def test_without_learning_starts_replay_begins_empty():
  learner = small_run.make_learner(small_run.make_config(learning_starts=0))
  state = learner.init(jax.random.PRNGKey(0))
  assert int(state.replay.size) == 0
  assert int(state.environment_steps) == 0


def test_the_state_is_donated(learner, state):
  given = [x for x in jax.tree.leaves(state) if x.size > 1]
  learner.iterate(state)
  assert all(x.is_deleted() for x in given)


def test_iterations_are_traced_once(learner, state):
  state, _ = learner.iterate(state)
  before = small_run.traces
  for _ in range(3):
    state, _ = learner.iterate(state)
  fresh = learner.init(jax.random.PRNGKey(3))
  state, _ = learner.iterate(fresh)
  assert before > 0
  assert small_run.traces == before


def test_a_seed_is_a_run(learner):
  one, told_one = run(learner, jax.random.PRNGKey(7))
  same, told_same = run(learner, jax.random.PRNGKey(7))
  small_run.assert_equal_bits(one, same)
  small_run.assert_equal_bits(told_one, told_same)
  other, _ = run(learner, jax.random.PRNGKey(8))
  for part in ('agent', 'replay'):
    with pytest.raises(AssertionError):
      small_run.assert_equal_bits(getattr(one, part), getattr(other, part))


def test_attention_is_shares_of_the_columns(learner, state):
  shares = learner.attention(state.agent, np.arange(40, 60))
  assert shares.ndim == 1
  assert len(shares) > 1
  assert (shares > 0).all()
  np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-5)


def test_greedy_actions_have_no_noise(learner, state):
  days = np.arange(20, 60)
  actions = learner.greedy_actions(state.agent, days)
  assert actions.shape == (40, 3, 2)
  # One day's action does not depend on the days beside it, nor on a draw.
  alone = jnp.concatenate(
    [learner.greedy_actions(state.agent, days[i : i + 1]) for i in (0, 39)]
  )
  np.testing.assert_allclose(alone, actions[jnp.array([0, 39])], rtol=1e-5)
  np.testing.assert_array_equal(
    actions, learner.greedy_actions(state.agent, days)
  )


def test_the_champion_plays_its_own_policy(learner, state):
  days = np.arange(20, 40)
  first = np.asarray(learner.greedy_actions(state.agent, days))
  for _ in range(3):
    state, _ = learner.iterate(state)
  # No validation took place: the champion is still the first policy.
  champion = learner.champion(state)
  np.testing.assert_array_equal(learner.greedy_actions(champion, days), first)
  trained = np.asarray(learner.greedy_actions(state.agent, days))
  assert not np.array_equal(trained, first)


@pytest.mark.parametrize(
  'field, found, expected',
  [
    ('iterations', 0, 'at least 1'),
    ('episodes_per_iteration', 0, 'at least 1'),
    ('updates_per_iteration', 0, 'at least 1'),
    ('replay_capacity', 0, 'at least 1'),
    (
      'replay_capacity',
      19,
      'at least the 20 transitions of an iteration: 2 episodes '
      '(learner.episodes_per_iteration) x 10 stored steps',
    ),
    ('learning_starts', -1, 'at least 0'),
    ('evaluate_every', 0, 'at least 1'),
    ('checkpoint_every', 0, 'at least 1'),
    ('keep_checkpoints', 0, 'at least 1'),
  ],
)
def test_a_setting_out_of_range_is_named(field, found, expected):
  with pytest.raises(ValueError, match='learner') as error:
    small_run.make_learner(small_run.make_config(**{field: found}))
  assert str(error.value) == (
    f'learner.{field}: found {found}, expected {expected}'
  )

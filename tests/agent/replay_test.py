"""Tests of eigen3.agent.replay, some of them against a deque."""

import collections
import functools

import chex
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from eigen3.agent import replay
from eigen3.types import Transition

KEY = jax.random.PRNGKey(3)
ADD = jax.jit(replay.add)
SAMPLE = jax.jit(replay.sample, static_argnums=2)


def _transitions(tags):
  """Returns a batch in which every field of a transition encodes its tag."""
  tags = np.asarray(tags)
  return Transition(
    s_tm1=tags.astype(np.int32),
    a_tm1=np.float32(tags[:, None, None] + np.arange(4).reshape(2, 2) / 8),
    r_t=np.float32(tags / 2),
    discount_t=np.float32(tags % 2),
    s_t={'day': np.int32(tags + 1)},
  )


@functools.cache
def _empty(capacity):
  return replay.init(jax.tree.map(lambda x: x[0], _transitions([0])), capacity)


def _by_age(state):
  """Returns the stored tags, oldest first; checks that all fields agree."""
  size, capacity = int(state.size), replay.capacity_of(state)
  places = (int(state.insert_index) - size + np.arange(size)) % capacity
  held = jax.tree.map(lambda ring: np.asarray(ring)[places], state.storage)
  chex.assert_trees_all_equal(held, _transitions(np.asarray(held.s_tm1)))
  return held.s_tm1.tolist()


def test_an_empty_ring():
  state = _empty(5)
  assert replay.capacity_of(state) == 5
  assert (int(state.insert_index), int(state.size)) == (0, 0)
  chex.assert_shape(state.storage.a_tm1, (5, 2, 2))
  assert state.storage.s_tm1.dtype == jnp.int32
  assert state.storage.r_t.dtype == jnp.float32


def test_the_newest_overwrite_the_oldest():
  state = ADD(_empty(5), _transitions([1, 2, 3]))
  assert state.storage.s_tm1.tolist() == [1, 2, 3, 0, 0]
  assert (int(state.insert_index), int(state.size)) == (3, 3)
  state = ADD(state, _transitions([4, 5, 6, 7]))
  assert state.storage.s_tm1.tolist() == [6, 7, 3, 4, 5]
  assert (int(state.insert_index), int(state.size)) == (2, 5)
  state = ADD(state, _transitions([8, 9, 10, 11, 12]))
  assert _by_age(state) == [8, 9, 10, 11, 12]


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
  capacity=st.sampled_from([1, 3, 5]),
  counts=st.lists(st.integers(0, 6), max_size=8),
)
def test_a_ring_is_a_deque(capacity, counts):
  state, model, tag = _empty(capacity), collections.deque(maxlen=capacity), 0
  for count in counts:
    tags = list(range(tag, tag + count))
    if count > capacity:
      with pytest.raises(ValueError, match='replay_capacity'):
        ADD(state, _transitions(tags))
      continue
    state = ADD(state, _transitions(tags))
    model.extend(tags)
    tag += count
    assert _by_age(state) == list(model)
  if model:
    sample = SAMPLE(state, jax.random.PRNGKey(tag), 32)
    chex.assert_trees_all_equal(sample, _transitions(np.asarray(sample.s_tm1)))
    assert set(sample.s_tm1.tolist()) <= set(model)


@pytest.mark.parametrize('count', [7, 25])
def test_sampling_is_uniform_over_what_is_held(count):
  state = _empty(10)
  for tag in range(count):
    state = ADD(state, _transitions([tag]))
  held = min(count, 10)
  sample = SAMPLE(state, KEY, 20_000)
  tags, counts = np.unique(sample.s_tm1, return_counts=True)
  assert tags.tolist() == list(range(count - held, count))
  expected = 20_000 / held
  chi_square = np.sum((counts - expected) ** 2) / expected
  # The 0.1 % points of chi-square with 6 and 9 degrees of freedom.
  assert chi_square < {7: 22.46, 10: 27.88}[held]


def test_sampling_is_with_replacement_and_follows_the_key():
  state = ADD(_empty(4), _transitions([1, 2, 3]))
  one, again = (SAMPLE(state, KEY, 9).s_tm1 for _ in range(2))
  other = SAMPLE(state, jax.random.PRNGKey(4), 9).s_tm1
  np.testing.assert_array_equal(one, again)
  assert not np.array_equal(one, other)


def test_one_trace_as_the_ring_fills():
  chex.clear_trace_counter()

  @jax.jit
  @chex.assert_max_traces(n=1)
  def step(state, batch, key):
    state = replay.add(state, batch)
    return state, replay.sample(state, key, 4)

  state = _empty(5)
  for tag in range(0, 12, 2):
    state, sample = step(state, _transitions([tag, tag + 1]), KEY)
    assert set(sample.s_tm1.tolist()) <= set(_by_age(state))


def test_a_ring_keeps_its_types():
  batch = _transitions([1, 2])
  batch = batch._replace(r_t=batch.r_t.astype(np.float16))
  state = ADD(_empty(5), batch)
  chex.assert_trees_all_equal_dtypes(state, _empty(5))


def test_a_population_of_rings():
  @jax.jit
  def add_and_sample(batches, keys):
    rings = jax.vmap(lambda _: _empty.__wrapped__(3))(jnp.arange(2))
    rings = jax.vmap(replay.add)(rings, batches)
    return jax.vmap(replay.sample, (0, 0, None))(rings, keys, 16)

  batches = jax.tree.map(
    lambda *x: np.stack(x), _transitions([1, 2]), _transitions([3, 4])
  )
  one, other = add_and_sample(batches, jax.random.split(KEY)).s_tm1.tolist()
  assert set(one) == {1, 2}
  assert set(other) == {3, 4}


@pytest.mark.parametrize('capacity', [0, -3])
def test_a_ring_holds_something(capacity):
  with pytest.raises(ValueError, match=f'replay_capacity: found {capacity}'):
    _empty(capacity)


def test_more_than_the_ring_holds_is_refused():
  with pytest.raises(
    ValueError, match=r'replay_capacity: found 3, .* the 4 transitions'
  ):
    replay.add(_empty(3), _transitions([1, 2, 3, 4]))


def test_another_structure_is_refused():
  batch = _transitions([1])._replace(s_t=np.zeros(1, np.int32))
  with pytest.raises(AssertionError):
    replay.add(_empty(3), batch)


def test_a_transition_of_full_size_takes_less_than_a_kilobyte():
  # As the learner stores it: a day and a bit for each of the 108 stocks.
  observation = (np.int32(0), np.packbits(np.ones(108, bool)))
  transition = Transition(
    s_tm1=observation,
    a_tm1=np.zeros((108, 2), np.float32),
    r_t=np.float32(0),
    discount_t=np.float32(0),
    s_t=observation,
  )
  state = replay.init(transition, 14_000)
  size = sum(leaf.nbytes for leaf in jax.tree.leaves(state.storage))
  assert size == 14_000 * (108 * 2 * 4 + 2 * 4 + 2 * (4 + 14))  # 908 each
  assert size / 14_000 < 1_000

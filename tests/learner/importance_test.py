"""Tests of eigen3.learner.importance."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.learner import importance

# Shares that are under none, none, one, two and all three of the thresholds.
SHARES = (0.9, 0.09445, 0.005, 0.0005, 0.00005)

jitted_update = jax.jit(importance.update)


def update(state, weights, decay):
  return jitted_update(state, np.asarray(weights, np.float32), decay)


def after(*updates, decay=0.9):
  state = importance.init(len(updates[0]))
  for weights in updates:
    state = update(state, weights, decay)
  return state


def test_nothing_was_attended_to_at_first():
  state = importance.init(4)
  chex.assert_trees_all_equal(
    state,
    importance.ImportanceState(
      np.zeros(4, np.float32), np.zeros((3, 4), np.int32), np.int32(0)
    ),
  )
  chex.assert_trees_all_equal_dtypes(state, after([1.0, 2.0, 0.0, 1.0]))


def test_the_first_update_takes_the_weights_themselves():
  state = after([2.0, 1.0, 1.0])
  np.testing.assert_allclose(state.mean, [0.5, 0.25, 0.25])
  assert int(state.updates) == 1


def test_later_updates_move_the_average():
  state = after([2.0, 1.0, 1.0], [0.0, 0.0, 7.0])
  np.testing.assert_allclose(state.mean, [0.45, 0.225, 0.325], rtol=1e-6)
  state = after([2.0, 1.0, 1.0], [0.0, 0.0, 7.0], [0.0, 7.0, 0.0], decay=0.5)
  # Halves of (0.25, 0.125, 0.625) and of (0, 1, 0).
  np.testing.assert_allclose(state.mean, [0.125, 0.5625, 0.3125], rtol=1e-6)
  assert int(state.updates) == 3


def test_updates_in_a_row_under_each_threshold():
  state = after(SHARES, decay=0.0)
  assert state.below.tolist() == [
    [0, 0, 1, 1, 1],
    [0, 0, 0, 1, 1],
    [0, 0, 0, 0, 1],
  ]
  # The last column is attended to again, the first no longer.
  state = update(state, (0.00005, *SHARES[1:4], 0.9), 0.0)
  assert state.below.tolist() == [
    [1, 0, 2, 2, 0],
    [1, 0, 0, 2, 0],
    [1, 0, 0, 0, 0],
  ]


def test_it_is_the_average_that_is_under_a_threshold():
  state = after([1.0, 1.0], *[[1.0, 0.0]] * 37, decay=0.9)
  # 0.5 x 0.9^37 is 1.01 %: still above, though 37 weights were 0.
  assert state.below.tolist() == [[0, 0], [0, 0], [0, 0]]
  state = update(state, [1.0, 0.0], 0.9)
  assert state.below.tolist() == [[0, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
  'weights',
  [
    [0.0, 0.0, 0.0],
    [0.5, np.nan, 0.5],
    [0.5, np.inf, 0.5],
    [np.inf, -np.inf, 1.0],
    [1.0, -0.1, 0.1],
  ],
)
@pytest.mark.parametrize('updates', [0, 2])
def test_weights_that_say_nothing_leave_the_state(weights, updates):
  state = importance.init(3)
  for _ in range(updates):
    state = update(state, [0.999, 0.001, 0.0], 0.9)
  found = update(state, weights, 0.9)
  chex.assert_trees_all_equal(found, state)
  # What follows is as if they had never been.
  good = [0.2, 0.3, 0.5]
  chex.assert_trees_all_equal(
    update(found, good, 0.9), update(state, good, 0.9)
  )


def test_many_updates_against_a_slow_average():
  rng = np.random.default_rng(0)
  history = rng.gamma(0.5, size=(60, 40)) * np.geomspace(1, 1e-5, 40)
  history = history.astype(np.float32)
  state = importance.init(40)
  mean, runs = None, np.zeros((3, 40), int)
  for weights in history:
    state = update(state, weights, 0.8)
    shares = weights.astype(float) / weights.astype(float).sum()
    mean = shares if mean is None else 0.8 * mean + 0.2 * shares
    for row, threshold in enumerate((0.01, 0.001, 0.0001)):
      for column in range(40):
        low = mean[column] < threshold
        runs[row, column] = runs[row, column] + 1 if low else 0
    np.testing.assert_allclose(state.mean, mean, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(state.below, runs)
    assert float(state.mean.sum()) == pytest.approx(1.0, abs=1e-5)
  assert runs.max(axis=1).min() > 1  # every threshold was met


def test_one_trace_and_the_same_types():
  chex.clear_trace_counter()
  update = jax.jit(chex.assert_max_traces(importance.update, n=1))
  state = importance.init(3)
  for weights, decay in (
    ([1.0, 2.0, 3.0], 0.9),
    ([0.0, 0.0, 0.0], 0.9),
    ([np.nan, 1.0, 1.0], 0.5),
    ([3.0, 2.0, 1.0], 0.5),
  ):
    state = update(state, np.float32(weights), decay)
  np.testing.assert_allclose(state.mean, [1 / 3] * 3, rtol=1e-6)
  assert int(state.updates) == 2


def test_weights_of_half_precision_make_a_state_of_the_same_types():
  weights = jnp.array([1.0, 2.0, 5.0], jnp.bfloat16)
  found = jitted_update(importance.init(3), weights, 0.9)
  chex.assert_trees_all_equal_shapes_and_dtypes(found, importance.init(3))
  np.testing.assert_allclose(found.mean, [0.125, 0.25, 0.625])


def test_a_market_has_columns():
  with pytest.raises(ValueError, match='num_columns: found 0'):
    importance.init(0)


def test_weights_of_another_market_are_refused():
  with pytest.raises(AssertionError):
    importance.update(importance.init(3), jnp.ones(4), 0.9)
  with pytest.raises(AssertionError):
    importance.update(importance.init(3), jnp.ones(()), 0.9)

"""Tests of eigen3.learner.diversity."""

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.learner import diversity


def test_distances_are_root_mean_squares():
  rng = np.random.default_rng(0)
  actions = rng.normal(size=(4, 3, 2, 2)).astype(np.float32)
  actions[3] = actions[1]
  found = jax.jit(diversity.distances)(actions, actions)
  for i in range(4):
    for j in range(4):
      expected = np.sqrt(np.mean((actions[i] - actions[j]) ** 2))
      np.testing.assert_allclose(found[i, j], expected, rtol=1e-5)
  assert found[1, 3] == 0  # of equals there is no rounding
  pairs = np.asarray(diversity.between_pairs(found))
  np.testing.assert_array_equal(
    np.sort(pairs), np.sort(np.asarray(found)[np.triu_indices(4, 1)])
  )
  # Tiny differences are not lost in those of large numbers.
  near = actions[:2].copy()
  near[1] = near[0] + np.float32(1e-6)
  apart = jax.jit(diversity.distances)(near, near)
  np.testing.assert_allclose(apart[0, 1], 1e-6, rtol=0.2)


def test_of_those_that_do_the_same_the_fittest_counts():
  # On a line: two groups that are near, and one alone.
  place = np.array([0.0, 0.001, 5.0, 5.001, 9.0])
  apart = jnp.asarray(np.abs(place[:, None] - place), jnp.float32)
  fitness = jnp.array([1.0, 3.0, 7.0, 2.0, jnp.nan])
  found = diversity.redundant(apart, fitness, jnp.float32(0.01))
  assert found.tolist() == [True, False, False, True, False]
  # Of equals of the same fitness the first, and no distance is one, too.
  found = diversity.redundant(
    jnp.zeros((3, 3)), jnp.array([4.0, 4.0, 1.0]), jnp.float32(0.0)
  )
  assert found.tolist() == [False, True, True]

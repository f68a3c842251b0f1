"""Tests of eigen3.learner.fitness."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.learner import fitness
from eigen3.learner.fitness import Estimate

AGENTS, SLICES = 16, 5
estimated = jax.jit(fitness.estimated, static_argnums=(2, 3))


def make_scores(rng, advantage=0.0, draws=1, noise=1.0):
  """Draws scores [draws, A, E]: agent 3 is better, slices have effects."""
  scores = rng.normal(0, noise, (draws, AGENTS, SLICES))
  scores += rng.normal(0, 7.0, (draws, 1, SLICES))
  scores[:, 3] += advantage
  return scores.astype(np.float32)


def test_slices_are_one_from_each_part_and_drawn_anew():
  draw = jax.jit(
    jax.vmap(lambda key: fitness.common_starts(key, 4, jnp.int32(10), 29))
  )
  starts = np.asarray(draw(jax.random.split(jax.random.PRNGKey(0), 2000)))
  assert starts.dtype == np.int32
  for part in range(4):
    days, counts = np.unique(starts[:, part], return_counts=True)
    assert days.tolist() == list(range(10 + 5 * part, 15 + 5 * part))
    assert counts.min() > 2000 / 5 * 0.8
  # Where there are fewer days than slices all of them can be played.
  one_day = fitness.common_starts(jax.random.PRNGKey(0), 3, jnp.int32(7), 7)
  assert one_day.tolist() == [7, 7, 7]


def test_an_estimate_by_hand():
  scores = jnp.array([[1.0, 5.0], [2.0, 8.0], [3.0, 5.0]])
  # Means 3, 5, 4; slices 2, 6; residuals -1 1, -1 1 and so on are of mean 4.
  residual = np.array([[0.0, 0.0], [-1.0, 1.0], [1.0, -1.0]])
  variance = (residual**2).sum() / 2
  assert float(fitness.error_variance(scores)) == pytest.approx(variance)
  found = estimated(scores, fitness.unknown(3), 2, 0.5)
  np.testing.assert_allclose(found.deviation, [-1, 1, 0], atol=1e-6)
  np.testing.assert_allclose(found.variance, variance / 2, rtol=1e-6)
  # Agents 0 and 1 stayed; what is known of them has 2 and 1 times the precision
  # of these slices, once half of it is forgotten. Their mean is that of now.
  carried = Estimate(
    jnp.array([0.5, -1.5, 9.0]),
    jnp.array([variance / 8, variance / 4, jnp.inf]),
  )
  found = estimated(scores, carried, 2, 0.5)
  before = np.array([0.5, -1.5]) + 0.5  # moved to a mean of 0
  np.testing.assert_allclose(
    found.deviation,
    [(-1 + 2 * before[0]) / 3, (1 + before[1]) / 2, 0],
    atol=1e-6,
  )
  np.testing.assert_allclose(
    found.variance, variance / 2 / np.array([3, 2, 1]), rtol=1e-6
  )
  forgotten = estimated(scores, carried, 2, 0.0)
  np.testing.assert_allclose(forgotten.deviation, [-1, 1, 0], atol=1e-6)


def test_the_worst_slices_alone_are_for_the_averse():
  scores = jnp.array([[1.0, 5.0, 9.0], [4.0, 4.0, 4.0]])
  found = estimated(scores, fitness.unknown(2), 1, 0.5)
  np.testing.assert_allclose(found.deviation, [-1.5, 1.5])
  found = estimated(scores, fitness.unknown(2), 3, 0.5)
  np.testing.assert_allclose(found.deviation, [0.5, -0.5], atol=1e-6)


def test_one_slice_tells_nothing_of_its_own_error():
  scores = jnp.array([[1.0], [3.0]])
  found = estimated(scores, fitness.unknown(2), 1, 0.5)
  np.testing.assert_allclose(found.deviation, [-1, 1])
  again = estimated(scores, found, 1, 0.5)
  np.testing.assert_allclose(again.deviation, [-1, 1])
  assert np.isnan(fitness.reliability(scores, True).retest_correlation)


def found_rate(advantage, error, size=AGENTS):
  """Returns how often the best of `size` is found; the others are equal."""
  z = np.linspace(-9, 9, 4001)
  density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
  below = [0.5 * (1 + math.erf((x + advantage / error) / 2**0.5)) for x in z]
  return float(np.trapezoid(density * np.array(below) ** (size - 1), z))


@pytest.mark.parametrize('generations', [1, 4])
@pytest.mark.parametrize('advantage', [0.5, 1.0, 2.0])
def test_a_better_agent_is_found_as_often_as_its_error_says(
  advantage, generations
):
  """After one generation, or after several in which all stayed."""
  rng, draws = np.random.default_rng(1), 2000
  step = jax.jit(
    jax.vmap(lambda s, c: fitness.estimated(s, c, SLICES, 1.0)),
  )
  carried = jax.tree.map(
    lambda x: jnp.tile(x, (draws, 1)), fitness.unknown(AGENTS)
  )
  for _ in range(generations):
    carried = step(make_scores(rng, advantage, draws), carried)
  error = math.sqrt(float(np.mean(carried.variance)))
  assert error == pytest.approx(1 / math.sqrt(SLICES * generations), rel=0.02)
  found = np.mean(np.argmax(carried.deviation, axis=1) == 3)
  expected = found_rate(advantage, error)
  assert 1 / AGENTS < expected <= 1
  tolerance = 4 * math.sqrt(max(expected * (1 - expected), 1e-3) / draws)
  assert found == pytest.approx(expected, abs=tolerance)


def test_the_luck_of_slices_counts_for_nobody():
  rng = np.random.default_rng(2)
  scores = make_scores(rng, 3.0)[0]
  lucky = scores + np.array([100.0, 0, 0, -50, 0], np.float32)
  for one, other in zip(
    estimated(scores, fitness.unknown(AGENTS), SLICES, 0.5),
    estimated(lucky, fitness.unknown(AGENTS), SLICES, 0.5),
    strict=True,
  ):
    np.testing.assert_allclose(one, other, atol=2e-5)


@pytest.mark.parametrize('common', [True, False])
@pytest.mark.parametrize('between', [0.0, 0.5, 1.0])
def test_the_retest_correlation_is_that_of_a_repeat(common, between):
  rng, draws = np.random.default_rng(3), 500
  true = rng.normal(0, between, (draws, AGENTS, 1))

  def play():
    luck = rng.normal(0, 3.0, (draws, 1, SLICES)) if common else 0.0
    noise = rng.normal(size=(draws, AGENTS, SLICES))
    return (true + luck + noise).astype(np.float32)

  one, other = play(), play()
  found = jax.jit(jax.vmap(lambda s: fitness.reliability(s, common)))(one)
  pairs = zip(one.mean(2), other.mean(2), strict=True)
  repeated = np.mean([np.corrcoef(x, y)[0, 1] for x, y in pairs])
  expected = between**2 / (between**2 + 1 / SLICES)
  assert repeated == pytest.approx(expected, abs=0.06)
  # Unbiased, but for the bound of -1.
  estimate = np.mean(found.retest_correlation)
  assert estimate == pytest.approx(expected, abs=0.05)
  assert np.mean(found.within) == pytest.approx(1, rel=0.02)
  squares = np.mean(np.square(found.between))
  assert squares == pytest.approx(between**2, abs=0.08)


def test_only_who_stays_keeps_what_is_known():
  estimate = Estimate(jnp.array([1.0, 2.0, 3.0]), jnp.array([0.1, 0.2, 0.3]))
  found = fitness.inherited(
    estimate, jnp.array([2, 0, 0]), jnp.array([True, True, False])
  )
  np.testing.assert_allclose(found.deviation, [3, 1, 0])
  np.testing.assert_allclose(found.variance, [0.3, 0.1, np.inf])

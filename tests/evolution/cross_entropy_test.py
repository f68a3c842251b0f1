"""Tests of eigen3.evolution.cross_entropy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import populations
import pytest

from eigen3.evolution import Genome, Origin, make_cross_entropy

KEY = populations.KEY
NAN, INFINITY = float('nan'), float('inf')


def build(size=4, **changes):
  config = populations.section(populations.CROSS_ENTROPY, **changes)
  return populations.compiled(make_cross_entropy(config, size))


def slow_tell(state, genomes, fitness, num_elites, noise):
  """Mean and variance by a loop over elites, in float64."""
  elites = populations.slow_ranking(fitness)[:num_elites]
  weights = [np.log((1 + num_elites) / i) for i in range(1, num_elites + 1)]

  def of_leaf(x, old):
    x, old = np.asarray(x, float), np.asarray(old, float)
    mean, variance = np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
    for weight, member in zip(weights, elites, strict=True):
      share = weight / sum(weights)
      mean += share * x[member]
      variance += share * (x[member] - old) ** 2
    return mean, variance + noise

  return [
    of_leaf(x, old)
    for x, old in zip(
      jax.tree.leaves(genomes.parameters),
      jax.tree.leaves(state.mean),
      strict=True,
    )
  ]


def test_the_beginning():
  genomes = Genome({'x': jnp.array([[1.0, -1.0], [3.0, 2.0]])}, {})
  state = build(2, initial_std=0.5).init(KEY, genomes)
  np.testing.assert_array_equal(state.mean['x'], [2.0, 0.5])
  np.testing.assert_array_equal(state.variance['x'], [0.25, 0.25])
  assert float(state.noise) == 0.25
  assert state.fitness.tolist() == [-INFINITY] * 2


def test_tell_by_hand():
  strategy = build(initial_std=2.0, final_std=1.0, std_decay=0.75)
  genomes = Genome({'x': jnp.array([1.0, -9.0, 9.0, 3.0])}, {})  # Mean 1.
  state = strategy.init(KEY, genomes)
  fitness = jnp.array([5.0, 1.0, NAN, 7.0])
  state = strategy.tell(state, genomes, fitness, jnp.float32(0.0))
  # Elites 3 and 0, weighing log(3) and log(1.5) of log(4.5): 0.7304, 0.2696.
  np.testing.assert_allclose(
    state.mean['x'], 0.730427 * 3 + 0.269573 * 1, rtol=1e-5
  )
  # Distances from the old mean 2 and 0; the noise is 0.75 * 4 + 0.25 * 1.
  np.testing.assert_allclose(state.noise, 3.25, rtol=1e-6)
  np.testing.assert_allclose(
    state.variance['x'], 0.730427 * 2**2 + 3.25, rtol=1e-5
  )
  np.testing.assert_array_equal(state.fitness, fitness)
  state = strategy.tell(state, genomes, fitness, jnp.float32(0.0))
  np.testing.assert_allclose(state.noise, 0.75 * 3.25 + 0.25, rtol=1e-6)


@pytest.mark.parametrize('size, share, elites', [(7, 0.5, 4), (8, 0.25, 2)])
def test_tell_is_that_of_a_loop(size, share, elites):
  strategy = build(size, elite_share=share)
  state = strategy.init(KEY, populations.make_genomes(size))
  noise = 1e-6
  for seed in range(3):
    genomes = populations.make_genomes(size, seed=seed + 1)
    fitness = np.random.default_rng(seed).normal(size=size)
    noise = 0.95 * noise + 0.05 * 1e-10
    expected = slow_tell(state, genomes, fitness, elites, noise)
    state = strategy.tell(state, genomes, fitness.astype(np.float32), 0.0)
    np.testing.assert_allclose(state.noise, noise, rtol=1e-5)
    for mean, variance, (slow_mean, slow_variance) in zip(
      jax.tree.leaves(state.mean),
      jax.tree.leaves(state.variance),
      expected,
      strict=True,
    ):
      np.testing.assert_allclose(mean, slow_mean, rtol=1e-4, atol=1e-5)
      np.testing.assert_allclose(variance, slow_variance, rtol=1e-4, atol=1e-6)


def test_members_without_a_fitness_carry_no_weight():
  strategy = build(elite_share=0.75)
  genomes = Genome({'x': jnp.array([[1.0], [NAN], [5.0], [2.0]])}, {})
  state = strategy.init(KEY, populations.zeros(4, x=(1,)))
  fitness = jnp.array([1.0, NAN, -INFINITY, 3.0])
  told = strategy.tell(state, genomes, fitness, jnp.float32(0.0))
  # Of three elites two count: members 3 and 0, log(4) and log(2), 2 to 1.
  np.testing.assert_allclose(told.mean['x'], [5 / 3], rtol=1e-6)
  np.testing.assert_allclose(told.variance['x'], [3.0], rtol=1e-5)


def test_a_distribution_without_elites_stays():
  strategy, genomes = build(), populations.make_genomes(4)
  state = strategy.init(KEY, genomes)
  lost = jax.tree.map(lambda x: jnp.full_like(x, NAN), genomes)
  told = strategy.tell(
    state, lost, jnp.array([NAN, -INFINITY, NAN, NAN]), jnp.float32(0.0)
  )
  chex.assert_trees_all_equal(told.mean, state.mean)
  chex.assert_trees_all_equal(told.variance, state.variance)


@pytest.mark.parametrize('size', [2, 5, 8])
def test_samples_are_mirrored(size):
  strategy, genomes = (
    build(size, initial_std=1.0),
    populations.make_genomes(size),
  )
  state = strategy.init(KEY, genomes)
  proposal = strategy.ask(state, KEY, genomes)
  chex.assert_trees_all_equal_shapes_and_dtypes(proposal.genomes, genomes)
  half = (size + 1) // 2
  for x, mean in zip(
    jax.tree.leaves(proposal.genomes.parameters),
    jax.tree.leaves(state.mean),
    strict=True,
  ):
    noise = np.asarray(x) - np.asarray(mean)
    np.testing.assert_allclose(
      noise[half:], -noise[: size - half], rtol=1e-3, atol=1e-5
    )
    assert np.all(noise != 0)
    # Each pair draws for itself.
    assert len(np.unique(np.round(noise[:half], 5), axis=0)) == half
  twins = proposal.genomes.parameters['lstm']
  assert np.all(
    twins['w'] - state.mean['lstm']['w']
    != twins['twin'] - state.mean['lstm']['twin']
  )


def test_samples_have_the_deviation_of_each_entry():
  size, length = 10, 4000
  genomes = populations.zeros(size, x=(2, length), y=(length,))
  strategy = build(size)
  state = strategy.init(KEY, genomes)
  state = state._replace(
    mean={'x': jnp.full((2, length), 3.0), 'y': jnp.full(length, -1.0)},
    variance={
      'x': jnp.broadcast_to(jnp.array([[0.25], [4.0]]), (2, length)),
      'y': jnp.full(length, 1e-6),
    },
  )
  drawn = strategy.ask(state, KEY, genomes).genomes.parameters
  independent = 5 * length  # Mirror images are no draws of their own.
  for values, mean, std in (
    (drawn['x'][:5, 0], 3.0, 0.5),
    (drawn['x'][:5, 1], 3.0, 2.0),
    (drawn['y'][:5], -1.0, 1e-3),
  ):
    values = np.asarray(values, float)
    assert abs(values.mean() - mean) < 5 * std / np.sqrt(independent)
    assert abs(values.std() / std - 1) < 5 / np.sqrt(2 * independent)


def test_all_follow_the_fittest():
  strategy, genomes = build(), populations.make_genomes(4)
  state = strategy.init(KEY, genomes)
  fitness = jnp.array([NAN, 2.0, 4.0, -1.0])
  state = strategy.tell(state, genomes, fitness, jnp.float32(0.0))
  proposal = strategy.ask(state, KEY, genomes)
  assert proposal.parent.tolist() == [2] * 4
  assert proposal.origin.tolist() == [Origin.SAMPLE] * 4
  assert proposal.origin.dtype == proposal.parent.dtype == jnp.int32
  for name, values in genomes.hyperparameters.items():
    followed = proposal.genomes.hyperparameters[name]
    np.testing.assert_array_equal(followed, np.full(4, values[2]))
  place = strategy.replaceable(state)
  assert int(place) == 0  # NaN ranks last.
  assert place.dtype == jnp.int32


@pytest.mark.parametrize(
  'size, changes, message',
  [
    (0, {}, 'evolution.population_size: found 0, expected at least 2'),
    (
      8,
      {'elite_share': 1.25},
      'evolution.cross_entropy.elite_share: found 1.25, expected at least 0 '
      'and at most 1',
    ),
    (
      8,
      {'elite_share': 0.05},
      'evolution.cross_entropy.elite_share: found 0.05, expected a share '
      'that gives at least 1 of 8 members, rounded',
    ),
    (
      8,
      {'initial_std': -1.0},
      'evolution.cross_entropy.initial_std: found -1.0, expected at least 0',
    ),
    (
      8,
      {'final_std': NAN},
      'evolution.cross_entropy.final_std: found nan, expected at least 0',
    ),
    (
      8,
      {'std_decay': 1.5},
      'evolution.cross_entropy.std_decay: found 1.5, expected at least 0 and '
      'at most 1',
    ),
  ],
)
def test_a_bad_setting_is_named(size, changes, message):
  with pytest.raises(ValueError, match='evolution') as error:
    build(size, **changes)
  assert str(error.value) == message

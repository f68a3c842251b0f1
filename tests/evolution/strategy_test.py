"""Tests of the interface of all strategies, and of eigen3.evolution.factory."""

import functools

import chex
import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import populations
import pytest

from eigen3 import evolution
from eigen3.evolution import Genome, Origin, make_strategy

KEY = populations.KEY
NAN = float('nan')
ALGORITHMS = ('genetic', 'cross_entropy', 'population_based')
GENERATIONS = 6


@functools.cache
def build(algorithm, size=8):
  return make_strategy(populations.make_config(algorithm), size)


def make_evolution(strategy, fitness_of, generations, train=None):
  """Runs tell and ask in one compiled loop, which traces each function once.

  Args:
    strategy: to run.
    fitness_of: `(genomes) -> [P]`.
    generations: G, how many.
    train: changes a population before it is evaluated; by default nothing.

  Returns:
    `(genomes, key) -> ((state, genomes), fitness [G, P])`, the last state and
    population.
  """
  tell = chex.assert_max_traces(strategy.tell, n=1)
  ask = chex.assert_max_traces(strategy.ask, n=1)

  def generation(carry, key):
    state, genomes = carry
    if train is not None:
      genomes = train(genomes)
    fitness = fitness_of(genomes)
    state = tell(state, genomes, fitness, jnp.nanmax(fitness))
    return (state, ask(state, key, genomes).genomes), fitness

  @jax.jit
  def run(genomes, key):
    key_init, key_loop = jax.random.split(key)
    carry = strategy.init(key_init, genomes), genomes
    return jax.lax.scan(
      generation, carry, jax.random.split(key_loop, generations)
    )

  chex.clear_trace_counter()
  return run


def closeness(genomes):
  """Minus the squared distance from a point that is not 0, [P]."""
  total = 0.0
  for index, x in enumerate(jax.tree.leaves(genomes.parameters)):
    distance = x - 0.1 * (index + 1)
    total -= jnp.sum(distance**2, axis=tuple(range(1, x.ndim)))
  return total


@pytest.mark.parametrize('algorithm', ALGORITHMS)
@pytest.mark.parametrize('size', [4, 7])
def test_one_trace_and_the_same_bits_from_the_same_key(algorithm, size):
  genomes = populations.make_genomes(size)
  run = make_evolution(build(algorithm, size), closeness, GENERATIONS)
  one, again = run(genomes, KEY), run(genomes, KEY)
  other = run(genomes, jax.random.PRNGKey(8))
  chex.assert_trees_all_equal(one, again)
  chex.assert_tree_all_finite(one)
  (_, last), fitness = one
  chex.assert_trees_all_equal_shapes_and_dtypes(last, genomes)
  chex.assert_shape(fitness, (GENERATIONS, size))
  assert any(
    np.any(np.asarray(x) != np.asarray(y))
    for x, y in zip(*map(jax.tree.leaves, (last, other[0][1])), strict=True)
  )


@pytest.mark.parametrize('algorithm', ALGORITHMS)
@pytest.mark.parametrize('wide', [False, True])
def test_a_state_keeps_its_structure_and_types(algorithm, wide):
  with double_precision.enable_x64(wide):
    strategy, genomes = build(algorithm), populations.make_genomes(8)
    state = jax.eval_shape(strategy.init, KEY, genomes)
    assert hasattr(state, '_fields')
    for leaf in jax.tree.leaves(state):
      assert leaf.dtype == jnp.float32
      assert not leaf.weak_type
    for fitness, progress in (
      (jnp.arange(8.0), jnp.float32(1.0)),
      (np.full(8, NAN), 2.0),
      (np.arange(8), np.float64(-np.inf)),
    ):
      told = jax.eval_shape(strategy.tell, state, genomes, fitness, progress)
      assert told == state  # Shapes and types, weak ones included.
    proposal = jax.eval_shape(strategy.ask, state, KEY, genomes)
    chex.assert_trees_all_equal_shapes_and_dtypes(proposal.genomes, genomes)
    for leaf in (proposal.parent, proposal.origin, proposal.mate):
      assert (leaf.shape, leaf.dtype) == ((8,), jnp.int32)


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_elites_are_their_parents(algorithm):
  strategy = populations.compiled(build(algorithm))
  genomes = populations.make_genomes(8)
  state = strategy.init(KEY, genomes)
  state = strategy.tell(state, genomes, closeness(genomes), 0.0)
  proposal = strategy.ask(state, KEY, genomes)
  elites = np.flatnonzero(np.asarray(proposal.origin) == Origin.ELITE)
  parents = np.asarray(proposal.parent)[elites]
  for new, old in zip(
    *map(jax.tree.leaves, (proposal.genomes, genomes)), strict=True
  ):
    np.testing.assert_array_equal(
      np.asarray(new)[elites], np.asarray(old)[parents]
    )
  expected = {'genetic': 3, 'cross_entropy': 0, 'population_based': 6}
  assert len(elites) == expected[algorithm]


def test_the_genetic_algorithm_finds_a_point():
  config = populations.make_config('genetic')
  config.genetic.mutation_std = config.genetic.max_mutation_std = 0.05
  strategy = make_strategy(config, 16)
  genomes = Genome({'x': jnp.ones((16, 2, 2)), 'y': jnp.ones(16)}, {})
  _, fitness = make_evolution(strategy, closeness, 150)(genomes, KEY)
  best = np.asarray(fitness).max(axis=1)
  # Four entries at a distance of 0.9 and one at 0.8.
  np.testing.assert_allclose(best[0], -(4 * 0.9**2 + 0.8**2), rtol=1e-5)
  assert best[-1] > -0.02
  # The best one stays: it never gets worse.
  assert np.all(np.diff(best) >= 0)


def test_cross_entropy_finds_a_point():
  config = populations.make_config('cross_entropy')
  config.cross_entropy.initial_std = 0.3
  strategy = make_strategy(config, 16)
  genomes = Genome({'x': jnp.ones((16, 2, 2)), 'y': jnp.ones(16)}, {})
  (state, _), fitness = make_evolution(strategy, closeness, 150)(genomes, KEY)
  assert fitness[0].max() < -3.8
  mean = jax.tree.map(lambda x: x[None], state.mean)
  assert float(closeness(Genome(mean, {}))[0]) > -0.02
  assert fitness[-1].mean() > -0.1


def test_bad_learning_rates_die_out():
  size, curvature = 8, jnp.array([1.0, 4.0])
  # Descent on sum(curvature x**2) / 2 diverges at rates of 0.5 and more.
  rates = np.array([1e-4, 2e-4, 5e-4, 0.3, 0.55, 0.7, 1.0, 2.0], np.float32)
  first = Genome({'x': jnp.zeros((size, 2))}, {'rate': jnp.asarray(rates)})

  def train(genomes):
    rate = genomes.hyperparameters['rate'][:, None]
    x = genomes.parameters['x'] + 1.0  # The optimum moves all the time.
    for _ in range(8):
      x = x - rate * curvature * x
    return genomes._replace(parameters={'x': x})

  def fitness_of(genomes):
    return -0.5 * jnp.sum(curvature * genomes.parameters['x'] ** 2, axis=-1)

  alone = first
  for _ in range(12):
    alone = train(alone)
  good = np.asarray(fitness_of(alone)) > -1
  np.testing.assert_array_equal(good, rates == np.float32(0.3))

  config = populations.make_config('population_based')
  config.population_based.highest_factor = 100.0
  run = make_evolution(make_strategy(config, size), fitness_of, 12, train)
  (_, last), fitness = run(first, KEY)
  # The last two copies may have gone too far.
  assert np.sum(fitness[-1] > -1) >= 6
  rates = np.asarray(last.hyperparameters['rate'])
  assert np.all((rates > 0.1) & (rates < 0.6))


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_genomes_are_what_the_strategy_was_made_for(algorithm):
  strategy, good = build(algorithm), populations.make_genomes(8)
  state = strategy.init(KEY, good)
  for bad in (
    populations.make_genomes(7),
    good._replace(parameters={'x': jnp.ones((7, 2))}),
    good._replace(parameters={'x': jnp.ones((8, 2), jnp.int32)}),
    good._replace(hyperparameters={'rate': jnp.ones((8, 2))}),
  ):
    with pytest.raises(AssertionError):
      strategy.init(KEY, bad)
    with pytest.raises(AssertionError):
      strategy.tell(state, bad, jnp.zeros(8), 0.0)
    with pytest.raises(AssertionError):
      strategy.ask(state, KEY, bad)
  with pytest.raises(AssertionError):
    strategy.tell(state, good, jnp.zeros(7), 0.0)


def test_an_algorithm_is_chosen_by_its_name():
  config = populations.make_config('odd')
  with pytest.raises(ValueError, match='algorithm') as error:
    make_strategy(config, 8)
  assert str(error.value) == (
    "evolution.algorithm: found 'odd', expected one of genetic, "
    'cross_entropy, population_based'
  )
  for algorithm, kind in (
    ('genetic', evolution.GeneticState),
    ('cross_entropy', evolution.CrossEntropyState),
    ('population_based', evolution.PopulationBasedState),
  ):
    state = build(algorithm).init(KEY, populations.make_genomes(8))
    assert isinstance(state, kind)
    # Its own section is the one that is looked at.
    config = populations.make_config(algorithm)
    share = 'exploit' if algorithm == 'population_based' else 'elite'
    config[algorithm][f'{share}_share'] = 2.0
    with pytest.raises(ValueError, match=f'evolution.{algorithm}.{share}_'):
      make_strategy(config, 8)


@pytest.mark.parametrize('algorithm', ALGORITHMS)
def test_one_member_does_not_evolve(algorithm):
  with pytest.raises(ValueError, match='population_size') as error:
    make_strategy(populations.make_config(algorithm), 1)
  assert str(error.value) == (
    'evolution.population_size: found 1, expected at least 2'
  )

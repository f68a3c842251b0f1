"""Tests of eigen3.evolution.genetic."""

import chex
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import populations
import pytest
from hypothesis import strategies as st

from eigen3.evolution import Genome, Origin, make_genetic, operators

KEY = populations.KEY
NAN, INFINITY = float('nan'), float('inf')


def build(size=8, **changes):
  config = populations.section(populations.GENETIC, **changes)
  return populations.compiled(make_genetic(config, size))


# Built once, so that the examples of a property share its compilation.
SHARED = build(3, plateau_generations=2)


def tell_all(strategy, size, scores):
  """Returns mutation rates and deviations after each of some scores."""
  genomes = populations.zeros(size, x=(1,))
  state, tell = strategy.init(KEY, genomes), jax.jit(strategy.tell)
  rates, stds = [], []
  for score in scores:
    state = tell(state, genomes, jnp.zeros(size), jnp.float32(score))
    rates.append(float(state.mutation_rate))
    stds.append(float(state.mutation_std))
  return rates, stds


def propose(strategy, genomes, fitness, key=KEY):
  state = strategy.init(KEY, genomes)
  state = strategy.tell(state, genomes, fitness, jnp.float32(0.0))
  return strategy.ask(state, key, genomes)


@pytest.mark.parametrize(
  'size, changes, numbers',
  [
    (16, {}, (6, 6, 4)),
    (8, {}, (3, 3, 2)),
    (8, {'crossover': 'uniform'}, (3, 3, 2)),
    (5, {}, (2, 2, 1)),
    (3, {}, (1, 1, 1)),
    (2, {'tournament_size': 2}, (1, 1, 0)),
    (8, {'elite_share': 0.0}, (1, 3, 4)),
    (8, {'offspring_share': 0.0}, (3, 0, 5)),
    (8, {'elite_share': 1.0, 'offspring_share': 0.0}, (8, 0, 0)),
  ],
)
def test_numbers_and_order(size, changes, numbers):
  genomes = populations.zeros(size, x=(2,))
  strategy = build(size, **changes)
  fitness = jnp.asarray(np.random.default_rng(0).normal(size=size))
  proposal = propose(strategy, genomes, fitness)
  origins = [x for x, n in zip(Origin, numbers, strict=False) for _ in range(n)]
  assert proposal.origin.tolist() == origins
  assert proposal.origin.dtype == proposal.parent.dtype == jnp.int32
  ranks = populations.slow_ranking(fitness)
  num_elites, _, num_mutants = numbers
  elites = ranks[:num_elites]
  assert proposal.parent[:num_elites].tolist() == elites
  in_turn = [elites[i % num_elites] for i in range(num_mutants)]
  assert proposal.parent[size - num_mutants :].tolist() == in_turn
  chex.assert_trees_all_equal_shapes_and_dtypes(proposal.genomes, genomes)


def test_elites_are_bit_equal_and_the_others_are_new():
  genomes = populations.make_genomes(8)
  fitness = jnp.array([0.0, 3.0, NAN, 7.0, -INFINITY, 7.0, 1.0, 2.0])
  proposal = propose(build(), genomes, fitness)
  elites = [3, 5, 1]
  assert proposal.parent[:3].tolist() == elites
  for new, old in zip(
    *map(jax.tree.leaves, (proposal.genomes.parameters, genomes.parameters)),
    strict=True,
  ):
    np.testing.assert_array_equal(new[:3], np.asarray(old)[elites])
  kernels = proposal.genomes.parameters['lstm']['w']
  old = np.asarray(genomes.parameters['lstm']['w'])
  for member in range(3, 8):
    parent = int(proposal.parent[member])
    assert np.any(np.asarray(kernels[member]) != old[parent])


def test_hyperparameters_follow_the_parent():
  genomes = populations.make_genomes(8)
  proposal = propose(build(), genomes, jnp.arange(8.0))
  expected = operators.take(genomes.hyperparameters, proposal.parent)
  chex.assert_trees_all_equal(proposal.genomes.hyperparameters, expected)


def unit_vectors(size):
  """Member m is the m-th unit vector: a child shows its parents' weights."""
  return Genome({'x': jnp.eye(size), 'y': {'z': jnp.eye(size)[:, None]}}, {})


@pytest.mark.parametrize('low, high, least', [(0.2, 0.8, 0.5), (0.6, 0.9, 0.6)])
def test_offspring_blend_two_parents_and_follow_the_closer(low, high, least):
  size = 6
  strategy = build(
    size,
    elite_share=0.0,
    offspring_share=5 / 6,
    blend_low=low,
    blend_high=high,
  )
  genomes = unit_vectors(size)
  fitness = jnp.array([1.0, 5.0, 3.0, NAN, 0.0, 2.0])
  state = strategy.tell(strategy.init(KEY, genomes), genomes, fitness, 0.0)
  keys = jax.random.split(KEY, 400)
  proposals = jax.jit(jax.vmap(strategy.ask, (None, 0, None)))(
    state, keys, genomes
  )
  children = np.asarray(proposals.genomes.parameters['x'])[:, 1:]
  other_leaf = np.asarray(proposals.genomes.parameters['y']['z'])[:, 1:, 0]
  # One weight a child, nothing added to it, and two different parents.
  np.testing.assert_array_equal(children, other_leaf)
  assert np.all(np.sum(children != 0, axis=-1) == 2)
  np.testing.assert_allclose(children.sum(-1), 1, rtol=1e-6)
  # The larger weights are uniform; a deviation is the range over sqrt(12).
  weights = children.max(-1)
  assert least - 1e-6 <= weights.min() < least + 0.005
  assert high - 0.005 < weights.max() <= high + 1e-6
  error = (high - least) / np.sqrt(12 * weights.size)
  assert abs(weights.mean() - (least + high) / 2) < 5 * error
  parents = np.asarray(proposals.parent)[:, 1:]
  np.testing.assert_array_equal(parents, children.argmax(-1))
  # All draws differ, and who ranks last of six wins no tournament of three.
  assert len(np.unique(weights)) > 1990
  share = (children != 0).mean((0, 1))
  assert share.argmax() == 1
  assert share[3] == 0


@pytest.mark.parametrize('probability', [0.3, 0.7])
def test_uniform_offspring_follow_whom_they_take_most_of(probability):
  size, length = 6, 2000
  strategy = build(
    size,
    elite_share=0.0,
    offspring_share=5 / 6,
    crossover='uniform',
    uniform_probability=probability,
  )
  x = jnp.broadcast_to(jnp.arange(6.0)[:, None], (size, length))
  proposal = propose(strategy, Genome({'x': x}, {}), jnp.arange(6.0))
  for child in range(1, 6):
    entries = np.asarray(proposal.genomes.parameters['x'][child], int)
    values, counts = np.unique(entries, return_counts=True)
    assert len(values) == 2
    assert values[counts.argmax()] == int(proposal.parent[child])
    assert populations.deviations(np.sort(counts), [0.3, 0.7]).max() < 5


def test_mutants_mutate_as_the_state_says():
  size, length = 4, 20_000
  strategy = build(size, elite_share=0.25, offspring_share=0.0)
  genomes = populations.zeros(size, x=(length,))
  state = strategy.init(KEY, genomes)
  for rate, std in ((0.2, 0.025), (0.4, 0.05), (0.0, 0.05)):
    state = state._replace(
      mutation_rate=jnp.float32(rate), mutation_std=jnp.float32(std)
    )
    x = np.asarray(strategy.ask(state, KEY, genomes).genomes.parameters['x'])
    np.testing.assert_array_equal(x[0], 0.0)
    noise = x[1:][x[1:] != 0]
    counts = [noise.size, x[1:].size - noise.size]
    assert populations.deviations(counts, [rate, 1 - rate]).max() < 5
    if rate:
      np.testing.assert_allclose(noise.std(), std, rtol=0.05)


def test_proximal_mutants_are_of_the_sensitivity_of_their_models():
  size, length = 6, 400
  strategy = make_genetic(
    populations.section(populations.GENETIC, mutation='proximal'), size
  )
  assert strategy.needs_sensitivity
  assert not build().needs_sensitivity
  genomes = populations.zeros(size, x=(length,), y=(2, length))
  genomes = jax.tree.map(jnp.ones_like, genomes)
  asked = []

  def sensitivity(members):
    asked.append(members.tolist())
    sharp = 1.0 + members[:, None].astype(jnp.float32)
    return {
      'x': jnp.broadcast_to(sharp, (len(members), length)),
      'y': jnp.broadcast_to(0.01 * sharp[..., None], (len(members), 2, length)),
    }

  state = strategy.init(KEY, genomes)
  state = strategy.tell(state, genomes, jnp.arange(6.0), jnp.float32(0))
  state = state._replace(mutation_rate=jnp.float32(1))
  proposal = strategy.ask(state, KEY, genomes, sensitivity)
  assert asked == [[5, 4]]  # the elites, of which there are two, in turn
  assert proposal.parent[4:].tolist() == [5, 4]
  for k, sharpness in ((4, 6.0), (5, 5.0)):
    found = {
      n: np.asarray(v[k]) - 1 for n, v in proposal.genomes.parameters.items()
    }
    moved = sharpness**2 * (
      np.sum(found['x'] ** 2) + 1e-4 * np.sum(found['y'] ** 2)
    )
    assert np.sqrt(moved) == pytest.approx(0.025, rel=0.1)
    assert np.std(found['y']) > 5 * np.std(found['x'])
  begun = strategy.begin(state, KEY, genomes)
  assert (begun.parameters['x'][0] == 1).all()
  assert np.all(np.any(np.asarray(begun.parameters['x'][1:]) != 1, axis=1))


def test_offspring_know_both_parents():
  strategy, genomes = build(), populations.make_genomes(8)
  proposal = propose(strategy, genomes, jnp.arange(8.0))
  offspring = np.asarray(proposal.origin) == Origin.OFFSPRING
  mates = np.asarray(proposal.mate)
  assert (mates[~offspring] == -1).all()
  assert (mates[offspring] >= 0).all()
  assert (mates != np.asarray(proposal.parent))[offspring].all()
  x, y = (
    np.asarray(g.parameters['scale']) for g in (genomes, proposal.genomes)
  )
  for k in np.flatnonzero(offspring):
    one, other = x[int(proposal.parent[k])], x[mates[k]]
    assert min(one, other) < y[k] < max(one, other)
    assert abs(y[k] - one) <= abs(y[k] - other)


def test_a_champion_in_the_weakest_elites_place_survives():
  strategy, genomes = build(), populations.make_genomes(8)
  fitness = jnp.array([0.0, 3.0, 9.0, 7.0, 4.0, 5.0, 1.0, 2.0])
  state = strategy.tell(strategy.init(KEY, genomes), genomes, fitness, 0.0)
  place = strategy.replaceable(state)
  assert int(place) == 5
  assert place.dtype == jnp.int32
  champion = populations.make_genomes(1, seed=9)
  replaced = jax.tree.map(lambda x, y: x.at[place].set(y[0]), genomes, champion)
  proposal = strategy.ask(state, KEY, replaced)
  assert int(proposal.parent[2]) == 5
  chex.assert_trees_all_equal(
    operators.take(proposal.genomes, jnp.array([2])), champion
  )


def test_the_schedule_by_hand():
  # Flat after the fourth score, to the cap; 2 moves, and so does the return.
  scores = [1.0, 1.0, 1.01, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0]
  rates, stds = tell_all(build(), 8, scores)
  np.testing.assert_allclose(
    rates,
    [0.2, 0.2, 0.2, 0.3, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 0.3],
    rtol=1e-6,
  )
  np.testing.assert_allclose(
    np.asarray(stds)[:7],
    [0.025, 0.025, 0.025, 0.0375, 0.05, 0.05, 0.025],
    rtol=1e-6,
  )


@pytest.mark.parametrize(
  'scores, flat',
  [
    # Under 2 % of the magnitude three generations ago, whatever its sign.
    ([100.0, 100.0, 100.0, 101.9], True),
    ([100.0, 100.0, 100.0, 102.1], False),
    ([100.0, 100.0, 100.0, 97.9], False),
    ([-100.0, -100.0, -100.0, -98.1], True),
    ([-100.0, -100.0, -100.0, -97.9], False),
    # A slow climb is a climb, and a return is no rest.
    ([100.0, 101.0, 102.0, 103.0], False),
    ([100.0, 150.0, 100.0, 100.0], False),
    # Near 0 the magnitude counts as 0.001.
    ([0.0, 0.0, 0.0, 1.9e-5], True),
    ([0.0, 0.0, 0.0, 2.1e-5], False),
    ([5e-4, 5e-4, 5e-4, 5.19e-4], True),
    # What is no number is no plateau.
    ([-INFINITY] * 4, False),
    ([INFINITY] * 4, False),
    ([NAN] * 4, False),
    ([-INFINITY, 1.0, 1.0, 1.0], False),
    ([1.0, 1.0, 1.0, -INFINITY], False),
    ([1.0, 1.0, NAN, 1.0], False),
    # Too few scores.
    ([1.0, 1.0, 1.0], False),
  ],
)
def test_what_a_plateau_is(scores, flat):
  rates, stds = tell_all(build(), 8, scores)
  assert rates[-1] == pytest.approx(0.3 if flat else 0.2)
  assert stds[-1] == pytest.approx(0.0375 if flat else 0.025)


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(
  st.lists(st.sampled_from([-1.0, 2.0, 2.01, 2.03, NAN, -INFINITY]), max_size=9)
)
def test_the_schedule_is_that_of_a_loop(scores):
  rates, stds = tell_all(SHARED, 3, scores)
  rate, std = 0.2, 0.025
  for day in range(len(scores)):
    window = scores[max(0, day - 2) : day + 1]
    flat = len(window) == 3 and all(
      np.isfinite(x) and abs(x - window[0]) < 0.02 * abs(window[0])
      for x in window
    )
    rate = min(0.4, 1.5 * rate) if flat else 0.2
    std = min(0.05, 1.5 * std) if flat else 0.025
    assert rates[day] == pytest.approx(rate)
    assert stds[day] == pytest.approx(std)


@pytest.mark.parametrize(
  'size, changes, message',
  [
    (
      1,
      {},
      'evolution.population_size: found 1, expected at least 2',
    ),
    (
      8,
      {'elite_share': 1.5},
      'evolution.genetic.elite_share: found 1.5, expected at least 0 and at '
      'most 1',
    ),
    (
      8,
      {'offspring_share': -0.5},
      'evolution.genetic.offspring_share: found -0.5, expected at least 0 and '
      'at most 1',
    ),
    (
      8,
      {'elite_share': 0.5, 'offspring_share': 0.625},
      'evolution.genetic.offspring_share: found 0.625, expected a share '
      'that gives at most 4 offspring besides 4 elites of 8 members; this one '
      'gives 5',
    ),
    (
      8,
      {'tournament_size': 9},
      'evolution.genetic.tournament_size: found 9, expected at most '
      'evolution.population_size, 8',
    ),
    (
      8,
      {'tournament_size': 0},
      'evolution.genetic.tournament_size: found 0, expected at least 1',
    ),
    (
      8,
      {'crossover': 'odd'},
      "evolution.genetic.crossover: found 'odd', expected one of blend, "
      'uniform',
    ),
    (
      8,
      {'mutation': 'odd'},
      "evolution.genetic.mutation: found 'odd', expected one of gaussian, "
      'proximal',
    ),
    (
      8,
      {'blend_low': 0.9},
      'evolution.genetic.blend_low: found 0.9, expected at most '
      'evolution.genetic.blend_high, 0.8',
    ),
    (
      8,
      {'blend_high': 1.1},
      'evolution.genetic.blend_high: found 1.1, expected at least 0 and at '
      'most 1',
    ),
    (
      8,
      {'uniform_probability': NAN},
      'evolution.genetic.uniform_probability: found nan, expected at least 0 '
      'and at most 1',
    ),
    (
      8,
      {'mutation_rate': 0.5},
      'evolution.genetic.mutation_rate: found 0.5, expected at most '
      'evolution.genetic.max_mutation_rate, 0.4',
    ),
    (
      8,
      {'max_mutation_std': 0.02},
      'evolution.genetic.mutation_std: found 0.025, expected at most '
      'evolution.genetic.max_mutation_std, 0.02',
    ),
    (
      8,
      {'mutation_growth': 0.5},
      'evolution.genetic.mutation_growth: found 0.5, expected at least 1',
    ),
    (
      8,
      {'plateau_generations': 0},
      'evolution.genetic.plateau_generations: found 0, expected at least 1',
    ),
    (
      8,
      {'plateau_change': -0.02},
      'evolution.genetic.plateau_change: found -0.02, expected at least 0',
    ),
  ],
)
def test_a_bad_setting_is_named(size, changes, message):
  with pytest.raises(ValueError, match='evolution') as error:
    build(size, **changes)
  assert str(error.value) == message

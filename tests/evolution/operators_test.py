"""Tests of eigen3.evolution.operators."""

import math

import chex
import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import populations
import pytest
from hypothesis import strategies as st

from eigen3.evolution import operators

KEY = populations.KEY
NAN, INFINITY = float('nan'), float('inf')
MUTATE = jax.jit(operators.mutate)
MUTATE_PROXIMALLY = jax.jit(operators.mutate_proximally)
BLEND = jax.jit(operators.blend)
CROSS = jax.jit(operators.uniform_crossover)
RANK = jax.jit(operators.ranking)
TAKE = jax.jit(operators.take)
TOURNAMENT = jax.jit(operators.tournament, static_argnums=(2, 3))
TWO_PARENTS = jax.jit(operators.two_parents, static_argnums=(2, 3))


def winner_probabilities(ranks, size):
  """Probabilities of members, best first in `ranks`, to win a tournament."""
  total = math.comb(len(ranks), size)
  return {
    member: math.comb(len(ranks) - 1 - place, size - 1) / total
    for place, member in enumerate(ranks)
  }


def test_ranking_by_hand():
  fitness = jnp.array([1.0, NAN, 3.0, 3.0, -INFINITY, 2.0, INFINITY])
  ranking = RANK(fitness)
  assert ranking.tolist() == [6, 2, 3, 5, 0, 1, 4]
  assert ranking.dtype == jnp.int32


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
  st.lists(
    st.sampled_from([NAN, -INFINITY, INFINITY, 0.0, -0.0])
    | st.integers(-3, 3).map(float)
    | st.floats(width=32, allow_subnormal=False),
    min_size=6,
    max_size=6,
  )
)
def test_ranking_is_a_stable_sort(values):
  fitness = np.array(values, np.float32)
  expected = populations.slow_ranking(fitness)
  assert RANK(fitness).tolist() == expected


def test_a_tournament_of_all_has_one_winner():
  fitness = jnp.array([1.0, 5.0, NAN, 2.0])
  winners = TOURNAMENT(KEY, fitness, (2, 50), 4)
  chex.assert_shape(winners, (2, 50))
  assert winners.dtype == jnp.int32
  np.testing.assert_array_equal(winners, 1)


@pytest.mark.parametrize('size', [1, 2, 3])
def test_winners_are_as_frequent_as_combinations_say(size):
  fitness = np.array([0.3, NAN, 0.7, 0.7, -0.2], np.float32)
  winners = TOURNAMENT(KEY, fitness, (100, 200), size)
  chances = winner_probabilities(populations.slow_ranking(fitness), size)
  counts = np.bincount(np.ravel(winners), minlength=5)
  expected = [chances[member] for member in range(5)]
  assert populations.deviations(counts, expected).max() < 5
  assert (counts[1] == 0) == (size > 1)  # NaN wins over nobody.


@pytest.mark.parametrize(
  'population_size, size', [(2, 1), (2, 2), (3, 3), (5, 1), (5, 3)]
)
def test_parents_are_as_frequent_as_combinations_say(population_size, size):
  fitness = np.random.default_rng(1).normal(size=population_size)
  first, second = TWO_PARENTS(KEY, fitness, 20_000, size)
  assert first.dtype == second.dtype == jnp.int32
  ranks = populations.slow_ranking(fitness)
  expected = np.zeros((population_size, population_size))
  for one, chance in winner_probabilities(ranks, size).items():
    others = [member for member in ranks if member != one]
    among_others = winner_probabilities(others, min(size, len(others)))
    for other, chance_other in among_others.items():
      # Either may be returned first.
      expected[one, other] += 0.5 * chance * chance_other
      expected[other, one] += 0.5 * chance * chance_other
  np.testing.assert_allclose(expected.sum(), 1)
  counts = np.zeros_like(expected)
  np.add.at(counts, (np.asarray(first), np.asarray(second)), 1)
  assert populations.deviations(counts, expected).max() < 5
  assert np.trace(counts) == 0


@pytest.mark.parametrize('population_size', [2, 3, 16])
def test_parents_differ_whatever_the_key(population_size):
  keys = jax.random.split(KEY, 2000)
  fitness = np.full(population_size, NAN, np.float32)
  fitness[1] = 1.0
  first, second = jax.jit(
    jax.vmap(lambda key: operators.two_parents(key, fitness, 6, 1))
  )(keys)
  assert np.all(np.asarray(first) != np.asarray(second))
  assert set(np.ravel(first)) == set(range(population_size))


def test_one_member_has_no_pair():
  with pytest.raises(AssertionError):
    operators.two_parents(KEY, np.zeros(1), 3, 1)


def test_blend_by_hand():
  first, second = {'x': jnp.array([1.0, 2.0])}, {'x': jnp.array([5.0, -2.0])}
  child = BLEND(first, second, jnp.array([0.75, 0.5]))
  # 0.75 * 1 + 0.25 * 5 and 0.5 * 2 - 0.5 * 2.
  np.testing.assert_array_equal(child['x'], [2.0, 0.0])


def test_blend_has_one_weight_for_all_of_a_child():
  first, second = populations.make_trees(3, 0), populations.make_trees(3, 1)
  alpha = np.array([0.2, 0.5, 0.8], np.float32)
  children = BLEND(first, second, jnp.asarray(alpha))
  for child, x, y in zip(
    *map(jax.tree.leaves, (children, first, second)), strict=True
  ):
    for m in range(3):
      expected = alpha[m] * np.asarray(x)[m] + (1 - alpha[m]) * np.asarray(y)[m]
      np.testing.assert_allclose(child[m], expected, rtol=1e-5, atol=1e-6)
  chex.assert_trees_all_equal_shapes_and_dtypes(children, first)


@pytest.mark.parametrize(
  'operator',
  [
    lambda x, y: operators.blend(x, y, np.full(3, 0.5)),
    lambda x, y: operators.uniform_crossover(KEY, x, y, 0.5),
  ],
)
@pytest.mark.parametrize('other', [np.ones((3, 1)), np.ones((3, 2), int)])
def test_parents_must_match(operator, other):
  with pytest.raises(AssertionError):
    operator({'x': np.ones((3, 2))}, {'x': other})


def test_uniform_crossover_takes_each_entry_from_one_parent():
  shapes = {'x': (300,), 'y': (10, 3, 10), 'twin': (300,), 'scalar': ()}
  second = populations.zeros(50, **shapes).parameters
  first = jax.tree.map(np.ones_like, second)
  child = jax.device_get(CROSS(KEY, first, second, 0.3))
  chex.assert_trees_all_equal_shapes_and_dtypes(child, first)
  for leaf in jax.tree.leaves(child):
    ones = int(np.sum(leaf == 1.0))
    counts = [ones, leaf.size - ones]
    assert populations.deviations(counts, [0.3, 0.7]).max() < 5
    assert np.all((leaf == 0.0) | (leaf == 1.0))
  masks = np.concatenate([child['x'], child['twin']])
  assert len(np.unique(masks, axis=0)) == 100  # All members, both leaves.


def test_uniform_crossover_of_certain_outcome():
  first, second = populations.make_trees(3, 0), populations.make_trees(3, 1)
  for probability, expected in ((0.0, second), (1.0, first)):
    child = CROSS(KEY, first, second, probability)
    chex.assert_trees_all_equal(child, expected)


@pytest.mark.parametrize('rate, std', [(0.2, 0.025), (0.9, 3.0)])
def test_mutation_touches_its_share_by_its_deviation(rate, std):
  trees = {
    'kernel': np.full((4, 10, 20, 25), 0.1, np.float32),
    'vector': np.full((4, 5000), -7.0, np.float32),
    'scalar': np.full(4000, 0.01, np.float32),
  }
  # One leaf at a time: they differ in their numbers of members.
  for name, old in trees.items():
    noise = np.ravel(np.asarray(MUTATE(KEY, old, rate, std)) - old)
    noise = noise.astype(float)
    changed = noise[noise != 0]
    counts = [len(changed), len(noise) - len(changed)]
    assert populations.deviations(counts, [rate, 1 - rate]).max() < 5, name
    error = std / math.sqrt(len(changed))
    assert abs(changed.mean()) < 5 * error
    # The deviation's own is that of the mean over the root of 2.
    assert abs(changed.std() - std) < 5 * error / math.sqrt(2) + 1e-5
    # Tails of a normal distribution: 4.55 % beyond two deviations.
    beyond = int(np.sum(np.abs(changed) > 2 * std))
    counts = [beyond, len(changed) - beyond]
    assert populations.deviations(counts, [0.0455, 0.9545]).max() < 5


def test_mutation_of_certain_outcome():
  trees = populations.make_trees(4)
  chex.assert_trees_all_equal(MUTATE(KEY, trees, 0.0, 1.0), trees)
  chex.assert_trees_all_equal(MUTATE(KEY, trees, 0.5, 0.0), trees)
  everywhere = MUTATE(KEY, trees, 1.0, 1.0)
  for new, old in zip(*map(jax.tree.leaves, (everywhere, trees)), strict=True):
    assert np.all(np.asarray(new) != np.asarray(old))


def test_the_sign_of_zero_is_left_alone():
  x = np.full((4, 100), -0.0, np.float32)
  mutated = np.asarray(MUTATE(KEY, {'x': x}, 0.5, 1.0)['x'])
  assert 100 < np.sum(mutated == 0) < 300
  assert np.all(np.signbit(mutated[mutated == 0]))


def test_no_two_draws_are_alike():
  trees = jax.tree.map(np.zeros_like, populations.make_trees(5))
  noise = MUTATE(KEY, trees, 1.0, 1.0)
  draws = np.concatenate([np.ravel(x) for x in jax.tree.leaves(noise)])
  # Float32 normals collide now and then, never by whole members or leaves.
  assert len(np.unique(draws)) > 0.99 * len(draws)
  masks = np.concatenate(
    [np.asarray(MUTATE(KEY, trees, 0.5, 1.0)['lstm'][x]) for x in ('w', 'twin')]
  )
  assert len(np.unique(masks != 0, axis=0)) == 10


def test_draws_do_not_depend_on_the_number_of_members():
  trees = populations.make_trees(5)
  few = TAKE(trees, np.arange(2))
  chex.assert_trees_all_equal(
    MUTATE(KEY, few, 0.5, 1.0),
    TAKE(MUTATE(KEY, trees, 0.5, 1.0), np.arange(2)),
  )


@pytest.mark.parametrize(
  'rate, distance', [(1.0, 0.1), (1.0, 0.01), (0.3, 0.1)]
)
def test_proximal_mutation_moves_outputs_as_far_as_it_is_told(rate, distance):
  """Sensitivities of a linear network whose parameters differ in effect."""
  rng, count = np.random.default_rng(0), 200
  shapes = {'sharp': (6, 4), 'blunt': (6, 4), 'dead': (5,)}
  scales = {'sharp': 30.0, 'blunt': 0.03, 'dead': 0.0}
  inputs = rng.normal(size=(50, 6)).astype(np.float32)

  def outputs(trees):
    return sum(
      scales[name] * np.einsum('bi,mio->mbo', inputs, np.asarray(trees[name]))
      for name in ('sharp', 'blunt')
    )

  trees = {
    name: np.broadcast_to(
      rng.normal(size=shape).astype(np.float32), (count, *shape)
    )
    for name, shape in shapes.items()
  }
  # Each output of four depends on a column of a matrix alone.
  of_inputs = np.sqrt(np.mean(inputs**2, axis=0)) / 2
  sensitivity = {
    name: np.broadcast_to(
      scales[name] * (of_inputs[:, None] if len(shape) == 2 else np.float32(1)),
      (count, *shape),
    ).astype(np.float32)
    for name, shape in shapes.items()
  }
  mutants = MUTATE_PROXIMALLY(KEY, trees, sensitivity, rate, distance)
  change = outputs(mutants) - outputs(trees)
  found = np.sqrt(np.mean(change**2, axis=(1, 2)))
  assert np.sqrt(np.mean(found**2)) == pytest.approx(distance, rel=0.1)
  steps = {name: np.asarray(mutants[name]) - trees[name] for name in shapes}
  for name in shapes:
    changed = np.mean(steps[name] != 0)
    assert changed == pytest.approx(rate, abs=0.05), name
  # The less an entry matters the larger its step, to a limit.
  sharp, blunt, dead = (
    np.std(steps[name][steps[name] != 0]) for name in shapes
  )
  assert 50 * sharp < blunt < 1.1 * dead
  size = np.sqrt(
    np.mean(np.concatenate([trees[n][0].ravel() for n in trees]) ** 2)
  )
  assert 0.2 * size < dead < 0.32 * size
  np.testing.assert_array_equal(
    MUTATE_PROXIMALLY(KEY, trees, sensitivity, rate, 0.0)['dead'],
    trees['dead'],
  )


def test_proximal_mutation_of_a_network_that_always_does_the_same():
  trees = populations.make_trees(3)
  nothing = jax.tree.map(np.zeros_like, trees)
  found = MUTATE_PROXIMALLY(KEY, trees, nothing, 1.0, 0.1)
  pairs = zip(*map(jax.tree.leaves, (found, trees)), strict=True)
  steps = np.concatenate([np.ravel(x - y) for x, y in pairs])
  entries = np.concatenate([np.ravel(x) for x in jax.tree.leaves(trees)])
  assert np.std(steps) == pytest.approx(0.3 * np.std(entries), rel=0.1)


def test_mutation_follows_the_key():
  trees = populations.make_trees(3)
  one, again = (MUTATE(KEY, trees, 0.5, 1.0) for _ in range(2))
  chex.assert_trees_all_equal(one, again)
  other = MUTATE(jax.random.PRNGKey(8), trees, 0.5, 1.0)
  for x, y in zip(*map(jax.tree.leaves, (one, other)), strict=True):
    assert np.any(np.asarray(x) != np.asarray(y))


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_types_stay(dtype):
  trees = populations.make_trees(2, dtype=dtype)
  alpha = np.array([0.25, 0.5], np.float32)
  for new in (
    MUTATE(KEY, trees, 0.5, 0.1),
    MUTATE_PROXIMALLY(KEY, trees, trees, 0.5, 0.1),
    BLEND(trees, trees, alpha),
    CROSS(KEY, trees, trees, 0.5),
  ):
    chex.assert_trees_all_equal_shapes_and_dtypes(new, trees)


def test_rates_are_no_reason_to_compile():
  chex.clear_trace_counter()
  mutate = jax.jit(chex.assert_max_traces(operators.mutate, n=1))
  trees = populations.make_trees(2)
  for rate in (0.1, 0.5):
    mutate(KEY, trees, jnp.float32(rate), jnp.float32(1 - rate))


@pytest.mark.parametrize('rank', range(5))
def test_take_keeps_every_rank(rank):
  x = np.random.default_rng(rank).normal(size=(4, *range(1, rank + 1)))
  x = x.astype(np.float32)
  taken = TAKE({'x': x}, np.array([2, 0, 2]))['x']
  np.testing.assert_array_equal(taken, np.stack([x[2], x[0], x[2]]))


@pytest.mark.parametrize(
  'operator',
  [
    lambda trees: MUTATE(KEY, trees, 0.5, 1.0),
    lambda trees: BLEND(trees, trees, np.zeros(0, np.float32)),
    lambda trees: CROSS(KEY, trees, trees, 0.5),
  ],
)
def test_nobody_is_a_population_too(operator):
  trees = populations.make_trees(0)
  chex.assert_trees_all_equal(operator(trees), trees)


def test_draws_of_no_leaves():
  assert operators.draw_like(jax.random.normal, KEY, {'x': {}}) == {'x': {}}


def test_what_is_packed_is_unpacked_as_it_was():
  trees = {
    'a': np.arange(3, dtype=np.float32),
    'b': np.arange(24, dtype=np.int32).reshape(3, 2, 4),
    'c': {'d': np.arange(6, dtype=np.float32).reshape(3, 2) - 0.5},
    'e': np.zeros((3, 0), np.float32),
  }
  packed, unpack = operators.pack(trees)
  assert [(x.shape, x.dtype) for x in packed] == [
    ((3, 3), np.float32),
    ((3, 8), np.int32),
  ]
  jax.tree.map(np.testing.assert_array_equal, unpack(packed), trees)
  found = jax.tree.map(lambda x: x.dtype, unpack(packed))
  assert found == jax.tree.map(lambda x: x.dtype, trees)
  chosen = unpack([x[jnp.array([2, 0])] for x in packed])
  jax.tree.map(
    lambda x, y: np.testing.assert_array_equal(x, y[[2, 0]]), chosen, trees
  )

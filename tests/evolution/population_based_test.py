"""Tests of eigen3.evolution.population_based."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import populations
import pytest

from eigen3.evolution import Genome, Origin, make_population_based, operators

KEY = populations.KEY
NAN = float('nan')


def build(size=8, **changes):
  config = populations.section(populations.POPULATION_BASED, **changes)
  return populations.compiled(make_population_based(config, size))


def propose_often(strategy, genomes, fitness, count):
  """Returns a proposal for each of `count` keys, leaves [count, ...]."""
  state = strategy.init(KEY, genomes)
  state = strategy.tell(state, genomes, fitness, jnp.float32(0.0))
  ask = jax.jit(jax.vmap(strategy.ask, (None, 0, None)))
  return ask(state, jax.random.split(KEY, count), genomes)


def test_the_weakest_copy_the_best_and_the_others_stay():
  genomes = populations.make_genomes(8)
  fitness = jnp.array([3.0, NAN, 9.0, 4.0, 4.0, 5.0, -1.0, 6.0])
  proposals = propose_often(build(), genomes, fitness, 50)
  assert proposals.origin.dtype == proposals.parent.dtype == jnp.int32
  weakest, best = [1, 6], [2, 7]
  for draw in range(50):
    proposal = jax.tree.map(lambda x, draw=draw: x[draw], proposals)
    for member in range(8):
      if member in weakest:
        assert int(proposal.origin[member]) == Origin.COPY
        assert int(proposal.parent[member]) in best
      else:
        assert int(proposal.origin[member]) == Origin.ELITE
        assert int(proposal.parent[member]) == member
    followed = operators.take(genomes, proposal.parent)
    chex.assert_trees_all_equal(
      proposal.genomes.parameters, followed.parameters
    )
    stayed = np.asarray(proposal.origin) == Origin.ELITE
    for new, old in zip(
      jax.tree.leaves(proposal.genomes.hyperparameters),
      jax.tree.leaves(genomes.hyperparameters),
      strict=True,
    ):
      np.testing.assert_array_equal(
        np.asarray(new)[stayed], np.asarray(old)[stayed]
      )
      assert np.all(np.asarray(new)[~stayed] != np.asarray(old)[~stayed])


def test_models_are_drawn_evenly_and_each_on_its_own():
  genomes, fitness = populations.zeros(8, x=()), jnp.arange(8.0)
  parents = propose_often(build(), genomes, fitness, 4000).parent
  pairs = 2 * (np.asarray(parents)[:, 0] - 6) + np.asarray(parents)[:, 1] - 6
  counts = np.bincount(pairs, minlength=4)
  assert populations.deviations(counts, np.full(4, 0.25)).max() < 5


def test_copies_go_up_or_down_by_a_factor_each_on_its_own():
  genomes = populations.zeros(4, x=())
  values = jnp.full(4, 0.5)
  genomes = genomes._replace(hyperparameters={'a': values, 'b': 2 * values})
  strategy = build(4, exploit_share=0.5, perturb_factor=1.6)
  fitness = jnp.array([0.0, 9.0, 1.0, 8.0])
  proposals = propose_often(strategy, genomes, fitness, 6000)
  new = proposals.genomes.hyperparameters
  np.testing.assert_array_equal(new['a'][:, [1, 3]], 0.5)
  models = np.asarray(proposals.parent)[:, [0, 2]] == 1
  code = 2 * models[:, 0] + models[:, 1]
  for values in (new['a'], new['b'] / 2):
    for member in (0, 2):
      up = np.isclose(values[:, member], 0.8)
      assert np.all(up | np.isclose(values[:, member], 0.3125))
      code = 2 * code + up
  # All ways in which two members pick one of two and two values go up or down.
  counts = np.bincount(code, minlength=64)
  assert populations.deviations(counts, np.full(64, 1 / 64)).max() < 5


def test_bounds_are_around_the_beginning():
  genomes = populations.zeros(4, x=())
  # The geometric mean of 1, 1, 4 and 4 is 2: bounds are 0.5 and 6.
  genomes = genomes._replace(
    hyperparameters={'a': jnp.array([1.0, 1.0, 4.0, 4.0])}
  )
  strategy = build(4, lowest_factor=0.25, highest_factor=3.0)
  state = strategy.init(KEY, genomes)
  np.testing.assert_allclose(state.centre['a'], 2.0, rtol=1e-6)
  state = strategy.tell(state, genomes, jnp.arange(4.0), jnp.float32(0.0))
  ask = jax.jit(jax.vmap(strategy.ask, (None, 0, None)))
  keys = jax.random.split(KEY, 40)

  def copies_of(value):
    late = jnp.array([9.0, 1.0, 0.01, value])
    new = ask(state, keys, genomes._replace(hyperparameters={'a': late}))
    # Who is no copy stays out of bounds.
    np.testing.assert_array_equal(
      new.genomes.hyperparameters['a'][:, 2], late[2]
    )
    copies = np.asarray(new.genomes.hyperparameters['a'], float)[:, 0]
    return set(np.round(copies, 3))

  assert copies_of(5.0) == {4.0, 6.0}
  assert copies_of(0.6) == {0.5, 0.75}
  assert copies_of(2.0) == {1.6, 2.5}


@pytest.mark.parametrize('factor', [1.0, 2.0, 8.0])
def test_hyperparameters_begin_apart(factor):
  size = 400
  genomes = populations.zeros(size, x=(2,))._replace(
    hyperparameters={'a': jnp.full(size, 0.5), 'b': jnp.full(size, 3e-4)}
  )
  strategy = build(size, initial_factor=factor)
  state = strategy.init(KEY, genomes)
  begun = strategy.begin(state, KEY, genomes)
  chex.assert_trees_all_equal(begun.parameters, genomes.parameters)
  powers = []
  for name, x in begun.hyperparameters.items():
    assert x.dtype == jnp.float32
    assert x[0] == genomes.hyperparameters[name][0]
    powers.append(np.log(np.asarray(x[1:]) / genomes.hyperparameters[name][0]))
  most = np.log(factor)
  assert np.abs(powers).max() <= most + 1e-5
  # Evenly over their range, and each hyperparameter on its own.
  np.testing.assert_allclose(np.std(powers), most / np.sqrt(3), rtol=0.1)
  if factor > 1:
    assert abs(np.corrcoef(powers)[0, 1]) < 0.2


def test_without_hyperparameters_it_copies():
  genomes = Genome(populations.make_trees(4), {})
  strategy = build(4)
  state = strategy.init(KEY, genomes)
  assert state.centre == {}
  state = strategy.tell(
    state, genomes, jnp.array([5.0, 1.0, 2.0, 4.0]), jnp.float32(0.0)
  )
  proposal = strategy.ask(state, KEY, genomes)
  assert proposal.parent.tolist() == [0, 0, 2, 3]
  chex.assert_trees_all_equal(
    proposal.genomes, operators.take(genomes, proposal.parent)
  )


def test_the_weakest_of_the_best_may_be_replaced():
  strategy, genomes = build(), populations.make_genomes(8)
  state = strategy.init(KEY, genomes)
  fitness = jnp.array([3.0, NAN, 9.0, 4.0, 4.0, 5.0, -1.0, 6.0])
  state = strategy.tell(state, genomes, fitness, jnp.float32(0.0))
  place = strategy.replaceable(state)
  assert int(place) == 7
  assert place.dtype == jnp.int32


@pytest.mark.parametrize(
  'size, changes, message',
  [
    (1, {}, 'evolution.population_size: found 1, expected at least 2'),
    (
      8,
      {'exploit_share': -0.25},
      'evolution.population_based.exploit_share: found -0.25, expected at '
      'least 0 and at most 1',
    ),
    (
      8,
      {'exploit_share': 0.05},
      'evolution.population_based.exploit_share: found 0.05, expected a '
      'share that gives 1 to 4 of 8 members, rounded; this one gives 0',
    ),
    (
      7,
      {'exploit_share': 0.6},
      'evolution.population_based.exploit_share: found 0.6, expected a '
      'share that gives 1 to 3 of 7 members, rounded; this one gives 4',
    ),
    (
      8,
      {'perturb_factor': 0.8},
      'evolution.population_based.perturb_factor: found 0.8, expected at '
      'least 1',
    ),
    (
      8,
      {'lowest_factor': 0.0},
      'evolution.population_based.lowest_factor: found 0.0, expected above 0 '
      'and at most 1',
    ),
    (
      8,
      {'highest_factor': 0.5},
      'evolution.population_based.highest_factor: found 0.5, expected at '
      'least 1',
    ),
  ],
)
def test_a_bad_setting_is_named(size, changes, message):
  with pytest.raises(ValueError, match='evolution') as error:
    build(size, **changes)
  assert str(error.value) == message

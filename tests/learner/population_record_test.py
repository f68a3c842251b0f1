"""Tests of eigen3.learner.population_record: interrupted runs are resumed."""

import itertools
import os
import signal
import types

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import small_run

from eigen3.evolution import Origin
from eigen3.learner import guards, loop, population_record
from eigen3.learner.population_record import (
  PopulationRecord,
  champion_title,
  gain_over_parents,
)
from eigen3.runs.checkpoint import Checkpointer

COLUMNS = ('an index', 'A, Inc.', 'B', 'C')
TOTAL = 5


@pytest.fixture(scope='module')
def settings():
  config = small_run.make_population_config()
  config.learner.generations = TOTAL
  config.learner.checkpoint_every = 2
  return config.lock()


@pytest.fixture(scope='module')
def learner(settings):
  return small_run.make_population(settings)


class Altered:
  """A learner with hooks around its generations."""

  def __init__(self, learner, at):
    self._learner = learner
    self._at = at
    self._calls = 0

  def __getattr__(self, name):
    return getattr(self._learner, name)

  def iterate(self, state):
    change = self._at.get(self._calls, lambda state: state)
    self._calls += 1
    return self._learner.iterate(change(state))


def train(folder, learner, settings, resume=False):
  def evaluate(agent):
    actions = learner.greedy_actions(agent, np.arange(20, 60))
    return {'validation_profit': float(jnp.mean(actions[..., 0])) - 1.0}

  checkpointer = Checkpointer(folder / 'checkpoints', 3, 'abc')
  try:
    record = PopulationRecord(
      learner, evaluate, folder, settings.learner, COLUMNS
    )
    state, done = loop.train(learner, record, checkpointer, settings, resume)
  finally:
    checkpointer.close()
  return small_run.on_host(state), done


@pytest.fixture(scope='module')
def whole(learner, settings, tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  state, done = train(folder, learner, settings)
  assert done
  return folder, state


def assert_equal_runs(folder, state, whole):
  whole_folder, whole_state = whole
  small_run.assert_equal_bits(state, whole_state)
  for name in (
    'metrics.csv',
    population_record.MEMBERS,
    population_record.IMPORTANCE,
  ):
    found, expected = (
      pd.read_csv(path / name, dtype=str) for path in (folder, whole_folder)
    )
    pd.testing.assert_frame_equal(
      found.drop(columns='seconds', errors='ignore'),
      expected.drop(columns='seconds', errors='ignore'),
    )


def test_what_a_run_records(whole, settings):
  folder, state = whole
  size = settings.evolution.population_size
  metrics = pd.read_csv(folder / 'metrics.csv')
  members = pd.read_csv(folder / population_record.MEMBERS)
  importance = pd.read_csv(folder / population_record.IMPORTANCE)
  assert metrics['generation'].tolist() == list(range(1, TOTAL + 1))
  # Parents of newborn need not have stayed.
  gains = ['offspring_gain', 'mutant_gain']
  assert metrics.drop(columns=gains).notna().all().all()
  assert members.notna().all().all()
  assert len(members) == TOTAL * size
  assert set(members['origin'][:size]) == {'initial'}
  assert set(members['origin'][size:]) == {'elite', 'offspring', 'mutant'}
  by_generation = members.groupby('generation')
  np.testing.assert_allclose(
    metrics['fitness_best'], by_generation['fitness'].max()
  )
  np.testing.assert_allclose(
    metrics['champion_score'], by_generation['validation'].max().cummax()
  )
  np.testing.assert_allclose(
    metrics['fitness_mean'], by_generation['score'].mean(), atol=1e-6
  )
  founders = by_generation['founder'].nunique()
  assert founders.tolist() == metrics['founders'].tolist()
  assert founders.iloc[0] == size > founders.iloc[-1]
  # Genealogy by hand: children are of their parents' founders, but for those of
  # the place that the champion took.
  for (_, before), (_, after) in itertools.pairwise(by_generation):
    place = dict(zip(before['member'], before['founder'], strict=True))
    expected = after['parent'].map(place)
    other = after.loc[after['founder'] != expected, 'parent']
    assert other.nunique() <= 1
  assert (metrics['distance_nearest'] <= metrics['distance_median']).all()
  assert importance.columns.tolist() == ['generation', *COLUMNS]
  np.testing.assert_allclose(
    importance[list(COLUMNS)].to_numpy()[-1], state.importance.mean, rtol=1e-5
  )
  np.testing.assert_allclose(
    importance[list(COLUMNS)].sum(axis=1), 1, rtol=1e-5
  )
  assert sorted(map(int, os.listdir(folder / 'checkpoints'))) == [2, 4, 5]


@pytest.mark.parametrize(
  'fitness, play, expected',
  [
    ('profit', 'slices', 'champion +12.50%'),
    ('profit', 'continuous', 'champion +12.50%'),
    ('reward', 'slices', 'champion +0.125'),
    ('reward', 'continuous', 'champion +12.50%'),
  ],
)
def test_a_champion_s_profit_is_a_percentage(fitness, play, expected):
  config = small_run.make_population_config().learner
  config.update(fitness=fitness, validation_play=play)
  assert champion_title(0.125, config) == expected


def test_the_gain_over_the_better_parent_by_hand():
  elite, offspring, mutant = Origin.ELITE, Origin.OFFSPRING, Origin.MUTANT
  origin = np.array([elite, elite, offspring, offspring, offspring, mutant])
  parent = np.array([4, 2, 2, 0, 2, 4])
  mate = np.array([-1, -1, 4, 1, 5, -1])
  score = np.array([3.0, 5.0, 4.0, 9.0, 5.5, 1.0])
  told = types.SimpleNamespace(
    lineage=types.SimpleNamespace(origin=origin, parent=parent),
    standing=types.SimpleNamespace(mate=mate),
    training=types.SimpleNamespace(score=np.append(score, 70.0)),  # a learner
  )
  # Of the first the better parent was member 4, now the first elite; the second
  # has no parent that stayed; of the third it is member 2, the second elite.
  found = gain_over_parents(told, offspring)
  assert found == pytest.approx((1.0 + 0.5) / 2 / np.std(score))
  assert gain_over_parents(told, mutant) == pytest.approx(-2 / np.std(score))
  assert np.isnan(gain_over_parents(told, Origin.COPY))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_resumes_bit_for_bit(
  tmp_path, learner, settings, whole, number
):
  def interrupt(state):
    os.kill(os.getpid(), number)
    return state

  altered = Altered(learner, {2: interrupt})
  state, done = train(tmp_path, altered, settings)
  assert not done
  assert int(state.generation) == 3
  state, done = train(tmp_path, learner, settings, resume=True)
  assert done
  assert_equal_runs(tmp_path, state, whole)


def test_a_loss_of_power_resumes_bit_for_bit(
  tmp_path, learner, settings, whole
):
  def fail(state):
    raise RuntimeError('the machine lost power')

  with pytest.raises(RuntimeError, match='lost power'):
    train(tmp_path, Altered(learner, {3: fail}), settings)
  rows = pd.read_csv(tmp_path / population_record.MEMBERS)
  assert rows['generation'].max() == 3  # one more than was saved
  state, done = train(tmp_path, learner, settings, resume=True)
  assert done
  assert_equal_runs(tmp_path, state, whole)


def test_a_number_that_is_not_finite_stops_the_run(tmp_path, learner, settings):
  def poison(state):
    params = state.agents.actor.online_params
    params = jax.tree.map(lambda x: x.at[1].set(jnp.nan), params)
    actor = state.agents.actor._replace(online_params=params)
    return state._replace(agents=state.agents._replace(actor=actor))

  with pytest.raises(guards.NonFiniteError) as error:
    train(tmp_path, Altered(learner, {2: poison}), settings)
  assert 'of agent' in str(error.value)
  assert 'generation 3' in str(error.value)
  assert sorted(map(int, os.listdir(tmp_path / 'checkpoints'))) == [0, 2]

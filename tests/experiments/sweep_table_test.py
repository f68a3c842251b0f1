"""Tests of experiments.sweep.table and experiments.sweep.picture."""

import matplotlib.image
import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from eigen3.files import write_table
from experiments.sweep import picture, table
from experiments.sweep.space import Choices, Range

SPACE = {
  'agent.tau': Range(1e-4, 1e-1, True),
  'networks.critic.sizes': Choices({'(32, 16)': (32, 16), '(8,)': (8,)}),
}
DISTRIBUTIONS = {
  'agent.tau': FloatDistribution(1e-4, 1e-1, log=True),
  'networks.critic.sizes': CategoricalDistribution(['(32, 16)', '(8,)']),
}


def trial(state, tau, sizes, reported=(), value=None, **attributes):
  return optuna.trial.create_trial(
    state=state,
    value=value,
    params={'agent.tau': tau, 'networks.critic.sizes': sizes},
    distributions=DISTRIBUTIONS,
    intermediate_values=dict(reported),
    user_attrs=attributes,
  )


def run(seed, objective, step, seconds):
  return {
    'seed': seed,
    'objective': objective,
    'step': step,
    'seconds': seconds,
  }


@pytest.fixture
def trials():
  """A trial in each state; the second, unfinished one has the largest value."""
  study = optuna.create_study(direction='maximize')
  study.add_trials(
    [
      trial(
        TrialState.COMPLETE,
        0.01,
        '(8,)',
        {5: 0.1, 20: 0.25},
        0.25,
        runs=[run(0, 0.2, 5, 7.0), run(4, 0.3, 10, 8.04)],
      ),
      trial(
        TrialState.PRUNED,
        0.001,
        '(32, 16)',
        {5: 0.5, 10: 0.75},
        0.75,
        runs=[run(0, 0.75, 8, 3.0)],
        stopped=10,
      ),
      trial(
        TrialState.FAIL,
        0.002,
        '(8,)',
        runs=[run(0, None, None, 0.0)],
        failure='agent.tau: found 2, "bad"',
      ),
      trial(TrialState.RUNNING, 0.05, '(32, 16)', {5: -0.5}),
      trial(
        TrialState.COMPLETE,
        0.02,
        '(32, 16)',
        {20: 0.5},
        0.5,
        runs=[run(0, 0.4, 5, 1.0), run(4, 0.6, 10, 1.0)],
      ),
    ]
  )
  return study.trials


def test_the_table_has_all_of_a_trial(trials, tmp_path):
  path = tmp_path / 'results.csv'
  write_table(path, table.make(trials, SPACE, (0, 4)))
  assert path.read_text().splitlines() == [
    'number,state,agent.tau,networks.critic.sizes,objective,steps,'
    'objective_seed0,best_step_seed0,objective_seed4,best_step_seed4,'
    'seconds,folder,reason',
    '0,complete,0.01,"(8,)",0.25,20,0.2,5,0.3,10,15,runs/0,',
    '1,pruned,0.001,"(32, 16)",0.75,10,0.75,8,,,3,runs/1,stopped after step 10',
    '2,failed,0.002,"(8,)",,0,,,,,0,runs/2,"agent.tau: found 2, ""bad"""',
    '3,running,0.05,"(32, 16)",-0.5,5,,,,,,runs/3,',
    '4,complete,0.02,"(32, 16)",0.5,20,0.4,5,0.6,10,2,runs/4,',
  ]


def test_what_went_to_its_end_comes_first(trials):
  made = table.make(trials, SPACE, (0, 4))
  lines = [line.split()[:2] for line in table.top(made, SPACE).splitlines()]
  assert lines == [
    ['trial', 'state'],
    ['4', 'complete'],
    ['0', 'complete'],
    ['1', 'pruned'],
    ['3', 'running'],
  ]
  assert len(table.top(made, SPACE, 2).splitlines()) == 3
  assert 'nan' not in table.top(made, SPACE)
  failed = table.make(trials[2:3], SPACE, (0, 4))
  assert table.top(failed, SPACE) == 'no trial has a value yet'


def test_titles_are_short_where_they_differ(trials):
  made = table.make(trials, SPACE, (0, 4))
  assert table.top(made, SPACE).splitlines()[0].split() == [
    *('trial', 'state', 'objective', 'tau', 'sizes', 'steps', 'seconds'),
  ]
  other = made.rename(columns={'agent.tau': 'networks.actor.sizes'})
  space = dict.fromkeys(other.columns[2:4], SPACE['agent.tau'])
  title = table.top(other, space).splitlines()[0]
  assert 'networks.actor.sizes' in title
  assert 'networks.critic.sizes' in title


def draw(path, trials, space=SPACE, seeds=(0, 4)):
  made = table.make(trials, space, seeds)
  picture.draw_sweep(path, made, space, 'A $ title', 'validation_profit')
  return matplotlib.image.imread(path)[:, :, :3]


def has_colour(image, colour):
  """Returns whether some pixels have the exact colour '#rrggbb'."""
  expected = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  return (np.abs(image - expected).max(axis=2) < 0.02).sum() > 10


def test_the_picture_shows_every_state(trials, tmp_path):
  image = draw(tmp_path / 'all.png', trials)
  assert image.shape[1] == 1200
  complete, pruned, best = '#1b4f9c', '#c2570c', '#d0021b'
  assert all(has_colour(image, c) for c in (complete, pruned, best))
  image = draw(tmp_path / 'complete.png', trials[:1], seeds=(0,))
  assert has_colour(image, complete)
  assert not has_colour(image, pruned)
  image = draw(tmp_path / 'pruned.png', trials[1:2])
  assert has_colour(image, pruned)
  assert not has_colour(image, complete)
  assert not has_colour(image, best)  # of those that went to their end
  image = draw(tmp_path / 'failed.png', trials[2:3])
  assert not has_colour(image, complete)


@pytest.mark.parametrize('count', [1, 4, 7])
def test_there_is_a_panel_for_every_parameter(trials, tmp_path, count):
  space = {f'agent.p{k}': Range(0.0, 1.0, False) for k in range(count)}
  made = table.make(trials, SPACE, (0, 4))
  for field in space:
    made[field] = 0.5
  path = tmp_path / 'results.png'
  picture.draw_sweep(path, made, space, 'title', 'profit')
  height = matplotlib.image.imread(path).shape[0]
  assert height == pytest.approx(120 * (3.4 + 2.6 * -(-count // 3)), abs=2)

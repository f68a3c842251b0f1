"""Tests of experiments.sweep.study."""

import os

import pytest
from optuna.trial import TrialState

from experiments.configs import sweep
from experiments.sweep import space, study


def make(method, **pruner):
  config = sweep.get_config('smoke')
  config.method = method
  config.parameters.agent.gamma = (0.0, 0.5)
  config.parameters.agent.actor_learning_rate = ('log', 1e-4, 1e-2, 3)
  config.parameters.agent.critic_learning_rate = ()
  config.pruner.update(pruner)
  return config


def draw(path, config, number, tell=True):
  """Opens the study; returns the parameters of so many new trials."""
  tried = space.read(config)
  opened = study.open_study(path, config, 8)
  found = []
  for _ in range(number):
    trial = study.next_trial(opened, config, tried)
    found.append(trial.params)
    if tell:
      opened.tell(trial, 1.0)
  return found


@pytest.mark.parametrize('method', ['random', 'tpe', 'grid'])
def test_trials_are_the_same_however_often_it_is_stopped(tmp_path, method):
  config = make(method)
  whole = draw(tmp_path / 'whole.log', config, 6)
  path = tmp_path / 'parts.log'
  parts = [p for number in (1, 3, 2) for p in draw(path, config, number)]
  assert parts == whole
  assert len({str(params) for params in whole}) == 6  # none twice
  config.seed = 1
  other = draw(tmp_path / 'other.log', config, 6)
  if method == 'grid':
    assert whole == space.grid(space.read(config)) == other
  else:
    assert not any(params in whole for params in other)


def test_a_grid_that_was_stopped_before_it_asked_misses_nothing(tmp_path):
  config, path = make('grid'), tmp_path / 'journal.log'
  combinations = space.grid(space.read(config))
  study.open_study(path, config, 8).enqueue_trial(combinations[0])
  assert draw(path, config, 6) == combinations


def test_what_was_left_running_is_taken_up(tmp_path):
  config, path = make('random'), tmp_path / 'journal.log'
  drawn = draw(path, config, 3, tell=False)
  opened = study.open_study(path, config, 8)
  opened.tell(1, 0.5)
  left = study.unfinished(opened)
  assert [trial.number for trial in left] == [0, 2]
  assert [trial.params for trial in left] == [drawn[0], drawn[2]]
  left[1].report(0.25, 4)
  opened.tell(left[1], state=TrialState.PRUNED)
  assert opened.trials[2].value == 0.25
  assert opened.trials[2].state == TrialState.PRUNED


def test_a_journal_that_was_cut_short_is_mended(tmp_path):
  config, path = make('random'), tmp_path / 'journal.log'
  whole = draw(tmp_path / 'whole.log', config, 4)
  draw(path, config, 2)
  with path.open('a') as file:
    file.write('{"op_code": 4, "work')
  os.symlink(path, f'{path}.lock')  # as the writer holds it
  draw(path, config, 2)
  assert [t.params for t in study.open_study(path, config, 8).trials] == whole


def test_a_damaged_journal_is_named(tmp_path):
  config, path = make('random'), tmp_path / 'journal.log'
  draw(path, config, 1)
  lines = path.read_text().splitlines(keepends=True)
  path.write_text(''.join([lines[0], 'damage\n', *lines[1:]]))
  with pytest.raises(ValueError, match='journal that cannot be read') as error:
    study.open_study(path, config, 8)
  assert str(error.value).startswith(f'{path}: ')


@pytest.mark.parametrize(
  'pruner, first_stopped_at',
  [
    # The second trial is worse than the first all along, of which Optuna keeps
    # the first in three at rungs of 2 and 6 steps.
    ({'name': 'successive_halving', 'min_steps': 2}, 2),
    ({'name': 'successive_halving', 'min_steps': 4}, 4),
    ({'name': 'median', 'min_steps': 3, 'startup_trials': 1}, 3),
    ({'name': 'median', 'min_steps': 3, 'startup_trials': 2}, None),
    # With as many steps at least as there are, hyperband is this alone.
    ({'name': 'hyperband', 'min_steps': 8}, 8),
    ({'name': 'none'}, None),
  ],
)
def test_pruners_stop_the_worse_trial(tmp_path, pruner, first_stopped_at):
  config = make('random', **pruner)
  opened = study.open_study(tmp_path / 'journal.log', config, 8)
  tried = space.read(config)
  stopped = []
  for value in (1.0, 0.5):
    trial = study.next_trial(opened, config, tried)
    steps = []
    for step in range(9):
      trial.report(value, step)
      if trial.should_prune():
        steps.append(step)
        break
    stopped.append(steps)
    opened.tell(trial, value)
  assert stopped == [[], [] if first_stopped_at is None else [first_stopped_at]]

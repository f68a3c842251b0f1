"""Tests of the ladder's settings, goals and table, without its runs."""

import json
import sys
from unittest import mock

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from absl import flags
from finished_runs import outcome, write_run
from ml_collections import config_flags

from eigen3.data.synthetic_signals import MARKETS
from eigen3.environment import Rules
from eigen3.evaluation.pooled import pool
from eigen3.learner import experience
from eigen3.reporting import cells_table
from eigen3.reporting.cells_picture import draw_cells
from eigen3.runs import run_directory
from experiments import wiring
from experiments.configs import ladder, many_runs
from experiments.jobs import cells
from experiments.ladder import __main__ as ladder_main
from experiments.ladder import goals

GOALS = ladder.get_config('small').goals


def make_cell(program='td3', changes=('data.synthetic.seed={seed}',)):
  return cells.Cell('a_cell', program, 'smoke', changes)


def settings_of(cell, folder):
  """Settings as the run of a cell reads them from its command."""
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', flag_values=values)
  command = cell.task(folder, 0, 1).command(False)[2:]
  command = [x for x in command if not x.startswith(('--workdir', '--cpu'))]
  with mock.patch.object(sys, 'argv', command):  # where fields are looked for
    values(command)
  return values.config


@pytest.mark.parametrize('preset', many_runs.PRESETS)
def test_every_cell_s_changes_fit_its_program(preset, tmp_path):
  config = ladder.get_config(preset)
  assert config.is_locked
  ladder_main.check_settings(config)
  for cell in ladder_main.cells_of(config, tmp_path):
    plain = settings_of(cell._replace(changes=()), tmp_path)
    found = settings_of(cell, tmp_path)
    changed = run_directory.differences(json.loads(plain.to_json()), found)
    own = config.cells[cell.name].changes
    assert {x.partition('=')[0] for x in own} <= changed.keys(), cell.name
    rules = Rules.from_config(found.environment)
    kept = experience.stored_steps(rules, found)
    # What an exit pays is learnt from only where replay has the exit.
    if found.agent.gamma and rules.reward != 'entry':
      assert kept == rules.num_steps, cell.name
  rungs = [cell.market for cell in config.cells.values() if cell.goal]
  assert set(rungs) == {*MARKETS}


@pytest.mark.parametrize('name', ['drift_exit', 'old_portfolio'])
def test_a_cell_s_learner_can_be_built(name, tmp_path):
  config = ladder.get_config('smoke')
  (cell,) = [
    x for x in ladder_main.cells_of(config, tmp_path) if x.name == name
  ]
  experiment = wiring.build(settings_of(cell, tmp_path), spread=False)
  assert experiment.learner.steps_per_iteration > 0


def test_the_command_of_a_run(tmp_path):
  task = make_cell().task(tmp_path, 3, devices=2)
  assert task.name == 'a_cell/seed3'
  assert task.run == tmp_path / 'a_cell' / 'seed3'
  command = task.command(False)
  assert command[1:3] == ['-m', 'experiments.td3']
  assert command[3].endswith('configs/td3.py:smoke')
  assert '--config.seed=3' in command
  assert '--config.data.synthetic.seed=3' in command
  assert '--cpu_devices=2' in command
  assert '--resume' not in command
  assert task.command(True) == [*command, '--resume']
  assert task.can_resume
  assert not make_cell('ranker').task(tmp_path, 0, 1).can_resume


def test_a_finished_run_is_read(tmp_path):
  cell = make_cell()
  write_run(tmp_path / 'a_cell/seed0')
  found = outcome(cell, tmp_path, 0)
  assert found.policy == 'agent'
  assert len(found.daily) == 60
  assert found.daily['date'].iloc[0] == pd.Timestamp('2024-02-10')
  assert np.prod(1 + found.returns) - 1 == pytest.approx(found.profit)
  assert found.facts == {'updates': 7, 'seconds': 2.5}
  write_run(tmp_path / 'b/seed0', 'ranker')
  ranker = outcome(cells.Cell('b', 'ranker', 'smoke', ()), tmp_path, 0)
  assert ranker.policy == 'ranker'


def summary_of(share=0.92, mean=0.1, p=0.001, low=0.05, high=0.15, missing=()):
  """A cell of which all that goals ask for is known; low None: no interval."""
  found = {'mean': mean, 'p': p, 'low': 0.09, 'high': 0.11}
  if low is not None:
    found['seeds'] = {'mean': mean, 'low': low, 'high': high, 'size': 4}
  return {
    'seeds': 4,
    'missing': [*missing],
    'shares': {
      name: {'value': share, 'low': share, 'high': share}
      for name in ('momentum', 'patient')
    },
    'against': {'random_entry': found},
  }


@pytest.mark.parametrize(
  'goal, summary, met',
  [
    ('share_of_momentum', summary_of(share=0.85), True),
    ('share_of_momentum', summary_of(share=0.84), False),
    ('share_of_momentum', summary_of(share=None), None),
    ('share_of_momentum_by_account', summary_of(share=0.9), True),
    ('share_of_momentum_by_account', summary_of(share=0.89), False),
    ('share_of_patient', summary_of(share=0.8), True),
    ('share_of_patient', summary_of(share=0.79), False),
    ('above_random', summary_of(), True),
    ('above_random', summary_of(p=0.01), False),
    ('above_random', summary_of(low=-0.01), False),
    ('above_random', summary_of(mean=-0.1), False),
    ('above_random', summary_of(p=None), None),
    ('above_random', summary_of(low=None), None),
    ('no_edge', summary_of(low=-0.02, high=0.06), True),
    ('no_edge', summary_of(low=-0.02, high=0.07), False),
    ('no_edge', summary_of(low=0.01, high=0.02), False),
    ('no_edge', summary_of(low=-0.2, high=-0.1), False),
    ('no_edge', summary_of(low=None), None),
  ],
)
def test_goals(goal, summary, met):
  found = goals.judge(goal, summary, GOALS)
  assert found['met'] is met
  words = {True: ': met', False: ': not met', None: ': not known'}
  assert found['words'].endswith(words[met])
  assert goals.judge('', summary, GOALS) == {}


@pytest.mark.parametrize('goal', [*goals.GOALS])
def test_a_goal_is_open_until_all_seeds_are_there(goal):
  found = goals.judge(goal, summary_of(low=-0.01, missing=[4]), GOALS)
  assert found['met'] is None
  assert found['words'].endswith(': open: 4 of 5 seeds')


def test_what_a_verdict_rests_on_is_stated():
  words = goals.judge('above_random', summary_of(), GOALS)['words']
  assert 'days: p 0.0010; seeds: +5.0% to +15.0% a year' in words
  words = goals.judge('no_edge', summary_of(low=-0.05), GOALS)['words']
  assert 'seeds: -5.0% to +15.0% a year, half-width 10.0%' in words


@pytest.fixture(scope='module')
def summaries(tmp_path_factory):
  """Two cells of three seeds, and one of a single one."""
  tmp_path = tmp_path_factory.mktemp('summaries')
  names = {'good': 0.002, 'bad': -0.002, 'alone': 0.0}
  found, good = {}, []
  for name, edge in names.items():
    cell = cells.Cell(name, 'td3', 'smoke', ())
    runs = []
    for seed in range(1 if name == 'alone' else 3):
      write_run(cell.run(tmp_path, seed), seed=seed, edge=edge)
      runs.append(outcome(cell, tmp_path, seed))
    others = {'good': good} if name == 'bad' else {}
    good = good or runs
    found[name] = {
      **pool(runs, others, 0, 200, 200), 'goal': {}, 'missing': [],
      'not_compared': [],
    }  # fmt: skip
  found['alone'] |= {'missing': [1, 2], 'not_compared': ['ranker']}
  found['good']['goal'] = goals.judge('above_random', found['good'], GOALS)
  return found


def test_a_line_a_cell(summaries):
  head, good, bad, alone = cells_table.lines(summaries).splitlines()
  assert head.split()[:2] == ['seeds', 'profit']
  assert good.startswith('good')
  assert 'above random, p < 0.01 (days: p 0.' in good
  assert good.endswith(' a year): met')
  assert ' 3 ' in bad
  assert f'{summaries["bad"]["profit"]["mean"]["mean"]:+.1%}' in bad
  assert (
    f'{summaries["bad"]["against"]["random_entry"]["mean"]:+.1%} p 0.' in bad
  )
  assert ' 1 of 3 ' in alone
  compared, is_open = cells_table.comparisons(summaries).splitlines()
  assert is_open == 'alone over ranker: open, seeds are missing'
  assert compared.startswith('bad over good: -')


def test_a_difference_without_an_interval_is_shown(summaries):
  bad = summaries['bad']
  difference = bad['against']['good'] | {'low': None, 'high': None}
  text = cells_table.comparisons(
    {'bad': {**bad, 'against': {'good': difference}}}
  )
  assert text.startswith('bad over good: -')
  assert ' a year, 95 % -' in text


def test_yardsticks_are_told_with_what_they_earn(summaries):
  good = summaries['good']
  beside = {
    **good,
    'profits': {'patient': 0.8},
    'shares': {'patient': {'value': 0.75}},
    'against': {'patient': good['against']['random_entry']},
    'not_compared': [],
  }
  said = cells_table.comparisons({'patience': beside})
  assert said.startswith('patience over patient: +')
  assert said.endswith('; 75% of its +80.0%')


def test_the_picture_shows_all_cells(summaries, tmp_path):
  path = tmp_path / 'results.png'
  draw_cells(path, summaries, 'Title', 'A remark')
  image = matplotlib.image.imread(path)
  assert image.shape[1] == 1200
  assert image.std() > 0.05


@pytest.mark.parametrize(
  'change, message',
  [
    ({'program': 'sac'}, "cells.drift.program: found 'sac', expected one of"),
    ({'market': 'bull'}, "cells.drift.market: found 'bull', expected one of"),
    ({'goal': 'win'}, "cells.drift.goal: found 'win', expected one of"),
    (
      {'beside': ('none',)},
      "cells.drift.beside: found 'none', expected the name",
    ),
    (
      {'beside': ('drift_factual',)},
      "cells.drift.beside: found 'drift_factual', expected the name of",
    ),
    ({'seeds': 'all'}, "cells.drift.seeds: found 'all', expected one of prim"),
  ],
)
def test_a_wrong_cell_is_one_clear_line(change, message):
  config = ladder.get_config('smoke')
  config.cells.drift.update(change)
  with pytest.raises(ValueError, match='cells') as error:
    ladder_main.check_settings(config)
  assert str(error.value).startswith(message)


def test_an_unknown_preset_is_refused():
  with pytest.raises(ValueError, match='expected one of smoke, small'):
    ladder.get_config('large')

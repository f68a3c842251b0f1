"""Tests of experiments.sweep.job: how a trial is continued."""

import sys
import time

import optuna
import pytest
from optuna.trial import TrialState

from eigen3.runs import claims
from experiments.sweep.job import FAILURE, RUNS, STOPPED, Job, Plan

HEADER = 'iteration,seconds,score\n'
# Lists its folder, logs one step with the seed as its score, and is done.
PROGRAM = """
import os, pathlib, sys
folder, seed, resume = pathlib.Path(sys.argv[1]), *sys.argv[2:]
print(resume, sorted(os.listdir(folder)) if folder.exists() else None)
folder.mkdir(exist_ok=True)
(folder / 'metrics.csv').write_text(f'iteration,seconds,score\\n1,1,{seed}\\n')
(folder / 'summary.json').touch()
"""


@pytest.fixture
def plan(tmp_path):
  """Two seeds of one step each."""

  def command(values, seed, workdir, resume):
    return [
      *(sys.executable, '-S', '-c', PROGRAM, str(workdir), str(seed)),
      str(resume),
    ]

  folder = tmp_path / 'runs'
  return Plan(folder, (4, 6), 1, 'score', command, {}, lambda: None)


@pytest.fixture
def trial():
  return optuna.create_study(direction='maximize').ask()


def take_up(trial, plan):
  return Job(trial, {}, plan, claims.take(plan.folder / 'claims' / '0'))


def finish(job):
  begin = time.monotonic()
  while job.poll():
    assert time.monotonic() - begin < 60
    time.sleep(0.01)
  return job.state


def folder_of(plan, seed):
  folder = plan.folder / '0' / f'seed{seed}'
  folder.mkdir(parents=True)
  return folder


def said(plan, seed):
  log = plan.folder / '0' / f'seed{seed}.log'
  return log.read_text() if log.exists() else None


def told(trial):
  return trial.study.trials[0]


def test_seeds_follow_one_another(plan, trial):
  assert finish(take_up(trial, plan)) == TrialState.COMPLETE
  assert (said(plan, 4), said(plan, 6)) == ('False None\n', 'False None\n')
  assert told(trial).value == 5.0
  assert told(trial).intermediate_values == {1: 4.0, 2: 5.0}
  assert told(trial).user_attrs[RUNS] == [
    {'seed': 4, 'objective': 4.0, 'step': 1, 'seconds': 1.0},
    {'seed': 6, 'objective': 6.0, 'step': 1, 'seconds': 1.0},
  ]


def test_a_run_that_has_ended_is_not_begun_again(plan, trial):
  folder = folder_of(plan, 4)
  (folder / 'metrics.csv').write_text(HEADER + '1,2,10\n')
  (folder / 'summary.json').touch()
  trial.report(10.0, 1)  # as the process said that saw it
  assert finish(take_up(trial, plan)) == TrialState.COMPLETE
  assert (said(plan, 4), said(plan, 6)) == (None, 'False None\n')
  assert told(trial).value == 8.0
  assert told(trial).intermediate_values == {1: 10.0, 2: 8.0}


def test_a_run_that_has_begun_goes_on(plan, trial):
  (folder_of(plan, 4) / 'config.json').touch()
  assert finish(take_up(trial, plan)) == TrialState.COMPLETE
  assert said(plan, 4) == "True ['config.json']\n"


def test_what_cannot_go_on_begins_anew(plan, trial):
  (folder_of(plan, 4) / 'run.json').touch()
  assert finish(take_up(trial, plan)) == TrialState.COMPLETE
  assert said(plan, 4) == 'False []\n'


def test_a_trial_that_was_to_stop_stays_stopped(plan, trial):
  folder = folder_of(plan, 4)
  (folder / 'config.json').touch()
  (folder / 'metrics.csv').write_text(HEADER + '1,2,10\n')
  trial.report(10.0, 1)
  trial.set_user_attr(STOPPED, 1)
  assert finish(take_up(trial, plan)) == TrialState.PRUNED
  assert said(plan, 4) is None
  assert told(trial).value == 10.0


def test_a_run_without_a_score_has_failed(plan, trial):
  folder = folder_of(plan, 4)
  (folder / 'metrics.csv').write_text(HEADER + '1,2,nan\n')
  (folder / 'summary.json').touch()
  assert finish(take_up(trial, plan)) == TrialState.FAIL
  assert told(trial).user_attrs[FAILURE].startswith('found no finite value')
  assert said(plan, 6) is None

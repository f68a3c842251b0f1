"""Tests of experiments.sweep.luck, on runs whose returns are known."""

import json
import re

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial

from eigen3.evaluation.overfitting import backtest_overfitting
from experiments.sweep import luck

DAYS = pd.bdate_range('2020-01-01', periods=160)
SEEDS = (0, 3)


def write(runs, number, returns, days=DAYS):
  """Writes a trial's runs: one has half of the returns, the other 3/2."""
  for seed, share in zip(SEEDS, (0.5, 1.5), strict=True):
    folder = runs / str(number) / f'seed{seed}'
    folder.mkdir(parents=True)
    validation = pd.DataFrame(
      {'split': 'validation', 'date': days, 'agent': share * returns}
    )
    # Held-out days and controls have no part in it.
    holdout = validation.assign(split='holdout', agent=9.0)
    table = pd.concat([validation, holdout]).assign(momentum=7.0)
    table.to_csv(folder / 'daily.csv', index=False)


def trials(*states):
  study = optuna.create_study()
  for state in states:
    value = 1.0 if state == TrialState.COMPLETE else None
    study.add_trial(create_trial(state=state, value=value))
  return study.get_trials()


@pytest.fixture
def returns():
  return np.random.default_rng(0).normal(size=(len(DAYS), 4))


def test_it_is_that_of_the_seeds_means(tmp_path, returns):
  for number, column in enumerate(returns.T):
    write(tmp_path, number, column)
  states = [TrialState.COMPLETE] * 3 + [TrialState.PRUNED]
  found = luck.measure(tmp_path, trials(*states), SEEDS)
  expected = backtest_overfitting(returns[:, :3], luck.BLOCKS)
  assert 0.1 < expected.probability < 0.9
  assert found == {
    'trials': 3,
    'days': 160,
    'blocks': luck.BLOCKS,
    'probability': pytest.approx(expected.probability),
    'loss': pytest.approx(expected.loss),
  }
  json.dumps(found)
  told = luck.describe(found)
  assert f'{expected.probability:.0%}' in told
  assert '3 trials on 160 validation days' in told


def test_a_trial_that_is_better_every_day_was_not_lucky(tmp_path, returns):
  returns[:, 2] += 2
  for number, column in enumerate(returns.T):
    write(tmp_path, number, column)
  complete = [TrialState.COMPLETE] * 4
  found = luck.measure(tmp_path, trials(*complete), SEEDS)
  assert found['probability'] == found['loss'] == 0


def test_only_days_count_that_all_were_judged_on(tmp_path, returns):
  write(tmp_path, 0, returns[:, 0])
  write(tmp_path, 1, returns[10:, 1], DAYS[10:])
  complete = trials(TrialState.COMPLETE, TrialState.COMPLETE)
  found = luck.measure(tmp_path, complete, SEEDS)
  expected = backtest_overfitting(returns[10:, :2], luck.BLOCKS)
  assert found['days'] == 150
  assert found['probability'] == pytest.approx(expected.probability)


@pytest.mark.parametrize(
  'text, words',
  [
    ('', 'found a damaged file (No columns'),
    ('split,da', r"a column 'date'"),
  ],
)
def test_a_damaged_file_is_named(tmp_path, returns, text, words):
  write(tmp_path, 0, returns[:, 0])
  path = tmp_path / '0' / 'seed3' / 'daily.csv'
  path.write_text(text)
  with pytest.raises(ValueError, match=re.escape(words)) as error:
    luck.measure(tmp_path, trials(TrialState.COMPLETE), SEEDS)
  assert str(path) in str(error.value)


@pytest.mark.parametrize('count,days', [(0, 160), (1, 160), (2, 31)])
def test_too_little_is_said_so(tmp_path, returns, count, days):
  for number in range(count):
    write(tmp_path, number, returns[:days, number], DAYS[:days])
  complete = trials(*[TrialState.COMPLETE] * 2)
  found = luck.measure(tmp_path, complete, SEEDS)
  assert 'probability' not in found
  assert found['trials'] == count
  assert 'not enough data' in luck.describe(found)

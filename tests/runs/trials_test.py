"""The trials of runs and sweeps, checked by hand and by a published example."""

import json
import math
import statistics

import numpy as np
import pandas as pd
import pytest

from eigen3.evaluation import sharpe
from eigen3.evaluation.sharpe import TrackRecord
from eigen3.runs import trials

RECORD = TrackRecord(sharpe=0.05, skew=0.0, kurtosis=3.0, size=101)
DATA = {
  'validation_days': 252,
  'holdout_days': 251,
  'embargo_days': 0,
  'panel': 'a.parquet',
}


def deflate(folders, record):
  return sharpe.deflate(trials.read(folders), record)


def make_run(folder, metrics=None, members=None, digest='abc', **data):
  """Makes the folder of a run with these logs."""
  folder.mkdir(parents=True)
  settings = {'seed': 0, 'data': {**DATA, **data}}
  (folder / 'config.json').write_text(json.dumps(settings))
  (folder / 'run.json').write_text(json.dumps({'data': {'hash': digest}}))
  for name, table in (('metrics', metrics), ('members', members)):
    if table is not None:
      pd.DataFrame(table).to_csv(folder / f'{name}.csv', index=False)
  return folder


def of_one_agent(*daily):
  """Returns validation rows; None is an iteration without one."""
  year = math.sqrt(252)
  return {
    'iteration': range(len(daily)),
    'validation_profit': [None if x is None else 0.1 for x in daily],
    'validation_sharpe': [None if x is None else year * x for x in daily],
  }


def of_members(*daily):
  return {
    'generation': 1,
    'member': range(len(daily)),
    'validation_profit': 0.1,
    'validation_daily_sharpe': daily,
  }


def test_validations_of_one_agent_are_counted(tmp_path):
  table = of_one_agent(0.01, None, 0.04, None, -0.02)
  run = make_run(tmp_path / 'run', table)
  assert trials.sharpe_ratios(run) == pytest.approx([0.01, 0.04, -0.02])
  found = deflate([run], RECORD)
  # The mean is 0.01, the squares of the deviations are 0, 9 and 9 in 1e-4.
  assert found.trials == 3
  assert found.deviation == pytest.approx(0.03)
  normal, gamma = statistics.NormalDist(), 0.5772156649
  expected = 0.03 * (
    (1 - gamma) * normal.inv_cdf(1 - 1 / 3)
    + gamma * normal.inv_cdf(1 - 1 / (3 * math.e))
  )
  assert found.expected == pytest.approx(expected)
  assert found.sharpe == 0.05
  error = math.sqrt((1 + 0.5 * 0.05**2) / 100)
  assert found.probability == pytest.approx(
    normal.cdf((0.05 - expected) / error)
  )


def test_all_members_are_counted_and_not_the_champion_again(tmp_path):
  run = make_run(
    tmp_path / 'run', of_one_agent(0.9, 0.9), of_members(0.1, 0.2, math.nan)
  )
  # Who has no Sharpe ratio was tried all the same.
  assert trials.sharpe_ratios(run).tolist() == [0.1, 0.2, 0.0]


def test_the_published_example(tmp_path):
  """Bailey & Lopez de Prado (2014): 100 trials, divided among runs here."""
  daily = np.random.default_rng(0).normal(size=100)
  daily *= math.sqrt(0.5 / 250) / daily.std(ddof=1)
  one = make_run(tmp_path / 'one', of_one_agent(*daily[:30]))
  sweep = tmp_path / 'sweep'
  make_run(sweep / 'runs' / '0' / 'seed0', of_one_agent(*daily[30:60]))
  make_run(sweep / 'runs' / '0' / 'seed1', None, of_members(*daily[60:90]))
  make_run(sweep / 'runs' / '1' / 'seed0', of_one_agent(*daily[90:]))
  make_run(sweep / 'runs' / '2' / 'seed0')  # ended before it validated
  (sweep / 'config.json').write_text(json.dumps({'program': 'td3'}))
  record = TrackRecord(2.5 / math.sqrt(250), -3.0, 10.0, 1250)
  found = deflate([one, sweep], record)
  assert found.trials == 100
  assert found.expected == pytest.approx(0.1132, abs=5e-5)
  assert found.probability == pytest.approx(0.9004, abs=5e-4)
  # Said twice it is counted once.
  again = [one, sweep, sweep / 'runs' / '1' / 'seed0', tmp_path / 'x/../one']
  (tmp_path / 'x').mkdir()
  assert deflate(again, record) == found
  assert deflate([one], record).probability > found.probability


def test_a_study_s_runs_are_found_and_its_rankers_left_out(tmp_path):
  study = tmp_path / 'study'
  make_run(study / 'runs/2008/td3/seed0', of_one_agent(0.1, 0.2))
  make_run(study / 'runs/2008/erl/seed1', None, of_members(0.3))
  ranker = make_run(study / 'runs/2008/ranker/seed0', {'update': [1]})
  settings = json.loads((ranker / 'config.json').read_text())
  settings['ranker'] = {'patience': 12}
  (ranker / 'config.json').write_text(json.dumps(settings))
  (study / 'config.json').write_text(json.dumps({'preset': 'small'}))
  assert [run.name for run in trials.find([study])] == ['seed1', 'seed0']
  assert deflate([study], RECORD).trials == 3


def test_a_single_trial_is_not_deflated(tmp_path):
  run = make_run(tmp_path / 'run', of_one_agent(0.05))
  found = deflate([run], RECORD)
  assert found[:3] == (1, 0.0, 0.0)
  error = math.sqrt((1 + 0.5 * 0.05**2) / 100)
  probability = statistics.NormalDist().cdf(0.05 / error)
  assert found.probability == pytest.approx(probability)


def test_no_trial_says_nothing(tmp_path):
  found = deflate([make_run(tmp_path / 'run')], RECORD)
  assert found.trials == 0
  assert math.isnan(found.probability)


@pytest.mark.parametrize(
  'other, words',
  [
    ({'digest': 'xyz'}, r"data: found 'xyz', expected '.*', as in"),
    (
      {'validation_days': 100},
      r'validation_days: found 100, expected \d+, as in',
    ),
    ({'holdout_days': 9}, 'holdout_days: found 9'),
    ({'embargo_days': 5}, 'embargo_days: found 5'),
  ],
)
def test_other_days_are_refused(tmp_path, other, words):
  one = make_run(tmp_path / 'one', of_one_agent(0.1, 0.2))
  two = make_run(tmp_path / 'two', of_one_agent(0.1, 0.2), **other)
  with pytest.raises(ValueError, match=words):
    deflate([one, two], RECORD)
  # Where the panel lies does not matter: its hash does.
  same = make_run(tmp_path / 'same', of_one_agent(0.3), panel='b.parquet')
  assert deflate([one, same], RECORD).trials == 3


def test_what_cannot_be_read_is_named(tmp_path):
  run = make_run(tmp_path / 'run', None, {'generation': [1], 'member': [0]})
  with pytest.raises(ValueError, match=r'members.csv: columns: .* validation_'):
    deflate([run], RECORD)
  (run / 'members.csv').write_text('')
  with pytest.raises(ValueError, match=r'members\.csv: found a damaged file'):
    deflate([run], RECORD)
  with pytest.raises(ValueError, match='found no run here'):
    deflate([tmp_path / 'absent'], RECORD)
  (run / 'run.json').write_text('{}')
  with pytest.raises(ValueError, match=r"found no readable .*'data'"):
    deflate([run], RECORD)

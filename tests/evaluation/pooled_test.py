"""Tests of eigen3.evaluation.pooled."""

import json

import numpy as np
import pandas as pd
import pytest

from eigen3.evaluation import bootstrap, pooled

DAYS = 120


def make_outcome(
  seed, edge=0.0, policy='agent', days=DAYS, first='2024-01-01', year=252
):
  """Returns a run that earns `edge` a day more than momentum, plus noise."""
  rng = np.random.default_rng(seed)
  momentum = rng.normal(0.0, 0.01, days)
  daily = pd.DataFrame(
    {
      'date': np.datetime64(first) + np.arange(days),
      policy: momentum + edge + rng.normal(0.0, 0.001, days),
      'momentum': momentum,
    }
  )
  profits = {
    name: float(np.prod(1.0 + daily[name]) - 1.0)
    for name in (policy, 'momentum')
  }
  facts = {'updates': 10 * seed}
  return pooled.Outcome(policy, daily, profits, facts, year=year)


def test_the_share_is_of_all_seeds_together():
  ours, theirs = np.array([0.1, 0.3, 0.2]), np.array([0.2, 0.2, 0.4])
  found = pooled.share(ours, theirs, 0)
  assert found.value == pytest.approx(0.6 / 0.8)
  assert 0.5 <= found.low < found.value < found.high <= 1.5
  assert pooled.share(ours, theirs, 0) == found
  # Every draw of equal ratios has it.
  same = pooled.share(0.5 * theirs, theirs, 0)
  assert (same.low, same.value, same.high) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize('theirs', [[-0.1, -0.2], [0.3, -0.2]])
def test_no_share_of_what_may_be_a_loss(theirs):
  """In one of four resamples both draws are the second seed."""
  found = pooled.share(np.array([0.1, 0.1]), np.array(theirs), 0)
  assert np.isnan([*found]).all()


def test_a_setting_is_told_of_by_all_its_runs():
  outcomes = [make_outcome(seed, edge=0.002) for seed in range(3)]
  others = {'ranker': [make_outcome(s, 0.003, 'ranker') for s in range(3)]}
  told = pooled.pool(outcomes, others, seed=0, repeats=500)
  assert told['seeds'] == 3
  profits = [outcome.profits['agent'] for outcome in outcomes]
  assert told['profit']['values'] == profits
  assert told['profit']['mean']['mean'] == pytest.approx(np.mean(profits))
  assert told['profit']['mean']['low'] < min(profits)
  assert told['profits'].keys() == {'momentum', 'ranker'}
  assert told['facts'] == {'updates': 10}
  found = told['against']['momentum']
  expected = bootstrap.paired_difference(
    np.stack([o.daily['agent'] for o in outcomes]),
    np.stack([o.daily['momentum'] for o in outcomes]),
    seed=0,
    repeats=500,
  )
  assert found['mean'] == expected.mean == pytest.approx(0.5, abs=0.05)
  assert found['p'] == expected.p < 0.01
  assert found['by_seed'] == expected.by_seed.tolist()
  assert found['seeds']['size'] == 3
  # The ranker earned more: the same days of the same seeds are compared.
  ranker = told['against']['ranker']
  assert ranker['mean'] == pytest.approx(-0.25, abs=0.05)
  assert ranker['high'] < 0.0
  assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_a_year_has_as_many_days_as_the_panel_says():
  daily, weekly = (
    pooled.pool([make_outcome(s, 0.002, year=year) for s in (0, 1)], {}, 0, 200)
    for year in (252, 52)
  )
  for name in ('mean', 'low', 'high', 'detectable'):
    assert weekly['against']['momentum'][name] == pytest.approx(
      daily['against']['momentum'][name] * 52 / 252
    )
  one, other = make_outcome(0, year=52), make_outcome(1, year=52)
  assert pooled.chained([one, other]).year == 52


@pytest.mark.parametrize('other', [{'first': '2024-01-02'}, {'days': DAYS - 1}])
def test_other_days_are_refused(other):
  ours = [make_outcome(0), make_outcome(1)]
  theirs = {'ranker': [make_outcome(0), make_outcome(1, **other)]}
  with pytest.raises(ValueError, match='ranker: found the days 2024-01-0'):
    pooled.pool(ours, theirs, seed=0, repeats=50)
  with pytest.raises(ValueError, match=r'agent: found the days .* expected'):
    pooled.pool(theirs['ranker'], {}, seed=0, repeats=50)


def test_a_day_that_differs_is_named():
  ours, other = make_outcome(0), make_outcome(1)
  other.daily.loc[2, 'date'] -= np.timedelta64(12, 'h')
  words = r'with 2024-01-02 as day 3, expected .* 2024-01-03 as day 3'
  with pytest.raises(ValueError, match=words):
    pooled.pool([ours, other], {}, seed=0, repeats=50)


def test_one_seed_has_no_interval_over_seeds():
  told = pooled.pool([make_outcome(0, edge=-0.01)], {}, seed=0, repeats=500)
  assert told['profit']['mean'].keys() == {'mean'}
  assert 'seeds' not in told['against']['momentum']
  assert told['against']['momentum']['p'] < 0.01


def test_few_days_say_nothing_in_json():
  told = pooled.pool(
    [make_outcome(0, days=5), make_outcome(1, days=5)], {}, 0, 500
  )
  assert told['against']['momentum']['p'] is None
  assert json.dumps(told, allow_nan=False)


def test_successive_days_are_chained():
  one, other = make_outcome(1, days=30), make_outcome(3, first='2024-03-01')
  chained = pooled.chained([one, other])
  assert len(chained.daily) == 30 + DAYS
  np.testing.assert_array_equal(
    chained.returns, np.concatenate([one.returns, other.returns])
  )
  for name in ('agent', 'momentum'):
    assert chained.profits[name] == pytest.approx(
      (one.profits[name] + other.profits[name]) / 2
    )
  assert chained.facts == {'updates': 20}

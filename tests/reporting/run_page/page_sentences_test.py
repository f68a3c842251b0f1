"""Tests of a page's sentences, for numbers by hand."""

import numpy as np
import pandas as pd
import pytest

from eigen3.evaluation import population
from eigen3.evaluation.bootstrap import PairedDifference
from eigen3.evaluation.sharpe import Deflated
from eigen3.evaluation.statistics import Estimate
from eigen3.reporting.run_page import sentences
from eigen3.reporting.run_page.tables import Headline

MINUS = '\N{MINUS SIGN}'
RULES = {'max_holding_days': 20, 'min_sale_target': 10, 'max_sale_target': 50}


def headline(size=1, profit=(0.042, -0.095, 0.216)):
  number = Estimate(0.0, 0.0, 0.0)
  return Headline('agent', size, Estimate(*profit), number, number)


def difference(mean, p):
  return PairedDifference(mean, 0.0, 0.0, p, np.array([mean]), 1)


def test_the_verdict_names_who_is_beaten():
  found = {
    'random_entry': difference(0.05, 0.01),
    'buy_and_hold': difference(0.04, 0.03),
    'momentum': difference(0.01, 0.6),
    'informed': difference(-0.2, 0.001),
  }
  assert sentences.verdict(headline(), found, True, True) == (
    'On the held-out days the agent earned +4.2 % after costs (95 % interval '
    f'{MINUS}9.5 to +21.6 %): more than random entry and buy and hold; less '
    'than the informed policy; not significantly different from momentum.'
  )


def test_the_verdict_of_few_days_is_none():
  found = {'momentum': difference(0.05, np.nan)}
  words = sentences.verdict(
    headline(3, (0.1, np.nan, np.nan)), found, True, False
  )
  assert words == (
    'On the validation days the 3 agents earned +10.0 % after costs '
    '(interquartile mean); these days are too few to compare it with the '
    'controls.'
  )
  assert sentences.verdict(headline(), found, False, True) == (
    'The agent bought nothing on the held-out days.'
  )


def test_skill_after_trials():
  found = Deflated(1234, 0.1, 0.2, 0.1, 0.614)
  assert sentences.skill(found) == (
    'After 1,234 trials on the validation days the deflated Sharpe ratio is '
    '61 %: the probability of any skill.'
  )
  assert sentences.skill(found._replace(probability=np.nan)) == ''


def make_trades(returns, reasons):
  return pd.DataFrame({'return_percent': returns, 'reason': reasons})


def test_exits_by_reason():
  trades = make_trades(
    [12.0, 11.0, -3.0, -50.0], ['target', 'target', 'max_holding', 'delisted']
  )
  assert sentences.exits(trades, RULES) == (
    'Of 4 trades 2 were sold at the target (a gain of 10 to 50 %), 1 was sold '
    'after the maximum holding of 20 days, and 1 was sold as delisted.'
  )
  assert sentences.trade_returns(trades) == (
    f'Returns of trades, before costs: mean {MINUS}7.5 %, median +4.0 %, from '
    f'{MINUS}50.0 % to +12.0 %.'
  )
  assert sentences.exits(trades[:0], RULES) == ''


def test_targets_that_never_bind_are_named():
  held = make_trades([8.25, -3.0], ['max_holding'] * 2)
  words = sentences.exits(held, RULES)
  assert 'none were sold at the target' in words
  assert words.endswith(
    'The best trade ended +8.2 % from its purchase: targets were too far to '
    'matter.'
  )


def generations(validation, **columns):
  count = len(validation)
  table = {'generation': np.arange(1, count + 1), 'validation_mean': validation}
  return pd.DataFrame(table | columns)


RISING = [0.01, 0.012, 0.03, 0.05, 0.07, 0.072]
STILL = [0.01, 0.03, 0.02, 0.03, 0.01, 0.03]


@pytest.mark.parametrize(
  'validation, retest, gain, expected',
  [
    (RISING, 0.1, -1.0, 'from the gradient steps of all'),
    (RISING, 0.6, 0.5, 'Newborn members surpass their better parent'),
    (RISING, 0.6, -0.5, 'those that stay and go on learning'),
    (STILL, 0.1, 0.5, 'Fitness is mostly luck, so selection has little'),
    (STILL, 0.6, -0.5, 'fall short of their better parent.'),
    (STILL, 0.6, 0.5, 'no better on the validation days'),
  ],
)
def test_why_a_population_improved_or_not(validation, retest, gain, expected):
  jitter = 0.01 * np.array([1, -1, 1, -1, 1, -1])
  found = population.development(
    generations(
      validation,
      retest_correlation=retest,
      offspring_gain=gain + jitter,
      founders=[6, 5, 3, 2, 1, 1],
      distance_median=0.5,
    )
  )
  words = sentences.population(found, '+.1%')
  improved = validation is RISING
  assert words.startswith('The population improved') == improved
  assert ('neither improved' in words) == (not improved)
  assert expected in words
  assert 'descend from one first agent since generation 5' in words


def test_few_generations_tell_nothing():
  found = population.development(generations([0.01, 0.05, 0.09]))
  assert sentences.population(found, '+.1%') == (
    'Whether it improved cannot be judged after 3 generations. '
  )

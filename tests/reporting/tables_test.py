"""Tests of eigen3.reporting.tables."""

import jax.numpy as jnp
import numpy as np
import pytest
from fake_backtests import make_results
from fake_population import MEMBERS, fake_run

from eigen3.reporting import tables


def test_policies():
  lines = tables.policies(make_results()).splitlines()
  assert [' '.join(line.split()) for line in lines] == [
    'profit max drawdown Sharpe trades win rate days held exposure costs',
    'agent +10.00% 12.50% 1.23 3 50% 6.2 75% 0.42%',
    'random entry (mean of 2) -2.00% 12.50% 1.23 6 50% 6.2 75% 0.42%',
    'buy and hold -2.00% 12.50% 1.23 3 50% 6.2 75% 0.42%',
  ]
  # Aligned: every line is as wide as the next.
  assert len({len(line) for line in lines}) == 1


def test_training_slices():
  training = {'rising': np.array([0.02, 0.04]), 'falling': np.array([-0.01])}
  lines = tables.training_slices(training).splitlines()
  assert lines[1].split() == ['rising', '+3.00%', '+2.00%', '+4.00%', '2']
  assert lines[2].split() == ['falling', '-1.00%', '-1.00%', '-1.00%', '1']


def lines_of(table):
  """Returns the cells of aligned lines of text."""
  lines = table.splitlines()
  assert len({len(line) for line in lines}) == 1
  return [' '.join(line.split()) for line in lines]


def test_the_best_of_a_generation():
  assert lines_of(tables.best_members(MEMBERS, 2)) == [
    'member validation fitness profit trades win rate origin parent',
    '1 +1.5 +7 +6.25% 12.5 75% offspring 0',
    '0 +0.5 +4 +4.00% 4.0 25% elite 1',
    '2 - -2 -2.00% 0.0 - mutant 1',
  ]


def test_equals_stand_by_fitness_then_by_number():
  rows = MEMBERS[MEMBERS['generation'] == 3].iloc[[1, 0, 0]].copy()
  rows['member'] = [1, 0, 2]
  rows['fitness'] = [6.0, 6.0, 6.5]
  found = lines_of(tables.best_members(rows, 3))
  assert [line.split()[0] for line in found[1:]] == ['2', '0', '1']


def test_without_validation_the_fittest_come_first():
  found = lines_of(tables.best_members(MEMBERS, 1))
  assert found[1:] == [
    '1 - +4 +4.00% 4.0 25% initial -',
    '0 - +1 +1.00% 3.0 50% initial -',
  ]


def test_so_many_and_no_more():
  members, _ = fake_run(1, 16)
  for count, expected in ((5, 5), (2, 2), (99, 16)):
    text = tables.best_members(members, 1, count)
    assert len(text.splitlines()) == 1 + expected


def test_what_a_table_lacks_is_named():
  with pytest.raises(ValueError, match=r'generation: found 5, .* 1 to 4'):
    tables.best_members(MEMBERS, 5)
  with pytest.raises(
    ValueError, match=r"columns of members: .* a column 'profit'"
  ):
    tables.best_members(MEMBERS.drop(columns='profit'), 1)


def test_columns_by_importance():
  text = tables.columns_by_importance(
    jnp.array([0.25, 0.5, 0.25, 0.0]),
    jnp.array([[0, 0, 4, 5], [0, 0, 0, 5], [0, 0, 0, 3]]),
    ('SPX', 'AAPL', 'XOM', 'VIX'),
    4,
  )
  assert [' '.join(line.split()) for line in text.splitlines()] == [
    'Attention over 4 columns: entropy 1.04 nats (75% of the largest), that '
    'of 2.8 equal columns.',
    'rank column share together',
    '1 AAPL 50.00% 50.00%',
    '2 SPX 25.00% 75.00%',
    '3 XOM 25.00% 100.00%',
    '4 VIX 0.00% 100.00%',
    'Columns under 1 % for 4 or more updates: 2 (XOM, VIX)',
    'Columns under 0.1 % for 4 or more updates: 1 (VIX)',
    'Columns under 0.01 % for 4 or more updates: 0',
  ]
  # Aligned: every row is as wide as the next.
  assert len({len(line) for line in text.splitlines()[1:6]}) == 1


def test_importance_stays_short():
  count = 669
  mean = np.linspace(1, 0, count) ** 8
  text = tables.columns_by_importance(
    mean / mean.sum(),
    np.full((3, count), 9),
    [f'C{i}' for i in range(count)],
    9,
  )
  assert len(text.splitlines()) == 1 + 1 + 20 + 3
  assert text.endswith('669 (C0, C1, C2, C3, C4, ...)')

"""Tests of eigen3.evaluation.population."""

import numpy as np
import pandas as pd
import pytest
from fake_population import MEMBERS, NAN

from eigen3.evaluation import population


def test_the_scores():
  found = population.scores(MEMBERS).set_index('generation')
  assert found.index.tolist() == [1, 2, 3, 4]
  expected = {
    'fitness_best': [4.0, 7.0, 6.0, 5.0],
    'fitness_mean': [2.5, 3.0, 6.0, 5.0],
    'fitness_median': [2.5, 4.0, 6.0, 5.0],
    'fitness_worst': [1.0, -2.0, 6.0, 5.0],
    # Deviations of 1.5 twice; of 1, 4 and -5.
    'fitness_std': [1.5, np.sqrt(14.0), 0.0, 0.0],
    'validation_best': [NAN, 1.5, 1.0, NAN],
    'validation_mean': [NAN, 1.0, 1.0, NAN],
    'validation_median': [NAN, 1.0, 1.0, NAN],
    'validation_worst': [NAN, 0.5, 1.0, NAN],
    'validation_std': [NAN, 0.5, 0.0, NAN],
  }
  assert found.columns.tolist() == list(expected)
  for name, values in expected.items():
    np.testing.assert_allclose(found[name], values, err_msg=name)


def test_generations_are_told_in_order():
  found = population.scores(MEMBERS.iloc[::-1])
  pd.testing.assert_frame_equal(found, population.scores(MEMBERS))


def test_what_a_table_lacks_is_named():
  with pytest.raises(
    ValueError, match=r"columns of members: .* a column 'fitness'"
  ):
    population.scores(MEMBERS.drop(columns='fitness'))
  with pytest.raises(
    ValueError, match=r'rows of members: found 0, .* at least 1'
  ):
    population.scores(MEMBERS[:0])


def test_the_development_of_a_population():
  generations = pd.DataFrame(
    {
      'generation': [1, 2, 3, 4, 5, 6],
      'validation_mean': [0.0, 0.02, 0.03, 0.03, 0.06, 0.1],
      'retest_correlation': [NAN, 0.5, 0.25, 0.5, 0.5, 0.25],
      'fitness_between': 0.02,
      'fitness_error': 0.01,
      'distance_median': [0.5, 0.4, 0.3, 0.2, 0.1, 0.125],
      'founders': [4, 1, 2, 1, 1, 1],
      'offspring_gain': [NAN, 1.0, 3.0, NAN, NAN, NAN],
      'mutant_gain': NAN,
    }
  )
  found = population.development(generations)
  assert found.generations == 6
  assert found.first == pytest.approx(0.01)
  assert found.last == pytest.approx(0.08)
  # Variances of 0.0002 and 0.0008, two generations each.
  assert found.error == pytest.approx(np.sqrt(0.0005))
  assert found.retest == pytest.approx(0.4)
  assert (found.between, found.within) == pytest.approx((0.02, 0.01))
  assert found.distance == (0.5, 0.125)
  assert found.founders == (4, 1)
  assert found.alone_since == 4
  assert found.gains == {'offspring': population.Gain(2.0, 1.0)}


def test_what_is_unknown_of_a_development():
  generations = pd.DataFrame({'generation': [1, 2], 'validation_mean': 0.5})
  found = population.development(generations)
  assert np.isnan([found.error, found.retest, *found.distance]).all()
  assert found.founders is found.alone_since is None
  assert found.gains == {}
  with pytest.raises(ValueError, match="a column 'validation_mean'"):
    population.development(generations.drop(columns='validation_mean'))

"""Tests of eigen3.evaluation.importance."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.evaluation import importance

NAMES = ('SPX', 'AAPL', 'XOM', 'VIX')
MEAN = jnp.array([0.25, 0.5, 0.25, 0.0])
BELOW = jnp.array([[0, 0, 4, 5], [0, 0, 0, 5], [0, 0, 0, 3]])


def describe(mean=MEAN, below=BELOW, columns=NAMES, persistent=4):
  return importance.describe(mean, below, columns, persistent)


def test_the_description():
  found = describe()
  assert found['columns'] == 4
  # Half of ln 2 and two quarters of ln 4.
  assert found['entropy'] == pytest.approx(1.5 * np.log(2))
  assert found['entropy_share'] == pytest.approx(0.75)
  assert found['effective_columns'] == pytest.approx(2**1.5)
  # Ties are in the market's order.
  assert found['top'] == [
    ('AAPL', 0.5),
    ('SPX', 0.25),
    ('XOM', 0.25),
    ('VIX', 0.0),
  ]
  assert found['persistent_updates'] == 4
  assert found['below'] == {
    '0.01': {'count': 2, 'columns': ['XOM', 'VIX']},
    '0.001': {'count': 1, 'columns': ['VIX']},
    '0.0001': {'count': 0, 'columns': []},
  }


def test_the_description_can_be_kept_as_json():
  found = describe()
  again = json.loads(json.dumps(found, allow_nan=False))
  assert again == {**found, 'top': [list(pair) for pair in found['top']]}


def test_equal_columns_have_the_largest_entropy():
  count = 669
  found = describe(
    np.full(count, 1 / count, np.float32),
    np.zeros((3, count), int),
    [f'C{i}' for i in range(count)],
  )
  assert found['entropy'] == pytest.approx(np.log(count))
  assert found['entropy_share'] == pytest.approx(1.0)
  assert found['effective_columns'] == pytest.approx(count)
  assert [name for name, _ in found['top']] == [f'C{i}' for i in range(20)]


def test_a_single_column():
  found = describe(np.ones(1), np.zeros((3, 1), int), ['SPX'])
  assert str(found['entropy']) == '0.0'  # and not -0.0
  assert found['entropy_share'] == 1.0
  assert found['effective_columns'] == 1.0
  assert found['top'] == [('SPX', 1.0)]


def test_rounding_of_the_sum_is_forgiven():
  found = describe(np.float32([0.2502, 0.5002, 0.25, 0.0]))
  assert sum(share for _, share in found['top']) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
  'change, message',
  [
    ({'mean': np.zeros(4)}, 'sum of mean: found 0.0, expected 1'),
    ({'mean': np.ones(4)}, 'sum of mean: found 4.0, expected 1'),
    ({'mean': [1.5, -0.5, 0, 0]}, r'share in mean: found -0.5, .* at least 0'),
    (
      {'mean': [np.nan, 0.5, 0.5, 0]},
      r'share in mean: found nan, .* at least 0',
    ),
    ({'mean': [0.5, 0.5]}, r'mean: found \(2,\), expected \(4,\), one sh'),
    ({'below': np.zeros((2, 4))}, r'below: found \(2, 4\), .* \(3, 4\)'),
    ({'columns': NAMES[:3]}, r'mean: found \(4,\), expected \(3,\), one'),
    ({'persistent': 0}, 'persistent: found 0, expected at least 1'),
  ],
)
def test_what_is_no_importance_is_refused(change, message):
  with pytest.raises(ValueError, match=message):
    describe(**change)

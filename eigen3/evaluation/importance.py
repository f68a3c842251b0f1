"""Statistics of a population's attention to the market's columns."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from eigen3.learner.importance import THRESHOLDS
from eigen3.settings import require
from eigen3.types import Array

TOP = 20  # number of columns in `top` (from Eigen2)
_ROUNDING = 1e-3  # by which a sum of float32 shares may differ from 1

# A field of an `ImportanceState`, on the device or on the host.
Values: TypeAlias = Array | np.ndarray


def describe(
  mean: Values, below: Values, columns: Sequence[str], persistent: int
) -> dict[str, Any]:
  """Summarises the importance of columns, for a JSON file.

  Args:
    mean: float [C], each column's mean share of attention; sums to 1.
    below: int [3, C], for each of `THRESHOLDS` the number of successive
      updates, up to the latest, with the mean share below that threshold.
    columns: names [C].
    persistent: updates in a row after which a column counts as persistently
      below a threshold.

  Returns:
    `columns`, the number of columns; `entropy` of the shares in nats;
    `entropy_share`, its ratio to the maximum, log C (1 for a single column);
    `effective_columns`, the number of equal shares with this entropy; `top`, up
    to 20 pairs (column, share), the largest shares first; `persistent_updates`,
    the argument `persistent`; and `below`, for each threshold the `count` and
    names (`columns`) of columns persistently below it.

  Raises:
    ValueError: `mean` does not hold shares of attention (it is all 0 before the
      first update), the shapes of `mean` and `below` do not fit the number of
      columns, or `persistent` is below 1.
  """
  shares, below = _checked(mean, below, columns)
  require(persistent >= 1, 'persistent', persistent, 'at least 1')
  nats = float(entropy(shares))
  low = {
    f'{threshold:g}': np.array(columns)[runs >= persistent].tolist()
    for threshold, runs in zip(THRESHOLDS, below, strict=True)
  }
  top = ranking(shares)[:TOP].tolist()
  return {
    'columns': len(columns),
    'entropy': nats,
    'entropy_share': (
      float(nats / np.log(len(columns))) if len(columns) > 1 else 1.0
    ),
    'effective_columns': float(np.exp(nats)),
    'top': [(columns[i], float(shares[i])) for i in top],
    'persistent_updates': persistent,
    'below': {
      threshold: {'count': len(names), 'columns': names}
      for threshold, names in low.items()
    },
  }


def entropy(shares: np.ndarray) -> np.ndarray:
  """Computes the entropy of shares [..., C], in nats; float [...]."""
  logarithms = np.log(np.where(shares > 0, shares, 1.0))
  return 0.0 - np.sum(shares * logarithms, axis=-1)  # 0, never -0


def ranking(shares: np.ndarray) -> np.ndarray:
  """Returns column indices by descending share, ties by index; int [C]."""
  return np.argsort(-shares, kind='stable')


def checked_shares(mean: Values, columns: Sequence[str]) -> np.ndarray:
  """Returns `mean` as float64 [C], rescaled to sum to 1.

  Raises:
    ValueError: `mean` does not have one share per column, a share is negative
      or NaN, or their sum differs from 1 by more than rounding.
  """
  shares = np.asarray(mean, np.float64)
  require(
    shares.shape == (len(columns),),
    'the shape of mean',
    shares.shape,
    f'({len(columns)},), one share per column',
  )
  least, total = float(shares.min()), float(shares.sum())
  require(least >= 0, 'the smallest share in mean', least, 'at least 0')
  require(
    abs(total - 1) < _ROUNDING,
    'the sum of mean',
    total,
    '1 (until the first update all shares are 0)',
  )
  return shares / total


def _checked(
  mean: Values, below: Values, columns: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
  """Returns `mean` as shares [C] and `below` [3, C], or raises an error."""
  shares, below = checked_shares(mean, columns), np.asarray(below)
  expected = (len(THRESHOLDS), len(columns))
  require(
    below.shape == expected,
    'the shape of below',
    below.shape,
    f'{expected}: thresholds x columns',
  )
  return shares, below

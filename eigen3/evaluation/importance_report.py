"""Which columns of the market mattered to a population, for its reader."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from eigen3.files import atomic_path
from eigen3.learner.importance import THRESHOLDS
from eigen3.settings import require
from eigen3.types import Array

TOP = 20  # columns named first (Eigen2's)
_NAMED = 5  # of the ignored columns, how many the text names
_ROUNDING = 1e-3  # by which a sum of float32 shares may miss 1

# What a state of the importance holds, on the device or on the host.
Values: TypeAlias = Array | np.ndarray


def describe(
  mean: Values, below: Values, columns: Sequence[str], persistent: int
) -> dict[str, Any]:
  """The importance of columns in numbers, for a JSON file.

  Args:
    mean: float [C], shares of attention; sums to 1.
    below: int [3, C], for each threshold how many updates in a row the share
      was under it.
    columns: names [C].
    persistent: how many updates in a row make a column one that is
      persistently under a threshold.

  Returns:
    `columns`, how many there are; `entropy` in nats; `entropy_share`, the
    part of the largest that is possible, log C (1 for a single column);
    `effective_columns`, how many columns of equal shares have this entropy;
    `top`, the first 20 (column, share); `persistent_updates`; and `below`, by
    threshold the `count` and `columns` of those persistently under it.

  Raises:
    ValueError: `mean` are not shares of attention (they are all 0 before the
      first update), sizes differ, or `persistent` is under 1.
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


def importance_table(
  mean: Values, below: Values, columns: Sequence[str], persistent: int
) -> str:
  """The most important columns and how many are ignored, as text.

  Args and errors are those of `describe`.
  """
  found = describe(mean, below, columns, persistent)
  shares = [share for _, share in found['top']]
  table = pd.DataFrame(
    {
      'rank': range(1, len(shares) + 1),
      'column': [name for name, _ in found['top']],
      'share': [f'{share:.2%}' for share in shares],
      'together': [f'{share:.2%}' for share in np.cumsum(shares)],
    }
  )
  lines = [
    f'Attention over {found["columns"]} columns: entropy '
    f'{found["entropy"]:.2f} nats ({found["entropy_share"]:.0%} of the '
    f'largest), that of {found["effective_columns"]:.1f} equal columns.',
    table.to_string(index=False),
  ]
  for threshold, low in found['below'].items():
    names = ', '.join(low['columns'][:_NAMED])
    more = ', ...' if low['count'] > _NAMED else ''
    lines.append(
      f'Columns under {100 * float(threshold):g} % for {persistent} or more '
      f'updates: {low["count"]}' + (f' ({names}{more})' if names else '')
    )
  return '\n'.join(lines)


def write_importance_csv(
  path: os.PathLike | str,
  mean: Values,
  below: Values,
  columns: Sequence[str],
) -> None:
  """Writes all columns as CSV, the most important first, whole or not at all.

  The file has `column`, `importance` (its share of attention), `rank` (from 1)
  and, for each threshold, `updates_below_...`: how many updates in a row the
  share was under it.

  Args:
    path: of the file.
    mean: float [C], as for `describe`.
    below: int [3, C], as for `describe`.
    columns: names [C].

  Raises:
    ValueError: as `describe`.
  """
  shares, below = _checked(mean, below, columns)
  order = ranking(shares)
  table = pd.DataFrame(
    {
      'column': [columns[i] for i in order],
      'importance': shares[order],
      'rank': np.arange(1, len(order) + 1),
      **{
        f'updates_below_{threshold:g}': runs[order]
        for threshold, runs in zip(THRESHOLDS, below, strict=True)
      },
    }
  )
  with atomic_path(path) as temporary:
    table.to_csv(temporary, index=False, float_format='%.9g')


def entropy(shares: np.ndarray) -> np.ndarray:
  """The entropy of shares [..., C] in nats, [...]."""
  logarithms = np.log(np.where(shares > 0, shares, 1.0))
  return 0.0 - np.sum(shares * logarithms, axis=-1)  # 0, never -0


def ranking(shares: np.ndarray) -> np.ndarray:
  """int [C], indices of the largest first, of equals the first one first."""
  return np.argsort(-shares, kind='stable')


def checked_shares(mean: Values, columns: Sequence[str]) -> np.ndarray:
  """The shares as float64 [C], without the rounding of their sum.

  Raises:
    ValueError: they are not shares of attention of these columns.
  """
  shares = np.asarray(mean, np.float64)
  require(
    shares.shape == (len(columns),),
    'mean',
    shares.shape,
    f'a value for each of the {len(columns)} columns',
  )
  least, total = float(shares.min()), float(shares.sum())
  require(least >= 0, 'mean', least, 'shares of at least 0')
  require(
    abs(total - 1) < _ROUNDING,
    'the sum of mean',
    total,
    '1, as after the first update',
  )
  return shares / total


def _checked(
  mean: Values, below: Values, columns: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
  """Shares [C] and runs [3, C] on the host, or the error of `describe`."""
  shares, below = checked_shares(mean, columns), np.asarray(below)
  expected = (len(THRESHOLDS), len(columns))
  require(below.shape == expected, 'below', below.shape, f'{expected}')
  return shares, below

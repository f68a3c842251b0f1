"""Splits a panel's days, and fits normalisation on the training days only.

Splits need no purging: an episode, including the days on which its positions
are closed and its rewards become known, lies within one split, so no training
reward depends on a later split's prices. An embargo leaves days between two
splits out of both, because prices on either side of a boundary are correlated.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from eigen3 import settings
from eigen3.data.errors import DataError

# In a prepared panel, stocks with closes on fewer training days than this are
# context. A column's feature with values on fewer counts as missing.
MIN_TRAINING_DAYS = 60


@dataclasses.dataclass(frozen=True)
class Splits:
  """Ranges (start, stop) of days: training, then validation, then holdout.

  Days between two splits belong to none.
  """

  train: tuple[int, int]
  validation: tuple[int, int]
  holdout: tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Normalisation:
  """Statistics that normalise features: (feature - mean) / std.

  A feature that is constant in training is centred but not scaled (std 1). If a
  column has a feature on fewer than `MIN_TRAINING_DAYS` training days, the mean
  and std are NaN, which makes this feature missing on every day. Without this
  rule it would be unnormalised, or normalised by a few days, and later values
  could lie far outside the range seen in training. Statistics of later days
  would look ahead.

  Attributes:
    mean: float32 [C, F], NaN if there are too few values.
    std: float32 [C, F], positive, NaN if there are too few values.
  """

  mean: np.ndarray
  std: np.ndarray


def split_days(num_days: int, config: Any, training_days: int = 0) -> Splits:
  """Splits days into training, validation and held-out days, in this order.

  The `embargo_days` days before validation and before the holdout are left out.

  Args:
    num_days: T, days of the panel.
    config: the section `data` of experiments/configs/td3.py.
    training_days: least number of training days, the panel's `training_days`.

  Raises:
    DataError: a length in `config` is not a whole number of at least 0, or too
      few days are left for training.
  """
  _check(config)
  embargo = config.embargo_days
  holdout = num_days - config.holdout_days
  validation = holdout - embargo - config.validation_days
  train = validation - embargo
  if train < 1:
    raise DataError(
      f'panel: found {num_days} days, expected more than {num_days - train}: '
      f'{config.validation_days} for validation (data.validation_days) '
      f'and {config.holdout_days} for holdout (data.holdout_days)'
      + (
        f', and {embargo} of embargo before each (data.embargo_days)'
        if embargo
        else ''
      )
    )
  if train < training_days:
    prepared, with_embargo, note = config.validation_days + 2 * embargo, '', ''
    if embargo:
      with_embargo = f' with data.embargo_days {embargo}'
      note = f' ({prepared} includes both embargoes)'
    raise DataError(
      'data.validation_days and data.holdout_days: found '
      f'{config.validation_days} and {config.holdout_days}{with_embargo}, '
      f'which leave {train} days for training, expected at least the '
      f'{training_days} that the panel was prepared with; prepare it again '
      f'with --validation_days={prepared} --holdout_days={config.holdout_days}'
      f'{note}'
    )
  return Splits(
    (0, train),
    (validation, validation + config.validation_days),
    (holdout, num_days),
  )


def walk_forward(
  num_days: int, config: Any, min_training_days: int
) -> Iterator[Splits]:
  """Yields walk-forward folds, in all of which training starts on day 0.

  A fold does not use the days after its holdout. The holdouts do not overlap.
  The last holdout ends on the last day; the first fold is the earliest with
  enough training days.

  Args:
    num_days: T, days of the panel.
    config: the section `data` of experiments/configs/td3.py.
    min_training_days: least number of training days in the first fold.

  Yields:
    The splits of each fold, the earliest first.

  Raises:
    DataError: a length in `config` is not a whole number of at least 0, the
      holdout's is 0, or there are too few days for one fold.
  """
  _check(config)
  if config.holdout_days < 1:
    raise DataError('data.holdout_days: found 0, expected at least 1')
  apart = config.validation_days + config.holdout_days + 2 * config.embargo_days
  shortest = max(min_training_days, 1) + apart
  if num_days < shortest:
    raise DataError(
      f'panel: found {num_days} days, expected at least {shortest} for one '
      f'fold: {shortest - apart} for training and {apart} for '
      'data.validation_days, data.holdout_days and twice data.embargo_days'
    )
  folds = (num_days - shortest) // config.holdout_days + 1
  for fold in reversed(range(folds)):
    yield split_days(num_days - fold * config.holdout_days, config)


def _check(config: Any) -> None:
  for field in ('validation_days', 'holdout_days', 'embargo_days'):
    found = config[field]
    if not settings.COUNT.meets(found):
      expected = settings.COUNT.wanted(found)
      raise DataError(f'data.{field}: found {found!r}, expected {expected}')


def fit_normalisation(
  features: np.ndarray, train: tuple[int, int]
) -> Normalisation:
  """Computes means and standard deviations of features on training days.

  Args:
    features: [T, C, F], NaN is missing and not counted.
    train: (start, stop), the training days.

  Raises:
    DataError: the range is not inside the panel, or is shorter than
      `MIN_TRAINING_DAYS`.
  """
  start, stop = train
  if not 0 <= start < stop <= len(features):
    raise DataError(
      f'training days: found ({start}, {stop}), expected (start, stop) with '
      f'0 <= start < stop <= {len(features)}, the days of the panel'
    )
  if stop - start < MIN_TRAINING_DAYS:
    raise DataError(
      f'training days: found {stop - start}, expected at least '
      f'{MIN_TRAINING_DAYS} to normalise features; use a longer panel, or '
      'reduce data.validation_days, data.holdout_days or data.embargo_days'
    )
  # One feature at a time: float64 copies of all would triple the memory.
  fits = [
    _mean_and_std(features[start:stop, :, index].astype(np.float64))
    for index in range(features.shape[2])
  ]
  mean, std = np.moveaxis(np.asarray(fits), 0, -1)  # [C, F] each
  return Normalisation(mean.astype(np.float32), std.astype(np.float32))


def _mean_and_std(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns each column's mean and standard deviation, [C]; NaN is skipped.

  Both are NaN if a column of `values`, [T, C], has fewer than
  `MIN_TRAINING_DAYS` values that are known. A deviation of 0 is replaced by 1.
  """
  known = ~np.isnan(values)
  count = known.sum(axis=0).astype(np.float64)
  count[count < MIN_TRAINING_DAYS] = np.nan
  mean = np.where(known, values, 0.0).sum(axis=0) / count
  off = np.where(known, values - mean, 0.0)
  std = np.sqrt((off**2).sum(axis=0) / count)
  # The deviation of a constant is 0, apart from rounding errors.
  std[std <= 1e-9 * np.abs(mean)] = 0.0
  std[std == 0.0] = 1.0
  return mean, std

"""Splits by days, and normalisation that knows the training days only.

Purging is built in: an episode, with the days on which its positions close and
its rewards settle, lies within one split, so no reward of training is made of
a later split's prices. An embargo leaves days between splits unused, for what
is left of memory in prices themselves.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from eigen3 import settings
from eigen3.data.errors import DataError

# What is known of a column on fewer days of training than this is too little
# to learn from: it is not bought, and a feature of it is not measured.
MIN_TRAINING_DAYS = 60


@dataclasses.dataclass(frozen=True)
class Splits:
  """Ranges (start, stop) of days: training, then validation, then holdout.

  Days between two of them belong to none.
  """

  train: tuple[int, int]
  validation: tuple[int, int]
  holdout: tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Normalisation:
  """What is subtracted from a feature, and what it is then divided by.

  A feature that is constant in training keeps its unit (std 1). A feature of
  a column that training knows on fewer than `MIN_TRAINING_DAYS` days cannot
  be measured: both numbers are NaN, which makes it missing on every day. Raw
  values, or values divided by the spread of a few days, would be far from
  all that networks were trained on; days after training must not measure it.

  Attributes:
    mean: float32 [C, F], NaN where not measured.
    std: float32 [C, F], positive, NaN where not measured.
  """

  mean: np.ndarray
  std: np.ndarray


def split_days(num_days: int, config: Any, training_days: int = 0) -> Splits:
  """The last days are held out, those before them validate, the rest train.

  Of each split but the first, `embargo_days` days before it are left out.

  Args:
    num_days: T, days of the panel.
    config: the section `data` of experiments/configs/td3.py.
    training_days: least days of training, as the panel says: by that many it
      was decided what may be bought, so fewer would not be all that knows.

  Raises:
    DataError: a length is negative, or too few days are left for training.
  """
  _check(config)
  embargo = config.embargo_days
  holdout = num_days - config.holdout_days
  validation = holdout - embargo - config.validation_days
  train = validation - embargo
  if train < 1:
    raise DataError(
      f'panel: has {num_days} days, expected more than '
      f'{config.validation_days} for validation (data.validation_days) '
      f'and {config.holdout_days} for holdout (data.holdout_days)'
      + (
        f', and {embargo} days of embargo before each (data.embargo_days)'
        if embargo
        else ''
      )
    )
  if train < training_days:
    raise DataError(
      'data.validation_days and data.holdout_days: found '
      f'{config.validation_days} and {config.holdout_days}, which leave '
      f'{train} days for training, expected at least the {training_days} '
      'by which the panel says what may be bought; prepare the panel with '
      'these lengths'
    )
  return Splits(
    (0, train),
    (validation, validation + config.validation_days),
    (holdout, num_days),
  )


def walk_forward(
  num_days: int, config: Any, min_training_days: int
) -> Iterator[Splits]:
  """Anchored folds: training grows from the first day, holdouts follow.

  Each fold is a panel of its own that ends with its holdout. The holdouts do
  not overlap; the last ends with the last day, the first is the earliest that
  leaves enough training.

  Args:
    num_days: T, days of the panel.
    config: the section `data` of experiments/configs/td3.py.
    min_training_days: of the first fold.

  Yields:
    The splits of each fold, the earliest first.

  Raises:
    DataError: a length is out of range, or there is no fold.
  """
  _check(config)
  if config.holdout_days < 1:
    raise DataError('data.holdout_days: found 0, expected at least 1')
  apart = config.validation_days + config.holdout_days + 2 * config.embargo_days
  shortest = max(min_training_days, 1) + apart
  if num_days < shortest:
    raise DataError(
      f'panel: has {num_days} days, expected at least {shortest} for one fold'
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
  """Mean and standard deviation of every column's features in training.

  Args:
    features: [T, C, F], NaN is missing and not counted.
    train: (start, stop), the training days.

  Raises:
    DataError: the range is not inside the panel, or is shorter than
      `MIN_TRAINING_DAYS`, so that nothing could be measured.
  """
  start, stop = train
  if not 0 <= start < stop <= len(features):
    raise DataError(
      f'training days: found ({start}, {stop}), expected '
      f'0 <= start < stop <= {len(features)}'
    )
  if stop - start < MIN_TRAINING_DAYS:
    raise DataError(
      f'training days: found {stop - start}, expected at least '
      f'{MIN_TRAINING_DAYS} to measure features by, beside '
      'data.validation_days, data.holdout_days and data.embargo_days'
    )
  # One feature at a time: float64 copies of all would triple the memory.
  fits = [
    _mean_and_std(features[start:stop, :, index].astype(np.float64))
    for index in range(features.shape[2])
  ]
  mean, std = np.moveaxis(np.asarray(fits), 0, -1)  # [C, F] each
  return Normalisation(mean.astype(np.float32), std.astype(np.float32))


def _mean_and_std(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Population mean and deviation [C] of [T, C], skipping NaN.

  Both are NaN where fewer than `MIN_TRAINING_DAYS` values are known.
  """
  known = ~np.isnan(values)
  count = known.sum(axis=0).astype(np.float64)
  count[count < MIN_TRAINING_DAYS] = np.nan
  mean = np.where(known, values, 0.0).sum(axis=0) / count
  off = np.where(known, values - mean, 0.0)
  std = np.sqrt((off**2).sum(axis=0) / count)
  # What summing rounds off is not spread: a constant has none.
  std[std <= 1e-9 * np.abs(mean)] = 0.0
  std[std == 0.0] = 1.0
  return mean, std

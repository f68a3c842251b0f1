"""Splits by days, and normalisation that knows the training days only."""

import dataclasses
from typing import Any

import numpy as np

from eigen3.data.errors import DataError


@dataclasses.dataclass(frozen=True)
class Splits:
  """Ranges (start, stop) of days: training, then validation, then holdout."""

  train: tuple[int, int]
  validation: tuple[int, int]
  holdout: tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Normalisation:
  """What is subtracted from a feature, and what it is then divided by.

  A feature that is constant in training keeps its unit (std 1). A column that
  training never saw has no history to be measured by: it keeps its values
  (mean 0, std 1) rather than those of days that training must not know.

  Attributes:
    mean: float32 [C, F].
    std: float32 [C, F], positive.
  """

  mean: np.ndarray
  std: np.ndarray


def split_days(num_days: int, config: Any) -> Splits:
  """The last days are held out, those before them validate, the rest train.

  Args:
    num_days: T, days of the panel.
    config: the section `data` of experiments/configs/td3.py.

  Raises:
    DataError: a length is negative, or no day is left for training.
  """
  for field in ('validation_days', 'holdout_days'):
    if config[field] < 0:
      raise DataError(f'data.{field}: found {config[field]}, expected >= 0')
  holdout = num_days - config.holdout_days
  validation = holdout - config.validation_days
  if validation < 1:
    raise DataError(
      f'panel: has {num_days} days, expected more than '
      f'{config.validation_days} for validation '
      f'and {config.holdout_days} for holdout'
    )
  return Splits((0, validation), (validation, holdout), (holdout, num_days))


def fit_normalisation(
  features: np.ndarray, train: tuple[int, int]
) -> Normalisation:
  """Mean and standard deviation of every column's features in training.

  Args:
    features: [T, C, F], NaN is missing and not counted.
    train: (start, stop), the training days.

  Raises:
    DataError: the range is empty or not inside the panel.
  """
  start, stop = train
  if not 0 <= start < stop <= len(features):
    raise DataError(
      f'training days: found ({start}, {stop}), expected '
      f'0 <= start < stop <= {len(features)}'
    )
  # One feature at a time: float64 copies of all would triple the memory.
  fits = [
    _mean_and_std(features[start:stop, :, index].astype(np.float64))
    for index in range(features.shape[2])
  ]
  mean, std = np.moveaxis(np.asarray(fits), 0, -1)  # [C, F] each
  return Normalisation(mean.astype(np.float32), std.astype(np.float32))


def _mean_and_std(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Population mean and deviation [C] of [T, C], skipping NaN."""
  known = ~np.isnan(values)
  count = np.maximum(known.sum(axis=0), 1)
  mean = np.where(known, values, 0.0).sum(axis=0) / count
  off = np.where(known, values - mean, 0.0)
  std = np.sqrt((off**2).sum(axis=0) / count)
  # What summing rounds off is not spread: a constant has none.
  std[std <= 1e-9 * np.abs(mean)] = 0.0
  return mean, np.where(std > 0.0, std, 1.0)

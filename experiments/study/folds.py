"""Folds of a real panel: their days, and stocks chosen by earlier data."""

import pathlib
from typing import NamedTuple

import ml_collections
import numpy as np

from eigen3 import data
from eigen3.data import MarketPanel, Splits
from eigen3.settings import require


class Fold(NamedTuple):
  """The panel of a fold.

  Attributes:
    year: of most of its held-out days.
    path: of the panel, which ends with the held-out days.
  """

  year: int
  path: pathlib.Path


def make(config: ml_collections.ConfigDict, folder: pathlib.Path) -> list[Fold]:
  """Makes the panels of all folds that do not exist yet.

  If all exist, the source panel is no longer needed. If it exists, the folds
  must equal those made from it.

  Args:
    config: of the study.
    folder: of the panels.

  Raises:
    ValueError: if the source panel does not fit, has no fold for a year, or
      differs from the one that a fold was made from.
  """
  folds = [Fold(year, folder / f'{year}.parquet') for year in config.years]
  is_whole = all(fold.path.exists() for fold in folds)
  source = pathlib.Path(config.panel).expanduser()
  if is_whole and not source.is_file():
    return folds
  require(bool(config.panel), 'panel', config.panel, 'a Parquet file')
  panel = MarketPanel.load(source)
  splits = by_year(panel.dates, config.data)
  folder.mkdir(parents=True, exist_ok=True)
  for fold in folds:
    require(
      fold.year in splits,
      'years',
      fold.year,
      f'some of {", ".join(map(str, sorted(splits)))}, with a fold',
    )
    made = _narrowed(panel, splits[fold.year], config.data)
    if not fold.path.exists():
      made.save(fold.path)
    elif MarketPanel.load(fold.path).fingerprint != made.fingerprint:
      raise ValueError(
        f'panel: found {config.panel}, expected the data that {fold.path} was '
        'made from'
      )
  return folds


def by_year(
  dates: np.ndarray, config: ml_collections.ConfigDict
) -> dict[int, Splits]:
  """Returns the fold with most held-out days in each year; ties: the later.

  Args:
    dates: datetime64[D] [T].
    config: the section `data` of the study.
  """
  found: dict[int, tuple[int, Splits]] = {}
  last = data.parse_day(config.last_day or None, 'data.last_day')
  num_days = len(dates) if last is None else int((dates <= last).sum())
  for splits in data.walk_forward(num_days, config, config.min_training_days):
    held_out = dates[slice(*splits.holdout)].astype('datetime64[Y]')
    years, counts = np.unique(held_out.astype(int) + 1970, return_counts=True)
    year, count = int(years[counts.argmax()]), int(counts.max())
    if count >= found.get(year, (0, splits))[0]:
      found[year] = (count, splits)
  return {year: splits for year, (_, splits) in found.items()}


def _narrowed(
  panel: MarketPanel, splits: Splits, config: ml_collections.ConfigDict
) -> MarketPanel:
  """Returns the panel of a fold, with only its stocks and days."""
  known = splits.train[1]
  stocks = data.most_traded(
    panel, known, config.num_stocks, config.look_back_days
  )
  return data.narrowed(panel, stocks, config.context, splits.holdout[1], known)

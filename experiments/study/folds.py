"""Makes folds of a real panel, with stocks chosen on the training days."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import ml_collections
import numpy as np

from eigen3 import data
from eigen3.data import MarketPanel, Splits
from eigen3.evaluation.characteristics import buyable
from eigen3.evaluation.planted import plant
from eigen3.files import atomic_path
from eigen3.settings import require

_SOURCE = 'source.txt'  # holds the fingerprint of the study's panel


class Fold(NamedTuple):
  """A fold's year and the path of its panel.

  Attributes:
    year: the year in which most of the fold's held-out days lie.
    path: path of the panel, which ends with the held-out days.
  """

  year: int
  path: pathlib.Path


def source(
  config: ml_collections.ConfigDict, folder: pathlib.Path
) -> MarketPanel | None:
  """Returns the study's panel, or None if its file is gone.

  Folds made earlier can be used without the panel. If `folder` has no
  `_SOURCE`, no folds were made, and a missing panel is an error.

  Args:
    config: the study's settings.
    folder: the folder of the folds' panels; the file `_SOURCE` in it, created
      if absent, holds the fingerprint of the panel that the folds are made
      from.

  Raises:
    ValueError: if the panel's file is missing and so is `_SOURCE`, or the panel
      cannot be read, has no universe, or has another fingerprint than in
      `_SOURCE`.
  """
  path, note = pathlib.Path(config.panel).expanduser(), folder / _SOURCE
  made_from = note.read_text(encoding='utf-8') if note.exists() else None
  if made_from is not None and not path.is_file():
    return None
  expected = 'the path of a Parquet file made by prepare_data'
  require(bool(config.panel), 'panel', config.panel, expected)
  panel = MarketPanel.load(path)
  if panel.members is None:
    raise ValueError(
      f'panel: found no universe in {path}, expected the members of each day '
      '(prepare_data --universe=FILE)'
    )
  if made_from is None:
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(note) as temporary:
      temporary.write_text(panel.fingerprint, encoding='utf-8')
  elif made_from != panel.fingerprint:
    raise ValueError(
      f'panel: found other data in {path} than the folds in {folder} were made '
      'from, expected the same panel; or use another --workdir'
    )
  return panel


def make(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  load: Callable[[], MarketPanel | None],
) -> list[Fold]:
  """Makes the folds' missing panels; returns the folds of `config.years`.

  Args:
    config: the study's settings.
    folder: the folder of the folds' panels.
    load: returns the panel of all days, or None if its file is gone.

  Raises:
    ValueError: if panels of folds are missing and cannot be made: the panel of
      all days is gone, a setting in `data` is invalid or does not fit it, a
      year has no fold, or a fold would have too few stocks.
  """
  folds = [Fold(year, folder / f'{year}.parquet') for year in config.years]
  missing = [fold for fold in folds if not fold.path.exists()]
  if not missing:
    return folds
  panel = load()
  if panel is None:
    raise ValueError(
      f"panel: found no file '{config.panel}', expected the panel that the "
      f'folds in {folder} were made from: some folds are missing and must be '
      'made'
    )
  splits = _splits_of(config, panel)
  folder.mkdir(parents=True, exist_ok=True)
  for fold in missing:
    _made(panel, splits[fold.year], fold.year, config).save(fold.path)
  return folds


def planted(
  config: ml_collections.ConfigDict, panel: MarketPanel, ic: float, seed: int
) -> MarketPanel:
  """Returns a panel of the first fold's stocks, resampled, with a signal.

  All days of the study's panel are resampled; see `evaluation.planted`.

  Args:
    config: the study's settings.
    panel: the study's panel.
    ic: rank IC of the planted signal; with 0 none is planted.
    seed: random seed of the resampling.

  Raises:
    ValueError: if a setting in `data` is invalid, a year has no fold, the
      stocks cannot be chosen, or `ic` is out of range or cannot be reached on
      this panel.
  """
  first = _splits_of(config, panel)[min(config.years)]
  narrowed = _narrowed(panel, first, config.data, panel.num_days)
  return plant(narrowed, ic, seed).panel


def by_year(
  dates: np.ndarray, config: ml_collections.ConfigDict
) -> dict[int, Splits]:
  """Returns the splits of one fold, by year, for each year that has a fold.

  A fold belongs to the year in which most of its held-out days lie. Of several
  folds of a year, the one with the most held-out days in that year is kept, or
  the later one if they have equally many. Days after `data.last_day`, by
  default the end of the last of `config.years`, are left out.

  Args:
    dates: datetime64[D] [T], the panel's days.
    config: the study's settings.

  Raises:
    ValueError: if a setting in `data` is invalid, or there are too few days for
      one fold.
  """
  found: dict[int, tuple[int, Splits]] = {}
  day = config.data.last_day or f'{max(config.years)}-12-31'
  num_days = int((dates <= data.parse_day(day, 'data.last_day')).sum())
  least = config.data.min_training_days
  try:
    folds = [*data.walk_forward(num_days, config.data, least)]
  except data.DataError as error:
    raise ValueError(f'{config.panel}, days up to {day}: {error}') from error
  for splits in folds:
    held_out = dates[slice(*splits.holdout)].astype('datetime64[Y]')
    years, counts = np.unique(held_out.astype(int) + 1970, return_counts=True)
    year, count = int(years[counts.argmax()]), int(counts.max())
    if count >= found.get(year, (0, splits))[0]:
      found[year] = (count, splits)
  return {year: splits for year, (_, splits) in found.items()}


def _splits_of(
  config: ml_collections.ConfigDict, panel: MarketPanel
) -> dict[int, Splits]:
  """Returns splits by year (see `by_year`), at least for all `config.years`.

  Raises:
    ValueError: if one of `config.years` has no fold, and as in `by_year`.
  """
  splits = by_year(panel.dates, config)
  for year in config.years:
    require(
      year in splits,
      'years',
      year,
      f'one of {", ".join(map(str, sorted(splits)))}, the years for which '
      f'{config.panel} has a fold',
    )
  return splits


def _made(
  panel: MarketPanel,
  splits: Splits,
  year: int,
  config: ml_collections.ConfigDict,
) -> MarketPanel:
  """Returns a fold's panel.

  Raises:
    ValueError: if the stocks or context cannot be chosen, or if fewer than
      `data.min_stocks` can be bought on average over the held-out days.
  """
  made = _narrowed(panel, splits, config.data, splits.holdout[1])
  count = buyable(made)[slice(*splits.holdout)].sum(axis=1).mean()
  least = config.data.min_stocks
  if count < least:
    raise ValueError(
      f'panel: found {count:.3f} members with prices on average over the '
      f'held-out days of fold {year} of {config.panel}, expected at least '
      f'{least} (data.min_stocks)'
    )
  return made


def _narrowed(
  panel: MarketPanel,
  splits: Splits,
  config: ml_collections.ConfigDict,
  stop: int,
) -> MarketPanel:
  """Returns a panel of a fold's stocks and context on days before `stop`.

  Args:
    panel: the study's panel.
    splits: the fold's splits; stocks are chosen on the training days.
    config: the section `data` of the study's settings.
    stop: index of the first day that is left out.
  """
  known, stocks = splits.train[1], [*range(*panel.investable)]
  if 0 < config.num_stocks < len(stocks):
    stocks = data.most_traded(
      panel, known, config.num_stocks, config.look_back_days
    )
  return data.narrowed(panel, stocks, config.context, stop, known)

"""Repairs by stated rules; by default nothing is repaired."""

import dataclasses

import numpy as np

from eigen3.data import defects
from eigen3.data.csv_files import Ticker
from eigen3.data.errors import DataError
from eigen3.data.readers import Source

# What can be chosen; the first is the default.
CHOICES = {
  'bad_ticks': ('keep', 'mask'),
  'splits': ('keep', 'adjust'),
  'order': ('keep', 'widen'),
}


@dataclasses.dataclass(frozen=True)
class Repairs:
  """What is done about defects that reading leaves as they are.

  A bad tick is known only once it is back, and a split is told from a crash
  by the moves of the days after it, too. A panel so repaired looks cleaner
  than prices were on the day: who trained on it has not met what a live feed
  would show. That is why nothing is repaired unless asked for.

  Attributes:
    bad_ticks: 'keep', or 'mask', which takes as missing the prices of a bad
      tick that are nearer to it than to the close before, and highs and lows
      far beyond open and close.
    splits: 'keep', or 'adjust', which multiplies the prices before a likely
      split, or one that the file states and prices move by, by its ratio and
      divides the volume by it.
    order: 'keep', or 'widen', which moves high and low so that open and close
      are between them.

  Raises:
    DataError: a choice that is not one of `CHOICES`.
  """

  bad_ticks: str = 'keep'
  splits: str = 'keep'
  order: str = 'keep'

  def __post_init__(self):
    for name, choices in CHOICES.items():
      if getattr(self, name) not in choices:
        raise DataError(
          f"{name}: found '{getattr(self, name)}', expected one of "
          f'{", ".join(choices)}'
        )

  def __str__(self) -> str:
    chosen = dataclasses.asdict(self).items()
    return ', '.join(f'{k}={v}' for k, v in chosen if v != 'keep') or 'none'


NONE = Repairs()


def repair(source: Source, repairs: Repairs) -> Source:
  """`source` with repaired prices and volumes.

  What a ticker tells of its file (`outside`, `suspicious`, `masked`) stays as
  it was read; `check` says what was repaired.
  """
  if repairs == NONE:
    return source
  tickers = tuple(_repaired(ticker, repairs) for ticker in source.tickers)
  return dataclasses.replace(source, tickers=tickers)


def mask_bad_ticks(
  ticker: Ticker, moves: tuple[defects.Move, ...]
) -> np.ndarray:
  """Prices [R, 4] without ticks and spikes; `moves` are the ticker's own."""
  ohlc = np.where(defects.spikes(ticker.ohlc), np.nan, ticker.ohlc)
  for move in moves:
    if move.kind == 'tick':
      cells = ohlc[move.row : move.stop]
      covered = np.log(cells / move.before) / np.log(move.ratio)
      cells[covered > 0.5] = np.nan
  return ohlc


def _repaired(ticker: Ticker, repairs: Repairs) -> Ticker:
  moves = defects.find_moves(ticker)
  ohlc, volume = ticker.ohlc.copy(), ticker.volume.copy()
  if repairs.bad_ticks == 'mask':
    ohlc = mask_bad_ticks(ticker, moves)
  if repairs.splits == 'adjust':
    ratios = {move.row: move.split for move in moves if move.kind == 'split'}
    ratios |= {row: 1.0 / shares for row, shares in ticker.unadjusted}
    for row, ratio in sorted(ratios.items()):
      ohlc[:row] *= ratio
      volume[:row] /= ratio
  if repairs.order == 'widen':
    wrong = defects.outside(ohlc)
    ohlc[wrong] = _widened(ohlc[wrong])
  return dataclasses.replace(ticker, ohlc=ohlc, volume=volume)


def _widened(ohlc: np.ndarray) -> np.ndarray:
  """Rows [R, 4] with high and low at the ends; a missing one stays missing."""
  missing = np.isnan(ohlc)
  most, least = np.nanmax(ohlc, axis=1), np.nanmin(ohlc, axis=1)
  widened = np.stack([ohlc[:, 0], most, least, ohlc[:, 3]], axis=1)
  widened[missing] = np.nan
  return widened

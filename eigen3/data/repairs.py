"""Repairs defects in prices by fixed rules; by default repairs nothing."""

import dataclasses

import numpy as np

from eigen3.data import defects
from eigen3.data.csv_files import Ticker
from eigen3.data.errors import DataError
from eigen3.data.readers import Source

# The choices of each repair; the first is the default.
CHOICES = {
  'bad_ticks': ('keep', 'mask'),
  'splits': ('keep', 'adjust'),
  'order': ('keep', 'widen'),
}


@dataclasses.dataclass(frozen=True)
class Repairs:
  """The repairs to make; defects that are not repaired are kept.

  A bad tick is recognised only after it has reverted, and later moves help to
  distinguish a split from a crash. So a repaired panel looks cleaner than the
  prices that could be seen on each day, and an agent trained on it has not seen
  the defects of a live feed. That is why the default is no repair.

  Attributes:
    bad_ticks: 'keep', or 'mask', which sets to missing, on the days of a bad
      tick, each price that is nearer to the bad close than to the last close
      before the tick; and, on any day, a high or low far beyond open and close.
    splits: 'keep', or 'adjust', which multiplies the prices before a split by
      the ratio of new to old price and divides the volumes before it by this
      ratio. This covers likely splits, and splits that are stated in the file
      but not reflected in its prices.
    order: 'keep', or 'widen', which moves high and low so that open and close
      are between them.

  Raises:
    DataError: a value is not one of `CHOICES`.
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
  """Returns `source` with repaired prices and volumes.

  What a ticker records about its file, such as `outside`, `suspicious` and
  `masked`, does not change; `quality.check` reports the repairs.
  """
  if repairs == NONE:
    return source
  tickers = tuple(_repaired(ticker, repairs) for ticker in source.tickers)
  return dataclasses.replace(source, tickers=tickers)


def mask_bad_ticks(
  ticker: Ticker, moves: tuple[defects.Move, ...]
) -> np.ndarray:
  """Returns the ticker's prices [R, 4], masked as `Repairs` describes.

  `moves` are the result of `defects.find_moves`.
  """
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
  """Widens high and low of prices [R, 4] to span open and close; NaN stays."""
  missing = np.isnan(ohlc)
  most, least = np.nanmax(ohlc, axis=1), np.nanmin(ohlc, axis=1)
  widened = np.stack([ohlc[:, 0], most, least, ohlc[:, 3]], axis=1)
  widened[missing] = np.nan
  return widened

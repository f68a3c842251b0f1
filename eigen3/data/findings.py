"""Lists the findings in one ticker, with the action taken on each."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from eigen3.data import defects
from eigen3.data.csv_files import SUSPICIOUS, Ticker
from eigen3.data.indicators import PRICES
from eigen3.data.repairs import Repairs, mask_bad_ticks


@dataclasses.dataclass(frozen=True)
class Rule:
  """A kind of finding, and the action taken on it.

  Attributes:
    title: the kind in a few words.
    what: what is counted, in words.
    action: the default action: 'kept', 'masked' or 'repaired'.
    done: the default action in words.
    repair: the field of `Repairs` that selects the action; '' if the action is
      always the default.
    otherwise: the action, and the action in words, if that field is not 'keep'.
  """

  title: str
  what: str
  action: str
  done: str
  repair: str = ''
  otherwise: tuple[str, str] = ('', '')

  def answer(self, repairs: Repairs) -> tuple[str, str]:
    """Returns the action under `repairs`, and the action in words."""
    if self.repair and getattr(repairs, self.repair) != 'keep':
      return self.otherwise
    return self.action, self.done


_LEFT = 'left as it is'
_STAYS = 'stays missing; nothing is filled in'
_ON_USUAL_MONEY = (
  f'at least {defects.OUT_OF_SCALE:g} times the usual move around it, on at '
  f'most {defects.USUAL_MONEY:g} times the usual dollar volume'
)
RULES = {
  'tick': Rule(
    'bad ticks',
    f'a close that jumps away, {_ON_USUAL_MONEY}, and returns within '
    f'{defects.TICK_ROWS} rows (the rows in between are counted)',
    'kept',
    _LEFT,
    'bad_ticks',
    ('masked', 'the prices nearer to the tick than to the close before it'),
  ),
  'spike': Rule(
    'spikes',
    f'a high over {defects.SPIKE:g} times open and close, or a low as far '
    'below them',
    'kept',
    _LEFT,
    'bad_ticks',
    ('masked', 'that high or low'),
  ),
  'split': Rule(
    'likely splits',
    'a move of open and close by the ratio of a split, within '
    f'{defects.SPLIT_TOLERANCE:.0%}, {_ON_USUAL_MONEY}',
    'kept',
    _LEFT,
    'splits',
    ('repaired', 'prices before it times the ratio, volume divided by it'),
  ),
  'unexplained': Rule(
    'unexplained moves',
    f'a move, {_ON_USUAL_MONEY}: a spin-off, a dividend or a split that was '
    'adjusted for wrongly or not at all',
    'kept',
    _LEFT,
  ),
  'large': Rule(
    'large moves',
    f'a close under {SUSPICIOUS[0]:g} or over '
    f'{SUSPICIOUS[1]:g} times the close before, on a dollar volume '
    'usual after news',
    'kept',
    _LEFT,
  ),
  'order': Rule(
    'prices out of order',
    'a row with open or close outside low to high',
    'kept',
    _LEFT,
    'order',
    ('repaired', 'high and low are moved to the largest and least price'),
  ),
  'impossible': Rule(
    'impossible values',
    'a price that is zero, negative or infinite, or a negative volume',
    'masked',
    'treated as missing',
  ),
  'empty': Rule('empty cells', 'a cell without a number', 'kept', _STAYS),
  'gap': Rule(
    'gaps',
    'a trading day between the first row and the last without a row',
    'kept',
    _STAYS,
  ),
  'odd_day': Rule(
    'odd days',
    'a row on a day on which fewer than half of the listed stocks have one',
    'kept',
    'the day is a day of the panel, missing in the other columns',
  ),
  'repeated': Rule(
    'repeated days',
    'a row equal to another of the same day',
    'repaired',
    'one of them is kept',
  ),
  'revised': Rule(
    'revised days',
    'a repeated day with other numbers (many of them refuse the file)',
    'repaired',
    'the last row in the file that holds a price is kept',
  ),
  'unpriced': Rule(
    'rows without prices',
    'a row that holds no price',
    'masked',
    'left out',
  ),
  'stale': Rule(
    'stale prices',
    f'a run of at least {defects.STALE_ROWS} rows with the same close, and '
    'the same volume or none',
    'kept',
    _LEFT,
  ),
  'untraded': Rule('untraded days', 'a row with volume 0', 'kept', _LEFT),
}


@dataclasses.dataclass(frozen=True)
class Occurrence:
  """One occurrence of a finding.

  Attributes:
    day: the first day, YYYY-MM-DD; '' if only a row of the file is known.
    count: number of days, rows or cells, whichever the rule counts.
    found: what was found, in words.
  """

  day: str
  count: int
  found: str


@dataclasses.dataclass(frozen=True)
class Finding:
  """All occurrences of one kind of finding in a column, at least one.

  The action is 'kept', 'masked' or 'repaired'.
  """

  action: str
  occurrences: tuple[Occurrence, ...]

  @property
  def count(self) -> int:
    """Returns the total number of days, rows or cells."""
    return sum(occurrence.count for occurrence in self.occurrences)

  @property
  def longest(self) -> int:
    """Returns the number of days, rows or cells in the largest occurrence."""
    return max(occurrence.count for occurrence in self.occurrences)


def find(
  ticker: Ticker, trading: np.ndarray, odd: np.ndarray, repairs: Repairs
) -> dict[str, Finding]:
  """Returns all findings in a stock, keyed by kind, in the order of `RULES`.

  Args:
    ticker: the ticker before any repair.
    trading: the days on which the market traded.
    odd: the other days on which some ticker has a row.
    repairs: the repairs made, which decide the action of each finding. If bad
      ticks are masked, the order of prices is checked without them.
  """
  moves = defects.find_moves(ticker)
  ohlc = ticker.ohlc
  if repairs.bad_ticks == 'mask':  # because masking precedes widening
    ohlc = mask_bad_ticks(ticker, moves)
  spikes = np.any(defects.spikes(ticker.ohlc), axis=1)
  odd_days = odd[defects.among(odd, ticker.dates)]
  places = {
    'spike': _prices(ticker, spikes),
    'order': _prices(ticker, defects.outside(ohlc)),
    'odd_day': _days(odd_days, 'few other stocks have a row'),
    **_moves(ticker, moves),
    **_cells(ticker),
    **_volume(ticker),
  }
  found = find_gaps(ticker.dates, trading)
  for kind, occurrences in places.items():
    if occurrences:
      action, _ = RULES[kind].answer(repairs)
      found[kind] = Finding(action, tuple(occurrences))
  return {kind: found[kind] for kind in RULES if kind in found}


def find_gaps(dates: np.ndarray, trading: np.ndarray) -> dict[str, Finding]:
  """Returns {'gap': finding} of trading days missing in `dates`, or {}.

  This is the only check of columns that are not stocks, whose valid values may
  be negative, stay constant or suddenly double.
  """
  gaps = tuple(
    Occurrence(day, days, f'{days} trading days without a row')
    for day, days in defects.gaps(dates, trading)
  )
  return {'gap': Finding(RULES['gap'].action, gaps)} if gaps else {}


def _cells(ticker: Ticker) -> dict[str, list[Occurrence]]:
  """Returns what the reader recorded about cells and rows, keyed by kind."""
  places: dict[str, list[Occurrence]] = {'empty': [], 'impossible': []}
  for cells in ticker.masked:
    found = (
      f'{cells.column}: {cells.count} cells, the first in row {cells.row} of '
      'the file'
    )
    if cells.found == 'nothing':
      places['empty'].append(Occurrence('', cells.count, found))
    else:
      found += f' ({cells.found})'
      places['impossible'].append(Occurrence('', cells.count, found))
  places['repeated'] = _days(ticker.repeated, 'the same row again')
  places['revised'] = _days(ticker.revised, 'again with other numbers')
  places['unpriced'] = _days(ticker.unpriced, 'no price')
  return places


def _moves(
  ticker: Ticker, moves: tuple[defects.Move, ...]
) -> dict[str, list[Occurrence]]:
  places: dict[str, list[Occurrence]] = {}
  for move in moves:
    rows = move.stop - move.row
    more = {'tick': f', back after {rows}', 'split': f', near {move.split:.4g}'}
    found = [f'{move.ratio - 1.0:+.1%}{more.get(move.kind, "")}']
    if not np.isnan(move.scale):
      found.append(f'{move.scale:.0f} times the usual move')
    if not np.isnan(move.money):
      found.append(f'{move.money:.2g} times the usual money')
    places.setdefault(move.kind, []).append(
      Occurrence(str(ticker.dates[move.row]), rows, '; '.join(found))
    )
  return places


def _volume(ticker: Ticker) -> dict[str, list[Occurrence]]:
  return {
    'stale': [
      Occurrence(
        str(ticker.dates[row]),
        count,
        f'{count} rows with the close {ticker.ohlc[row, 3]:.4g}',
      )
      for row, count in defects.stale_runs(ticker)
    ],
    'untraded': [
      Occurrence(str(ticker.dates[row]), count, f'{count} rows with volume 0')
      for row, count in defects.runs(ticker.volume == 0.0)
    ],
  }


def _prices(ticker: Ticker, rows: np.ndarray) -> list[Occurrence]:
  """Returns an occurrence, with the prices, for each True in `rows`, [R]."""
  return [
    Occurrence(
      str(ticker.dates[row]),
      1,
      ', '.join(
        f'{name} {price:.4g}'
        for name, price in zip(PRICES, ticker.ohlc[row], strict=True)
      ),
    )
    for row in np.flatnonzero(rows)
  ]


def _days(days: Iterable, found: str) -> list[Occurrence]:
  return [Occurrence(str(day), 1, found) for day in days]

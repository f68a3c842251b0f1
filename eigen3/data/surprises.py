"""Warns about data that is valid but probably a mistake.

The data stays unchanged.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from eigen3.data import defects
from eigen3.data.panel import MarketPanel
from eigen3.data.readers import Source
from eigen3.data.repairs import Repairs
from eigen3.types import TRADING_DAYS_A_YEAR

# Up to this many rows at the start or end of a history are suspect if a gap of
# more than `_FAR_DAYS` days separates them from the other rows.
_FEW_ROWS = 5
_FAR_DAYS = 92
_STILL_ROWS = 20
_SHOWN_NAMES = 8
_WEEKDAYS = ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday',
             'Saturday', 'Sunday')  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Warned:
  """A warning about one kind of likely mistake.

  Attributes:
    kind: a key of `KINDS`.
    count: the number that precedes `what` in the message.
    what: description in words, often with a remedy.
    example: one case or a few.
  """

  kind: str
  count: int
  what: str
  example: str

  def __str__(self) -> str:
    return f'{self.count:,} {self.what} ({self.example})'


def find(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> tuple[Warned, ...]:
  """Returns all warnings about a source and its panel.

  Args:
    source: the source before any repair.
    panel: the panel made from the repaired source.
    repairs: the repairs made for the panel.
  """
  found = (kind(source, panel, repairs) for kind in KINDS.values())
  return tuple(one for one in found if one is not None)


def _calendar(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> Warned | None:
  periods = panel.periods_a_year
  if periods == TRADING_DAYS_A_YEAR:
    return None
  first = ', '.join(map(str, panel.dates[:3]))
  return Warned(
    'calendar',
    panel.num_days,
    f'days of the panel, {periods} a year instead of '
    f'{TRADING_DAYS_A_YEAR}: Sharpe ratios and other annual numbers use '
    f"{periods}; settings in days count the panel's days",
    first,
  )


def _far(source: Source, panel: MarketPanel, repairs: Repairs) -> Warned | None:
  examples = []
  for ticker in source.tickers:
    apart = np.diff(ticker.dates).astype(int)
    for place in np.flatnonzero(apart > _FAR_DAYS).tolist():
      first, last = ticker.dates[place], ticker.dates[place + 1]
      if len(apart) - place <= _FEW_ROWS:
        examples.append(f'{ticker.name}: {last} after {first}')
      elif place < _FEW_ROWS:
        examples.append(f'{ticker.name}: {first} before {last}')
  return _of_list(
    'far',
    examples,
    f'rows at the start or end of a history, over {_FAR_DAYS} days from its '
    'other rows; their days are in the panel: correct these rows, or leave '
    'them out with --first_day and --last_day',
  )


def _moved(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> Warned | None:
  """Warns of stocks whose five usual days of the week include a weekend day.

  It must be Sunday, with almost no rows on Fridays, or Saturday, with almost
  none on Mondays: then the dates are probably off by a day.
  """
  rows, examples = 0, []
  for ticker in source.tickers:
    # Day 0, 1970-01-01, was a Thursday.
    weekday = (ticker.dates.astype(int) + 3) % 7
    share = np.bincount(weekday, minlength=7) / len(weekday)
    usual, never = share >= 0.1, share <= 0.01
    if usual.sum() == 5 and (
      (usual[6] and never[4]) or (usual[5] and never[0])
    ):
      day = 6 if usual[6] else 5
      rows += int((weekday == day).sum())
      first = ticker.dates[np.argmax(weekday == day)]
      examples.append(f'{ticker.name}: {first}, a {_WEEKDAYS[day]}')
  if not rows:
    return None
  return Warned(
    'moved',
    rows,
    f'rows of {len(examples)} columns on a weekend, and none on '
    f'{_WEEKDAYS[4 if "Sunday" in examples[0] else 0]}s: times in UTC fall on '
    "another day than the exchange's; correct them with --time_zone, such as "
    'Asia/Tokyo',
    examples[0],
  )


def _case(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> Warned | None:
  alike: dict[str, list[str]] = {}
  for name in panel.columns:
    alike.setdefault(name.casefold(), []).append(name)
  return _of_list(
    'case',
    [', '.join(names) for names in alike.values() if len(names) > 1],
    'groups of columns whose names differ in capital letters only',
  )


def _splits(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> Warned | None:
  done = (
    '--splits=adjust did' if repairs.splits == 'adjust'
    else '--splits=adjust does'
  )  # fmt: skip
  return _of_list(
    'splits',
    [
      f'{ticker.name} {ticker.dates[row]}: {ratio:g} for 1'
      for ticker in source.tickers
      for row, ratio in ticker.unadjusted
    ],
    'splits that a column states and prices are not adjusted for, as their '
    f'moves show; {done}',
  )


def _dividends(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> Warned | None:
  paid = [t for t in source.tickers if t.dividends and not t.adjusted]
  if not paid:
    return None
  return Warned(
    'dividends',
    sum(ticker.dividends for ticker in paid),
    f'dividends are stated for {len(paid)} columns without an adjusted close: '
    'unless prices are adjusted for them, returns leave them out',
    f'{paid[0].name}: {paid[0].dividends}',
  )


def _still(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> Warned | None:
  rows, examples = 0, []
  for ticker in source.tickers:
    known = np.flatnonzero(~np.isnan(ticker.ohlc[:, 3]))
    close = ticker.ohlc[known, 3]
    same = np.isclose(close[1:], close[:-1], rtol=1e-9, atol=0.0)
    for start, length in defects.runs(same):
      if length + 1 >= _STILL_ROWS:
        rows += length + 1
        first = ticker.dates[known[start]]
        examples.append(f'{ticker.name}: {length + 1} from {first}')
  if not rows:
    return None
  return Warned(
    'still',
    rows,
    f'rows in {len(examples)} runs of at least {_STILL_ROWS} equal closes',
    _some(examples, 1),
  )


def _columns(
  source: Source, panel: MarketPanel, repairs: Repairs
) -> Warned | None:
  names = collections.Counter(
    name for ticker in source.tickers for name in ticker.ignored
  )
  if not names:
    return None
  return Warned(
    'columns',
    len(names),
    'columns of the files were not read: their names are not those of a '
    'price, a volume, a split or a dividend',
    _some([name for name, _ in names.most_common()], _SHOWN_NAMES),
  )


KINDS: dict[str, Callable[[Source, MarketPanel, Repairs], Warned | None]] = {
  'calendar': _calendar,
  'far': _far,
  'moved': _moved,
  'case': _case,
  'splits': _splits,
  'dividends': _dividends,
  'still': _still,
  'columns': _columns,
}


def _of_list(kind: str, examples: list[str], what: str) -> Warned | None:
  if not examples:
    return None
  return Warned(kind, len(examples), what, _some(examples, 1))


def _some(examples: Iterable[str], most: int) -> str:
  listed = list(examples)
  more = ', ...' if len(listed) > most else ''
  return ', '.join(listed[:most]) + more

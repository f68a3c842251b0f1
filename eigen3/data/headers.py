"""Which column of a table is which: the spellings that programs use."""

import re
from collections.abc import Iterable

from eigen3.data.errors import Refused, shown
from eigen3.data.indicators import PRICES
from eigen3.data.tables import Choice, Header

# Names as letters only, so that 'Adj Close', 'adj_close' and '5. adj close'
# are one name.
_ALIASES = {
  'date': 'date',
  'timestamp': 'date',
  'datetime': 'date',
  'observationdate': 'date',
  'open': 'open',
  'high': 'high',
  'low': 'low',
  'close': 'close',
  'adjclose': 'adjusted_close',
  'adjustedclose': 'adjusted_close',
  'volume': 'volume',
  'dividend': 'dividend',
  'dividends': 'dividend',
  'dividendamount': 'dividend',
  'split': 'split',
  'splits': 'split',
  'stocksplits': 'split',
  'splitcoefficient': 'split',
}
# What pandas calls an index without a name.
_UNNAMED = re.compile(r'|Unnamed: \d+|__index_level_\d+__')
# Of whom a row tells, the surest first: beside a symbol, a name is that of the
# company; 'level_1' is what pandas calls a stacked header without names.
_SYMBOLS = ('symbol', 'ticker', 'tic', 'seriesid', 'series', 'name', 'level')
# "('Close', 'AAPL')", as pandas writes a header of two levels.
_PAIR = re.compile(r"\('([^']*)', '([^']*)'\)")


def letters(name: str) -> str:
  """What of a column's name is compared."""
  return re.sub('[^a-z]', '', name.lower())


def is_unnamed(name: str) -> bool:
  """Whether a column is an index: dates, or mere numbers of rows."""
  return _UNNAMED.fullmatch(name) is not None


def known_columns(header: Header) -> dict[str, int]:
  """Places of the columns we know, by our names for them.

  Raises:
    Refused: one is there twice.
  """
  columns: dict[str, int] = {}
  for place, name in enumerate(header):
    column = _ALIASES.get(letters(name))
    if column in columns:
      raise Refused(f'two {column} columns, expected one', column=shown(name))
    if column is not None:
      columns[column] = place
  if 'date' not in columns:
    for place, name in enumerate(header):
      if is_unnamed(name) or name == 'index':
        columns['date'] = place
        break
  return columns


def date_column(header: Header) -> int:
  """The place of the date.

  Raises:
    Refused: there is none.
  """
  columns = known_columns(header)
  if 'date' not in columns:
    raise Refused(f'no date column, found {shown(", ".join(header), 120)}')
  return columns['date']


def require_prices(columns: Iterable[str], found: Iterable[str]) -> None:
  """Refuses what lacks a close, a date, an open, a high or a low.

  Args:
    columns: our names of the columns that are there.
    found: their names in the file.
  """
  told = shown(', '.join(found), 120)
  if not set(columns) - {'date'}:
    raise Refused(f"not a table of prices (first line: '{told}')")
  for column in ('close', 'date', *PRICES):
    if column not in columns:
      raise Refused(f'no {column} column, found {told}')


def symbol_column(header: Header) -> int | None:
  """The place of the column that says of whom a row tells, if there is one."""
  places = {letters(name): place for place, name in enumerate(header)}
  return next((places[name] for name in _SYMBOLS if name in places), None)


def pair_choice(header: Header) -> Choice | None:
  """What to read where names are pairs, by (symbol, our name); None elsewhere.

  Raises:
    Refused: there is no date, or a symbol has a column twice.
  """
  pairs = [_PAIR.fullmatch(name) for name in header]
  matches = {place: pair for place, pair in enumerate(pairs) if pair}
  # yfinance can put either first.
  known = [
    sum(letters(pair[level]) in _ALIASES for pair in matches.values())
    for level in (1, 2)
  ]
  field, symbol = (1, 2) if known[0] >= known[1] else (2, 1)
  places: dict[str, list[int]] = {}
  for place, pair in matches.items():
    places.setdefault(pair[symbol], []).append(place)
  numbers: dict[tuple[str, str], int] = {}
  for name, own in places.items():
    columns = known_columns(tuple(matches[place][field] for place in own))
    if name:
      columns.pop('date', None)
      numbers |= {(name, column): own[i] for column, i in columns.items()}
  return Choice(date_column(header), numbers) if numbers else None

"""Recognises a table's columns by the names that pandas and vendors use."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from eigen3.data import cells
from eigen3.data.errors import Refused, shown
from eigen3.data.indicators import PRICES

# Canonical names of columns, keyed by the letters of names in files, so that
# 'Adj Close', 'adj_close' and '5. adj close' are one name.
_ALIASES = {
  'date': 'date',
  'timestamp': 'date',
  'datetime': 'date',
  'observationdate': 'date',
  'open': 'open',
  'high': 'high',
  'low': 'low',
  'close': 'close',
  'closelast': 'close',
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
# Further names, each used only if no column has a name above with the same
# canonical name.
_WEAK_ALIASES = {
  'tradedate': 'date',
  'tradingdate': 'date',
  'tradingday': 'date',
  'datadate': 'date',
  'pricedate': 'date',
  'dtyyyymmdd': 'date',
  'time': 'date',
  'opentime': 'date',
  'unix': 'date',
  'unixtime': 'date',
  'unixtimestamp': 'date',
  'epoch': 'date',
  'epochtime': 'date',
  'vol': 'volume',
  'stocksplit': 'split',
  'splitratio': 'split',
  'splitfactor': 'split',
}
# pandas' names of an index without a name.
_UNNAMED = re.compile(r'|Unnamed: \d+|__index_level_\d+__')
# Names of the symbol column, the most certain first: next to a column 'symbol',
# a column 'name' holds the companies' names. 'level' is for 'level_1', pandas'
# name of a stacked header level.
_SYMBOLS = (
  'symbol', 'ticker', 'tic', 'seriesid', 'series', 'instrument', 'tscode',
  'stockcode', 'name', 'level', 'code', 'stock', 'security', 'asset', 'pair',
  'secid', 'permno', 'isin', 'windcode', 'orderbookid',
)  # fmt: skip
# Labels that pandas and yfinance write left of a header of two levels.
_CORNERS = (
  '', 'price', 'prices', 'attribute', 'attributes', 'field', 'fields',
  'ticker', 'tickers', 'symbol', 'symbols',
)  # fmt: skip
# "('Close', 'AAPL')", as pandas writes a header of two levels.
_PAIR = re.compile(r"""\((['"])(?P<a>.*)\1, (['"])(?P<b>.*)\3\)""")
_DATE = 'Date'  # name of the date column if the other names are pairs
_SHOWN_SYMBOLS = 3


class Choice(NamedTuple):
  """The indices of the columns to read.

  Attributes:
    day: the date column.
    numbers: the columns of numbers, keyed by canonical name, such as
      'adjusted_close'; by (symbol, canonical name) if the header has two
      levels; or by their own index if their names do not matter.
    symbol: the symbol column, or None.
  """

  day: int
  numbers: Mapping[Any, int]
  symbol: int | None = None

  @property
  def places(self) -> list[int]:
    """Returns all indices: the date's first; the symbol's, if any, last."""
    symbol = [] if self.symbol is None else [self.symbol]
    return [self.day, *self.numbers.values(), *symbol]


Header = tuple[str, ...]
Choose = Callable[[Header], Choice]


def letters(name: str) -> str:
  """Returns the letters a to z of a column's name, in lower case."""
  return re.sub('[^a-z]', '', name.lower())


def is_unnamed(name: str) -> bool:
  """Returns whether a column's name is one that pandas gives unnamed indexes.

  Examples are '', 'Unnamed: 0' and '__index_level_0__'.
  """
  return _UNNAMED.fullmatch(name) is not None


def says_nothing_new(name: str) -> bool:
  """Returns whether a column with this name is an index or holds symbols.

  If such a column is not read, it is not reported as ignored.
  """
  return is_unnamed(name) or letters(name) in _SYMBOLS


def known_columns(header: Header) -> dict[str, int]:
  """Returns the indices of known columns, keyed by canonical name.

  Canonical names are the values of `_ALIASES`, such as 'adjusted_close'. A name
  of `_WEAK_ALIASES` counts only if no column has a name of `_ALIASES` with the
  same canonical name. If no column has the name of a date, the first column
  that is unnamed or called 'index' is taken as the date.

  Raises:
    Refused: two columns that count have the same canonical name.
  """
  columns: dict[str, int] = {}
  for aliases in (_ALIASES, _WEAK_ALIASES):
    stronger = set(columns)
    for place, name in enumerate(header):
      column = aliases.get(letters(name))
      if column is None or column in stronger:
        continue
      if column in columns:
        raise Refused(
          f'found a second {column} column, expected one', column=shown(name)
        )
      columns[column] = place
  if 'date' not in columns:
    for place, name in enumerate(header):
      if is_unnamed(name) or name == 'index':
        columns['date'] = place
        break
  return columns


def date_column(header: Header, places: Sequence[int] | None = None) -> int:
  """Returns the date column's index in `header`.

  Args:
    header: the names of all columns.
    places: indices of the columns to search; None for all.

  Raises:
    Refused: there is no date column among those searched, or two of them have
      the same canonical name.
  """
  if places is None:
    places = range(len(header))
  columns = known_columns(tuple(header[place] for place in places))
  if 'date' not in columns:
    raise Refused(_missing('date', header))
  return places[columns['date']]


def require_prices(columns: Iterable[str], found: Iterable[str]) -> None:
  """Raises Refused if the close, date, open, high or low is missing.

  Args:
    columns: canonical names of the columns found.
    found: names of columns in the file, for error messages.
  """
  names = shown(', '.join(found), 120)
  if not set(columns) - {'date'}:
    raise Refused(
      f"not a table of prices: found the column names '{names}' (the "
      'first line, if it is a CSV), expected names such as date, open, high, '
      'low and close'
    )
  for column in ('close', 'date', *PRICES):
    if column not in columns:
      raise Refused(_missing(column, found))


def _missing(column: str, found: Iterable[str]) -> str:
  return (
    f"found no {column} column among '{shown(', '.join(found), 120)}', "
    f"expected one; if one of these is the {column}, rename it to '{column}'"
  )


def symbol_column(header: Header) -> int | None:
  """Returns the index of the symbol column, or None if there is none."""
  places = {letters(name): place for place, name in enumerate(header)}
  return next((places[name] for name in _SYMBOLS if name in places), None)


def single_choice(header: Header) -> Choice:
  """Chooses the columns to read from a file of one stock.

  Raises:
    Refused: the date or a price is missing, a known column occurs twice, or the
      header names several stocks.
  """
  pairs = pair_choice(header)
  if pairs is None:
    columns = known_columns(header)
    require_prices(columns, header)
    return Choice(columns.pop('date'), columns)
  names = list(dict.fromkeys(symbol for symbol, _ in pairs.numbers))
  if len(names) > 1:
    some = ', '.join([*names[:_SHOWN_SYMBOLS], '...'][: len(names)])
    raise Refused(
      f'found {len(names)} tickers ({shown(some, 120)}), expected one; give '
      'the file itself as the source'
    )
  columns = {column: place for (_, column), place in pairs.numbers.items()}
  require_prices([*columns, 'date'], header)
  return Choice(pairs.day, columns)


def pair_choice(header: Header) -> Choice | None:
  """Chooses the date column, and those named by a symbol and a known name.

  The names are pairs such as "('Close', 'AAPL')", in either order. The result
  is None if there are no such columns.

  Raises:
    Refused: there is no date column; or two columns of one symbol, or two that
      are not pairs, have the same canonical name.
  """
  pairs = [_PAIR.fullmatch(name) for name in header]
  matches = {place: pair for place, pair in enumerate(pairs) if pair}
  if not matches:
    return None
  # Either level can come first.
  fields, names = _fields_and_symbols(
    [pair['a'] for pair in matches.values()],
    [pair['b'] for pair in matches.values()],
  )
  field = dict(zip(matches, fields, strict=True))
  places: dict[str, list[int]] = {}
  for place, name in zip(matches, names, strict=True):
    places.setdefault(name, []).append(place)
  numbers: dict[tuple[str, str], int] = {}
  for name, own in places.items():
    columns = known_columns(tuple(field[place] for place in own))
    if name:
      columns.pop('date', None)
      numbers |= {(name, column): own[i] for column, i in columns.items()}
  if not numbers:
    return None
  others = [place for place in range(len(header)) if place not in matches]
  return Choice(date_column(header, others), numbers)


def read_levels(rows: list[list[str]]) -> tuple[Header, int]:
  """Returns the header of a CSV, and the number of rows that it takes.

  The header is one row, or two levels as pandas writes them (prices and tickers
  in either order), with or without a row that only names the date column. Two
  levels become pairs as pandas spells them in Parquet, "('Close', 'AAPL')".

  Args:
    rows: the file's first rows that are not blank, one to three.
  """
  width = len(rows[0])
  names = [i for i, row in enumerate(rows) if _names_days(row, width)]
  levels = [i for i in range(len(rows)) if i not in names[:1]][:2]
  if len(levels) < 2 or not _are_levels(rows[levels[0]], rows[levels[1]]):
    return tuple(rows[0]), 1
  used = max(levels)
  if names and names[0] <= used + 1:
    used = max(used, names[0])
  first, second = (rows[i] for i in levels)
  header = [_pair(a, b) for a, b in zip(first, second, strict=True)]
  if _DATE not in header:  # pandas puts the days first
    header[0] = _DATE
  return tuple(header), used + 1


def _names_days(row: list[str], width: int) -> bool:
  """Returns whether a row of `width` cells has only the date column's name."""
  return (
    len(row) == width
    and width > 1
    and not any(row[1:])
    and not cells.is_day(row[0])
    and not cells.is_number(row[0])
  )


def _are_levels(first: list[str], second: list[str]) -> bool:
  """Returns whether two rows are levels of a header, not a header and data."""
  if len(first) != len(second) or any(cells.is_day(cell) for cell in second):
    return False
  corners = [row[0].lower() for row in (first, second)]
  if all(corner in _CORNERS for corner in corners) and (
    corners[1] or not any(cells.is_number(cell) for cell in second)
  ):
    return True
  # Otherwise, symbols may look like numbers, but each must have four prices.
  fields, symbols = _fields_and_symbols(first, second)
  found: dict[str, set[str | None]] = {}
  for field, symbol in zip(fields, symbols, strict=True):
    if letters(field) in _ALIASES and _ALIASES[letters(field)] != 'date':
      found.setdefault(symbol, set()).add(_ALIASES[letters(field)])
  return bool(found) and all(
    symbol and set(PRICES) <= own for symbol, own in found.items()
  )


def _fields_and_symbols(
  first: list[str], second: list[str]
) -> tuple[list[str], list[str]]:
  """Returns the level with the names of prices, then that with the symbols.

  A ticker may be called LOW or OPEN, so the level with a close is taken as that
  of prices. If both levels have one, or neither, it is the level with more of
  open, high, low and close; then the one with more different known names; then
  the one with more entries that are known names; then the first.
  """

  def score(level: list[str]) -> tuple[bool, int, int, int]:
    known = [_ALIASES.get(letters(name)) for name in level]
    known = [name for name in known if name is not None]
    names = set(known)
    return 'close' in names, len(names & set(PRICES)), len(names), len(known)

  return (first, second) if score(first) >= score(second) else (second, first)


def _pair(first: str, second: str) -> str:
  """Joins a column's two labels into a name such as "('Close', 'AAPL')".

  This is how pandas writes a header of two levels. The date column's name is
  'Date'.
  """
  kinds = [
    _ALIASES.get(letters(name), letters(name)) for name in (first, second)
  ]
  if 'date' in kinds and all(kind in ('date', *_CORNERS) for kind in kinds):
    return _DATE
  quote = '"' if "'" in first + second else "'"
  return f'({quote}{first}{quote}, {quote}{second}{quote})'

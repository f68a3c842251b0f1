"""One CSV of daily prices: what is accepted, adjusted, masked and refused."""

import dataclasses
import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from eigen3.data.errors import DataError
from eigen3.data.indicators import PRICES

# Names as letters only, so that 'Adj Close', 'adj_close' and '5. adj close'
# are one name.
_ALIASES = {
  'date': 'date',
  'timestamp': 'date',
  'datetime': 'date',
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
_MISSING = ('', 'NaN', 'nan', 'NA', 'N/A', 'null', 'NULL', 'None', '-')
# A day's move of the adjusted close beyond these ratios is more often a missed
# split or a bad tick than a fact; it is reported and left as it is.
SUSPICIOUS = (0.5, 1.9)


class Refused(DataError):
  """A file that cannot be used, and where in it the reason is.

  Attributes:
    reason: what was found and what was expected.
    row: line of the file, the header being 1, or None.
    column: the column's name in the file, or None.
  """

  def __init__(self, reason: str, row: int | None = None, column: str = ''):
    self.reason, self.row, self.column = reason, row, column
    where = [f'row {row}'] if row is not None else []
    where += [f"column '{column}'"] if column else []
    super().__init__(
      ': '.join([', '.join(where), reason] if where else [reason])
    )


@dataclasses.dataclass(frozen=True)
class Masked:
  """Cells of a column that are empty, or impossible and taken as missing."""

  column: str
  count: int
  row: int  # line of the first
  found: str  # in the first; 'nothing' in all where they are empty


@dataclasses.dataclass(frozen=True, eq=False)
class Ticker:
  """The history of one stock, R rows.

  Attributes:
    name: the ticker.
    dates: datetime64[D] [R], strictly increasing.
    ohlc: float64 [R, 4], open, high, low, close, adjusted for splits and
      dividends where the file says how; NaN is missing.
    volume: float64 [R], divided by the factor that adjusts the prices, so
      that price times volume stays the money traded; NaN is missing.
    splits: rows with a split.
    dividends: rows with a dividend.
    adjusted: rows whose prices the adjustment changed.
    outside: rows whose open or close is not within low to high; left as is.
    suspicious: (day, ratio) of moves that are likely errors; left as is.
    masked: cells taken as missing.
    repeated: days that the file held again with equal numbers; one row of
      each was kept.
  """

  name: str
  dates: np.ndarray
  ohlc: np.ndarray
  volume: np.ndarray
  splits: int
  dividends: int
  adjusted: int
  outside: int
  suspicious: tuple[tuple[str, float], ...]
  masked: tuple[Masked, ...]
  repeated: tuple[str, ...] = ()


def read_ticker(name: str, content: bytes) -> Ticker:
  """Reads the bytes of one CSV.

  Open, high, low and close are multiplied by adjusted_close / close where the
  file has an adjusted close. A price that is not positive is missing, as is a
  negative volume. Of rows of a day that are equal in every known column the
  first is kept; other rows of one day refuse the file.

  Raises:
    Refused: `content` is not a CSV of daily prices.
  """
  header, columns = _columns(content)
  table = _parse(content, header, columns)
  values = {
    column: _numbers(content, table, header[place], place)
    for column, place in columns.items()
    if column != 'date'
  }
  dates = _dates(content, table, header[columns['date']], columns['date'])
  lines = _line_numbers(content, len(dates))
  again = _repeated(dates, values, lines, header[columns['date']])
  repeated = tuple(str(day) for day in np.sort(dates[again]))
  dates, lines = dates[~again], lines[~again]
  values = {column: value[~again] for column, value in values.items()}
  masked = [
    cells
    for column in (*PRICES, 'adjusted_close', 'volume')
    if column in values
    for cells in _mask(
      header[columns[column]], values[column], lines, column != 'volume'
    )
  ]
  if np.isnan(values['close']).all():
    raise Refused('no row holds a price', column=header[columns['close']])
  order = np.argsort(dates)
  return _adjusted(
    name,
    dates[order],
    {column: value[order] for column, value in values.items()},
    tuple(masked),
    repeated,
  )


def _columns(content: bytes) -> tuple[list[str], dict[str, int]]:
  """The header, and where in it the columns we know are."""
  if not content.strip():
    raise Refused('empty file')
  if b'\0' in content:
    raise Refused('binary, not a CSV')
  first = content.lstrip().splitlines()[0]
  try:
    line = first.decode('utf-8-sig')
  except UnicodeDecodeError as error:
    raise Refused('binary, not a CSV') from error
  header = [cell.strip().strip('"') for cell in line.split(',')]
  columns: dict[str, int] = {}
  for place, cell in enumerate(header):
    column = _ALIASES.get(re.sub('[^a-z]', '', cell.lower()))
    if column is None:
      continue
    if column in columns:
      raise Refused(f'two {column} columns, expected one', 1, cell)
    columns[column] = place
  if not columns:
    shown = line if len(line) <= 40 else f'{line[:37]}...'
    raise Refused(f"not a CSV of prices (first line: '{shown}')")
  for column in ('close', 'date', *PRICES):
    if column not in columns:
      raise Refused(f'no {column} column, found {", ".join(header)}')
  return header, columns


def _parse(
  content: bytes,
  header: list[str],
  columns: dict[str, int],
  kind: pa.DataType | None = None,
) -> pa.Table:
  """The known columns, named by their places; kinds inferred unless given."""
  wrong: list[pa_csv.InvalidRow] = []

  def keep(row: pa_csv.InvalidRow) -> str:
    wrong.append(row)
    return 'skip'

  places = [str(place) for place in columns.values()]
  try:
    table = pa_csv.read_csv(
      io.BytesIO(content.lstrip()),
      read_options=pa_csv.ReadOptions(
        # Without threads the parser knows the line of a wrong row.
        use_threads=False,
        block_size=max(len(content), 1),
        column_names=[str(place) for place in range(len(header))],
        skip_rows=1,
      ),
      parse_options=pa_csv.ParseOptions(invalid_row_handler=keep),
      convert_options=pa_csv.ConvertOptions(
        include_columns=places,
        null_values=_MISSING,
        column_types=dict.fromkeys(places, kind) if kind else {},
      ),
    )
  except pa.ArrowInvalid as error:
    if 'Empty CSV' in str(error):
      raise Refused('no rows below the header') from error
    raise Refused(f'not a CSV ({str(error).splitlines()[0]})') from error
  if wrong:
    place = wrong[0].number - 1  # the parser counts lines that are not blank
    raise Refused(
      f'found {wrong[0].actual_columns} cells, expected '
      f'{wrong[0].expected_columns}',
      int(_line_numbers(content, place)[place - 1]),
    )
  if not len(table):
    raise Refused('no rows below the header')
  return table


def _numbers(
  content: bytes, table: pa.Table, name: str, place: int
) -> np.ndarray:
  """A column as float64 [R]; text in it refuses the file."""
  column = table.column(str(place))
  kind = column.type
  if (
    pa.types.is_floating(kind)
    or pa.types.is_integer(kind)
    or pa.types.is_null(kind)
  ):
    return column.cast(pa.float64()).to_numpy().copy()
  cells = _texts(content, place)
  for index, cell in enumerate(cells):
    try:
      _number(cell)
    except ValueError:
      row = int(_line_numbers(content, len(cells))[index])
      raise Refused(f"found '{cell}', expected a number", row, name) from None
  # Every cell is a number by itself, such as one with spaces around it.
  return np.array([_number(cell) for cell in cells])


def _number(cell: str) -> float:
  if '_' in cell:  # Python would read 1_000
    raise ValueError(cell)
  return np.nan if cell.strip() in _MISSING else float(cell)


def _dates(
  content: bytes, table: pa.Table, name: str, place: int
) -> np.ndarray:
  """The date column as datetime64[D] [R]: the dates as they are written."""
  column = table.column(str(place))
  kind = column.type
  # A time with a zone is inferred as an instant, whose date in UTC may be
  # another than the one that is written.
  inferred = pa.types.is_date(kind) or (
    pa.types.is_timestamp(kind) and kind.tz is None
  )
  if inferred and not column.null_count:
    return column.to_numpy().astype('datetime64[D]')
  cells = _texts(content, place)
  dates = np.empty(len(cells), 'datetime64[D]')
  for index, cell in enumerate(cells):
    try:
      if not re.match(r'\d{4}-\d\d-\d\d', cell.strip()):
        raise ValueError
      dates[index] = np.datetime64(cell.strip()[:10], 'D')
    except ValueError:
      row = int(_line_numbers(content, len(cells))[index])
      raise Refused(
        f"found '{cell}', expected a date as YYYY-MM-DD", row, name
      ) from None
  return dates


def _texts(content: bytes, place: int) -> list[str]:
  """The cells of a column as they stand in the file."""
  header, _ = _columns(content)
  table = _parse(content, header, {'text': place}, pa.binary())
  cells = table.column(str(place)).to_pylist()
  return [(cell or b'').decode(errors='replace') for cell in cells]


def _line_numbers(content: bytes, num_rows: int) -> np.ndarray:
  """The line of the file, from 1, on which each of R rows stands."""
  lines = content.splitlines()
  filled = np.array([i for i, line in enumerate(lines, 1) if line.strip()])
  return filled[1 : num_rows + 1]


def _mask(
  name: str, values: np.ndarray, lines: np.ndarray, is_price: bool
) -> list[Masked]:
  """Turns what cannot be a price, or a volume, into NaN, in place."""
  empty = np.isnan(values)
  possible = values > 0.0 if is_price else values >= 0.0
  impossible = ~empty & ~(np.isfinite(values) & possible)
  masked = []
  for bad in (empty, impossible):
    if bad.any():
      first = int(np.argmax(bad))
      found = 'nothing' if empty[first] else f'{values[first]:g}'
      masked.append(Masked(name, int(bad.sum()), int(lines[first]), found))
  values[impossible] = np.nan
  return masked


def _repeated(
  dates: np.ndarray,
  values: dict[str, np.ndarray],
  lines: np.ndarray,
  name: str,
) -> np.ndarray:
  """Which rows [R] repeat an earlier one; a day's rows must be equal."""
  order = np.argsort(dates, kind='stable')
  first, second = order[:-1], order[1:]
  same_day = dates[first] == dates[second]
  first, second = first[same_day], second[same_day]
  for value in values.values():
    differ = value[first] != value[second]
    differ &= ~(np.isnan(value[first]) & np.isnan(value[second]))
    if differ.any():
      row = second[np.argmax(differ)]
      raise Refused(
        f'found {dates[row]} a second time, with other numbers',
        int(lines[row]),
        name,
      )
  again = np.zeros(len(dates), bool)
  again[second] = True
  return again


def _adjusted(
  name: str,
  dates: np.ndarray,
  values: dict[str, np.ndarray],
  masked: tuple[Masked, ...],
  repeated: tuple[str, ...],
) -> Ticker:
  """The ticker from its columns, sorted by date."""
  raw = np.stack([values[price] for price in PRICES], axis=-1)
  nothing = np.full(len(dates), np.nan)
  factor = np.ones(len(dates))
  if 'adjusted_close' in values:
    factor = values['adjusted_close'] / values['close']
  ohlc = raw * factor[:, None]
  low, high = raw[:, 2], raw[:, 1]
  ends = raw[:, [0, 3]]
  outside = (ends > high[:, None]) | (ends < low[:, None])
  return Ticker(
    name=name,
    dates=dates,
    ohlc=ohlc,
    volume=values.get('volume', nothing) / factor,
    splits=_count(values.get('split', nothing), neutral=(0.0, 1.0)),
    dividends=_count(values.get('dividend', nothing), neutral=(0.0,)),
    # Ten digits: a factor of one that division rounded is no adjustment.
    adjusted=int((np.abs(factor - 1.0) > 1e-10).sum()),
    outside=int(outside.any(axis=1).sum()),
    suspicious=_suspicious(dates, ohlc[:, 3]),
    masked=masked,
    repeated=repeated,
  )


def _count(values: np.ndarray, neutral: tuple[float, ...]) -> int:
  return int((~np.isnan(values) & ~np.isin(values, neutral)).sum())


def _suspicious(
  dates: np.ndarray, close: np.ndarray
) -> tuple[tuple[str, float], ...]:
  known = ~np.isnan(close)
  days, ratios = dates[known][1:], close[known][1:] / close[known][:-1]
  wild = (ratios < SUSPICIOUS[0]) | (ratios > SUSPICIOUS[1])
  return tuple(
    (str(day), float(ratio))
    for day, ratio in zip(days[wild], ratios[wild], strict=True)
  )

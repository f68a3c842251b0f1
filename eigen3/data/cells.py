"""Converts the cells of a column to numbers, days or symbols.

Arrow fails to convert a whole column if one of its cells is invalid. Here the
cells that cannot be converted are set aside with their text, so that an error
can quote them and the rest of the file can still be used.
"""

import contextlib
import dataclasses
import datetime
import functools
import re
import zoneinfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from eigen3.data.errors import DataError, shown

# Marks of missing numbers, as programs and archives write them.
_MISSING = (
  '', 'NaN', 'nan', 'NA', 'N/A', '#N/A', '<NA>', 'null', 'NULL', 'None',
  '-', '.', 'ND',
)  # fmt: skip
_NUMBER = r'^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf|infinity|nan))$'
# A currency sign before a number, as in '$44.91' or '-€ 1'.
_CURRENCY = r'^([+-]?)[$£¥฿€₠-₿￥￡￦]\s?([+-]?[\d.])'
# Commas that can only mark thousands.
_THOUSANDS = r'^[+-]?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})$'
# New shares for old ones.
_RATIO = r'^(?P<new>\d+\.?\d*)[ -]?(?::|/|for)[ -]?(?P<old>0*[1-9]\d*\.?\d*)$'
_TIME = r'[ T]\d\d?:\d\d[0-9:.+\-Z ]*'
_DAY = rf'^\d{{4}}-\d\d-\d\d({_TIME})?$'
# Dates with other separators or none: 20190102.
_OTHER_DAY = re.compile(
  rf'(\d{{4}})([-/.]?)(\d\d?)\2(\d\d?)({_TIME})?', re.ASCII
)
_LIKE_A_DAY = re.compile(r'\d{1,4}([-/.])\d\d?\1\d{1,4}(\D.*)?', re.ASCII)
# Dates with a time of day in digits only, YYYYMMDDhhmm or YYMMDDhhmm, which are
# as long as some times since 1970.
_DIGITS = (
  r'^(\d\d)?\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])[0-5]\d$'
)
# The least time since 1970 that is accepted, by unit; it is in 1973. All have
# more digits than 20190102.
_EPOCHS = {'s': 1e8, 'ms': 1e11, 'us': 1e14, 'ns': 1e17}
# A day outside these years is an error, such as a two-digit year.
_FIRST_YEAR, _LAST_YEAR = 1700, 2199
_FIRST_DAY = np.datetime64(f'{_FIRST_YEAR}-01-01')
_LAST_DAY = np.datetime64(f'{_LAST_YEAR}-12-31')
_HOUR = re.compile('%[HIXc]')  # in `strftime` notation
_SIGNS = {'d': '%d', 'dd': '%d', 'm': '%m', 'mm': '%m', 'yy': '%y'}
_LONGEST_SYMBOL = 64
SYMBOL = f'1 to {_LONGEST_SYMBOL} printable characters'  # see `is_symbol`


@dataclasses.dataclass(frozen=True, eq=False)
class Cells:
  """The R cells of a column.

  Attributes:
    values: [R], numbers (float64), days (datetime64[D]) or codes of symbols
      (int32); a missing or wrong cell is NaN, NaT or -1.
    wrong: int64 [W], increasing indices of the W wrong cells, which cannot be
      converted. In a column of numbers, an empty cell or a mark of a missing
      value, such as 'NaN', is missing but not wrong; in any other column, an
      empty cell is wrong.
    texts: large_binary [W], the text of the wrong cells.
  """

  values: np.ndarray
  wrong: np.ndarray
  texts: pa.Array

  @functools.cached_property
  def is_wrong(self) -> np.ndarray:
    """Returns which cells are wrong, bool [R]."""
    is_wrong = np.zeros(len(self.values), bool)
    is_wrong[self.wrong] = True
    return is_wrong

  def found(self, index: int) -> str:
    """Returns the text of the wrong cell at `index`, printable and short."""
    text = self.texts[int(np.searchsorted(self.wrong, index))].as_py() or b''
    return shown(text.decode(errors='replace'))


@dataclasses.dataclass(frozen=True)
class Days:
  """How dates are written in a file.

  Attributes:
    format: a format that is accepted besides YYYY-MM-DD, such as 'dd/mm/yyyy'
      or, in `strftime` notation, '%d %b %Y'; '' for none.
    zone: time zone that times are converted to before their date is taken; a
      time without a zone is taken as UTC. '' takes dates as they are written.

  Raises:
    DataError: the format or the zone is invalid.
  """

  format: str = ''
  zone: str = ''

  def __post_init__(self):
    some = datetime.date(2019, 12, 31)
    try:
      if self.format:
        text = some.strftime(self.pattern)
        if datetime.datetime.strptime(text, self.pattern).date() != some:
          raise ValueError
    except (ValueError, re.error) as error:
      raise DataError(
        f"date_format: found '{shown(self.format)}', expected day, month and "
        'year in any order, such as dd/mm/yyyy or %d %b %Y'
      ) from error
    try:
      if self.zone:
        zoneinfo.ZoneInfo(self.zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
      raise DataError(
        f"time_zone: found '{shown(self.zone)}', expected the name of a time "
        'zone, such as Asia/Tokyo'
      ) from error

  @property
  def pattern(self) -> str:
    """Returns `format` in `strftime` notation."""
    if '%' in self.format:
      return self.format
    pattern = self.format.lower()
    if 'y' not in pattern:  # 'dd/mm'
      pattern += re.sub('[dm]', '', pattern)[:1] + 'yyyy'
    return re.sub('d+|m+|y+', lambda found: _SIGNS.get(found[0], '%Y'), pattern)

  @property
  def expected(self) -> str:
    """Returns the expected format, for error messages."""
    years = f'in the years {_FIRST_YEAR} to {_LAST_YEAR}'
    if self.format:
      return f'a date as {self.format} or YYYY-MM-DD, {years}'
    return (
      f'a date as YYYY-MM-DD, {years} (other formats need '
      '--date_format=dd/mm/yyyy, mm/dd/yyyy or another)'
    )


AS_WRITTEN = Days()


class Filling:
  """A column of cells that is filled part by part.

  The values of each part are copied immediately, so that Arrow can reuse the
  part's memory.
  """

  def __init__(self, num_rows: int, kind: str):
    self._values = np.empty(num_rows, kind)
    self._filled = 0
    self._wrong = [np.empty(0, np.int64)]
    self._texts = [pa.array([], pa.large_binary())]

  def put(self, part: Cells) -> None:
    """Appends cells."""
    stop = self._filled + len(part.values)
    self._values[self._filled : stop] = part.values
    if part.wrong.size:
      self._wrong.append(self._filled + part.wrong)
      self._texts.append(part.texts)
    self._filled = stop

  def cells(self) -> Cells:
    """Returns the filled column."""
    return Cells(
      self._values,
      np.concatenate(self._wrong),
      pa.concat_arrays(self._texts),
    )


def numbers(column: pa.Array, decimal: str = '.') -> Cells:
  """Converts a column of numbers, or of text with numbers, to float64.

  A currency sign before a number is dropped. `decimal` is the decimal mark. If
  it is a comma, points that mark thousands are dropped; if it is a point,
  commas that can only mark thousands, as in 1,234.5, are dropped.
  """
  column = _plain(column)
  if _is_number(column.type):
    column = column.cast(pa.float64(), safe=False)
    return _cells(column, column.to_numpy(zero_copy_only=False))
  if not _is_text(column.type):
    return _cells(column, np.full(len(column), np.nan), pc.is_valid(column))
  text = column if decimal == '.' else _with_points(_without_currency(column))
  try:
    values = text.cast(pa.float64())
    return _cells(column, values.to_numpy(zero_copy_only=False))
  except pa.ArrowInvalid:
    text = pc.ascii_trim_whitespace(text)
  missing = pc.is_in(text, value_set=pa.array(_MISSING, text.type))
  text = pc.if_else(missing, None, text)
  matches = _alike(text, _NUMBER)
  wrong = pc.and_not(pc.is_valid(text), matches)
  if decimal == '.' and pc.any(wrong).as_py():
    text = _without_currency(text)
    grouped = _alike(text, _THOUSANDS)
    text = pc.if_else(grouped, pc.replace_substring(text, ',', ''), text)
    matches = _alike(text, _NUMBER)
    wrong = pc.and_not(pc.is_valid(text), matches)
  values = pc.if_else(matches, text, None).cast(pa.float64())
  return _cells(column, values.to_numpy(zero_copy_only=False), wrong)


def ratios(column: pa.Array, decimal: str = '.') -> Cells:
  """Converts a column of ratios to float64; 4, 4:1 and 4-for-1 are all 4."""
  column = _plain(column)
  found = numbers(column, decimal)
  if not found.wrong.size or not _is_text(column.type):
    return found
  text = pc.ascii_trim_whitespace(column.take(pa.array(found.wrong)))
  parts = pc.extract_regex(text, _RATIO)
  new, old = (
    pc.struct_field(parts, [name]).cast(pa.float64()) for name in ('new', 'old')
  )
  values = found.values.copy()
  values[found.wrong] = pc.divide(new, old).to_numpy(zero_copy_only=False)
  return _cells(column, values, found.is_wrong & np.isnan(values))


def days(column: pa.Array, written: Days = AS_WRITTEN) -> Cells:
  """Converts a column of dates or timestamps to datetime64[D].

  Dates and timestamps may also be given as text or integers. The date of a
  timestamp is taken as written, unless `written` has a zone. Integers are dates
  such as 20190102 or, if `written` has no format, Unix times in UTC; the
  column's median shows which, and the unit, from seconds to nanoseconds. A cell
  is wrong if it is empty or has no date in the years 1700 to 2199.
  """
  column = _plain(column)
  kind = column.type
  if pa.types.is_timestamp(kind):
    values = _days_of_times(column, written)
  elif pa.types.is_date(kind):
    values = column.cast(pa.date32(), safe=False)
    values = values.to_numpy(zero_copy_only=False).copy()
  elif _is_text(kind):
    values = _days_of_texts(column, written)
  elif pa.types.is_integer(kind):  # 20190102
    values = _days_of_texts(column.cast(pa.large_string()), written)
  else:
    values = np.full(len(column), 'NaT', 'datetime64[D]')
  fine = (values >= _FIRST_DAY) & (values <= _LAST_DAY)  # False for NaT
  values[~fine] = np.datetime64('NaT', 'D')
  return _cells(column, values, ~fine)


def symbols(column: pa.Array, known: dict[str, int]) -> Cells:
  """Converts a column of symbols to their int32 codes.

  `known` maps symbols to codes; new symbols are added, with the next codes.
  """
  column = _plain(column)
  if _is_number(column.type):
    column = column.cast(pa.large_string())
  if not _is_text(column.type):
    codes = np.full(len(column), -1, np.int32)
    return _cells(column, codes, codes < 0)
  encoded = pc.ascii_trim_whitespace(column).dictionary_encode()
  places = [
    known.setdefault(name, len(known)) if is_symbol(name) else -1
    for name in _texts(encoded.dictionary)
  ]
  places.append(-1)  # of a cell without text
  indices = pc.fill_null(encoded.indices, len(places) - 1)
  codes = np.array(places, np.int32)[indices.to_numpy()]
  return _cells(column, codes, codes < 0)


def is_symbol(name: str) -> bool:
  """Returns whether a column of a panel may have this name, see `SYMBOL`."""
  fits = 0 < len(name) <= _LONGEST_SYMBOL
  return fits and name.isprintable() and '\ufffd' not in name


def is_number(text: str) -> bool:
  """Returns whether `text` is a number, with or without a currency sign.

  Numbers with a comma do not count; 'inf' and 'nan' do.
  """
  text = without_currency(text)
  return re.match(_NUMBER, text, re.ASCII) is not None


def without_currency(text: str) -> str:
  """Drops a currency sign before a number."""
  return re.sub(_CURRENCY, r'\1\2', text)


def is_day(text: str) -> bool:
  """Returns whether `text` looks like a date in digits.

  That is, like three numbers separated by '-', '/' or '.', with or without a
  time, or like YYYYMMDD.
  """
  return _LIKE_A_DAY.fullmatch(text) is not None or bool(
    re.fullmatch(r'(17|18|19|20|21)\d{6}', text, re.ASCII)
  )


def _cells(column: pa.Array, values: np.ndarray, wrong=None) -> Cells:
  """Returns `values` as `Cells`, with the text of wrong cells from `column`.

  `wrong`, bool [R], tells which cells are wrong; None if none is.
  """
  if wrong is None:
    return Cells(values, np.empty(0, np.int64), pa.array([], pa.large_binary()))
  indices = np.flatnonzero(np.asarray(wrong))
  texts = column.take(pa.array(indices))
  try:
    if not _is_text(texts.type):
      texts = texts.cast(pa.large_string())
    texts = texts.cast(pa.large_binary())
  except pa.ArrowException:  # of a type without text
    texts = pa.array([str(column.type)] * len(indices), pa.large_binary())
  return Cells(values, indices, texts)


def _with_points(column: pa.Array) -> pa.Array:
  """Rewrites numbers with a decimal comma as numbers with a decimal point.

  Points that mark thousands are dropped. Text with any other point, such as
  12.5, is changed so that it does not parse as a number; a lone point, which
  marks a missing number, stays.
  """
  text = pc.ascii_trim_whitespace(column)
  grouped = pc.match_substring_regex(text, r'^[+-]?\d{1,3}(\.\d{3})+(,\d*)?$')
  # A point elsewhere is not valid in a number with a decimal comma.
  marked = pc.replace_substring(text, '.', '_')
  marked = pc.if_else(pc.equal(text, '.'), text, marked)
  text = pc.if_else(grouped, pc.replace_substring(text, '.', ''), marked)
  return pc.replace_substring(text, ',', '.')


def _alike(text: pa.Array, pattern: str) -> pa.Array:
  """Returns which cells match `pattern`; null cells do not."""
  return pc.fill_null(pc.match_substring_regex(text, pattern), False)


def _without_currency(column: pa.Array) -> pa.Array:
  text = pc.ascii_trim_whitespace(column)
  return pc.replace_substring_regex(text, _CURRENCY, r'\1\2')


def _days_of_times(column: pa.Array, written: Days) -> np.ndarray:
  kind = column.type
  if written.zone:
    local = pc.local_timestamp(
      column.cast(pa.timestamp(kind.unit, written.zone))
    )
  else:
    local = column if kind.tz is None else pc.local_timestamp(column)
  return local.to_numpy(zero_copy_only=False).astype('datetime64[D]')


def _days_since_1970(text: pa.Array, written: Days) -> np.ndarray | None:
  """Converts Unix times to datetime64[D].

  The result is None if `text` does not look like Unix times, or if `written`
  has a format.
  """

  def share(cells: pa.Array) -> float:
    return (pc.sum(cells).as_py() or 0) / max(len(text), 1)

  whole = _alike(text, r'^-?(\d{1,18}|[1-8]\d{18})(\.0*)?$')
  if (
    written.format or share(whole) < 0.5 or share(_alike(text, _DIGITS)) >= 0.5
  ):
    return None
  digits = pc.replace_substring_regex(text, r'\.0*$', '')
  times = pc.if_else(whole, digits, None).cast(pa.int64())
  usual = np.median(np.abs(times.drop_null().to_numpy()))
  for unit, least in _EPOCHS.items():
    if least <= usual < 100 * least:
      return _days_of_times(times.cast(pa.timestamp(unit)), written)
  return None


def _days_of_texts(column: pa.Array, written: Days) -> np.ndarray:
  text = pc.ascii_trim_whitespace(column)
  matches = _alike(text, _DAY)
  if pc.all(matches).as_py() and not written.zone:
    try:
      days = pc.utf8_slice_codeunits(text, 0, 10).cast(pa.date32())
      return days.to_numpy(zero_copy_only=False).astype('datetime64[D]')
    except pa.ArrowInvalid:  # such as the 30th of February
      pass
  values = _days_since_1970(text, written)
  if values is not None:
    return values
  # One odd cell among valid days is damage, not another format.
  alike = pc.match_substring_regex(text, r'^\d{4}[-/.]?\d')
  is_odd = 2 * (pc.sum(matches).as_py() or 0) >= (pc.sum(alike).as_py() or 0)
  if is_odd and written == AS_WRITTEN:
    text = pc.if_else(matches, text, None)
  encoded = text.dictionary_encode()
  found = [_day(text, written) for text in _texts(encoded.dictionary)]
  indices = pc.fill_null(encoded.indices, len(found)).to_numpy()
  return np.array([*found, 'NaT'], 'datetime64[D]')[indices]


def _day(text: str, written: Days) -> np.datetime64:
  """Parses a date; returns NaT if `text` is not a valid date."""
  if written.format and not re.match(_DAY, text, re.ASCII):
    for part in (text, re.split('[ T]', text)[0]):
      with contextlib.suppress(ValueError):
        day = datetime.datetime.strptime(part, written.pattern)
        time = text[len(part) :]
        if written.zone and (time or _HOUR.search(written.pattern)):
          instant = f'{day.date()} {time[1:]}' if time else day
          return _date_in(written.zone, pd.Timestamp(instant))
        return np.datetime64(day.date(), 'D')
  found = _OTHER_DAY.fullmatch(text)
  if found is None or not (found[2] or len(found[3] + found[4]) == 4):
    return np.datetime64('NaT', 'D')
  year, _, month, date, time = found.groups()
  with contextlib.suppress(ValueError):
    if not (time and written.zone):
      return np.datetime64(datetime.date(int(year), int(month), int(date)), 'D')
    instant = pd.Timestamp(f'{year}-{month:0>2}-{date:0>2} {time[1:]}')
    return _date_in(written.zone, instant)
  return np.datetime64('NaT', 'D')


def _date_in(zone: str, instant: pd.Timestamp) -> np.datetime64:
  """Returns the date of an instant, by default in UTC, in a time zone."""
  if instant.tzinfo is None:
    instant = instant.tz_localize('UTC')
  return np.datetime64(instant.tz_convert(zone).date(), 'D')


def _texts(column: pa.Array) -> list[str]:
  """Decodes an array of text; invalid bytes become unprintable characters."""
  raw = column.cast(pa.large_binary()).to_pylist()
  return [value.decode(errors='surrogateescape') for value in raw]


def _plain(column: pa.Array) -> pa.Array:
  """Decodes dictionaries and casts strings of any type to large_string."""
  if pa.types.is_dictionary(column.type):
    column = column.dictionary_decode()
  if pa.types.is_string(column.type) or column.type == pa.string_view():
    column = column.cast(pa.large_string())
  return column


def _is_text(kind: pa.DataType) -> bool:
  return pa.types.is_large_string(kind)


def _is_number(kind: pa.DataType) -> bool:
  return (
    pa.types.is_floating(kind)
    or pa.types.is_integer(kind)
    or pa.types.is_decimal(kind)
    or pa.types.is_null(kind)
  )

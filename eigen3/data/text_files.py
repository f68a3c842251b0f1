"""Opens files: unpacks gzip, recodes text to UTF-8, finds a CSV's layout."""

import codecs
import contextlib
import csv
import gzip
import itertools
import pathlib
import re
import tempfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from eigen3.data.cells import without_currency
from eigen3.data.errors import Refused
from eigen3.data.headers import Header, read_levels

_HEAD_BYTES = 1 << 24  # the longest header
_PART_BYTES = 1 << 20
_GZIP_MAGIC = b'\x1f\x8b'
# A file that unpacks to more than this many times its size, and to more than
# `_ALWAYS_UNPACKED`, is refused.
_MOST_GROWTH = 200
_ALWAYS_UNPACKED = 1 << 26  # bytes, also the most that is kept in memory
# UTF-32 first: its byte order mark begins with that of UTF-16.
_ENCODINGS = {
  codecs.BOM_UTF32_LE: 'utf-32',
  codecs.BOM_UTF32_BE: 'utf-32',
  codecs.BOM_UTF16_LE: 'utf-16',
  codecs.BOM_UTF16_BE: 'utf-16',
}
# Other formats, by their first bytes, and the remedy for each.
_OTHERS = {
  b'PK\x03\x04': 'a zip archive or a workbook (unpack it or save it as CSV)',
  b'\xd0\xcf\x11\xe0': 'a workbook (save it as CSV)',
  b'BZh': 'a file packed by bzip2 (unpack it)',
  b'\xfd7zXZ\x00': 'a file packed by xz (unpack it)',
  b'(\xb5/\xfd': 'a file packed by zstd (unpack it)',
}
_NO_TEXT = (
  'found bytes that are not UTF-8 text, expected a CSV; save it as CSV in UTF-8'
)
_SEPARATORS = (',', ';', '\t', '|')
_SAMPLE_LINES = 1000  # number of lines that are searched for a decimal comma
_DECIMAL_COMMA = re.compile(r'[+-]?\d*,\d+', re.ASCII)
_BOTH_MARKS = re.compile(r'[+-]?[1-9]\d{0,2}(\.\d{3})+,\d+', re.ASCII)
_THOUSANDS = re.compile(r'[+-]?[1-9]\d{0,2}\.\d{3}', re.ASCII)
_DECIMAL_POINT = re.compile(r'[+-]?\d*\.\d+', re.ASCII)


class Layout(NamedTuple):
  """The layout of a CSV.

  Attributes:
    header: names of the columns; for a header of two levels, pairs as pandas
      spells them, such as "('Close', 'AAPL')".
    start: the byte at which the rows begin.
    lines: number of lines above the rows.
    separator: the character between cells.
    decimal: the decimal mark, '.' or ','.
  """

  header: Header
  start: int
  lines: int
  separator: str
  decimal: str


def name_of(file: pathlib.Path) -> tuple[str, str]:
  """Returns a file's stem and lower-case suffix, ignoring a final '.gz'."""
  if file.suffix.lower() == '.gz':
    file = file.with_suffix('')
  return file.stem, file.suffix.lower()


@contextlib.contextmanager
def plain(file: BinaryIO) -> Iterator[BinaryIO]:
  """Yields `file` with gzip unpacked, and UTF-16 and UTF-32 turned into UTF-8.

  Raises:
    Refused: the file is damaged, has an unsupported format such as a zip
      archive or a workbook, or unpacks to an implausible size.
  """
  with contextlib.ExitStack() as stack:

    def kept(parts: Iterator[bytes]) -> BinaryIO:
      # On disk if it is large.
      out = stack.enter_context(tempfile.SpooledTemporaryFile(_ALWAYS_UNPACKED))
      out.writelines(parts)
      return cast(BinaryIO, out)

    if _starts(file, len(_GZIP_MAGIC)) == _GZIP_MAGIC:
      file = kept(_unpacked(file))
    first = _starts(file, 6)
    for mark, what in _OTHERS.items():
      if first.startswith(mark):
        raise Refused(f'found {what}, expected a CSV or Parquet file')
    for mark, encoding in _ENCODINGS.items():
      if first.startswith(mark):
        file = kept(_recoded(file, encoding))
        break
    file.seek(0)
    yield file


def layout_of(file: BinaryIO) -> Layout:
  """Detects the layout of a CSV in UTF-8 from its first lines.

  Raises:
    Refused: the file is empty, not text, or not a CSV.
  """
  head = file.read(_HEAD_BYTES)
  lines = re.finditer(rb'[^\r\n]+(\r\n|\r|\n|$)', head)
  filled = list(
    itertools.islice((s for s in lines if s[0].strip()), _SAMPLE_LINES)
  )
  if not filled:
    raise Refused('found an empty file or only blank lines, expected a CSV')
  if b'\0' in filled[0][0]:
    raise Refused(_NO_TEXT)
  try:
    text = filled[0][0].decode('utf-8-sig')
    # The separator that gives most cells; ties go to the first.
    separator = max(_SEPARATORS, key=lambda mark: len(_split(text, mark)))
    others = [_split(s[0].decode(errors='replace'), separator)
              for s in filled[1:]]  # fmt: skip
  except UnicodeDecodeError as error:
    raise Refused(_NO_TEXT) from error
  except csv.Error as error:  # such as a cell that is too long
    raise Refused(
      f'found text that is not a CSV ({error}), expected a CSV'
    ) from error
  header, used = read_levels([_split(text, separator), *others[:2]])
  end = filled[used - 1].end()
  return Layout(
    header,
    end,
    len(head[:end].splitlines()),
    separator,
    _decimal(others, separator),
  )


def _starts(file: BinaryIO, count: int) -> bytes:
  file.seek(0)
  return file.read(count)


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
  most = max(_ALWAYS_UNPACKED, _MOST_GROWTH * file.seek(0, 2))
  file.seek(0)
  size = 0
  try:
    with gzip.open(file) as packed:
      while part := packed.read(_PART_BYTES):
        size += len(part)
        if size > most:
          raise Refused(
            f'found a gzip file that unpacks to more than {most:,} bytes, '
            'expected at most that many; if it is meant to be this large, '
            'unpack it first'
          )
        yield part
  except (OSError, EOFError, zlib.error) as error:
    raise Refused('found a damaged gzip file, expected a whole one') from error


def _recoded(file: BinaryIO, encoding: str) -> Iterator[bytes]:
  decoder = codecs.getincrementaldecoder(encoding)()
  file.seek(0)
  try:
    while part := file.read(_PART_BYTES):
      yield decoder.decode(part).encode()
    decoder.decode(b'', final=True)
  except UnicodeError as error:
    raise Refused(
      f'found bytes that are not {encoding.upper()} text, expected this '
      'encoding, because the file begins with its byte order mark'
    ) from error


def _split(line: str, separator: str) -> list[str]:
  row = next(csv.reader([line.rstrip('\r\n')], delimiter=separator))
  return [cell.strip().strip('"') for cell in row]


def _decimal(rows: list[list[str]], separator: str) -> str:
  """Returns the decimal mark of a file: ',' if the cells show it, else '.'.

  The mark is '.' if commas separate the cells, or if a number has a point that
  cannot mark thousands. Otherwise, commas are decimal if one is followed by
  more or fewer than three digits. If each is followed by three, they are
  decimal only in two cases: a number has both marks, as in 1.234,567; or no
  number is like 1.234, and semicolons separate the cells, as in files of
  programs that use decimal commas.
  """
  cells = [without_currency(cell) for row in rows for cell in row]
  if separator == ',' or any(map(_is_point, cells)):
    return '.'
  commas = [c for c in cells if _DECIMAL_COMMA.fullmatch(c)]
  if any(len(cell.partition(',')[2]) != 3 for cell in commas):
    return ','
  if any(map(_BOTH_MARKS.fullmatch, cells)):
    return ','
  has_points = any(_THOUSANDS.fullmatch(cell) for cell in cells)
  return ',' if commas and separator == ';' and not has_points else '.'


def _is_point(cell: str) -> bool:
  """Returns whether a cell is a number whose point cannot mark thousands."""
  is_number = _DECIMAL_POINT.fullmatch(cell) is not None
  return is_number and _THOUSANDS.fullmatch(cell) is None

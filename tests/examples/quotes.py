"""A format of one's own: a text with a block of lines for each stock.

    quotes
    = AAA
    2020-01-02 10 11 9.5 10.5 1000
    = BBB
    ...

A line is a day, its open, high, low and close, and the volume.
"""

import hashlib
import pathlib

from eigen3.data import (
  DataError,
  Reader,
  Refusal,
  Refused,
  Source,
  Ticker,
  register_source,
)
from eigen3.data.cells import is_symbol
from eigen3.data.csv_files import read_ticker
from eigen3.data.errors import shown
from eigen3.data.readers import Progress

_FIRST_LINE = b'quotes\n'


def matches(path: pathlib.Path) -> bool:
  """Whether it is a file that begins as such."""
  if not path.is_file():
    return False
  with path.open('rb') as file:
    return file.read(len(_FIRST_LINE)) == _FIRST_LINE


def read(path: pathlib.Path, progress: Progress = iter) -> Source:
  """Reads all stocks; one that cannot be used is reported.

  Raises:
    DataError: there is no ticker in the file.
  """
  content = path.read_bytes()
  tickers: dict[str, Ticker] = {}
  refused: list[Refusal] = []
  for name, line, rows in progress(_blocks(content)):
    try:
      if name in tickers or not is_symbol(name):
        raise Refused('not a symbol, or one that was there already')
      # Cells are checked and prices masked as those of a CSV are.
      table = b'\n'.join([b'date open high low close volume', *rows])
      tickers[name] = read_ticker(name, table.replace(b' ', b','))
    except Refused as error:
      row = None if error.row is None else line + error.row - 1
      refused.append(
        Refusal(path.name, error.reason, row, error.column, shown(name))
      )
  if not tickers:
    raise DataError(f'{path}: no ticker left, {len(refused)} are refused')
  return Source(
    tickers=tuple(tickers[name] for name in sorted(tickers)),
    refused=tuple(refused),
    ignored=(),
    source_hash=hashlib.sha256(content).hexdigest(),
    place=str(path),
  )


def _blocks(content: bytes) -> list[tuple[str, int, list[bytes]]]:
  """By stock its name, the line that names it, and the lines below."""
  blocks: list[tuple[str, int, list[bytes]]] = []
  for number, line in enumerate(content.splitlines(), 1):
    if line.startswith(b'= '):
      blocks.append((line[2:].decode(errors='replace'), number, []))
    elif blocks:
      blocks[-1][2].append(line)
  return blocks


QUOTES = Reader(matches, read)
register_source(QUOTES)

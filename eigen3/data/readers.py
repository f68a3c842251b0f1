"""Defines sources of prices, and reads folders with one file per ticker."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from eigen3.data.cells import AS_WRITTEN, SYMBOL, Days, is_symbol
from eigen3.data.csv_files import Ticker, read_ticker
from eigen3.data.errors import DataError, Refused, shown
from eigen3.data.panel import MarketPanel
from eigen3.data.series import Series
from eigen3.data.text_files import name_of

# Patterns of file names (without suffix) in known data sets.
_NAMES = (r'DA-(.+)-T-\d{4}-\d\d-\d\d', r'(.+)_data')

# Suffixes of files to read: only those of the first group that occurs.
_KINDS = (('.csv', '.tsv'), ('.txt',), ('.parquet',))

Progress = Callable[[list[Any]], Iterable[Any]]


@dataclasses.dataclass(frozen=True)
class Refusal:
  """A file, or a symbol in one, that was not used, and why.

  Row and column are given if they are known.
  """

  file: str
  reason: str
  row: int | None = None
  column: str = ''
  symbol: str = ''

  def __str__(self) -> str:
    what = f'{self.file}, {self.symbol}' if self.symbol else self.file
    return f'{what}: {Refused(self.reason, self.row, self.column)}'


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
  """Prices read from a file or folder, and series to observe.

  Attributes:
    tickers: at least one, in alphabetical order.
    refused: files, or symbols in a file, that could not be used.
    ignored: names of the folder's entries that were not read; empty for a file.
    source_hash: sha256 of the file, or of the names and contents of the files
      read from a folder; it covers the series too, if there are any.
    series: series to observe alongside the stocks; their names differ from each
      other and from the tickers' names.
    place: path of the file or folder, for error messages.
  """

  tickers: tuple[Ticker, ...]
  refused: tuple[Refusal, ...]
  ignored: tuple[str, ...]
  source_hash: str
  series: tuple[Series, ...] = ()
  place: str = 'panel'


def with_series(source: Source, series: Sequence[Series]) -> Source:
  """Returns `source` with `series` as its series.

  Raises:
    DataError: a series has the name of a ticker or of another series.
  """
  names = {ticker.name for ticker in source.tickers}
  digest = hashlib.sha256(source.source_hash.encode())
  for one in series:
    if one.name in names:
      raise DataError(
        f"--context: found two columns '{one.name}', expected different names; "
        'rename one with --context=PATH:name=OTHER'
      )
    names.add(one.name)
    digest.update(f'\0{one.name}\0{one.lag}\0{one.source_hash}'.encode())
  source_hash = digest.hexdigest() if series else source.source_hash
  return dataclasses.replace(
    source, series=tuple(series), source_hash=source_hash
  )


def source_of(panel: MarketPanel, refused: tuple[Refusal, ...] = ()) -> Source:
  """Converts a panel to a source, so that `quality.check` can be applied.

  Args:
    panel: each column with any price becomes a ticker with the days on which it
      has one.
    refused: becomes `refused` of the source.
  """
  tickers = []
  for column, name in enumerate(panel.columns):
    ohlc = panel.ohlc[:, column].astype(np.float64)
    rows = ~np.isnan(ohlc).all(axis=1)
    volume = np.full(int(rows.sum()), np.nan)
    if panel.volume is not None:
      volume = panel.volume[rows, column].astype(np.float64)
    if rows.any():
      tickers.append(
        Ticker(
          name=name,
          dates=panel.dates[rows],
          ohlc=ohlc[rows],
          volume=volume,
          splits=0,
          dividends=0,
          adjusted=0,
          outside=0,
          suspicious=(),
          masked=(),
        )
      )
  tickers.sort(key=lambda ticker: ticker.name)
  return Source(tuple(tickers), refused, (), panel.source_hash)


def read_folder(
  folder: str | os.PathLike,
  progress: Progress = iter,
  written: Days = AS_WRITTEN,
) -> Source:
  """Reads the files of `folder`, one per ticker.

  Files with the suffix .csv or .tsv are read; if there are none, .txt; if there
  are none either, .parquet. Each suffix may be followed by .gz if the file is
  compressed with gzip. Unusable files are listed in `Source.refused`.

  Column names are compared by their letters, ignoring case. Date (or timestamp,
  or another name in `headers`), open, high, low and close are needed; adjusted
  close, volume, dividends and splits are used if present. The ticker is the
  file's name without suffix and without affixes of known data sets, such as
  '_data'.

  Args:
    folder: a folder; its files are read in the order of their names.
    progress: wraps the list of files, e.g. `tqdm`.
    written: the format and time zone of dates.

  Raises:
    DataError: there is no such folder, or no usable ticker in it.
  """
  path = pathlib.Path(folder)
  if not path.is_dir():
    what = 'something that is not a' if path.exists() else 'no such'
    raise DataError(
      f'{path}: found {what} folder, expected a folder of price files'
    )
  files, others = _files(path)
  tickers: dict[str, Ticker] = {}
  refused: list[Refusal] = []
  digest = hashlib.sha256()
  for file in progress(files):
    try:
      content = file.read_bytes()
      digest.update(os.fsencode(file.name) + b'\0%d\0' % len(content))
      digest.update(content)
      ticker = _read_named(file, content, written)
      if ticker.name in tickers:
        raise Refused(
          f'found a second file of ticker {ticker.name}, expected one'
        )
      tickers[ticker.name] = ticker
    except Refused as error:
      refused.append(
        Refusal(shown(file.name, 120), error.reason, error.row, error.column)
      )
    except OSError as error:
      refused.append(
        Refusal(
          shown(file.name, 120),
          f'cannot be read ({error.strerror or error}), expected a readable '
          'file',
        )
      )
  if not tickers:
    raise DataError(
      f'{path}: found no usable ticker, expected at least one; refused '
      f'files: {len(refused)}, the first is {refused[0]}'
    )
  return Source(
    tickers=tuple(tickers[name] for name in sorted(tickers)),
    refused=tuple(refused),
    ignored=tuple(shown(e.name, 120) for e in others),
    source_hash=digest.hexdigest(),
    place=str(path),
  )


def _read_named(file: pathlib.Path, content: bytes, written: Days) -> Ticker:
  """Reads the prices in `content`, taking the ticker from the file's name."""
  name = _ticker_name(file)
  if not is_symbol(name):
    raise Refused(
      f"found '{shown(name)}' as the ticker in the file's name, expected "
      f'{SYMBOL}'
    )
  return read_ticker(name, content, written)


def _files(
  folder: pathlib.Path,
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
  """Returns the files to read in a folder, and the folder's other entries.

  Raises:
    DataError: there is no file to read.
  """
  entries = sorted(folder.iterdir())
  for kinds in _KINDS:
    files = [e for e in entries if name_of(e)[1] in kinds and e.is_file()]
    if files:
      return files, sorted(set(entries) - set(files))
  folders = [e.name for e in entries if e.is_dir()]
  held = ''
  if folders:
    held = (
      f'; give a folder inside it instead ({shown(", ".join(folders), 60)})'
    )
  elif entries:
    held = (
      f'; it holds other files, such as {shown(entries[0].name, 60)}: unpack '
      'them, or save them as CSV; a file with all tickers is itself a source'
    )
  raise DataError(
    f'{folder}: found no .csv, .tsv, .txt or .parquet file in this folder, '
    f'expected one per ticker{held}'
  )


def _ticker_name(file: pathlib.Path) -> str:
  stem, _ = name_of(file)
  for pattern in _NAMES:
    match = re.fullmatch(pattern, stem)
    if match:
      return match[1]
  return stem

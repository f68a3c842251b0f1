"""Folders of per-ticker CSVs: the only way files of prices come in."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Iterable

from eigen3.data.csv_files import Refused, Ticker, read_ticker
from eigen3.data.errors import DataError

# File names (without .csv) around a ticker, as the known sets have them.
_NAMES = (r'DA-(.+)-T-\d{4}-\d\d-\d\d', r'(.+)_data')

Progress = Callable[[list[pathlib.Path]], Iterable[pathlib.Path]]


@dataclasses.dataclass(frozen=True)
class Refusal:
  """A file that was not used, and why; row and column where they are known."""

  file: str
  reason: str
  row: int | None = None
  column: str = ''

  def __str__(self) -> str:
    return f'{self.file}: {Refused(self.reason, self.row, self.column)}'


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
  """What a folder held.

  Attributes:
    tickers: at least one, in alphabetical order.
    refused: CSV files that could not be used.
    ignored: names of whatever in the folder is not a CSV file by name.
    source_hash: sha256 over the names and bytes of all CSV files.
  """

  tickers: tuple[Ticker, ...]
  refused: tuple[Refusal, ...]
  ignored: tuple[str, ...]
  source_hash: str


def read_folder(folder: str | os.PathLike, progress: Progress = iter) -> Source:
  """Reads every CSV of `folder`; a file that cannot be used is reported.

  Column names are compared as letters without case; `date` (or timestamp),
  open, high, low and close are needed; adjusted close, volume, dividends and
  splits are used where present. The ticker is the file's name, without what
  the known sets put around it.

  Args:
    folder: the files are read in the order of their names.
    progress: wraps the list of files, e.g. `tqdm`.

  Raises:
    DataError: there is no such folder, or no ticker in it.
  """
  path = pathlib.Path(folder)
  if not path.is_dir():
    found = 'not a folder' if path.exists() else 'no such folder'
    raise DataError(f'{path}: {found}, expected a folder of CSV files')
  entries = sorted(path.iterdir())
  files = [e for e in entries if e.suffix.lower() == '.csv' and e.is_file()]
  if not files:
    raise DataError(f'{path}: no CSV file in this folder')
  tickers: dict[str, Ticker] = {}
  refused: list[Refusal] = []
  digest = hashlib.sha256()
  for file in progress(files):
    try:
      content = file.read_bytes()
      digest.update(f'{file.name}\0{len(content)}\0'.encode())
      digest.update(content)
      ticker = read_ticker(_ticker_name(file), content)
      if ticker.name in tickers:
        raise Refused(f'a second file of ticker {ticker.name}')
      tickers[ticker.name] = ticker
    except Refused as error:
      refused.append(Refusal(file.name, error.reason, error.row, error.column))
    except OSError as error:
      refused.append(Refusal(file.name, error.strerror or str(error)))
  if not tickers:
    raise DataError(
      f'{path}: no ticker left, all {len(files)} CSV files are refused; '
      f'the first is {refused[0]}'
    )
  return Source(
    tickers=tuple(tickers[name] for name in sorted(tickers)),
    refused=tuple(refused),
    ignored=tuple(e.name for e in entries if e not in set(files)),
    source_hash=digest.hexdigest(),
  )


def _ticker_name(file: pathlib.Path) -> str:
  for pattern in _NAMES:
    match = re.fullmatch(pattern, file.stem)
    if match:
      return match[1]
  return file.stem

"""Whatever prices come in, by what it is.

A format of your own is a `Reader`, added by `register_source`. A reader must
not run what a file holds: no pickle, no evaluation.
"""

import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from eigen3.data.cells import AS_WRITTEN, Days
from eigen3.data.errors import DataError
from eigen3.data.long_tables import read_table
from eigen3.data.readers import Progress, Source, read_folder


class Reader(NamedTuple):
  """A format of prices.

  Attributes:
    matches: of an existing file or folder, whether it is of this format.
    read: `(path, progress) -> Source`, where `progress` wraps a list of what
      is read one after another; a `DataError` where no ticker is left.
  """

  matches: Callable[[pathlib.Path], bool]
  read: Callable[[pathlib.Path, Progress], Source]


# Formats that were added; the first that matches reads.
_READERS: list[Reader] = []


def register_source(reader: Reader) -> None:
  """Adds a format, which is asked before those that are there."""
  if reader not in _READERS:
    _READERS.insert(0, reader)


def open_source(
  path: str | os.PathLike,
  progress: Progress = iter,
  written: Days = AS_WRITTEN,
) -> Source:
  """Reads prices of many stocks.

  Of a format that was registered, or a folder with a file a ticker, or one file
  with all tickers.

  Args:
    path: what it is, is told from what is there.
    progress: wraps the list of files, or of symbols, e.g. `tqdm`.
    written: how days are; a format that was registered knows that itself.

  Raises:
    DataError: there is no such place, or no ticker in it.
  """
  if not os.path.exists(path):
    raise DataError(f'{path}: no such folder or file')
  place = pathlib.Path(path)
  for reader in _READERS:
    if reader.matches(place):
      return reader.read(place, progress)
  read = read_folder if place.is_dir() else read_table
  return read(place, progress, written)

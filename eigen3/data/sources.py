"""Opens files and folders of prices in any known format.

To add a format of your own, pass a `Reader` to `register_source`. A reader must
not run code from a file: no `pickle`, no `eval`.
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
  """A format of price files, and how to read it.

  Attributes:
    matches: returns whether an existing file or folder has this format.
    read: `(path, progress) -> Source`, where `progress` wraps the list of items
      to read; raises a `DataError` if no ticker is usable.
  """

  matches: Callable[[pathlib.Path], bool]
  read: Callable[[pathlib.Path, Progress], Source]


# Added formats; the first that matches is used.
_READERS: list[Reader] = []


def register_source(reader: Reader) -> None:
  """Adds a format, which takes precedence over all formats so far.

  A reader that is already registered keeps its place.
  """
  if reader not in _READERS:
    _READERS.insert(0, reader)


def open_source(
  path: str | os.PathLike,
  progress: Progress = iter,
  written: Days = AS_WRITTEN,
) -> Source:
  """Reads prices of many stocks.

  The path has a registered format, or it is a folder with one file per ticker
  or one file with all tickers.

  Args:
    path: a file or a folder; the format is detected.
    progress: wraps the list of files, or of symbols, e.g. `tqdm`.
    written: the format and time zone of dates; not used by registered formats.

  Raises:
    DataError: there is no such file or folder, or it cannot be read, is refused
      or has no usable ticker.
  """
  if not os.path.exists(path):
    raise DataError(
      f'{path}: found no such file or folder, expected one with prices'
    )
  place = pathlib.Path(path)
  for reader in _READERS:
    if reader.matches(place):
      return reader.read(place, progress)
  read = read_folder if place.is_dir() else read_table
  return read(place, progress, written)

"""Whatever prices come in, by what it is."""

import os

from eigen3.data.errors import DataError
from eigen3.data.long_tables import read_table
from eigen3.data.readers import Progress, Source, read_folder


def open_source(path: str | os.PathLike, progress: Progress = iter) -> Source:
  """Reads a folder with a CSV a ticker, or one file with all tickers.

  Args:
    path: what it is, is told from what is there.
    progress: wraps the list of files, or of symbols, e.g. `tqdm`.

  Raises:
    DataError: there is no such place, or no ticker in it.
  """
  if not os.path.exists(path):
    raise DataError(f'{path}: no such folder or file')
  if os.path.isdir(path):
    return read_folder(path, progress)
  return read_table(path, progress)

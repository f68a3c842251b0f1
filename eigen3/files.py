"""Atomic writes: a reader never sees a partly written file."""

import contextlib
import errno
import json
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import pandas as pd

_LEFTOVER = re.compile(r'.+\.[0-9a-f]{8}\.part')


def _temporary(path: pathlib.Path) -> pathlib.Path:
  """Returns a random path next to `path`, so that writers do not clash."""
  return path.with_name(f'{path.name}.{secrets.token_hex(4)}.part')


def remove_leftovers(folder: pathlib.Path) -> None:
  """Removes the partly written files and folders that killed processes left.

  These are the temporary paths of `atomic_path` and `atomic_folder` directly in
  `folder`. No process may be writing to the folder meanwhile.
  """
  for path in folder.iterdir():
    if not _LEFTOVER.fullmatch(path.name):
      continue
    if path.is_dir():
      shutil.rmtree(path, ignore_errors=True)
    else:
      path.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """Adds `path` to an `OSError` from the `with` block if it names no file.

  When writing to an open file fails, such as on a full disk, the error names no
  file. Errors without an `errno` are not changed.

  Raises:
    OSError: if the block raised one.
  """
  try:
    yield
  except OSError as error:
    if error.errno is None or error.filename is not None:
      raise
    raise type(error)(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a path to write to; the file is moved to `path` at the block's end.

  If the block fails or is interrupted, `path` stays unchanged and the new file
  is removed.

  Args:
    path: the file to create or replace; its folder must exist.

  Yields:
    A path in the same folder, so that the renaming is atomic.

  Raises:
    OSError: if the block created no file at the yielded path, or `path` cannot
      be written.
  """
  path = pathlib.Path(path)
  temporary = _temporary(path)
  try:
    with naming(path):
      yield temporary
      os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """Yields a new folder to fill; it is renamed to `path` at the block's end.

  If the block fails or is interrupted, the new folder is removed.

  Args:
    path: the folder to create; it must not exist, but its parent must.

  Yields:
    A folder in the same parent, so that the renaming is atomic.

  Raises:
    OSError: if `path` exists when the block ends, or cannot be created.
  """
  path = pathlib.Path(path)
  temporary = _temporary(path)
  temporary.mkdir()
  try:
    with naming(path):
      yield temporary
      if os.path.lexists(path):  # renaming would replace an empty folder
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
      temporary.rename(path)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: os.PathLike | str, value: Any) -> None:
  """Writes a value as indented JSON with sorted keys, atomically."""
  text = json.dumps(value, indent=2, sort_keys=True)
  with atomic_path(path) as temporary:
    temporary.write_text(text + '\n', encoding='utf-8')


def write_table(path: os.PathLike | str, rows: pd.DataFrame) -> None:
  """Writes a table as CSV, atomically; floats get 10 significant digits.

  The index is not written.
  """
  with atomic_path(path) as temporary:
    rows.to_csv(temporary, index=False, float_format='%.10g')

"""Writing files so that a reader never meets half of one."""

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
  """A name of its own for each writer, also those of other machines."""
  return path.with_name(f'{path.name}.{secrets.token_hex(4)}.part')


def remove_leftovers(folder: pathlib.Path) -> None:
  """Removes what killed writers left; nobody may be writing in the folder."""
  for path in folder.iterdir():
    if not _LEFTOVER.fullmatch(path.name):
      continue
    if path.is_dir():
      shutil.rmtree(path, ignore_errors=True)
    else:
      path.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
  """Adds the path to an error of the file system that names none.

  One of writing to a file that is open, as to a full disk, does not.

  Raises:
    OSError: the block raised it.
  """
  try:
    yield
  except OSError as error:
    if error.errno is None or error.filename is not None:
      raise
    raise type(error)(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
  """A name to write to that becomes `path` when the block ends.

  If the block fails, or is interrupted, `path` stays as it was and what was
  written is removed.

  Args:
    path: the file to make or to replace; its folder must exist.

  Yields:
    A name in the same folder, so that the last step is one renaming.

  Raises:
    OSError: the block wrote nothing, or `path` cannot be replaced.
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
  """A new folder to fill that becomes `path` when the block ends.

  If the block fails, or is interrupted, what was written is removed.

  Args:
    path: the folder to make; nothing may be there, and the folder that it
      goes into must exist.

  Yields:
    A folder beside it, so that the last step is one renaming.

  Raises:
    OSError: there is something already, or it cannot be made.
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
  """Writes JSON so that the file is either the old one or whole."""
  text = json.dumps(value, indent=2, sort_keys=True)
  with atomic_path(path) as temporary:
    temporary.write_text(text + '\n', encoding='utf-8')


def write_table(path: os.PathLike | str, rows: pd.DataFrame) -> None:
  """Writes rows, such as trades, as CSV, whole or not at all."""
  with atomic_path(path) as temporary:
    rows.to_csv(temporary, index=False, float_format='%.10g')

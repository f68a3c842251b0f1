"""Writing files so that a reader never meets half of one."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


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
  # Two processes that write the same file must not share its makings.
  temporary = path.with_name(f'{path.name}.{os.getpid()}.part')
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)

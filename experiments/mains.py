"""How every main starts and how it fails: in one line."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging


def run(main: Callable[[Sequence[str]], Any]) -> None:
  """Runs `main` under absl; what a user can put right is one line.

  A ValueError (ours name the file, field or argument), a failure of the file
  system and a full memory become `error: ...` on stderr and exit status 1.
  Wrong flags are reported by absl. Any other exception is a defect and keeps
  its traceback. Ctrl-C that `main` did not handle is exit status 130.
  """

  def guarded(argv: Sequence[str]) -> int | None:
    if not flags.FLAGS['verbosity'].present:
      # Libraries tell much that only their authors need.
      logging.set_verbosity(logging.WARNING)
    try:
      return main(argv)
    except KeyboardInterrupt:
      print('error: interrupted', file=sys.stderr)
      return 130
    except (ValueError, OSError, MemoryError) as error:
      print(f'error: {one_line(error)}', file=sys.stderr)
      return 1

  app.run(guarded)


def one_line(error: BaseException) -> str:
  """What `error` says, as one line, with its kind where it says nothing."""
  if isinstance(error, OSError) and error.strerror:
    where = f'{error.filename}: ' if error.filename else ''
    return f'{where}{error.strerror}'
  text = ' '.join(str(error).split())
  return text or type(error).__name__

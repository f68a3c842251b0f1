"""How every main starts and how it fails: in one line."""

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging

from experiments import command_line
from experiments.command_line import STOPPED, one_line
from experiments.commands import COMMANDS, module_of


def start(name: str) -> None:
  """Runs a program; flags are read before its module is imported.

  That takes seconds, and an answer to --help or a wrong flag should not.

  Args:
    name: one of `COMMANDS`.
  """
  command = COMMANDS[name]
  for module in command.options:
    importlib.import_module(f'experiments.options.{module}')

  def main(argv: Sequence[str]) -> Any:
    return importlib.import_module(module_of(name)).main(argv)

  run(main, command.default_config, command.of_any_program, name)


def run(
  main: Callable[[Sequence[str]], Any],
  default_config: str = '',
  of_any_program: bool = False,
  name: str = '',
) -> None:
  """Runs `main` under absl; what a user can put right is one line.

  A ValueError (ours name the file, field or argument), a number that is not
  finite, a failure of the file system, a full memory (of the host or of a
  device) and a wrong flag become `error: ...` on stderr and exit status 1. Any
  other exception is a defect and keeps its traceback. Ctrl-C that `main` did
  not handle is exit status 130.

  Args:
    main: takes what absl leaves of the command line: no program has arguments
      that are not flags.
    default_config: the value of --config where the command line has none. A
      default of the flag itself is read before errors can be caught here.
    of_any_program: settings of other programs than those of the default will
      do, too.
    name: of the program, which --help describes; '' has no help of its own.
  """
  parse = functools.partial(
    command_line.parse,
    default_config=default_config,
    of_any_program=of_any_program,
    name=name,
  )
  app.run(functools.partial(_guarded, main), flags_parser=parse)


def _guarded(
  main: Callable[[Sequence[str]], Any], argv: Sequence[str]
) -> int | None:
  """Runs `main`; the exit status."""
  if not flags.FLAGS['verbosity'].present:
    # Libraries tell much that only their authors need.
    logging.set_verbosity(logging.WARNING)
  try:
    # Not before flags were read: it imports JAX.
    from experiments import backend

    backend.split_cpu(flags.FLAGS.cpu_devices)
    backend.keep_compiled(flags.FLAGS.compilation_cache)
    with backend.telling_errors():
      _extend(flags.FLAGS.extensions)
      return main(argv)
  except KeyboardInterrupt:
    print('error: interrupted', file=sys.stderr)
    return STOPPED
  except (ValueError, FloatingPointError, OSError, MemoryError) as error:
    print(f'error: {one_line(error)}', file=sys.stderr)
    return 1


def _extend(modules: Sequence[str]) -> None:
  """Imports modules; a ValueError where one is not there."""
  for name in modules:
    try:
      importlib.import_module(name)
    except ImportError as error:
      raise ValueError(
        f"--extensions: found '{name}', expected a module of Python ({error})"
      ) from error

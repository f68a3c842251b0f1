"""Starts programs, and reports their errors in one line."""

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
  """Runs a program; reads its flags before importing its module.

  The import takes seconds; --help and errors in flags should not wait for it.

  Args:
    name: a key of `COMMANDS`.
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
  """Runs `main` under absl; prints an error that a user can fix as one line.

  A ValueError (in this project its message names the file, field or argument),
  a number that is not finite, an error of the file system, exhausted memory (of
  the host or of a device) and a wrong flag become `error: ...` on stderr and
  exit status 1. Any other exception is a defect and keeps its traceback. A
  Ctrl-C that `main` does not handle gives exit status 130.

  Args:
    main: called with the arguments that are not flags: only the program's name.
    default_config: the value of --config if the command line has none; '' for a
      program without --config. The flag's own default would be read before
      errors can be reported here.
    of_any_program: whether --config may hold settings of any program, not
      only of the program that `default_config` belongs to.
    name: the program's name, for --help; '' if it is not in `COMMANDS`.
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
  """Runs `main` and reports its errors as in `run`; returns the exit status."""
  if not flags.FLAGS['verbosity'].present:
    # Libraries log much that only their authors need.
    logging.set_verbosity(logging.WARNING)
  try:
    # Imported after flags are read, because it imports JAX.
    from experiments import backend

    backend.split_cpu(flags.FLAGS.cpu_devices)
    backend.keep_compiled(flags.FLAGS.compilation_cache)
    with backend.reporting_errors():
      _extend(flags.FLAGS.extensions)
      return main(argv)
  except KeyboardInterrupt:
    print('error: interrupted', file=sys.stderr)
    return STOPPED
  except (ValueError, FloatingPointError, OSError, MemoryError) as error:
    print(f'error: {one_line(error)}', file=sys.stderr)
    return 1


def _extend(modules: Sequence[str]) -> None:
  """Imports modules; raises a ValueError if one cannot be imported."""
  for name in modules:
    try:
      importlib.import_module(name)
    except ImportError as error:
      raise ValueError(
        f"--extensions: found '{name}', expected the name of a Python module "
        f'that can be imported ({error})'
      ) from error

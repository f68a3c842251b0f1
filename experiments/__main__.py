"""The command eigen3: runs any program by its name, from any folder.

eigen3 PROGRAM [--flags]
"""

import difflib
import sys

from experiments.commands import COMMANDS

_HELP = ('--help', '-help', '-h', 'help')


def main() -> int:
  """Runs the program that the command line names; returns the exit status."""
  name, *arguments = sys.argv[1:] or ['help']
  if name == 'help' and arguments:  # help for one program
    name, arguments = arguments[0], ['--help']
  # Imported here, because the workers of a benchmark that this command started
  # import this module, too.
  from experiments import mains, usage

  if name in _HELP:
    print(usage.of_all())
    return 0
  if name == '--version':
    print(usage.version())
    return 0
  program = name.replace('-', '_')
  if program not in COMMANDS:
    print(f'error: {_refusal(name)}', file=sys.stderr)
    return 1
  sys.argv = [f'{sys.argv[0]} {program}', *arguments]
  # As with `python -m`, the user's modules are found, but after installed ones.
  sys.path.append('')
  mains.start(program)
  return 0


def _refusal(name: str) -> str:
  """Returns the error message for an unknown program or a flag in its place."""
  if name.startswith('-'):
    return f"found '{name}', expected the name of a program before its flags"
  near = difflib.get_close_matches(name, COMMANDS, 1)
  meant = f"did you mean '{near[0]}'? " if near else ''
  return (
    f"found no program '{name}'; {meant}expected one of {', '.join(COMMANDS)}"
  )


if __name__ == '__main__':
  sys.exit(main())

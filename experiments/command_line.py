"""Reads the command line of every program, and answers flags such as --help.

Imports nothing slow, so that answers and errors come at once.
"""

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags
from ml_collections.config_flags import config_path

from experiments import usage

STOPPED = 130  # exit status after an interrupt, as in shells
MOST_DEVICES = 64
flags.DEFINE_integer(
  'cpu_devices',
  0,
  'Number of devices to split a CPU into; 0 is one for each core.',
  lower_bound=0,
  upper_bound=MOST_DEVICES,
)
flags.DEFINE_string(
  'compilation_cache',
  None,
  "Folder that caches compiled programs for later runs; 'none' for no cache. "
  "By default eigen3/compiled in the user's cache folder.",
)
flags.DEFINE_list(
  'extensions',
  [],
  'Your own modules to import first: those that register price formats or '
  'algorithms.',
)

# Flags that are defined here on behalf of a program belong to that program.
flags.disclaim_key_flags()

_CONFIG = re.compile(r'--?config(=|$)')
_HOME = re.compile(r'^(--?config=)(~.*)$')
# Flags that print an answer instead of running the program.
_HELP = re.compile(r'--?(help|helpshort|h|\?)$')
_HELPFULL = re.compile(r'--?helpfull$')
_VERSION = re.compile(r'--?version$')
_PRINT_CONFIG = re.compile(r'--?print_config$')


def define_config(words: str) -> flags.FlagHolder:
  """Defines --config and --print_config.

  Defining --config already reads the command line, so a --flagfile that cannot
  be read ends the program here.

  Args:
    words: the help text of --config.

  Returns:
    The flag --config.
  """
  try:
    holder = config_flags.DEFINE_config_file('config', None, words)
  except flags.Error as error:
    print(f'error: {_last_line(error)}', file=sys.stderr)
    sys.exit(1)
  flags.DEFINE_bool(
    'print_config',
    False,
    'Prints the settings that differ from the preset, and exits.',
  )
  return holder


def parse(
  argv: Sequence[str],
  default_config: str = '',
  of_any_program: bool = False,
  name: str = '',
) -> list[str]:
  """Reads all flags; an error that the user can fix ends the program.

  --help, --version and --print_config also end it, without an error.

  Args:
    argv: as sys.argv.
    default_config: see `mains.run`.
    of_any_program: see `mains.run`.
    name: see `mains.run`.

  Returns:
    What remains of `argv`: a list that holds only the program's name.
  """
  try:
    given = _expanded(argv, default_config)
    _answer(given, name)
    rest = _read([argv[0], *given], default_config)
    if len(rest) > 1:
      raise _Refused(f"arguments: found '{rest[1]}', expected only --flags")
    _check_presets()
    if default_config and not of_any_program:
      _check_given(default_config)
    if any(map(_PRINT_CONFIG.match, given)):
      _print_config(default_config)
    return rest
  except _Refused as error:
    reason = str(error)
  except flags.Error as error:
    reason = re.sub('^flag --\\w+=None: ', '', _last_line(error))
    reason = reason.rstrip('.').replace(' ?', '?')
    if name:
      joint = '' if reason.endswith('?') else ';'
      reason += f'{joint} see eigen3 {name} --help'
  except (AttributeError, KeyError) as error:
    reason = _unknown_setting(error, argv)
  except Exception as error:  # raised by the file of settings, a program
    reason = _in_config(error)
  print(f'error: {reason}', file=sys.stderr)
  sys.exit(1)


def _answer(given: Sequence[str], name: str) -> None:
  """Prints help or version and ends the program, if requested."""
  if any(map(_VERSION.match, given)):
    print(usage.version())
    sys.exit()
  is_full = any(map(_HELPFULL.match, given))
  if is_full or any(map(_HELP.match, given)):
    preset = next((s for s in given if _CONFIG.match(s)), '').partition(':')[2]
    print(usage.of_program(name, preset))
    if is_full:
      print(f'\n{flags.FLAGS.get_help()}')
    sys.exit()


def _read(argv: list[str], default_config: str) -> list[str]:
  """Parses flags; returns the program's name and arguments that are not flags.

  If --config is not given, it gets the value `default_config`, unless that is
  empty. With --print_config, required flags may be missing.
  """
  name, *given = argv
  is_default = default_config and not any(map(_CONFIG.match, given))
  if is_default:
    given.insert(0, f'--config={default_config}')
  if any(map(_PRINT_CONFIG.match, given)):
    # --print_config writes nothing, so required folders may be missing.
    for flag in flags.FLAGS:
      flags.FLAGS[flag].validators.clear()
  rest = flags.FLAGS([name, *given])
  if is_default:
    flags.FLAGS['config'].using_default_value = True
  return rest


class _Refused(ValueError):
  """Raised for arguments that absl accepts and this module refuses."""


def _expanded(argv: Sequence[str], default_config: str) -> list[str]:
  """Returns the arguments after the program's name, with flag files expanded.

  In --config, the name of a preset is replaced by FILE.py:PRESET; whether there
  is such a preset is not checked.

  Raises:
    _Refused: if --config is given more than once, or `_path_of` refuses it.
    flags.Error: if a flag file cannot be read.
  """
  given = flags.FLAGS.read_flags_from_files(argv[1:], force_gnu=False)
  configs = [i for i, s in enumerate(given) if _CONFIG.match(s)]
  if len(configs) > 1:
    # A flag without = is followed by its value.
    words = [given[i : i + 2 - ('=' in given[i])] for i in configs]
    found = ' and '.join(map(' '.join, words))
    raise _Refused(
      f'--config: found {found}, expected only one, counting those in '
      'a --flagfile'
    )
  for i in configs:
    value = given[i].partition('=')[2]
    if '=' not in given[i] and i + 1 < len(given):
      value = given.pop(i + 1)
    given[i] = f'--config={_path_of(value, default_config)}'
  return given


def _path_of(config: str, default_config: str) -> str:
  """Returns the value of --config as FILE.py or FILE.py:PRESET.

  Args:
    config: such a value, or the name of a preset of the program.
    default_config: the program's default value of --config; if it names no
      preset, the program has no presets.

  Raises:
    _Refused: if the file does not exist and `config` cannot be a preset's name.
  """
  # A shell expands ~ only at the start of a word, not after the =.
  config = os.path.expanduser(config)
  own, _, preset = default_config.partition(':')
  path = config.partition(':')[0]
  if os.path.isfile(path):
    return config
  if preset and config and not path.endswith('.py'):
    return f'{own}:{config}'
  expected = f'a preset, such as {preset}, or FILE.py:PRESET'
  raise _Refused(
    f"--config: found no file '{path}', expected "
    f'{expected if preset else "FILE.py"}'
  )


def _check_presets() -> None:
  """Refuses --config.preset=NAME, which would not load that preset.

  Raises:
    _Refused: if NAME is not the preset that was loaded; the message says how to
      load NAME.
  """
  if 'config' not in flags.FLAGS:
    return
  flag = flags.FLAGS['config']
  changed = config_flags.get_override_values(flag)
  names = [x for x in changed if x.rpartition('.')[2] == 'preset']
  if not names:
    return
  source = config_flags.get_config_filename(flag)
  loaded: Any = flag.parser.parse(source)
  for name in names:
    expected = config_path.get_value(name, loaded)
    if changed[name] != expected:
      program = f'{loaded.program}/' if 'program' in loaded else ''
      path = source.partition(':')[0]
      raise _Refused(
        f"--config.{name}: found '{changed[name]}', expected '{expected}', "
        'the preset of these settings; to choose another: '
        f'--config={path}:{program}{changed[name]}'
      )


def _check_given(default_config: str) -> None:
  """Checks that the settings of --config belong to this program.

  Raises:
    _Refused: if they do not; the message names a section or field that is
      missing or unknown.
  """
  flag = flags.FLAGS['config']
  if flag.using_default_value:
    return
  source = config_flags.get_config_filename(flag)
  like = flag.parser.parse(default_config)
  try:
    # A file that cannot be loaded fails later, in main.
    with contextlib.suppress(OSError):
      check_program(flag.value, like, f'--config={source}')
  except ValueError as error:
    raise _Refused(str(error)) from error


def check_program(
  config: ml_collections.ConfigDict,
  like: ml_collections.ConfigDict,
  where: str,
) -> None:
  """Checks that a config holds settings of this program.

  Args:
    config: settings to check.
    like: settings of this program.
    where: where the settings to check come from, for the message.

  Raises:
    ValueError: if the two differ in top-level names, or in fields of `learner`.
  """
  found, expected = _outline(config), _outline(like)
  for name in sorted(found ^ expected):
    has = name in found
    raise ValueError(
      f'{where}: found settings {"with" if has else "without"} {name}, '
      'expected settings of this program, which have '
      f'{"no " if has else ""}{name}'
    )


def _outline(config: ml_collections.ConfigDict) -> set[str]:
  """Returns all top-level names, and those of the fields of `learner`."""
  return {*config, *(f'learner.{x}' for x in config.get('learner', ()))}


def _print_config(default_config: str) -> None:
  """Prints the settings that differ from the preset, and ends the program.

  Raises:
    _Refused: if --resume is given without --config; the settings then come from
      the run's folder.
  """
  flag = flags.FLAGS['config']
  resumes = 'resume' in flags.FLAGS and flags.FLAGS.resume
  if flag.using_default_value and resumes:
    raise _Refused(
      '--print_config: found --resume without --config, expected both; the '
      "run's own settings are in config.json in its folder"
    )
  source = config_flags.get_config_filename(flag)
  config: Any = flag.value
  before = flag.parser.parse(source)
  file, _, preset = default_config.partition(':')
  is_own = os.path.dirname(source) != os.path.dirname(file)
  if preset and is_own and 'preset' in config:
    # The user's own file may itself change a preset of the program.
    with contextlib.suppress(TypeError, ValueError):
      source = f'{file}:{config.preset}'
      before = flag.parser.parse(source)
  print(usage.differences(before, config, source))
  sys.exit()


def one_line(error: BaseException) -> str:
  """Returns an error's message in one line; without one, its type's name."""
  if isinstance(error, OSError) and error.strerror:
    where = f'{error.filename}: ' if error.filename else ''
    return f'{where}{error.strerror}'
  text = ' '.join(str(error).split())
  return text or type(error).__name__


def _last_line(error: Exception) -> str:
  """Returns the last line of an error's message, without the error's type.

  ml_collections puts a traceback into the message, before that line.
  """
  return re.sub(
    r'^(\w+Error|ERROR:): ', '', str(error).strip().splitlines()[-1]
  )


def _in_config(error: Exception) -> str:
  """Returns a message that says where and why a settings file failed."""
  place = traceback.extract_tb(error.__traceback__)[-1]
  file, line = place.filename, place.lineno
  if isinstance(error, SyntaxError):
    file, line, text = error.filename or file, error.lineno, error.msg
  else:
    text = one_line(error)
  return f'--config: {file}, line {line}: {type(error).__name__}: {text}'


def _unknown_setting(error: BaseException, argv: Sequence[str]) -> str:
  """Returns the message for an unknown setting, with the flag that sets it.

  The message of ml_collections itself has only the last part of the setting's
  name, in quotes, and the nearest known name.
  """
  while error.args and isinstance(error.args[0], BaseException):
    error = error.args[0]
  words = ' '.join(str(error.args[0] if error.args else '').split())
  field = words.split("'")[1] if "'" in words else ''
  names = [arg.split('=')[0] for arg in argv if arg.startswith('--config.')]
  flag = next((s for s in names if field in s.split('.')), '--config')
  return (
    f'{flag}: found an unknown setting ({words}), expected the name of a '
    'setting; --help lists those that are often changed'
  )

"""Makes the texts that --help, --version and --print_config print."""

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import pathlib
import platform
import textwrap

import ml_collections
from absl import flags

import eigen3
from experiments.commands import COMMANDS, module_of
from experiments.configs import flatten

_WIDTH = 80
_COLUMN = 38  # where descriptions start
_OPTIONS = 'experiments.options.'
_SHARED = 'experiments.command_line'
# Placeholders of a flag's value, by absl's name of its type.
_VALUES = {
  'comma separated list of strings': 'A,B',
  'config object': 'PRESET',
  'float': 'X',
  'int': 'N',
  'multi path': 'PATH',
  'path': 'PATH',
  'paths': 'PATH,PATH',
}


def version() -> str:
  """Returns the versions of eigen3, JAX and Python, for --version."""
  jax = importlib.metadata.version('jax')
  python = platform.python_version()
  return f'eigen3 {eigen3.__version__} (jax {jax}, Python {python})'


def of_all() -> str:
  """Returns the text of `eigen3 --help`: versions, and a line per program."""
  width = max(map(len, COMMANDS))
  lines = [f'  {x:{width}}  {_described(x).splitlines()[0]}' for x in COMMANDS]
  return '\n'.join(
    [
      version(),
      '',
      'eigen3 PROGRAM [--flags]',
      '',
      *lines,
      '',
      'eigen3 PROGRAM --help shows its flags, presets and settings.',
    ]
  )


def of_program(name: str, preset: str = '') -> str:
  """Returns the help of a program: what it does, its settings and flags.

  Args:
    name: one of `COMMANDS`, or '' for any other program, for which only the
      flags that all programs share are shown.
    preset: the preset whose values of often changed settings are shown; the
      default preset if it is empty or unknown.
  """
  parts, by_module = [], flags.FLAGS.flags_by_module_dict()
  own, shared = [], by_module.get(_SHARED, [])
  if name:
    parts.append(f'eigen3 {name}: {_described(name)}')
    parts += _settings(COMMANDS[name].default_config, preset)
    own = [
      flag
      for module in COMMANDS[name].options
      for flag in by_module.get(_OPTIONS + module, [])
    ]
  for title, found in (
    ('Flags', own),
    ('Flags of every program', shared),
  ):
    if found:
      parts.append('\n'.join([f'{title}:', *map(_flag, found)]))
  parts.append(
    '--flagfile=PATH reads flags from a file; --helpfull also shows those of '
    'the\nlibraries; --version.'
  )
  return '\n\n'.join(parts)


def differences(
  before: ml_collections.ConfigDict,
  config: ml_collections.ConfigDict,
  source: str,
) -> str:
  """Returns a text that lists the settings that differ from a preset.

  Args:
    before: settings of the preset.
    config: settings to compare with the preset.
    source: how the text names the preset, such as FILE.py:PRESET.
  """
  past, present = flatten(before), flatten(config)
  lines = [
    f'  {name} = {present.get(name)!r}  (preset: {past.get(name)!r})'
    for name in dict.fromkeys([*past, *present])
    if past.get(name) != present.get(name)
  ]
  if not lines:
    return f'no setting differs from {source}'
  return '\n'.join([f'settings that differ from {source}:', *lines])


def _described(name: str) -> str:
  """Returns a program's module docstring, without importing the module."""
  spec = importlib.util.find_spec(module_of(name))
  assert spec is not None
  assert spec.origin is not None
  source = pathlib.Path(spec.origin).read_text(encoding='utf-8')
  return inspect.cleandoc(ast.get_docstring(ast.parse(source)) or '')


def _settings(default_config: str, preset: str) -> list[str]:
  """Returns texts about the presets, if any, and the often changed settings.

  Args:
    default_config: the program's `Command.default_config`; if it is '', the
      list is empty.
    preset: see `of_program`.
  """
  if not default_config:
    return []
  path, _, default = default_config.partition(':')
  module = importlib.import_module(
    f'experiments.configs.{pathlib.Path(path).stem}'
  )
  parts, arguments = [], [preset or default] if default else []
  if default:
    width = max(map(len, module.PRESETS))
    lines = [f'  {x:{width}}  {y}' for x, y in module.PRESETS.items()]
    parts.append(
      '\n'.join(
        [
          f'Presets, --config=PRESET; {default} if none is given:',
          *lines,
        ]
      )
    )
  try:
    config = module.get_config(*arguments)
  except ValueError:
    config = module.get_config(default)
  present = flatten(config)
  lines = [
    _wrapped(f'{field} = {present[field]!r}', words)
    for field, words in module.OFTEN_CHANGED.items()
  ]
  title = 'Settings that are often changed, --config.NAME=VALUE'
  if default:
    title += f', as {config.get("preset", arguments[0])} has them'
  parts.append('\n'.join([f'{title}:', *lines, f'All are in {path}.']))
  return parts


def _flag(flag: flags.Flag) -> str:
  """Returns a flag's entry in the help: how to set it, and its description."""
  words = flag.help or ''
  if flag.boolean:
    text = f'--[no]{flag.name}'
  elif isinstance(flag.parser, flags.EnumParser):
    choices = '|'.join(flag.parser.enum_values)
    text = f'--{flag.name}={choices}'
    words = words.removeprefix(f'<{choices}>: ')  # added by absl
  else:
    text = f'--{flag.name}={_VALUES.get(flag.flag_type(), "TEXT")}'
  if flag.default not in (None, '', [], False):
    default = (flag.default_as_str or '').strip("'")
    words += f' Default: {default}.'
  return _wrapped(text, words)


def _wrapped(first: str, words: str) -> str:
  """Returns `first` and, in a column to its right, the wrapped `words`.

  If `first` is too long, the words start on the next line.
  """
  begin = f'  {first:{_COLUMN - 4}}  '
  if len(begin) > _COLUMN:
    begin = f'  {first}\n{" " * _COLUMN}'
  lines = textwrap.wrap(words, _WIDTH - _COLUMN)
  return begin + f'\n{" " * _COLUMN}'.join(lines)

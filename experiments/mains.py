"""How every main starts and how it fails: in one line."""

import atexit
import contextlib
import functools
import importlib
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags
from ml_collections.config_flags import config_path

from eigen3 import parallel
from experiments import caches

STOPPED = 130  # exit status after an interrupt, as a shell has it
_MOST_DEVICES = 64
_ADVICE = 'to need less, lower '
# Settings by which memory grows, the one that costs the least time first.
_MEMORY = (
  'networks.sequence_block',
  'agent.acting_chunk',
  'agent.batch_size',
  'ranker.batch_size',
)
_PATIENCE = 5.0  # seconds that a failed first process stays for the others
_CPU_DEVICES = flags.DEFINE_integer(
  'cpu_devices',
  0,
  'Devices that a CPU is split into; 0 is one for each core.',
  lower_bound=0,
  upper_bound=_MOST_DEVICES,
)
_CACHE = flags.DEFINE_string(
  'compilation_cache',
  None,
  "Folder that keeps compiled programs for later runs; 'none' keeps none. By "
  "default eigen3/compiled in the user's cache folder.",
)
_EXTENSIONS = flags.DEFINE_list(
  'extensions',
  [],
  'Modules of your own that are imported first: those that register formats of '
  'prices or algorithms.',
)

# Flags that are defined here for a program are that program's.
flags.disclaim_key_flags()


def define_config(words: str) -> flags.FlagHolder:
  """The flag --config; a --flagfile that cannot be read ends the program.

  Its definition reads the command line already.

  Args:
    words: of its help.
  """
  try:
    return config_flags.DEFINE_config_file('config', None, words)
  except flags.Error as error:
    print(f'error: {_last_line(error)}', file=sys.stderr)
    sys.exit(1)


def run(
  main: Callable[[Sequence[str]], Any],
  default_config: str = '',
  of_any_program: bool = False,
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
  """

  def guarded(argv: Sequence[str]) -> int | None:
    if not flags.FLAGS['verbosity'].present:
      # Libraries tell much that only their authors need.
      logging.set_verbosity(logging.WARNING)
    split_cpu(_CPU_DEVICES.value)
    keep_compiled(_CACHE.value)
    try:
      if len(argv) > 1:
        raise ValueError(f"arguments: found '{argv[1]}', expected only --flags")
      _extend(_EXTENSIONS.value)
      return main(argv)
    except BaseException as error:
      status = STOPPED if isinstance(error, KeyboardInterrupt) else 1
      _leave_without_others(status)
      reason = _reason(error)
      if not reason:
        raise
      print(f'error: {reason}', file=sys.stderr)
      return status

  parse = functools.partial(
    _parse, default_config=default_config, of_any_program=of_any_program
  )
  app.run(guarded, flags_parser=parse)


def _parse(
  argv: Sequence[str], default_config: str, of_any_program: bool
) -> list[str]:
  """Reads all flags; what a user can put right ends the program in a line."""
  try:
    given = _expanded(argv)
    default = default_config and not any(_CONFIG.match(s) for s in given)
    if default:
      given.insert(0, f'--config={default_config}')
    rest = flags.FLAGS([argv[0], *given])
    if default:
      flags.FLAGS['config'].using_default_value = True
    _check_presets()
    if default_config and not of_any_program:
      _check_given(default_config)
    return rest
  except (_Refused, flags.Error) as error:
    reason = _last_line(error)
  except (AttributeError, KeyError) as error:
    reason = _unknown_setting(error, argv)
  except Exception as error:  # of the file of settings, which is a program
    reason = _in_config(error)
  print(f'error: {reason}', file=sys.stderr)
  sys.exit(1)


def _extend(modules: Sequence[str]) -> None:
  """Imports modules; a ValueError where one is not there."""
  for name in modules:
    try:
      importlib.import_module(name)
    except ImportError as error:
      raise ValueError(
        f"--extensions: found '{name}', expected a module of Python ({error})"
      ) from error


class _Refused(ValueError):
  """Flags that cannot be used together."""


def _expanded(argv: Sequence[str]) -> list[str]:
  """The arguments after the program's, with those of flag files among them.

  Raises:
    _Refused: there are several configs.
  """
  given = flags.FLAGS.read_flags_from_files(argv[1:], force_gnu=False)
  configs = [s for s in given if _CONFIG.match(s)]
  if len(configs) > 1:
    raise _Refused(
      f'--config: found {" and ".join(configs)}, expected one, also among the '
      'flags of a --flagfile'
    )
  # A shell expands ~ where a word begins, so not after the =.
  return [
    _HOME.sub(lambda x: x[1] + os.path.expanduser(x[2]), s) for s in given
  ]


def _check_presets() -> None:
  """Refuses a flag that only changes the name of the preset.

  Raises:
    _Refused: such a flag, saying how a preset is chosen.
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
        'which the settings are of; to choose a preset: '
        f'--config={path}:{program}{changed[name]}'
      )


def _check_given(default_config: str) -> None:
  """Refuses settings of another program.

  Raises:
    _Refused: naming what they have, or lack.
  """
  flag = flags.FLAGS['config']
  if flag.using_default_value:
    return
  source = config_flags.get_config_filename(flag)
  like = flag.parser.parse(default_config)
  try:
    # Of a file that can't be loaded every use is an error: main's, later.
    with contextlib.suppress(OSError):
      check_program(flag.value, like, f'--config={source}')
  except ValueError as error:
    raise _Refused(str(error)) from error


def check_program(
  config: ml_collections.ConfigDict,
  like: ml_collections.ConfigDict,
  where: str,
) -> None:
  """Refuses settings of another program than some others are of.

  Args:
    config: settings.
    like: settings of this program.
    where: they are, for the message.

  Raises:
    ValueError: the sections are others, or what the section learner has.
  """
  found, expected = _outline(config), _outline(like)
  for name in sorted(found ^ expected):
    has = '' if name in found else 'no '
    raise ValueError(
      f'{where}: found {has}{name}, expected settings of this program, which '
      f'have {"it" if has else "none"}'
    )


def _outline(config: ml_collections.ConfigDict) -> set[str]:
  """The names by which settings of programs differ."""
  return {*config, *(f'learner.{x}' for x in config.get('learner', ()))}


def _reason(error: BaseException) -> str:
  """What a user is told of it, or '' if it is a defect."""
  if isinstance(error, KeyboardInterrupt):
    return 'interrupted'
  if isinstance(error, jax.errors.JaxRuntimeError):
    if 'RESOURCE_EXHAUSTED' in str(error):
      return _out_of_memory(error)
    if 'Gloo' in str(error):
      return f'another process of this run is gone: {one_line(error)}'
    return ''
  if isinstance(error, (ValueError, FloatingPointError, OSError, MemoryError)):
    return one_line(error)
  return ''


def _leave_without_others(status: int) -> None:
  """Has one process of several end at once when Python has said all it says.

  JAX would wait for the others, and they wait for this one; once it is gone
  they fail, too. As all end as soon as they miss the first, that one leaves
  last, so that they can still say what they found.
  """
  if not jax.distributed.is_initialized():
    return

  def leave():
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(KeyboardInterrupt):
      time.sleep(_PATIENCE if parallel.is_first_process() else 0)
    os._exit(status)

  atexit.register(leave)


def split_cpu(num_devices: int) -> None:
  """Makes the CPU that many devices; must precede JAX's first computation.

  The small products of a recurrent loop keep one core busy; sequences spread
  over a device for each core keep all. A JAX_NUM_CPU_DEVICES in the
  environment is left alone where 0 devices, one for each core, are asked for.
  """
  if not num_devices and 'JAX_NUM_CPU_DEVICES' in os.environ:
    return
  devices = num_devices or min(cores(), _MOST_DEVICES)
  jax.config.update('jax_num_cpu_devices', devices)


def keep_compiled(folder: str | None) -> None:
  """Has JAX keep what takes long to compile, and find it again.

  A JAX_COMPILATION_CACHE_DIR in the environment is left alone.

  Args:
    folder: see the flag.
  """
  if folder == 'none' or 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  place = caches.folder('compiled', folder)
  try:
    os.makedirs(place, exist_ok=True)
  except OSError as error:
    logging.warning('--compilation_cache: %s; none is kept', one_line(error))
    return
  caches.remove_damaged(place)
  jax.config.update('jax_compilation_cache_dir', place)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)


def about_compiling() -> str:
  """What a user has to wait for first."""
  folder = jax.config.values['jax_compilation_cache_dir']
  later = f', seconds when {folder} has it' if folder else ''
  # On two cores 15 s for small and about 50 s for a population of smoke; 65 s
  # for full on an H200 (docs/performance.md).
  return f'compiling first: up to a minute{later}'


def cores() -> int:
  """Cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def one_line(error: BaseException) -> str:
  """What `error` says, as one line, with its kind where it says nothing."""
  if isinstance(error, OSError) and error.strerror:
    where = f'{error.filename}: ' if error.filename else ''
    return f'{where}{error.strerror}'
  text = ' '.join(str(error).split())
  return text or type(error).__name__


@contextlib.contextmanager
def telling_memory(in_use: Mapping[str, Any]) -> Iterator[None]:
  """Has an error of a full device say which settings need less, and are what.

  Args:
    in_use: settings by full name, as they were resolved.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    first, *others = [
      f'{name} ({in_use[name] or "0, all at once"} now)'
      for name in _MEMORY
      if name in in_use
    ]
    keeps = in_use.get('networks.remat') is False
    more = ' with networks.remat=True' if keeps else ''
    error.add_note(f'{_ADVICE}{first}{more} first, then {" or ".join(others)}')
    raise


def _out_of_memory(error: BaseException) -> str:
  """The line that says so, of what may be pages about a device's memory."""
  lines = str(error).splitlines()
  line = next(s for s in lines if 'RESOURCE_EXHAUSTED' in s)
  reason = line.partition('RESOURCE_EXHAUSTED')[2].strip(' :.')
  notes = [x for x in getattr(error, '__notes__', ()) if _ADVICE in x]
  advice = notes[0] if notes else f'{_ADVICE}{" or ".join(_MEMORY)}'
  return f'the memory of the device is full: {reason}; {advice}'


_CONFIG = re.compile(r'--?config(=|$)')
_HOME = re.compile(r'^(--?config=)(~.*)$')


def _last_line(error: Exception) -> str:
  """The reason alone: ml_collections puts a traceback before it."""
  return re.sub(
    r'^(\w+Error|ERROR:): ', '', str(error).strip().splitlines()[-1]
  )


def _in_config(error: Exception) -> str:
  """Where a file of settings fails, and how."""
  place = traceback.extract_tb(error.__traceback__)[-1]
  file, line = place.filename, place.lineno
  if isinstance(error, SyntaxError):
    file, line, text = error.filename or file, error.lineno, error.msg
  else:
    text = one_line(error)
  return f'--config: {file}, line {line}: {type(error).__name__}: {text}'


def _unknown_setting(error: BaseException, argv: Sequence[str]) -> str:
  """ml_collections' words on a field, after the flag that holds it.

  They name the field alone, in quotes, and the nearest one if any is near.
  """
  while error.args and isinstance(error.args[0], BaseException):
    error = error.args[0]
  words = ' '.join(str(error.args[0] if error.args else '').split())
  field = words.split("'")[1] if "'" in words else ''
  names = [arg.split('=')[0] for arg in argv if arg.startswith('--config.')]
  flag = next((s for s in names if field in s.split('.')), '--config')
  return f'{flag}: unknown setting {words}'

"""Lists all programs, and the files that define their flags and settings."""

import pathlib
from typing import NamedTuple

_CONFIGS = pathlib.Path(__file__).parent / 'configs'


class Command(NamedTuple):
  """Properties of a program that are needed before it is imported.

  Attributes:
    options: modules of `experiments.options` that define the program's flags,
      in the order in which --help lists the flags.
    config: the program's settings file in `experiments/configs`, followed by a
      colon and the default preset if the file has presets; '' if the program
      has no settings.
    of_any_program: whether the program accepts settings of other programs.
  """

  options: tuple[str, ...]
  config: str = ''
  of_any_program: bool = False

  @property
  def default_config(self) -> str:
    """Returns the default of --config; '' if there is no such flag."""
    return f'{_CONFIGS}/{self.config}' if self.config else ''


# Keyed by the name of the module or package in experiments, in the order in
# which the help lists them.
COMMANDS = {
  'td3': Command(('training', 'seeds', 'processes'), 'td3.py:small'),
  'erl': Command(('training', 'seeds', 'processes'), 'erl.py:small'),
  'ranker': Command(('ranker', 'seeds'), 'ranker.py:small'),
  'evaluate': Command(('evaluate', 'run_panel')),
  'report': Command(('report', 'run_panel')),
  'sweep': Command(('sweep',), 'sweep.py:td3/small'),
  'ladder': Command(('many_runs',), 'ladder.py:small'),
  'study': Command(('many_runs',), 'study.py:small'),
  'control': Command(('control',), 'control.py'),
  'prepare_data': Command(('prepare_data', 'days')),
  'check_leaks': Command(
    ('check_leaks', 'days'), 'td3.py:small', of_any_program=True
  ),
  'act': Command(('act', 'run_panel')),
  'export': Command(('export', 'run_panel')),
  'import_eigen2': Command(('import_eigen2',), 'td3.py:full+eigen2'),
  'export_eigen2': Command(('export_eigen2', 'run_panel')),
  'benchmark': Command(('benchmark',)),
}


def module_of(name: str) -> str:
  """Returns the name of the module with a program's `main`."""
  folder = pathlib.Path(__file__).parent / name
  return f'experiments.{name}{".__main__" if folder.is_dir() else ""}'

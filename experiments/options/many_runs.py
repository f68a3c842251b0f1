"""Defines the flags of the programs ladder and study."""

import pathlib

from absl import flags

from experiments import command_line, path_flags

_PACKAGE = pathlib.Path(__file__).parent.parent
# Results are not written into an installed package.
_IS_CHECKOUT = (_PACKAGE.parent / 'setup.py').exists()

CONFIG = command_line.define_config(
  'A preset, or a file of settings, a colon and its preset; by default small.',
)
WORKDIR = path_flags.DEFINE_path(
  'workdir',
  None,
  'Folder of all runs; an existing one continues.',
  required=True,
)
ONLY = flags.DEFINE_string(
  'only', '', 'Regular expression; runs the cells whose names have a match.'
)
JOBS = flags.DEFINE_integer(
  'jobs',
  0,
  'Number of parallel runs; 0 takes it from the settings.',
  lower_bound=0,
)
RECORDS = path_flags.DEFINE_path(
  'records',
  str(_PACKAGE / 'results' / 'cells') if _IS_CHECKOUT else None,
  'Folder of the records of finished runs, which are not run again. By default '
  'experiments/results/cells in a checkout, else WORKDIR/records. Several '
  'machines may share it, and --workdir, and work on one table together.',
)
COMMIT = flags.DEFINE_bool(
  'commit', False, 'Commits each record when it is written.'
)

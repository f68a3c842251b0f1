"""Flags of ladder and study."""

import pathlib

from absl import flags

from experiments import command_line, path_flags

_PACKAGE = pathlib.Path(__file__).parent.parent
# An installed package is no place for results.
_IS_CHECKOUT = (_PACKAGE.parent / 'setup.py').exists()

CONFIG = command_line.define_config(
  'A preset, or a file of settings and after a colon its preset; by default '
  'small.',
)
WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of all runs; the same one goes on.', required=True
)
ONLY = flags.DEFINE_string(
  'only', '', 'Does only the cells whose name this pattern is found in.'
)
JOBS = flags.DEFINE_integer(
  'jobs', 0, 'Runs at once; 0 is what the settings say.', lower_bound=0
)
RECORDS = path_flags.DEFINE_path(
  'records',
  str(_PACKAGE / 'results' / 'cells') if _IS_CHECKOUT else None,
  'Folder of the records of finished runs; what is there is not run again. By '
  'default experiments/results/cells of a checkout, or else WORKDIR/records. '
  'Several machines may share it, and --workdir, and do one table together.',
)
COMMIT = flags.DEFINE_bool(
  'commit', False, 'Commits each record as soon as it is there.'
)

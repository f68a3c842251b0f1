"""Flags of benchmark."""

from absl import flags

from experiments import path_flags

ALL = 'all'
SUITE = flags.DEFINE_list(
  'suite',
  [ALL],
  'Some of networks, environment, replay, td3, acting, population, accelerator '
  'and hopper; all are those that need no GPU, all but the last two.',
)
SIZE = flags.DEFINE_enum(
  'size', 'small', ['smoke', 'small', 'full'], 'Smoke is for tests alone.'
)
ONLY = flags.DEFINE_string(
  'only', '', "Regular expression that a case's 'group: name' must have."
)
OUT = path_flags.DEFINE_path('out', None, 'Folder for JSON and pictures.')
REPEATS = flags.DEFINE_integer(
  'repeats', 5, 'Measured runs of each case, at most.', lower_bound=1
)
MIN_REPEATS = flags.DEFINE_integer(
  'min_repeats', 3, 'Measured runs, however long they take.', lower_bound=1
)
AGAINST = path_flags.DEFINE_path(
  'against',
  None,
  'JSON of an earlier run, to list the cases that became slower.',
)
AHEAD = flags.DEFINE_integer(
  'ahead',
  None,
  "An accelerator's cases that are compiled at once, before any is timed; 1 "
  'compiles each when its turn comes. By default half of the cores, at most 4.',
  lower_bound=1,
)
MAX_SECONDS = flags.DEFINE_float(
  'max_seconds',
  300.0,
  'Seconds that the runs of a case may take together, if that is enough for '
  '--min_repeats.',
  lower_bound=0.0,
)

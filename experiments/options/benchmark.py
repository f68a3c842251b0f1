"""Defines the flags of the program benchmark."""

from absl import flags

from experiments import path_flags

ALL = 'all'
SUITE = flags.DEFINE_list(
  'suite',
  [ALL],
  'Some of networks, environment, replay, td3, acting, population, accelerator '
  'and hopper; all stands for those without a GPU: all but the last two.',
)
SIZE = flags.DEFINE_enum(
  'size',
  'small',
  ['smoke', 'small', 'full'],
  'Sizes of the cases; smoke is for tests only.',
)
ONLY = flags.DEFINE_string(
  'only',
  '',
  "Regular expression; runs the cases whose 'group: name' has a match.",
)
OUT = path_flags.DEFINE_path('out', None, 'Folder for JSON and pictures.')
REPEATS = flags.DEFINE_integer(
  'repeats', 5, 'Maximum of measured runs of each case.', lower_bound=1
)
MIN_REPEATS = flags.DEFINE_integer(
  'min_repeats',
  3,
  'Minimum of measured runs, however long they take.',
  lower_bound=1,
)
AGAINST = path_flags.DEFINE_path(
  'against',
  None,
  'JSON of an earlier run, to list the cases that became slower.',
)
AHEAD = flags.DEFINE_integer(
  'ahead',
  None,
  "Number of an accelerator's cases to compile at a time, before any is timed; "
  '1 compiles each just before it is timed. By default half of the cores, at '
  'most 4.',
  lower_bound=1,
)
MAX_SECONDS = flags.DEFINE_float(
  'max_seconds',
  300.0,
  'Maximum total seconds of the runs of a case, after --min_repeats runs.',
  lower_bound=0.0,
)

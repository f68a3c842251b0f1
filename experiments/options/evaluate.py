"""Defines the flags of the program evaluate."""

from absl import flags

from experiments import path_flags

RUNS = path_flags.DEFINE_paths(
  'runs', None, 'Folders of runs or checkpoints; * stands for any name.',
  required=True,
)  # fmt: skip
AGAINST = path_flags.DEFINE_paths(
  'against',
  [],
  'Other runs, with the same seeds as --runs; reports the difference of '
  'profit, --runs less these, with its interval over the seeds.',
)
OUT = path_flags.DEFINE_path(
  'out', None, 'Folder of the result; created if absent.', required=True
)
RANK_BY = flags.DEFINE_enum(
  'rank_by', 'profit', ['profit', 'sharpe'], 'Measure on the validation days.'
)
COMMITTEE = flags.DEFINE_integer(
  'committee',
  None,
  'Number of the best that form the committee; 0 for none. By default three, '
  'or all if there are fewer, and none for a single run.',
  lower_bound=0,
)
TRAINING_SLICES = flags.DEFINE_integer(
  'training_slices',
  10,
  'Number of slices of the training days to play.',
  lower_bound=1,
)
RANKER = flags.DEFINE_bool(
  'ranker',
  False,
  'Also trains the supervised ranker, with the seed of the first run and on at '
  'most as many windows as its agents, as another control.',
)
HOLDOUT = flags.DEFINE_enum(
  'holdout',
  'no',
  ['no', 'once', 'again'],
  'Whether to evaluate held-out days: no; once, unless another policy of a run '
  'was evaluated on them before; again, even then.',
)

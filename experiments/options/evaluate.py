"""Flags of evaluate."""

from absl import flags

from experiments import path_flags

RUNS = path_flags.DEFINE_paths(
  'runs', None, 'Folders of runs or checkpoints; * stands for any name.',
  required=True,
)  # fmt: skip
AGAINST = path_flags.DEFINE_paths(
  'against',
  [],
  'Other runs, each with a seed of --runs: the difference of profit, --runs '
  'less these, is told with its interval over the seeds.',
)
OUT = path_flags.DEFINE_path(
  'out', None, 'Folder of the result; made where absent.', required=True
)
RANK_BY = flags.DEFINE_enum(
  'rank_by', 'profit', ['profit', 'sharpe'], 'On the validation days.'
)
COMMITTEE = flags.DEFINE_integer(
  'committee',
  None,
  'How many of the best make the committee; 0 is none. By default three, or '
  'as many as there are, and none of a single one.',
  lower_bound=0,
)
TRAINING_SLICES = flags.DEFINE_integer(
  'training_slices',
  10,
  'Slices of the training days that are played.',
  lower_bound=1,
)
RANKER = flags.DEFINE_bool(
  'ranker',
  False,
  'Trains the supervised ranker, too, with the seed of the first run and on as '
  'many windows as its agents at most, and puts it beside the controls.',
)
HOLDOUT = flags.DEFINE_enum(
  'holdout',
  'no',
  ['no', 'once', 'again'],
  'Whether held-out days are played: not, unless another policy of a run was '
  'judged on them before, or even then.',
)

"""Defines the flags of td3 and erl, the training programs."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset, or a file of settings, a colon and its preset; by default small.',
)
WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the run; must not hold one yet.', required=True
)
RESUME = flags.DEFINE_bool('resume', False, 'Resumes the run in the folder.')
START_FROM = path_flags.DEFINE_path(
  'start_from',
  None,
  "Folder of another run, of the same networks: one agent's training starts "
  'with its champion, critics and optimisers instead of new ones.',
)
HOLDOUT = flags.DEFINE_enum(
  'holdout',
  'once',
  ['once', 'no', 'again'],
  'Whether to evaluate the champion on the held-out days at the end: once, '
  'unless another policy of the run was evaluated on them; no; again, even '
  'then.',
)
PAGE = flags.DEFINE_bool(
  'page', True, "Whether to write the run's page at the end."
)
WANDB = flags.DEFINE_string(
  'wandb',
  None,
  'Project of Weights & Biases to log metrics to as well (docs/interop.md).',
)
PROFILE = flags.DEFINE_integer(
  'profile',
  None,
  "Number of iterations (or generations) to trace by JAX's profiler into "
  'WORKDIR/profile, from the second on, because the first compiles; prints '
  'their rate as a share of that of a large matrix product.',
)

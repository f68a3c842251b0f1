"""Flags of td3 and erl, the training programs."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset, or a file of settings and after a colon its preset; by default '
  'small.',
)
WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the run; must not hold one yet.', required=True
)
RESUME = flags.DEFINE_bool('resume', False, 'Go on with the run in the folder.')
HOLDOUT = flags.DEFINE_enum(
  'holdout',
  'once',
  ['once', 'no', 'again'],
  'Whether the champion is judged on the held-out days at the end: not where '
  'another policy of the run was before, never, or even then.',
)
PAGE = flags.DEFINE_bool(
  'page', True, 'Whether the page of the run is made at the end.'
)
WANDB = flags.DEFINE_string(
  'wandb',
  None,
  'Project of Weights & Biases that metrics go to, too (docs/interop.md).',
)
PROFILE = flags.DEFINE_integer(
  'profile',
  None,
  "Traces so many iterations (or generations) by JAX's profiler into "
  'WORKDIR/profile, from the second on, as the first compiles, and says which '
  'share of the rate of a large product they reached.',
)

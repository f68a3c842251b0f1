"""Flags of ranker."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset, or a file of settings and after a colon its preset; by default '
  'small.',
)
WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the run; must not hold one yet.', required=True
)
HOLDOUT = flags.DEFINE_enum(
  'holdout',
  'once',
  ['once', 'no', 'again'],
  'Whether the ranker is judged on the held-out days at the end: not where '
  'another policy of the run was before, never, or even then.',
)

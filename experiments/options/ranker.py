"""Defines the flags of the program ranker."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset, or a file of settings, a colon and its preset; by default small.',
)
WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the run; must not hold one yet.', required=True
)
HOLDOUT = flags.DEFINE_enum(
  'holdout',
  'once',
  ['once', 'no', 'again'],
  'Whether to evaluate the ranker on the held-out days at the end: once, '
  'unless another policy of the run was evaluated on them; no; again, even '
  'then.',
)

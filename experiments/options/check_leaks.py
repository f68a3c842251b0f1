"""Defines the flags of the program check_leaks."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset, or a file of settings and after a colon its preset; by default '
  'small.',
)
DAYS = flags.DEFINE_integer(
  'days', 4, 'Number of days after which the future is replaced.', lower_bound=1
)
FUTURES = flags.DEFINE_integer(
  'futures',
  2,
  'Number of random changes of the data after each day.',
  lower_bound=1,
)
ACTING_DAYS = flags.DEFINE_integer(
  'acting_days',
  64,
  'Number of days, before and after each of these, on which the policy acts.',
  lower_bound=2,
)
SOURCE = path_flags.DEFINE_path(
  'source',
  None,
  'Prices to make the panel from, as --source of prepare_data.',
)
CONTEXT = path_flags.DEFINE_multi_path(
  'context',
  [],
  'Series to observe beside the prices, as --context of prepare_data.',
)

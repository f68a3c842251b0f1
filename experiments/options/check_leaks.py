"""Flags of check_leaks."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset, or a file of settings and after a colon its preset; by default '
  'small.',
)
DAYS = flags.DEFINE_integer(
  'days', 4, 'Days after which the future is changed.', lower_bound=1
)
FUTURES = flags.DEFINE_integer(
  'futures', 2, 'Other futures after each of the days.', lower_bound=1
)
ACTING_DAYS = flags.DEFINE_integer(
  'acting_days',
  64,
  'Days before and after each of them that the policy decides on.',
  lower_bound=2,
)
SOURCE = path_flags.DEFINE_path(
  'source',
  None,
  'Prices that the panel is made of here, as --source of prepare_data.',
)
CONTEXT = path_flags.DEFINE_multi_path(
  'context', [], 'What is observed beside them, as --context of prepare_data.'
)

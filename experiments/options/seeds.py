"""Defines flags of programs that can train with several seeds."""

from absl import flags

SEEDS = flags.DEFINE_list(
  'seeds',
  [],
  'Trains with each of these seeds, one after another, in WORKDIR/seedN, with '
  'the same results as alone. --resume skips finished ones.',
)
VARY_MARKET = flags.DEFINE_bool(
  'vary_market',
  False,
  'Whether each of --seeds has its own embedded market, generated with that '
  'seed.',
)

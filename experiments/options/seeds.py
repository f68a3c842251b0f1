"""Flags of programs that train with several seeds."""

from absl import flags

SEEDS = flags.DEFINE_list(
  'seeds',
  [],
  'Trains with each of these seeds, one after another, in WORKDIR/seedN: what '
  'each comes to alone. --resume leaves out those that are done.',
)
VARY_MARKET = flags.DEFINE_bool(
  'vary_market',
  False,
  'Whether each of --seeds has an embedded market of its own, of the same '
  'seed.',
)

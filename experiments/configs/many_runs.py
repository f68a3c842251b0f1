"""Settings that the ladder and the study share."""

import ml_collections
from ml_collections import config_dict

PRESETS = {
  'smoke': 'two seeds; for tests',
  'small': 'five seeds',
}
# Settings that --help shows.
OFTEN_CHANGED = {
  'seeds': 'seeds of each cell',
  'jobs': 'runs at once; they share the cores',
  'repeats': 'bootstrap draws for intervals and p-values',
}


def get_config(preset: str) -> ml_collections.ConfigDict:
  """Returns unlocked settings; an unknown preset is a ValueError."""
  if preset not in PRESETS:
    raise ValueError(
      f"preset: found '{preset}', expected one of {', '.join(PRESETS)}"
    )
  config = config_dict.ConfigDict()
  config.preset = preset  # of the programs
  config.seeds = (0, 1, 2, 3, 4) if preset == 'small' else (0, 1)
  config.jobs = 2  # runs at once; they share the machine's cores
  config.seed = 0  # of the draws behind intervals and p-values:
  config.repeats = 2000 if preset == 'small' else 200  # so often of days,
  config.draws = 100_000 if preset == 'small' else 1000  # and so of seeds
  return config

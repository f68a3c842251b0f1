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
  """Returns the unlocked settings; an unknown preset raises a ValueError."""
  if preset not in PRESETS:
    raise ValueError(
      f"preset: found '{preset}', expected one of {', '.join(PRESETS)}"
    )
  config = config_dict.ConfigDict()
  config.preset = preset  # also of the ladder's programs
  config.seeds = (0, 1, 2, 3, 4) if preset == 'small' else (0, 1)
  config.jobs = 2  # runs at once; they share the machine's cores
  # Intervals and p-values come from random draws: their seed, the number of
  # draws of days, and the number of draws of seeds.
  config.seed = 0
  config.repeats = 2000 if preset == 'small' else 200
  config.draws = 100_000 if preset == 'small' else 1000
  return config

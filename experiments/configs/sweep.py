"""Settings of sweeps: the base settings, the search space and the objective.

A sweep's preset names a program and one of its presets: td3/small or
erl/smoke+eigen2, for example. The program is td3 if none is given.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import erl, td3

PROGRAMS = {'td3': td3, 'erl': erl}


PRESETS = {
  f'{program}/{size}': f'{program}: {words}'
  for program in PROGRAMS
  for size, words in td3.SIZES.items()
} | {
  'PROGRAM/SIZE+rl': 'a discount, and an agent that sees its account',
  'PROGRAM/SIZE+eigen2': "Eigen2's choices",
}
# Settings that --help shows.
OFTEN_CHANGED = {
  'parameters.agent.gamma': 'values to try, such as (0.0, 0.9), or a '
  "range ('linear', 0.0, 1.0); any setting can be tried",
  'parameters.agent.actor_learning_rate': 'values to try; () tries none',
  'parameters.agent.critic_learning_rate': 'the same',
  'settings.data.panel': 'a setting that is the same in all trials',
  'method': 'tpe, random or grid',
  'num_trials': 'number of combinations of settings to try',
  'seeds': 'of the runs of each trial, whose mean counts',
  'objective': 'column of metrics.csv; its best value counts',
  'jobs': 'trials at once; they share the cores',
  'seed': 'of the random choice of settings',
  'pruner.name': 'hyperband, successive_halving, median or none',
}


def get_config(preset: str = 'td3/small') -> ml_collections.ConfigDict:
  """Returns the locked settings; an unknown preset raises a ValueError."""
  program, _, inner = preset.rpartition('/')
  program = program or 'td3'
  if program not in PROGRAMS:
    raise ValueError(
      f"preset: found '{preset}', expected PROGRAM/PRESET with PROGRAM one of "
      f'{", ".join(PROGRAMS)}'
    )
  config = config_dict.ConfigDict()
  config.program = program
  config.settings = settings_of(program, inner)
  # The same tree; () leaves a field as it is in the settings. The search space
  # of a field is a tuple of values, such as (0.0, 0.5, 0.9), or a range:
  # ('linear' or 'log', low, high), for a grid followed by a number of steps.
  config.parameters = _nothing(config.settings)
  del config.parameters.preset  # a label
  # Otherwise held-out days of one trial could be validation days of another.
  del config.parameters.data.holdout_days
  for name in ('actor_learning_rate', 'critic_learning_rate'):
    config.parameters.agent[name] = ('log', 1e-4, 1e-2, 3)
  config.method = 'tpe'  # or 'grid', 'random'
  config.num_trials = 20  # combinations to try; a grid tries all
  # The objective of a trial is the mean over runs with these seeds, which run
  # one after another.
  config.seeds = (0,)
  config.objective = 'validation_profit'  # its best value; of metrics.csv
  config.jobs = 2  # trials at once; they share the machine's cores
  config.seed = 0  # of the choice of combinations
  config.pruner = _pruner()
  if inner.startswith('smoke'):
    config.num_trials = 4
    config.pruner.min_steps = 2
  return config.lock()


def settings_of(program: str, preset: str) -> ml_collections.ConfigDict:
  """Returns a program's settings without `seed`; a sweep has `seeds`."""
  config = PROGRAMS[program].get_config(preset)
  with config.unlocked():
    del config.seed
  return config


def _pruner() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  # 'hyperband', 'successive_halving', 'median', or 'none' to run all to the
  # end. A trial's steps are the iterations or generations of all its seeds.
  config.name = 'hyperband'
  config.min_steps = 10  # before a trial can be stopped
  # One in this many trials continues; not used by 'median'.
  config.reduction_factor = 3
  config.startup_trials = 5  # of 'median': the first trials, never stopped
  return config


def _nothing(settings: config_dict.ConfigDict) -> config_dict.ConfigDict:
  """Returns a tree with an empty search space for each setting."""
  config = config_dict.ConfigDict()
  for name, value in settings.items():
    is_section = isinstance(value, config_dict.ConfigDict)
    config[name] = _nothing(value) if is_section else ()
  return config

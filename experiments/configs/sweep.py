"""Settings of sweeps: what is tried, around which settings, and how judged.

A preset is a program and its preset, such as td3/small or erl/smoke+eigen2;
without a program it is one of td3's.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import erl, td3

PROGRAMS = {'td3': td3, 'erl': erl}


PRESETS = {
  f'{program}/{size}': f'{program}: {words}'
  for program in PROGRAMS
  for size, words in td3.SIZES.items()
} | {'PROGRAM/SIZE+eigen2': "Eigen2's choices"}
# What --help shows.
OFTEN_CHANGED = {
  'parameters.agent.gamma': 'what is tried: values such as (0.0, 0.9), or a '
  "range ('linear', 0.0, 1.0); any setting can be",
  'parameters.agent.actor_learning_rate': 'tried by default; () is not',
  'parameters.agent.critic_learning_rate': 'the same',
  'settings.data.panel': 'what is not tried is set like this',
  'method': 'tpe, random or grid',
  'num_trials': 'settings that are tried',
  'seeds': 'runs of each, whose mean counts',
  'objective': 'a column of metrics.csv; its best value counts',
  'jobs': 'trials at once; they share the cores',
  'seed': 'of the choice of settings',
  'pruner.name': 'hyperband, successive_halving, median or none',
}


def get_config(preset: str = 'td3/small') -> ml_collections.ConfigDict:
  """The locked settings of `preset`; an unknown preset is a ValueError."""
  program, _, inner = preset.rpartition('/')
  program = program or 'td3'
  if program not in PROGRAMS:
    raise ValueError(
      f"preset: found the program '{program}', expected one of "
      f'{", ".join(PROGRAMS)}'
    )
  config = config_dict.ConfigDict()
  config.program = program
  config.settings = settings_of(program, inner)
  # The same tree; () is a field that stays as it is in the settings. What is
  # tried instead are some values, such as (0.0, 0.5, 0.9), or a range:
  # ('linear' or 'log', low, high), where a grid needs a number of steps, too.
  config.parameters = _nothing(config.settings)
  del config.parameters.preset  # a label
  # Days that one trial kept closed would be another's validation.
  del config.parameters.data.holdout_days
  for name in ('actor_learning_rate', 'critic_learning_rate'):
    config.parameters.agent[name] = ('log', 1e-4, 1e-2, 3)
  config.method = 'tpe'  # or 'grid', 'random'
  config.num_trials = 20  # settings that are tried; a grid tries all it has
  # What a setting is judged by is the mean over runs with these seeds, which
  # follow one another.
  config.seeds = (0,)
  config.objective = 'validation_profit'  # its best value; of metrics.csv
  config.jobs = 2  # trials at once; they share the machine's cores
  config.seed = 0  # of the choice of settings
  config.pruner = _pruner()
  if inner.startswith('smoke'):
    config.num_trials = 4
    config.pruner.min_steps = 2
  return config.lock()


def settings_of(program: str, preset: str) -> ml_collections.ConfigDict:
  """A program's settings, without those that a sweep has no use for."""
  config = PROGRAMS[program].get_config(preset)
  with config.unlocked():
    del config.seed  # there are several
  return config


def _pruner() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  # 'hyperband', 'successive_halving', 'median', or 'none' to run all to the
  # end. A trial's steps are the iterations or generations of all its seeds.
  config.name = 'hyperband'
  config.min_steps = 10  # before a trial can be stopped
  config.reduction_factor = 3  # of so many, one goes on; not of 'median'
  config.startup_trials = 5  # of 'median': that many are never stopped
  return config


def _nothing(settings: config_dict.ConfigDict) -> config_dict.ConfigDict:
  """A field that may be tried for each setting."""
  config = config_dict.ConfigDict()
  for name, value in settings.items():
    is_section = isinstance(value, config_dict.ConfigDict)
    config[name] = _nothing(value) if is_section else ()
  return config

"""Settings of the walk-forward study on real prices.

Each year has a fold: training days from the panel's first day, then validation
days, then held-out days, most of which lie in that year. Stocks are chosen anew
for each fold, from data known on its last training day.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import many_runs

PRESETS = many_runs.PRESETS
# Settings that --help shows.
OFTEN_CHANGED = many_runs.OFTEN_CHANGED | {
  'panel': 'file made by prepare_data, with volumes; has to be given',
  'years': 'a fold each: its held-out days lie in that year',
  'data.last_day': 'later days are left out',
  'data.num_stocks': 'of a fold, the most traded',
  'data.context': 'columns that are observed and not bought',
  'programs.td3': 'changes of the settings of a program, texts FIELD=VALUE',
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """Returns the locked settings; an unknown preset is a ValueError."""
  config = many_runs.get_config(preset)
  # A Parquet file made by experiments.prepare_data, with volumes.
  config.panel = ''
  config.years = (2008, 2011, 2014, 2017, 2020)
  data = config.data = config_dict.ConfigDict()
  # Later days are left out, so that folds are almost calendar years; '' leaves
  # out none.
  data.last_day = '2020-12-31'
  data.holdout_days = 252  # of a fold; folds are adjacent
  data.validation_days = 252
  data.embargo_days = 0
  data.min_training_days = 1000
  # Stocks with the largest median of close times volume, among those with
  # prices and volumes on all of the last days of training.
  data.num_stocks = 40
  data.look_back_days = 252
  data.context = ('SP500', 'VIX', 'DGS10')  # other columns that are observed
  # Changes of each program's preset, FIELD=VALUE. Agent and population train on
  # the same number of windows, 50,000, so that 25 runs of each take about two
  # hours on two cores. No ranker makes more extractor passes than the single
  # agent.
  agent = ('agent.batch_size=16', 'learner.iterations=25')
  programs = config.programs = config_dict.ConfigDict()
  programs.td3 = agent
  programs.erl = (
    'agent.batch_size=16',
    'evolution.population_size=8',
    'learner.generations=5',
  )
  programs.ranker = agent
  if preset == 'smoke':
    _smoke(config)
  return config.lock()


def _smoke(config: config_dict.ConfigDict) -> None:
  config.years = (2008, 2020)
  config.seeds = (0, 1)
  config.data.num_stocks = 6
  config.programs.td3 = ()
  config.programs.erl = ()
  config.programs.ranker = ()

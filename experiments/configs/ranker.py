"""Settings of the supervised ranker: those of the agent beside it, and its own.

Data, environment, networks and evaluation are those of the preset of the same
name in td3.py; `learner` and `agent` only say what the agent's budget is.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import td3

PRESETS = td3.PRESETS
# What --help shows.
OFTEN_CHANGED = {
  name: words
  for name, words in td3.OFTEN_CHANGED.items()
  if not name.startswith(('agent.', 'learner.', 'environment.reward'))
} | {
  'ranker.learning_rate': 'of AdamW',
  'ranker.weight_decay': 'times the learning rate',
  'ranker.batch_size': 'days, with all their stocks',
  'ranker.patience': 'looks without a lower loss before it stops',
  'ranker.windows': "to be trained on at most; 0 is the agent's number",
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """The locked settings of `preset`; an unknown preset is a ValueError."""
  config = td3.get_config(preset).unlock()
  config.ranker = settings()
  return config.lock()


def settings() -> config_dict.ConfigDict:
  """How the ranker learns, the same in all presets."""
  config = config_dict.ConfigDict()
  config.learning_rate = 1e-3
  config.weight_decay = 1e-2  # of AdamW, times the learning rate
  config.batch_size = 32  # days, with all their stocks
  config.evaluate_every = 50  # updates until the next look at validation days
  config.patience = 12  # looks without a lower loss before it stops
  # Most windows that it is trained on, a pass of the extractor each; 0 is as
  # many as the agent's extractors. Each carries labels of all stocks.
  config.windows = 0
  return config

"""Settings of the supervised ranker: those of the agent, and the ranker's own.

Data, environment, networks and evaluation are those of the preset of the same
name in td3.py. If `ranker.windows` is 0, `learner` and `agent` determine how
many windows the ranker may train on, which is their main use here.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import td3

PRESETS = td3.PRESETS
# Settings that --help shows.
OFTEN_CHANGED = {
  name: words
  for name, words in td3.OFTEN_CHANGED.items()
  if not name.startswith(('agent.', 'learner.', 'environment.reward'))
} | {
  'ranker.learning_rate': "of the ranker's AdamW",
  'ranker.weight_decay': 'of AdamW; multiplied by the learning rate',
  'ranker.batch_size': 'days in a batch, each with all its stocks',
  'ranker.patience': 'validations without a lower loss before it stops',
  'ranker.windows': "most windows to train on; 0 takes the agent's number",
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """Returns the locked settings; an unknown preset raises a ValueError."""
  config = td3.get_config(preset).unlock()
  config.ranker = settings()
  return config.lock()


def settings() -> config_dict.ConfigDict:
  """Returns the ranker's own settings, the same in all presets."""
  config = config_dict.ConfigDict()
  # 'extractor'; 'ridge' or 'boosting', of scikit-learn, learn from features of
  # the day and of some days before it.
  config.model = 'extractor'
  config.stride = 5  # ridge and boosting learn from every `stride`-th day
  # What predictions have to exceed: 'validation', the constant that earned the
  # most on the validation days; 'none': the best are bought every day.
  config.threshold = 'validation'
  config.learning_rate = 1e-3
  config.weight_decay = 1e-2  # of AdamW, times the learning rate
  config.batch_size = 32  # days, with all their stocks
  config.evaluate_every = 50  # updates between validations
  config.patience = 12  # validations without a lower loss before it stops
  # The measure that chooses the weights among those of all validations: the
  # profit, as for agents, or 'validation_loss', the loss of the predictions.
  config.champion_by = 'validation_profit'
  # The most windows to train on, each a pass of the extractor; 0: as many as
  # train the agent's extractors. Each has labels of all stocks.
  config.windows = 0
  return config

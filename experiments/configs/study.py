"""Settings of the walk-forward study on real prices.

Each year has a fold: training days from the panel's first day, then validation
days, then held-out days, most of which lie in that year. By default, td3 starts
each fold with the agent of the previous fold; other programs start anew.

Settings are chosen with the preset `choice`, on the years 2005 to 2012, and
written into `small`, which is for all members of the universe and the years
from 2013 on.
Nothing has been chosen yet: `small` holds starting values, and must not be run
before they are replaced.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import many_runs

PRESETS = {
  'smoke': 'two folds and seeds; for tests',
  'small': 'all members, three seeds, from 2013; hours on two cores',
  'full': "the same with Eigen2's dimensions, for an accelerator",
  'choice': 'one seed, 150 stocks, to 2012; what may be looked at to choose',
  'planted': 'a known signal in resampled days of 100 stocks, and none',
}
# Settings that --help shows.
OFTEN_CHANGED = many_runs.OFTEN_CHANGED | {
  'panel': 'made by prepare_data with --universe, with volumes; must be given',
  'years': 'a fold each: its held-out days lie in that year',
  'data.num_stocks': 'of a fold, the most traded; 0 is all',
  'data.min_stocks': 'that can be bought on the mean held-out day',
  'data.context': 'columns that are observed and not bought',
  'committee': "whether the mean action of the agents' seeds is judged",
  'planted.trials': 'copies with a planted signal, and as many without one',
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """Returns the locked settings; an unknown preset raises a ValueError."""
  if preset not in PRESETS:
    raise ValueError(
      f"preset: found '{preset}', expected one of {', '.join(PRESETS)}"
    )
  is_smoke = preset == 'smoke'
  config = many_runs.get_config('smoke' if is_smoke else 'small')
  config.preset = preset
  config.size = preset if preset in ('smoke', 'full') else 'small'
  config.seeds = (0, 1) if is_smoke else (0, 1, 2)
  # A Parquet file made by experiments.prepare_data, with volumes and members.
  config.panel = ''
  config.years = tuple(range(2013, 2021))
  data = config.data = config_dict.ConfigDict()
  # Later days are left out, so that folds are almost calendar years; '' is the
  # end of the last of `years`.
  data.last_day = ''
  data.holdout_days = 252  # of a fold; folds are adjacent
  data.validation_days = 252
  data.embargo_days = 0
  data.min_training_days = 1000
  # Stocks with the largest median of close times volume, among the members with
  # prices and volumes on all of the last days of training; 0 is all stocks.
  data.num_stocks = 0
  data.look_back_days = 252
  data.min_stocks = 50  # that can be bought on the mean held-out day
  data.context = ('SP500', 'VIX', 'DGS10')  # other columns that are observed
  # Copies of the panel with a planted signal, and as many with resampled days
  # only; 0 is the study itself.
  planted = config.planted = config_dict.ConfigDict()
  planted.trials = 0
  planted.ic = 0.05
  # Changes of the preset, FIELD=VALUE: for all programs, then for each one. The
  # part of a name before _ is the program; ridge and boosting are models of the
  # ranker.
  config.common = _COMMON if config.size == 'full' else (*_COMMON, *_NARROW)
  programs = config.programs = config_dict.ConfigDict()
  programs.td3 = _AGENT
  programs.ranker = _RANKER
  programs.boosting = ('ranker.model=boosting', *_RANKER)
  programs.ridge = ('ranker.model=ridge', *_RANKER)
  config.cold = ()  # programs that start each fold with a new agent
  config.committee = True  # whether the mean action of td3's seeds is judged
  special = {'smoke': _smoke, 'choice': _choice, 'planted': _planted}
  special.get(preset, lambda config: None)(config)
  return config.lock()


_COMMON = (
  'evaluation.measures=True',
  'environment.reward=entry_excess',
  'environment.max_entries_per_day=5',
  'environment.max_position_fraction=0.02',
  # With hundreds of columns their learned weights are mostly noise.
  'networks.column_gain=0.0',
  'networks.shared_extractor=all',
)
# For two cores: an update with 8 days of 500 columns takes about 0.2 s.
_NARROW = (
  'environment.context_days=16',
  'networks.hidden=8',
  'networks.critic.ensemble=1',
  'agent.batch_size=8',
  'learner.iterations=15',
  'learner.updates_per_iteration=40',
  'learner.evaluate_every=5',
)
# An update encodes a day once, for any number of counterfactual orders. Replay
# holds nearly all training days from the start: with those of a few episodes
# alone, the critics learn the outcomes of these days by heart.
_AGENT = (
  'learner.counterfactuals=32',
  'learner.learning_starts=9000',
  'learner.episodes_per_iteration=1',
  'evaluation.champion_by=iteration',
)
# The profit of one year says less about a ranking of hundreds of stocks than
# the loss does.
_RANKER = (
  'ranker.threshold=none',
  'ranker.batch_size=8',
  'ranker.champion_by=validation_loss',
)


def _choice(config: config_dict.ConfigDict) -> None:
  """Restricts years, seeds and stocks; adds the alternatives to choose from."""
  config.years = tuple(range(2005, 2013))
  config.seeds = (0,)
  config.committee = False
  config.data.num_stocks = 150
  programs = config.programs
  # Each differs from td3 in one respect.
  programs.td3_ic = (*_AGENT, 'evaluation.champion_by=validation_ic')
  programs.td3_days32 = (*_AGENT, 'environment.context_days=32')
  programs.td3_hidden16 = (*_AGENT, 'networks.hidden=16')
  programs.td3_long = (*_AGENT, 'learner.iterations=30')
  programs.td3_orders = (*_AGENT, 'learner.counterfactuals=100')
  programs.td3_penalty = (*_AGENT, 'agent.action_penalty=0.1')
  programs.td3_cold = _AGENT
  config.cold = ('td3_cold',)


def _planted(config: config_dict.ConfigDict) -> None:
  config.years = (2009, 2010, 2011, 2012)
  config.seeds = (0,)
  config.committee = False
  config.data.num_stocks = 100
  config.planted.trials = 20
  del config.programs['boosting']


def _smoke(config: config_dict.ConfigDict) -> None:
  config.years = (2003, 2004)
  data = config.data
  data.holdout_days = data.validation_days = 70
  data.min_training_days = 300
  data.min_stocks = 10
  data.context = ('INDEX',)
  config.common = (
    *_COMMON,
    'evaluation.random_entries=2',
    # New networks give coefficients near 1, so these policies trade at once.
    'environment.coefficient_threshold=0.5',
  )
  agent = ('evaluation.champion_by=iteration', 'learner.iterations=2')
  config.programs.td3 = agent

"""Settings of the ladder: programs, their embedded markets, and goals.

A cell is a program with changes to its preset, each FIELD=VALUE. It is run with
several seeds. Each seed has its own market, so a cell's results generalise to
other markets of its kind. All rungs, and other cells that are not exploratory,
use the primary seeds of `configs/primary.py`. Exploratory cells use the seeds
in the setting `seeds`, on which settings may be chosen.
"""

import ml_collections
from ml_collections import config_dict

from experiments.configs import many_runs, primary

# The reward is the change of the account's equity, and the actor observes the
# account. Delayed rewards need a discount whose horizon reaches the exit. Exits
# may follow the last day of entries, so replay stores the days after it, too.
_PAID_LATER = (
  'environment.reward=portfolio',
  'environment.observe_account=True',
  'learner.store_settlement=True',
  'agent.gamma=0.95',
)

# Settings that were tried as the default of `small`.
_TRIED = (
  'networks.context_numbers=4',
  'agent.action_penalty=0.1',
  'networks.shared_extractor=all',
)

PRESETS = many_runs.PRESETS
# Settings that --help shows.
OFTEN_CHANGED = many_runs.OFTEN_CHANGED | {
  'cells.drift.changes': 'changes of a cell, texts FIELD=VALUE',
  'goals.p': 'an excess over random entry needs a p below this',
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """Returns the locked settings; an unknown preset raises a ValueError."""
  config = many_runs.get_config(preset)
  goals = config.goals = config_dict.ConfigDict()
  goals.share_of_momentum = 0.85  # of account-aware momentum's profit
  goals.share_of_momentum_by_account = 0.9  # with rewards from the account
  goals.share_of_patient = 0.8  # of the profit of the yardstick `patient`
  goals.p = 0.01  # of the hypothesis of no excess over random entry
  goals.half_width = 0.04  # of the excess's interval, on the market `none`
  config.primary = primary.get_section(preset)
  config.cells = _rungs()
  config.cells.update(_excess())
  config.cells.update(_patience(preset))
  config.cells.update(_populations(preset))
  config.cells.update(_ablations())
  config.cells.update(_ablations_of_rl())
  return config.lock()


def _rungs() -> config_dict.ConfigDict:
  """Returns all rungs but `patience`, and cells to compare them with.

  The default agent's rung on each market is compared with the ranker and with
  the agent with the changes `_TRIED`. The rung `drift_rl` is compared with the
  rung `drift`.
  """
  cells = config_dict.ConfigDict()
  goals = {
    'drift': 'share_of_momentum',
    'leading': 'above_random',
    'some': 'above_random',
    'regime': 'above_random',
    'none': 'no_edge',
  }
  for market, goal in goals.items():
    ranker, tried = f'{market}_ranker', f'{market}_tried'
    cells[market] = _cell('td3', market, goal=goal, beside=(ranker, tried))
    cells[ranker] = _cell('ranker', market)
    cells[tried] = _cell('td3', market, _TRIED)
  cells.drift_rl = _cell(
    'td3', 'drift', (), 'share_of_momentum_by_account', ('drift',), variant='rl'
  )
  return cells


def _excess() -> config_dict.ConfigDict:
  """Returns cells with the reward `entry_excess`, and one with the default.

  All are on the market `leading`, whose stocks rise and fall together. So
  `entry_excess` without `market_timing` gives nothing to learn; with
  `market_timing` there is as much to learn as with the default reward, `entry`.
  """
  cells = config_dict.ConfigDict()
  cells.leading_default = _cell('td3', 'leading', seeds='exploratory')
  changes: tuple[str, ...] = ('environment.reward=entry_excess',)
  for name in ('leading_excess', 'leading_excess_timing'):
    cells[name] = _cell(
      'td3',
      'leading',
      changes,
      beside=('leading_default',),
      seeds='exploratory',
    )
    changes += ('environment.market_timing=True',)
  return cells


def _patience(preset: str) -> config_dict.ConfigDict:
  """Returns the rung that needs planning, and cells whose policies cannot plan.

  Each position ties up half of the equity for eight days: one until the order
  fills, six of holding, one until the sale fills. No price rises to its sale
  target, and two positions leave too little cash for a third.
  """
  market: tuple[str, ...] = (
    'data.synthetic.num_stocks=16',
    'data.synthetic.num_columns=20',
    'environment.max_holding_days=6',
    'environment.max_position_fraction=0.5',
    'environment.min_sale_target=30.0',
    'environment.min_position_value=100000.0',
  )
  if preset == 'small':
    market += ('learner.iterations=120',)
  beside = ('patience_bandit', 'patience_ranker')
  cells = config_dict.ConfigDict()
  cells.patience = _cell(
    'td3', 'patience', market, 'share_of_patient', beside, variant='rl'
  )
  hurdle = 'evaluation.critic_hurdle=True'
  cells.patience_bandit = _cell('td3', 'patience', (*market, hurdle))
  cells.patience_ranker = _cell('ranker', 'patience', market)
  return cells


def _ablations() -> config_dict.ConfigDict:
  """Returns a cell of the default agent on the market `drift`, and variations.

  All these cells are exploratory. Variations with rewards computed from the
  account (`portfolio`, `shaped_portfolio`) are in `_ablations_of_rl`.
  """
  cells = config_dict.ConfigDict()
  cells.drift_default = _cell('td3', 'drift', seeds='exploratory')
  wide = ('data.synthetic.num_stocks=108', 'data.synthetic.num_columns=112')
  cells.drift_108 = _ablation(
    *wide, goal='share_of_momentum', beside=('drift_108_ranker',)
  )
  cells.drift_108_ranker = _ablation(*wide, program='ranker', beside=())
  cells.drift_mean_critic = _ablation('networks.critic.pooling=mean')
  cells.drift_factual = _ablation('learner.counterfactuals=0')
  cells.drift_ddpg = _ablation(
    'networks.critic.ensemble=1',
    'agent.policy_delay=1',
    'agent.target_noise=0.0',
  )
  # `drift_gamma` shows the effect of a discount alone. `drift_exit` has no
  # counterfactual orders, because what they earn at their exits is not known.
  _, _, settled, discount = _PAID_LATER
  factual = ('drift_default', 'drift_factual')
  cells.drift_gamma = _ablation(discount, beside=factual)
  cells.drift_exit = _ablation(
    'environment.reward=eigen2', discount, settled, beside=factual
  )
  return cells


def _populations(preset: str) -> config_dict.ConfigDict:
  """Returns cells of populations, and of single agents trained equally long."""
  # A generation of 16 agents takes as long as about twelve iterations of one
  # agent (measured: 14.1 and 1.2 s on one core).
  generations, ratio = (20, 12) if preset == 'small' else (2, 3)
  evolved = f'learner.generations={generations}'
  cells = config_dict.ConfigDict()
  # `leading` was added before any run of the other two, in case populations
  # earn no more there: agents fail on some of its markets, so that selection
  # has something to find (docs/populations.md).
  for market in ('drift', 'regime', 'leading'):
    alone = f'{market}_alone'
    cells[alone] = _cell(
      'td3', market, (f'learner.iterations={generations * ratio}',)
    )
    cells[f'{market}_population'] = _cell(
      'erl', market, (evolved,), beside=(alone, market)
    )
  cells.drift_genetic = _ablation(evolved, program='erl')
  for algorithm in ('cross_entropy', 'population_based'):
    cells[f'drift_{algorithm}'] = _ablation(
      evolved,
      f'evolution.algorithm={algorithm}',
      program='erl',
      beside=('drift_genetic',),
    )
  return cells


def _ablations_of_rl() -> config_dict.ConfigDict:
  """Returns a cell of `+rl`, cells of `+rl` without one part, and a precursor.

  The precursor is how agents learned from changes of the account's equity
  before `+rl` existed. All these cells are exploratory, on the market `drift`.
  """
  cells = config_dict.ConfigDict()
  cells.rl = _ablation(variant='rl', beside=('drift_default',))
  without = {
    'shaping': 'environment.reward=portfolio',
    'other_orders': 'learner.counterfactuals=0',
    'quick_targets': 'agent.tau=0.005',
    'little_smoothing': 'agent.target_noise=0.2',
    'layer_norm': 'networks.critic.layer_norm=False',
    'dueling': 'networks.critic.dueling=False',
    'context_numbers': 'networks.context_numbers=0',
    'sharing': 'networks.shared_extractor=none',
  }
  for name, change in without.items():
    cells[f'rl_without_{name}'] = _ablation(
      change, variant='rl', beside=('rl',)
    )
  old = (*_PAID_LATER, 'learner.counterfactuals=0')
  cells.old_portfolio = _ablation(*old, beside=('rl',))
  return cells


def _ablation(
  *changes: str,
  program: str = 'td3',
  goal: str = '',
  beside: tuple[str, ...] = ('drift_default',),
  variant: str = '',
) -> config_dict.ConfigDict:
  return _cell(program, 'drift', changes, goal, beside, 'exploratory', variant)


def _cell(
  program: str,
  market: str,
  changes: tuple[str, ...] = (),
  goal: str = '',
  beside: tuple[str, ...] = (),
  seeds: str = 'primary',
  variant: str = '',
) -> config_dict.ConfigDict:
  """Returns the settings of a cell.

  Args:
    program: 'td3', 'erl' or 'ranker'.
    market: `data.synthetic.market`.
    changes: further changes to the preset, each FIELD=VALUE.
    goal: 'share_of_momentum', 'share_of_momentum_by_account',
      'share_of_patient', 'above_random', 'no_edge' or '' for none.
    beside: names of cells on the same markets, to compare this cell with.
    seeds: 'primary' or 'exploratory', the latter from the setting `seeds`.
    variant: of the preset, 'rl' or '' for none.
  """
  cell = config_dict.ConfigDict()
  cell.program = program
  cell.variant = variant
  cell.market = market
  cell.changes = changes
  cell.goal = goal
  cell.beside = beside
  cell.seeds = seeds
  return cell

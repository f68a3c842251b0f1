"""Settings of single-agent training; their defaults are defined only here.

A preset is SIZE or SIZE+VARIANT. Sizes are `smoke` (seconds, for tests),
`small` (minutes on two cores), `medium` (one small GPU, or eight cores) and
`full` (Eigen2's dimensions, for an accelerator). Without a variant, the agent
is a contextual bandit: its discount is 0. `+rl` has a discount and an agent
that observes its account; `+eigen2` applies the choices of Eigen2.
"""

import ml_collections
from ml_collections import config_dict

SIZES = {
  'smoke': 'seconds; for tests',
  'small': 'minutes on two cores',
  'medium': 'one small GPU, or eight cores; not tuned',
  'full': "Eigen2's dimensions, for an accelerator",
}
PRESETS = SIZES | {
  'SIZE+rl': 'a discount, and an agent that sees its account',
  'SIZE+eigen2': "Eigen2's choices, such as small+eigen2",
}
# Settings that --help shows: those of data, rules and agents,
OFTEN_CHANGED = {
  'seed': 'a whole number from 0 to 4294967295',
  'data.panel': "file made by prepare_data; '' is the embedded market",
  'data.synthetic.market': 'drift, leading, some, regime, none or patience',
  'data.synthetic.seed': 'seed of the embedded market',
  'data.validation_days': 'number of days before the held-out days',
  'data.holdout_days': 'number of the last days of the panel',
  'environment.reward': 'entry, entry_excess, portfolio, ... or yours',
  'environment.context_days': 'days that the networks see',
  'environment.max_holding_days': 'days after which a position is sold',
  'environment.commission_bp': 'basis points of the value of each fill',
  'environment.slippage_bp': 'basis points of the price of each fill',
  'networks.hidden': 'units of one direction of the LSTM',
  'agent.gamma': 'discount; above 0 for rewards that are paid later',
  'agent.actor_learning_rate': "of the actor's Adam",
  'agent.critic_learning_rate': "of the critics' Adam",
  'agent.batch_size': 'transitions in an update',
  # and those of training a single agent.
  'learner.iterations': 'number; each plays episodes, then learns',
  'learner.updates_per_iteration': 'gradient updates of the networks',
  'learner.evaluate_every': 'iterations between validations',
}


def get_config(preset: str = 'small') -> ml_collections.ConfigDict:
  """Returns the locked settings; an unknown preset raises a ValueError."""
  size, plus, variant = preset.partition('+')
  if size not in SIZES or (plus and variant not in _VARIANTS):
    raise ValueError(
      f"preset: found '{preset}', expected one of {', '.join(SIZES)}, "
      f'each alone or followed by +{" or +".join(_VARIANTS)}'
    )
  config = config_dict.ConfigDict()
  config.preset = preset
  config.seed = 0
  config.data = _data()
  config.environment = _environment()
  config.networks = _networks()
  config.agent = _agent()
  config.learner = _learner()
  config.evaluation = _evaluation()
  sizes = {'smoke': _smoke, 'small': _small, 'medium': _medium, 'full': _full}
  sizes[size](config)
  if plus:
    _VARIANTS[variant](config)
  return config.lock()


def auto() -> config_dict.FieldReference:
  """Returns a field that is 'auto' and can be set to a value of any type."""
  return config_dict.FieldReference('auto', field_type=object)


def _data() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  # A Parquet file made by experiments.prepare_data; '' is the embedded market.
  config.panel = ''
  config.validation_days = 252
  config.holdout_days = 251
  config.embargo_days = 0  # left out before validation and before holdout days
  # Features that networks observe (see eigen3.data.observe).
  config.observed_features = (
    'scaled_change',
    'rsi',
    'scaled_macd_signal',
    'scaled_close_minus_mean',
    'scaled_close_minus_year',
  )
  synthetic = config.synthetic = config_dict.ConfigDict()
  # The signal of the hidden drift: 'drift', 'leading', 'some', 'regime' or
  # 'none'; or 'patience', where cash must be saved for later opportunities (see
  # eigen3.data.synthetic_signals).
  synthetic.market = 'drift'
  synthetic.seed = 0
  synthetic.num_days = 1500
  synthetic.num_columns = 12  # C; any columns after the stocks are context, too
  synthetic.num_context = 4  # columns before the investable ones
  synthetic.num_stocks = 8  # N, investable columns
  synthetic.signal = 1.0  # scale of the hidden drift; 0 is a fair game
  synthetic.late_listings = 0.0  # share of stocks that list late
  synthetic.delistings = 0.0  # share of stocks that leave early
  return config


def _environment() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.context_days = 504  # D
  config.trading_days = 125  # days of an episode on which stocks can be bought
  config.max_holding_days = 20
  # Days after the last entry, enough for every position to close.
  config.settlement_days = config.get_ref('max_holding_days') + 2
  config.max_entries_per_day = 1  # the stocks of the largest coefficients
  # 'best_available': buys the stock with the largest coefficient among those
  # that can be bought; 'best': only the largest of all, as in Eigen2.
  config.entry_choice = 'best_available'
  config.coefficient_threshold = 1.0
  config.coefficient_ceiling = 2.0
  # The coefficient from which on a position has its full size; below it the
  # size is proportional. If it equals the threshold, coefficients only rank
  # stocks, and ranking keeps most coefficients away from the ceiling.
  config.full_size_coefficient = config.get_ref('coefficient_threshold') + 0.0
  config.min_sale_target = 10.0  # % above the entry price
  config.max_sale_target = 50.0
  config.scaled_actions = True  # agents explore in [-1, 1]
  # 'entry': the future profit of the trade that is opened today, paid at once.
  # 'eigen2': the gain at the exit. 'portfolio': the change of the account's log
  # equity to the next day, net of costs. It needs agent.gamma above 0 so that
  # values include a trade's end (0.95 has a horizon of 20 days),
  # learner.store_settlement, and observe_account, to be a function of the
  # observation. 'shaped_portfolio' needs the same, and pays an order's
  # contribution to these changes at once. 'entry_excess': 'entry' less the
  # profit of the day's mean trade; if nothing is bought, see market_timing. Or
  # the import path of your own (see eigen3.environment.rewards).
  config.reward = 'entry'
  config.portfolio_scale = 100.0  # of both portfolio rewards; 100: in %
  # What the reward 'entry_excess' subtracts if nothing is bought. True: the
  # day's mean trade, so that a policy learns when to buy; False: the mean trade
  # of all days.
  config.market_timing = False
  # Whether policies and critics observe the account besides the market: weight,
  # age, gain, target and pending sale of each position, cash, days left.
  config.observe_account = False
  config.fill = 'next_open'  # or 'close', as in Eigen2
  # 'limit': a target is filled at its price, as in Eigen2; 'limit_or_open': at
  # the open if that is higher.
  config.target_fill = 'limit_or_open'
  config.delisting_price = 'last_close'  # or 'entry_price', as in Eigen2
  config.delisting_return = 0.0  # added to the last close, e.g. -0.3
  config.delisting_days = 5  # trading days without a price
  config.initial_cash = 1_000_000.0
  config.max_position_fraction = 0.1  # of equity
  config.min_position_value = 1_000.0  # smaller orders are not accepted
  config.enforce_cash = True  # False: positions open without cash (Eigen2)
  config.commission_bp = 1.0  # basis points of the value of each fill
  config.slippage_bp = 5.0
  config.loss_multiplier = 1.0  # factor of losses in the reward 'eigen2'
  # What the reward 'eigen2' subtracts on a day without positions or orders.
  config.inaction_penalty = 0.0
  return config


def _networks() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.convolution_channels = 32
  config.hidden = 128  # H, of one direction of the LSTM
  config.lstm_dropout = 0.1  # between the two layers
  config.pooled_days = 3  # last days whose mean is a column's features
  # 'auto' chooses by the kind of device, its memory and the sizes of the
  # networks (see eigen3.sizes).
  # Sequences (a column of an example) that a device encodes at a time; 0 means
  # all of its share. A larger number needs more memory.
  config.sequence_block = auto()
  # The same in evaluation mode; there a sequence needs a sixth of the memory.
  config.evaluation_block = auto()
  config.remat = auto()  # True: recompute a block in the backward pass
  # For each of the two layers, whether its gates are stored for the backward
  # pass, which otherwise recomputes them from the states.
  config.lstm_save_gates = (True, True)
  # Input products computed outside the recurrence: 'always', 'never' or 'auto'.
  config.lstm_hoist = auto()
  # Directions of the first layer: 'together' in one loop, for GPUs, 'apart' or
  # 'auto'.
  config.lstm_directions = auto()
  # Implementation of the recurrence: 'scan', 'hopper' (persistent kernels; only
  # for H = 128, bfloat16 and Hopper GPUs) or 'auto'.
  config.lstm_kernel = auto()
  # 'float32', 'bfloat16' or 'auto'; state stays float32.
  config.compute_dtype = auto()
  # 'highest': float32 products have full precision even if the hardware would
  # use less; 'default' leaves that to JAX.
  config.precision = 'default'
  config.num_heads = 8
  config.attention_dropout = 0.1
  # Factor of the learned logits, one for each column, in attention and in a
  # critic's mean over columns; a larger factor learns faster. 0: weights depend
  # only on the content, as in Eigen2.
  config.column_gain = 10.0
  # How many numbers are computed from each context column, as further inputs of
  # actor and critics. They help if one column matters to all stocks.
  config.context_numbers = 0
  # 'critics': all critics share one extractor; 'all': the actor reads its
  # features, too, but does not train it. Or 'none'.
  config.shared_extractor = 'none'
  actor = config.actor = config_dict.ConfigDict()
  actor.investable_sizes = (256, 128)
  actor.context_size = 128
  actor.head_size = 64
  actor.dropout = 0.2
  actor.coefficient_head = 'sigmoid'  # or 'eigen2'
  config.critic = _critic()
  return config


def _critic() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.pooling = 'slot'  # or 'mean', as in Eigen2; or one of your own
  config.self_attention = False
  config.sizes = (256, 128)
  config.dropout = 0.2
  # Pooling 'slot': scores are advantages over buying nothing (Wang et al.
  # 2016), so that the value common to all orders is learnt once.
  config.dueling = False
  # Pooling 'slot': adds a linear map of the inputs to each score.
  config.linear_path = False
  # Pooling 'slot': layer normalisation, which keeps bootstrapped values from
  # diverging (Ball et al. 2023).
  config.layer_norm = False
  config.slot_temperature = 0.125  # in units of the coefficient
  config.slot_context = 'mean'  # over columns, or 'attention'
  config.ensemble = 2  # K; 1 is DDPG
  return config


def _agent() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.algorithm = 'td3'  # or one of your own
  config.gamma = 0.0
  config.tau = 0.005  # share of the online parameters in a soft update
  config.actor_learning_rate = 1e-4
  config.critic_learning_rate = 3e-4
  config.weight_decay = 0.0  # L2 added to the gradient, as in PyTorch's Adam
  config.gradient_clip = 1.0  # global norm; 0 is off
  config.accumulation_steps = 1  # micro-batches a batch is split into
  config.batch_size = 32
  config.policy_delay = 2  # critic updates per actor update
  # Scales the policy's gradient by the distance of an action to its bound.
  config.invert_gradients = True
  # Half of this times the square of each action in unit space is subtracted
  # from the value that the policy maximises. Without it, a policy that learns
  # early to buy nothing reaches actions with gradient 0, and stays there.
  config.action_penalty = 0.0
  # The value that the policy maximises: the 'first' critic's, or the 'mean'.
  config.policy_value = 'first'
  config.target_noise = 0.2  # of the smoothed target action, unit space
  config.target_noise_clip = 0.5
  config.exploration_noise = 0.125  # standard deviation, unit space
  config.exploration_noise_decay = 0.99995  # per update
  config.exploration_noise_min = 0.01
  config.acting_chunk = auto()  # days acted on at once; bounds memory
  return config


def _learner() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.iterations = 100
  config.episodes_per_iteration = 4
  config.updates_per_iteration = 50
  config.replay_capacity = 14_000  # transitions
  config.learning_starts = 9_000  # transitions in replay before learning
  # Number of counterfactual orders for each replayed day. There are none if
  # their rewards are unknown: they need the choice 'best_available', scaled
  # actions, and either observe_account, or discount 0 and a reward that is paid
  # at once.
  config.counterfactuals = 8
  # Whether replay stores the days after the last entry, when actions have no
  # effect.
  config.store_settlement = False
  config.evaluate_every = 10  # iterations
  config.checkpoint_every = 10  # iterations
  config.keep_checkpoints = 3
  return config


def _evaluation() -> config_dict.ConfigDict:
  config = config_dict.ConfigDict()
  config.momentum_days = 20  # look-back of the momentum control
  config.random_entries = 32  # backtests that random entry averages over
  # Also reports the last critics as a policy, 'critic_hurdle': it buys the
  # stock with the highest value if that exceeds the constant that earned most
  # on the validation days. Needs a single agent, discount 0 and a reward that
  # is paid at once.
  config.critic_hurdle = False
  # Also measures how the policy orders the stocks of the held-out days (rank IC
  # and top decile), and its account (matched entries, turnover, capacity).
  config.measures = False
  # The measure that chooses a single agent's champion among the validated
  # policies: 'validation_profit', 'validation_ic' (mean rank IC) or 'iteration'
  # (the last one).
  config.champion_by = 'validation_profit'
  return config


def _smoke(config: config_dict.ConfigDict) -> None:
  config.data.synthetic.num_days = 300
  config.data.validation_days = 70
  config.data.holdout_days = 70
  _reduce(config, context=8, hidden=4, trading=20, holding=5)
  config.learner.iterations = 4
  config.learner.episodes_per_iteration = 2
  config.learner.updates_per_iteration = 4
  config.learner.learning_starts = 30
  config.learner.evaluate_every = 2
  config.learner.checkpoint_every = 2
  config.agent.batch_size = 8


def _small(config: config_dict.ConfigDict) -> None:
  _reduce(config, context=32, hidden=16, trading=60, holding=20)
  config.data.synthetic.num_days = 5400  # as many as 21 years of real data
  # Only a few thousand updates, and networks too small to overfit.
  config.agent.actor_learning_rate = 1e-3
  config.agent.critic_learning_rate = 1e-3
  config.networks.actor.dropout = 0.0
  config.learner.iterations = 60
  config.learner.learning_starts = 500
  config.learner.evaluate_every = 5


def _medium(config: config_dict.ConfigDict) -> None:
  """Sets sizes that need 1/70 of the operations of `full` per example."""
  config.data.synthetic.num_columns = 128
  config.data.synthetic.num_context = 8
  config.data.synthetic.num_stocks = 64
  config.data.synthetic.num_days = 5400
  config.environment.context_days = 128
  config.networks.hidden = 64
  config.learner.iterations = 200
  config.learner.learning_starts = 1_000


def _full(config: config_dict.ConfigDict) -> None:
  config.data.synthetic.num_columns = 669
  config.data.synthetic.num_context = 8
  config.data.synthetic.num_stocks = 108
  config.data.synthetic.num_days = 2500


def _reduce(config, context: int, hidden: int, trading: int, holding: int):
  config.environment.context_days = context
  config.environment.trading_days = trading
  config.environment.max_holding_days = holding
  config.networks.convolution_channels = 8
  config.networks.hidden = hidden
  config.networks.num_heads = 2
  config.networks.actor.investable_sizes = (32, 16)
  config.networks.actor.context_size = 16
  # With few ReLUs before an output, all may die, and learning stops.
  config.networks.actor.head_size = 32
  config.networks.critic.sizes = (32, 16)


def _rl(config: config_dict.ConfigDict) -> None:
  """Applies a discount, and a reward that includes later effects of an order.

  The agent also observes its account. Further settings of networks and learning
  are adapted to bootstrapped values.
  """
  config.environment.reward = 'shaped_portfolio'
  config.environment.observe_account = True
  config.learner.store_settlement = True
  config.agent.gamma = 0.95
  # A few thousand updates must propagate values over tens of days.
  config.agent.tau = 0.1
  # Must be below the slot temperature, or noise decides the choice of stocks.
  config.agent.target_noise = 0.02
  config.agent.target_noise_clip = 0.05
  # Layer normalisation slows the learning of values.
  config.agent.critic_learning_rate *= 3.0
  config.networks.shared_extractor = 'all'
  config.networks.context_numbers = 4
  config.networks.critic.dueling = True
  config.networks.critic.layer_norm = True


def _eigen2(config: config_dict.ConfigDict) -> None:
  """Applies the choices of Eigen2."""
  config.data.observed_features = (
    'close',
    'rsi',
    'macd_signal',
    'trix',
    'close_minus_mean',
  )
  environment = config.environment
  # No further days: fills at the close exit on the last holding day.
  environment.settlement_days = environment.get_ref('max_holding_days') + 0
  environment.entry_choice = 'best'
  environment.scaled_actions = False
  environment.full_size_coefficient = (
    environment.get_ref('coefficient_ceiling') + 0.0
  )
  environment.reward = 'eigen2'
  environment.fill = 'close'
  environment.target_fill = 'limit'
  environment.delisting_price = 'entry_price'
  environment.delisting_days = 1
  environment.enforce_cash = False
  environment.commission_bp = 0.0
  environment.slippage_bp = 0.0
  environment.inaction_penalty = 5.0
  networks = config.networks
  networks.compute_dtype = 'float32'
  networks.precision = 'highest'
  networks.column_gain = 0.0
  networks.actor.coefficient_head = 'eigen2'
  networks.critic.pooling = 'mean'
  networks.critic.self_attention = True
  networks.critic.ensemble = 1
  agent = config.agent
  agent.gamma = 0.99
  agent.weight_decay = 5e-4
  agent.accumulation_steps = 2
  agent.batch_size = 64  # two micro-batches of 32
  agent.policy_delay = 1
  agent.target_noise = 0.0
  agent.invert_gradients = False
  config.learner.store_settlement = True


_VARIANTS = {'rl': _rl, 'eigen2': _eigen2}

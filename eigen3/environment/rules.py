"""Trading rules, validated once and static in compiled programs."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from eigen3 import settings
from eigen3.types import ActionSpec, EnvironmentSpec


class Entry(enum.IntEnum):
  """Outcome of an entry decision."""

  SETTLEMENT = 0  # the trading days are over
  BELOW_THRESHOLD = 1  # the largest remaining coefficient is too small
  NO_DATA = 2  # the chosen stock counts as delisted
  HELD = 3  # the chosen stock is held or ordered already
  NO_PRICE = 4  # the chosen stock has no positive close today
  TOO_SMALL = 5  # the order's value is 0 or below the minimum position value
  ACCEPTED = 6
  NOT_MEMBER = 7  # the chosen stock is not in the universe today
  WAITING = 8  # an earlier order that still waits takes this place


class Exit(enum.IntEnum):
  """Why a position was closed."""

  NONE = 0  # it was not closed
  TARGET = 1
  MAX_HOLDING = 2
  DELISTED = 3


_EXPECTED = {
  'entry_choice': settings.one_of('best', 'best_available'),
  'reward': settings.TEXT,  # see `rewards.find`
  'fill': settings.one_of('next_open', 'close'),
  'target_fill': settings.one_of('limit_or_open', 'limit'),
  'delisting_price': settings.one_of('last_close', 'entry_price'),
  'context_days': settings.AT_LEAST_ONE,
  'trading_days': settings.AT_LEAST_ONE,
  'max_holding_days': settings.AT_LEAST_ONE,
  'max_entries_per_day': settings.AT_LEAST_ONE,
  'delisting_days': settings.AT_LEAST_ONE,
  'closed_days': settings.COUNT,
  'settlement_days': settings.COUNT,
  'min_sale_target': settings.NOT_NEGATIVE,
  'min_position_value': settings.NOT_NEGATIVE,
  'commission_bp': settings.NOT_NEGATIVE,
  'slippage_bp': settings.NOT_NEGATIVE,
  'loss_multiplier': settings.NOT_NEGATIVE,
  'inaction_penalty': settings.NOT_NEGATIVE,
  'coefficient_threshold': settings.POSITIVE,
  'coefficient_ceiling': settings.POSITIVE,
  'full_size_coefficient': settings.POSITIVE,
  'initial_cash': settings.POSITIVE,
  'portfolio_scale': settings.POSITIVE,
  'max_position_fraction': settings.POSITIVE,
  'delisting_return': settings.number(lambda x: x >= -1, 'at least -1'),
  'max_sale_target': settings.NOT_NEGATIVE,
  'scaled_actions': settings.SWITCH,
  'enforce_cash': settings.SWITCH,
  'observe_account': settings.SWITCH,
  'market_timing': settings.SWITCH,
}


_SET_BY_THE_ENVIRONMENT = ('closed_days', 'shaping_discount')


@dataclasses.dataclass(frozen=True)
class Rules:
  """The `environment` section of a config.

  The settings are explained in experiments/configs/td3.py. The last two fields
  are not settings; `TradingEnvironment` sets them: `closed_days`, the most days
  in a row that one market may be closed while others trade (0 if there is only
  one market), and `shaping_discount`, the discount of the reward
  `shaped_portfolio`.

  Raises:
    ValueError: a value is invalid or does not fit another; the message names
      the field.
  """

  context_days: int
  trading_days: int
  max_holding_days: int
  settlement_days: int
  max_entries_per_day: int
  entry_choice: str
  coefficient_threshold: float
  coefficient_ceiling: float
  full_size_coefficient: float
  min_sale_target: float
  max_sale_target: float
  scaled_actions: bool
  reward: str
  market_timing: bool
  fill: str
  target_fill: str
  delisting_price: str
  delisting_return: float
  delisting_days: int
  initial_cash: float
  max_position_fraction: float
  min_position_value: float
  enforce_cash: bool
  commission_bp: float
  slippage_bp: float
  loss_multiplier: float
  inaction_penalty: float
  portfolio_scale: float
  observe_account: bool
  closed_days: int = 0
  shaping_discount: float = 0.0

  @classmethod
  def from_config(cls, config: Mapping[str, Any]) -> 'Rules':
    """Builds rules from a config section; ignores unknown settings.

    Raises:
      ValueError: a setting is missing or invalid; see `Rules`.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    names = [x for x in names if x not in _SET_BY_THE_ENVIRONMENT]
    missing = [name for name in names if name not in config]
    if missing:
      raise ValueError(
        f'environment: found no value for {", ".join(missing)}, expected a '
        'value for every setting of the section (see '
        'experiments/configs/td3.py)'
      )
    return cls(**{name: config[name] for name in names})

  def __post_init__(self):
    settings.check('environment', dataclasses.asdict(self), _EXPECTED)
    settings.require(
      self.max_sale_target > self.min_sale_target,
      'environment.max_sale_target',
      self.max_sale_target,
      f'above min_sale_target, {self.min_sale_target}',
    )
    settings.require(
      self.commission_bp + self.slippage_bp < 1e4,
      'environment.commission_bp',
      self.commission_bp,
      f'less than 10000 together with slippage_bp, {self.slippage_bp}: '
      'otherwise costs are at least the whole value of a fill',
    )
    # Unscaled coefficients have no upper bound.
    settings.require(
      not self.scaled_actions
      or self.coefficient_threshold <= self.coefficient_ceiling,
      'environment.coefficient_threshold',
      self.coefficient_threshold,
      f'at most coefficient_ceiling, {self.coefficient_ceiling}; '
      'above it no action could buy',
    )
    settings.require(
      not self.scaled_actions
      or self.full_size_coefficient <= self.coefficient_ceiling,
      'environment.full_size_coefficient',
      self.full_size_coefficient,
      f'at most coefficient_ceiling, {self.coefficient_ceiling}; '
      'above it no position could reach full size',
    )

  @property
  def num_steps(self) -> int:
    """Returns the number of steps of an episode."""
    return self.trading_days + self.settlement_days

  @property
  def fills_at_open(self) -> bool:
    """Returns whether orders fill at the next open, not at the day's close."""
    return self.fill == 'next_open'

  @property
  def orders_wait(self) -> bool:
    """Returns whether an order may wait for days until its market opens."""
    return self.fills_at_open and self.closed_days > 0

  @property
  def oldest_age(self) -> int:
    """Returns the age in days at which a position is closed at the latest.

    It allows for `delisting_days` days without a price after the maximum
    holding, and for `closed_days` on which the market is closed.
    """
    return self.max_holding_days + self.delisting_days + self.closed_days

  @property
  def longest_trade(self) -> int:
    """Returns an upper bound on the days from an order to its trade's exit."""
    waits = self.closed_days if self.orders_wait else 0
    return 1 + waits + self.oldest_age

  @property
  def closing_days(self) -> int:
    """Returns for how many last days of an episode its end restricts trading.

    On the settlement days nothing can be bought. A position bought on the
    `max_holding_days` days before them may be closed too late to buy something
    else with its proceeds.
    """
    return self.max_holding_days + self.settlement_days

  @property
  def cost_rate(self) -> float:
    """Returns the costs of a fill as a share of its value."""
    return (self.commission_bp + self.slippage_bp) / 1e4

  def action_spec(self, num_investable: int) -> ActionSpec:
    """Returns the bounds of actions [N, 2]: coefficient, sale target in %.

    Without `scaled_actions`, coefficients have no upper bound, as in Eigen2.
    """
    ceiling = self.coefficient_ceiling if self.scaled_actions else float('inf')
    return ActionSpec(
      shape=(num_investable, 2),
      minimum=(0.0, float(self.min_sale_target)),
      maximum=(float(ceiling), float(self.max_sale_target)),
      scaled=self.scaled_actions,
    )

  def spec(
    self, num_columns: int, num_features: int, investable: tuple[int, int]
  ) -> EnvironmentSpec:
    """Returns the sizes and bounds that networks and agents are built for.

    Args:
      num_columns: C.
      num_features: F, the number of observed features.
      investable: (first, stop), the columns that can be bought.
    """
    return EnvironmentSpec(
      context_days=self.context_days,
      num_columns=num_columns,
      num_features=num_features,
      investable=investable,
      action=self.action_spec(investable[1] - investable[0]),
      coefficient_threshold=float(self.coefficient_threshold),
      observes_account=self.observe_account,
      max_entries_per_day=self.max_entries_per_day,
    )

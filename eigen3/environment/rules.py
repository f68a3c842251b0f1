"""The rules of trading, checked once and static in compiled programs."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from eigen3.types import ActionSpec


class Entry(enum.IntEnum):
  """What became of the chance to buy."""

  SETTLEMENT = 0  # the trading days are over
  BELOW_THRESHOLD = 1  # no coefficient was large enough
  NO_DATA = 2  # the chosen stock has had no price for `delisting_days`
  HELD = 3  # the chosen stock is held already
  NO_PRICE = 4  # the chosen stock has no positive close today
  TOO_SMALL = 5  # too little cash for a position of the minimum value
  ACCEPTED = 6


class Exit(enum.IntEnum):
  """Why a position was left."""

  NONE = 0
  TARGET = 1
  MAX_HOLDING = 2
  DELISTED = 3


_CHOICES = {
  'entry_choice': ('best', 'best_available'),
  'fill': ('next_open', 'close'),
  'target_fill': ('limit_or_open', 'limit'),
  'delisting_price': ('last_close', 'entry_price'),
}
_AT_LEAST_ONE = (
  'context_days',
  'trading_days',
  'max_holding_days',
  'max_entries_per_day',
  'delisting_days',
)
_NOT_NEGATIVE = (
  'settlement_days',
  'min_sale_target',
  'min_position_value',
  'commission_bp',
  'slippage_bp',
  'loss_multiplier',
  'inaction_penalty',
)
_POSITIVE = (
  'coefficient_threshold',
  'coefficient_ceiling',
  'initial_cash',
  'max_position_fraction',
)


@dataclasses.dataclass(frozen=True)
class Rules:
  """The `environment` section of a config; its fields are explained there.

  Raises:
    ValueError: a value out of range, naming the field.
  """

  context_days: int
  trading_days: int
  max_holding_days: int
  settlement_days: int
  max_entries_per_day: int
  entry_choice: str
  coefficient_threshold: float
  coefficient_ceiling: float
  min_sale_target: float
  max_sale_target: float
  scaled_actions: bool
  reward: str
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

  @classmethod
  def from_config(cls, config: Mapping[str, Any]) -> 'Rules':
    """The rules in a config section that holds at least their fields."""
    names = [field.name for field in dataclasses.fields(cls)]
    missing = [name for name in names if name not in config]
    if missing:
      raise ValueError(f'environment: missing settings {", ".join(missing)}')
    return cls(**{name: config[name] for name in names})

  def __post_init__(self):
    for name, choices in _CHOICES.items():
      self._check(name, getattr(self, name) in choices, ' or '.join(choices))
    for name in _AT_LEAST_ONE:
      self._check(name, getattr(self, name) >= 1, 'at least 1')
    for name in _NOT_NEGATIVE:
      self._check(name, getattr(self, name) >= 0, 'at least 0')
    for name in _POSITIVE:
      self._check(name, getattr(self, name) > 0, 'a positive number')
    self._check(
      'max_sale_target',
      self.max_sale_target >= self.min_sale_target,
      f'at least min_sale_target, {self.min_sale_target}',
    )
    self._check('delisting_return', self.delisting_return >= -1, 'at least -1')

  def _check(self, name: str, good: bool, expected: str):
    if not good:
      raise ValueError(
        f"environment.{name}: found '{getattr(self, name)}', "
        f'expected {expected}'
      )

  @property
  def num_steps(self) -> int:
    """Steps of an episode."""
    return self.trading_days + self.settlement_days

  @property
  def fills_at_open(self) -> bool:
    """Whether orders wait for the next open, else they fill at the close."""
    return self.fill == 'next_open'

  @property
  def oldest_age(self) -> int:
    """Days after its entry when a position is left whatever happens.

    It has then missed `delisting_days` chances to leave.
    """
    return self.max_holding_days + self.delisting_days

  @property
  def cost_rate(self) -> float:
    """Costs of a fill as a share of its value."""
    return (self.commission_bp + self.slippage_bp) / 1e4

  def action_spec(self, num_investable: int) -> ActionSpec:
    """The box of actions [N, 2]: coefficient and sale target in %.

    A raw spec bounds no coefficient, as in Eigen2.
    """
    ceiling = self.coefficient_ceiling if self.scaled_actions else float('inf')
    return ActionSpec(
      shape=(num_investable, 2),
      minimum=(0.0, float(self.min_sale_target)),
      maximum=(float(ceiling), float(self.max_sale_target)),
      scaled=self.scaled_actions,
    )

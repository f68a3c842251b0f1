"""The data types that all modules share, and the letters for their shapes.

Common shape letters; a docstring that uses others, or one of these with another
meaning, says so:

  B batch · T days in the panel · D context days · C columns · F features
  N investable stocks · P population · K critics · H hidden units
"""

import dataclasses
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

Array: TypeAlias = jax.Array
PRNGKey: TypeAlias = jax.Array  # a raw uint32 key of jax.random.PRNGKey

TRADING_DAYS_A_YEAR = 252


class Account(NamedTuple):
  """An account as a policy observes it when it decides on an action.

  That is the account at the close of a day, after the day's exits and the fills
  at its open. All values are scaled to roughly unit range.

  Attributes:
    stocks: float32 [..., N, 5], zeros where nothing is held or ordered, else

      - the position's weight: its value divided by that of the largest position
        allowed by today's equity;
      - its age: days since its entry, divided by the maximum holding;
      - its unrealised gain in %, divided by the largest sale target;
      - its sale target in %, divided by the largest sale target;
      - 1 if it has reached the maximum holding, so that an order to sell it is
        pending, else 0.

      Orders to buy were filled or cancelled at the open, except those that wait
      for their market to open. For a waiting order, the weight is the cash that
      it may spend, divided by the value of the largest position allowed, and
      all other entries except the sale target are 0.
    whole: float32 [..., 2], the share of cash in the equity; and the days left
      in the episode, divided by the maximum holding plus the settlement days,
      at most 1: only during these last days the episode's end affects trading.
  """

  stocks: Array
  whole: Array


class TimeStep(NamedTuple):
  """The result of the environment's `reset` or `step`.

  Attributes:
    observation: int32 [], index of the panel's day whose close is the last
      known price. The window that ends on this day is gathered where a network
      needs it.
    reward: float [], the reward of the step; 0 after `reset`.
    discount: float [], 0 if the episode ends here without open positions or
      orders (a termination), else 1. An end with any of them is a truncation.
    last: bool [], whether the episode ends here.
    extras: details of the step, defined by the environment; () after `reset`.
    account: the second part of the observation, an `Account` at the close of
      the observed day; None if the account is not observed.
  """

  observation: Array
  reward: Array
  discount: Array
  last: Array
  extras: Any = ()
  account: Any = None


class Transition(NamedTuple):
  """One step of experience, or a batch of them; observations are pytrees.

  If counterfactual actions were added, there are M actions, the executed one
  first. If these were simulated, each has its own discount and next account;
  otherwise all share those of the executed action.

  Attributes:
    s_tm1: observation before the action.
    a_tm1: float32 [N, 2], the action in the environment's units; [M, N, 2] for
      M actions.
    r_t: float32 [], the reward of the action; [M] for M actions.
    discount_t: float32 [], 0 at a termination, else 1; [M] if M actions were
      simulated.
    s_t: observation after the action; if M actions were simulated, with M
      accounts and M masks of the stocks that can be bought.
  """

  s_tm1: Any
  a_tm1: Array
  r_t: Array
  discount_t: Array
  s_t: Any


@dataclasses.dataclass(frozen=True)
class ActionSpec:
  """A box of actions, and the unit space in which agents explore.

  Bounds apply to the last axis and are the same along all others. A scaled spec
  maps [minimum, maximum] to [-1, 1]; a raw one (Eigen2) leaves actions
  unchanged.

  Attributes:
    shape: shape of an action, e.g. (N, 2) for (coefficient, sale target in %).
    minimum: lower bound of each entry of the last axis.
    maximum: upper bound; bounds may be infinite in a raw spec.
    scaled: whether unit space is [-1, 1] instead of the environment's units.

  Raises:
    ValueError: if the bounds do not fit the last axis, a minimum is not below
      its maximum, or a bound of a scaled spec is not finite.
  """

  shape: tuple[int, ...]
  minimum: tuple[float, ...]
  maximum: tuple[float, ...]
  scaled: bool = True

  def __post_init__(self):
    if not len(self.minimum) == len(self.maximum) == self.shape[-1]:
      raise ValueError(
        f'ActionSpec: found bounds with {len(self.minimum)} and '
        f'{len(self.maximum)} entries, expected {self.shape[-1]} each'
      )
    if self.scaled and not all(map(_is_finite, self.minimum + self.maximum)):
      raise ValueError(
        f'ActionSpec: found bounds {self.minimum} to {self.maximum}, expected '
        'finite bounds, because the spec is scaled'
      )
    if not all(
      low < high for low, high in zip(self.minimum, self.maximum, strict=True)
    ):
      raise ValueError(
        f'ActionSpec: found bounds {self.minimum} to {self.maximum}, expected '
        'each minimum below its maximum'
      )

  def to_unit(self, action: Array) -> Array:
    """Maps actions from environment units to unit space; the shape stays."""
    if not self.scaled:
      return action
    low, high = jnp.array(self.minimum), jnp.array(self.maximum)
    return 2.0 * (action - low) / (high - low) - 1.0

  def from_unit(self, unit: Array) -> Array:
    """Maps actions from unit space to environment units; the shape stays."""
    if not self.scaled:
      return unit
    low, high = jnp.array(self.minimum), jnp.array(self.maximum)
    return low + 0.5 * (unit + 1.0) * (high - low)

  def clip_unit(self, unit: Array) -> Array:
    """Clips actions in unit space to the box; the shape stays."""
    if self.scaled:
      return jnp.clip(unit, -1.0, 1.0)
    return jnp.clip(unit, jnp.array(self.minimum), jnp.array(self.maximum))

  def perturbed(self, action: Array, noise: Array) -> Array:
    """Adds noise, given in unit space, to actions in environment units.

    The results are clipped to the box.
    """
    return self.from_unit(self.clip_unit(self.to_unit(action) + noise))


@dataclasses.dataclass(frozen=True)
class EnvironmentSpec:
  """The properties of an environment that networks and agents must fit.

  Attributes:
    context_days: D, days in an observed window.
    num_columns: C, columns in an observed window.
    num_features: F, features of each day and column.
    investable: (first, stop), the columns that can be bought; N = stop - first.
    action: the box of actions, shape (N, 2).
    coefficient_threshold: the smallest coefficient that opens a position.
    observes_account: whether policies see an `Account` besides the window.
    max_entries_per_day: the most stocks that one action can buy; it buys those
      with the largest coefficients.
  """

  context_days: int
  num_columns: int
  num_features: int
  investable: tuple[int, int]
  action: ActionSpec
  coefficient_threshold: float
  observes_account: bool = False
  max_entries_per_day: int = 1

  @property
  def num_investable(self) -> int:
    """Returns N, the number of stocks that can be bought."""
    return self.investable[1] - self.investable[0]


def _is_finite(value: float) -> bool:
  return float('-inf') < value < float('inf')

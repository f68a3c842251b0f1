"""The trading environment for Gymnasium, for agents of other libraries.

    import gymnasium
    import eigen3.interop.gymnasium  # registers the ids

    env = gymnasium.make('eigen3/TradingSmall-v0', split='train')

The ids are `eigen3/TradingSmoke-v0`, `eigen3/TradingSmall-v0`,
`eigen3/TradingMedium-v0` and `eigen3/TradingFull-v0`, one for each preset
without `+rl` or `+eigen2`. `gymnasium.make` also takes the arguments of
`experiments.trading_env.make`.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from eigen3 import settings
from eigen3.environment import Market, Rules, State, TradingEnvironment
from eigen3.types import ActionSpec, TimeStep

OBSERVATIONS = ('flat', 'dict')
PRESETS = ('smoke', 'small', 'medium', 'full')
# The bound of observations, as in CartPole-v1: no bound in effect, but finite,
# as some checks of environments demand.
_LIMIT = np.finfo(np.float32).max


class TradingEnv(gymnasium.Env[Any, np.ndarray]):
  """Episodes of a `TradingEnvironment`, with observations as NumPy arrays.

  An action is float32 [2N] in [-1, 1]: coefficient and sale target of the first
  stock, of the second, and so on. -1 and 1 stand for the bounds of a
  coefficient, 0 and `Rules.coefficient_ceiling`, and for those of a sale
  target, `Rules.min_sale_target` and `Rules.max_sale_target`.

  The observation holds

    - window, float32 [D, C, F + 1], the oldest day first: features in standard
      deviations from their means on the training days, and as the last entry a
      flag: 1 if the cell is missing (its features are then 0), else 0;
    - if the account is observed, stocks [N, 5] and whole [2], see `Account`.

  It is a dictionary of these arrays, or one vector: the arrays flattened and
  concatenated in this order.

  The info of `reset` and `step` holds the observed day (`day`, the index in the
  panel, and `date`), and the account after the last step, at the close of the
  day before: `equity`, `cash`, `profit` (as a share of the initial cash) and
  `trades`, the number of closed trades in the episode.

  An episode that ends without open positions or waiting orders is terminated.
  Any other episode is truncated at its end, because its positions or orders
  still have a value.

  Attributes:
    observation_space: a box of vectors, or a dictionary of boxes.
    action_space: a box of vectors [2N].
    stocks: names of the N stocks, in the order of actions.
  """

  def __init__(
    self,
    environment: TradingEnvironment,
    market: Market,
    dates: np.ndarray,
    stocks: tuple[str, ...],
    observation: str = 'flat',
  ):
    """Binds the environment and copies the market's features to the host.

    Args:
      environment: plays the episodes, and defines on which days they may start.
      market: the market of all days of the panel, which windows are taken from.
      dates: the panel's days, datetime64 [T].
      stocks: names of the N stocks.
      observation: 'flat' for vectors or 'dict' for dictionaries.

    Raises:
      ValueError: `observation` is neither 'flat' nor 'dict'.
    """
    settings.require(
      observation in OBSERVATIONS,
      'observation',
      observation,
      ' or '.join(map(repr, OBSERVATIONS)),
    )
    self._environment = environment
    self._dates = np.datetime_as_string(dates, unit='D')
    self._is_flat = observation == 'flat'
    self._cells = _known_cells(np.asarray(market.features))
    self._own = jax.tree.map(np.asarray, market.own)
    self._state: State | None = None
    self.stocks = stocks
    self.action_space = spaces.Box(
      -1.0, 1.0, (2 * len(stocks),), dtype=np.float32
    )
    first, _ = self._observe(*_reset(environment, environment.first_day))
    self.observation_space = (
      _unbounded(first)
      if self._is_flat
      else spaces.Dict({name: _unbounded(x) for name, x in first.items()})
    )

  def reset(
    self,
    *,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
  ) -> tuple[Any, dict[str, Any]]:
    """Starts an episode, by default on a random day of the range `first_days`.

    Args:
      seed: seed of this random draw and later ones; None continues the earlier
        draws.
      options: {'day': int} starts at the close of the panel's day with that
        index.

    Returns:
      The observation and the info.

    Raises:
      ValueError: if an option is unknown, or no episode can start on the day.
    """
    super().reset(seed=seed)
    given = dict(options or {})
    first, last = self.first_days
    day = given.pop('day', None)
    settings.require(not given, 'options', list(given), "only 'day'")
    if day is None:
      day = self.np_random.integers(first, last + 1)
    settings.require(
      first <= day <= last,
      'day',
      day,
      f'{settings.span(first, last)}, the index of a day of the panel on which '
      'an episode may start',
    )
    self._state, timestep = _reset(self._environment, np.int32(day))
    return self._observe(self._state, timestep)

  def step(
    self, action: np.ndarray
  ) -> tuple[Any, float, bool, bool, dict[str, Any]]:
    """Plays a day; an action outside `action_space` is clipped to it.

    Returns:
      Observation, reward, terminated, truncated and info, as in Gymnasium.

    Raises:
      ResetNeeded: before the first `reset`, or after the end of an episode.
      ValueError: if the action's shape is not that of `action_space`.
    """
    if self._state is None:
      raise ResetNeeded(
        'step: found no running episode, expected a call of reset before the '
        'step'
      )
    found, expected = np.shape(action), self.action_space.shape
    settings.require(
      found == expected,
      'action: shape',
      found,
      f'{expected}, a coefficient and a sale target for each stock',
    )
    self._state, timestep = _step(
      self._environment, self._state, np.asarray(action, np.float32)
    )
    observation, info = self._observe(self._state, timestep)
    is_last = bool(timestep.last)
    terminated = is_last and not timestep.discount
    if is_last:
      self._state = None
    truncated = is_last and not terminated
    return observation, float(timestep.reward), terminated, truncated, info

  @property
  def first_days(self) -> tuple[int, int]:
    """Returns the first and the last day on which an episode may start.

    They are indices of the panel's days.
    """
    environment = self._environment
    return int(environment.first_day), int(environment.last_day)

  def _observe(
    self, state: State, timestep: TimeStep
  ) -> tuple[Any, dict[str, Any]]:
    """Returns the observation at the close of the state's day, and the info."""
    day = int(timestep.observation)
    rules = self._environment.rules
    parts = {'window': self._window(day)}
    if timestep.account is not None:
      parts |= {k: np.asarray(x) for k, x in timestep.account._asdict().items()}
    equity = float(state.equity)
    info = {
      'day': day,
      'date': str(self._dates[day]),
      'equity': equity,
      'cash': float(state.cash),
      'profit': equity / rules.initial_cash - 1,
      'trades': int(state.num_trades),
    }
    if self._is_flat:
      return np.concatenate([x.ravel() for x in parts.values()]), info
    return {name: x.copy() for name, x in parts.items()}, info

  def _window(self, day: int) -> np.ndarray:
    """Returns a day's window with flags of missing cells, [D, C, F + 1]."""
    num_days = self._environment.rules.context_days
    if self._own is None:
      return self._cells[day + 1 - num_days : day + 1]
    days = self._own.last(day, num_days)
    return self._cells[days, np.arange(days.shape[1])]


def _known_cells(features: np.ndarray) -> np.ndarray:
  """Sets the features [T, C, F] of missing cells to 0 and adds a flag.

  Returns:
    float32 [T + 1, C, F + 1]; the last entry of a cell is the flag, 1 if the
    cell is missing, else 0. In row T all cells are missing: in `OwnDays`, index
    T stands for no day.
  """
  features = np.append(features, np.full_like(features[:1], np.nan), axis=0)
  missing = np.isnan(features).any(axis=-1, keepdims=True)
  known = np.where(missing, np.float32(0), features)
  return np.concatenate([known, missing.astype(np.float32)], axis=-1)


def _unbounded(like: np.ndarray) -> spaces.Box:
  return spaces.Box(-_LIMIT, _LIMIT, like.shape, dtype=np.float32)


def _box(rules: Rules, shape: tuple[int, ...]) -> ActionSpec:
  """Returns a scaled spec with the bounds that -1 and 1 stand for.

  The environment's own spec may be raw, without a finite upper bound.
  """
  return ActionSpec(
    shape,
    minimum=(0.0, float(rules.min_sale_target)),
    maximum=(float(rules.coefficient_ceiling), float(rules.max_sale_target)),
  )


@jax.jit
def _reset(
  environment: TradingEnvironment, day: jax.Array
) -> tuple[State, TimeStep]:
  return environment.reset_at(day)


@jax.jit
def _step(
  environment: TradingEnvironment, state: State, unit: jax.Array
) -> tuple[State, TimeStep]:
  shape = environment.spec.action.shape
  box = _box(environment.rules, shape)
  action = box.from_unit(box.clip_unit(unit.reshape(shape)))
  state, timestep = environment.step(state, action)
  return state, timestep._replace(extras=())


def _register() -> None:
  """Registers the environments' ids with Gymnasium."""
  for preset in PRESETS:
    gymnasium.register(
      f'eigen3/Trading{preset.capitalize()}-v0',
      # By name: presets belong to the programs, which import the library.
      'experiments.trading_env:make',
      kwargs={'preset': preset},
    )


_register()

"""Observations of a day, and the networks' inputs made from them."""

from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from eigen3.environment import Market, TradingEnvironment
from eigen3.types import Account, ActionSpec, Array


class Observation(NamedTuple):
  """An observation as it is stored in replay.

  Attributes:
    day: int32 [...], the last day of the networks' window.
    available: uint8 [..., ceil(N / 8)], which stocks could be bought, one bit
      per stock. It is not an input of the networks: `constrain` applies it to
      the actions that critics see.
  """

  day: Array
  available: Array


class FullObservation(NamedTuple):
  """An `Observation` that includes the account.

  Attributes:
    day: see `Observation`.
    available: see `Observation`.
    account: the observed account; its leaves begin with the axes of `day`. If M
      actions of one day were simulated, the next observation has the account
      after each of them: the leaves then have an axis M after the axes of
      `day`, and `available` is [..., M, ceil(N / 8)].
    state: the environment's state, whose leaves also begin with the axes of
      `day`, if counterfactual orders are simulated from it; else, and in next
      observations, ().
  """

  day: Array
  available: Array
  account: Account
  state: Any = ()


AnyObservation: TypeAlias = Observation | FullObservation


def packed(available: Array) -> Array:
  """Packs flags of available stocks, bool [..., N], as in `Observation`."""
  return jnp.packbits(available, axis=-1)


def unpacked(observation: AnyObservation, num_stocks: int) -> Array:
  """Returns which of N = `num_stocks` stocks could be bought, bool [..., N]."""
  bits = jnp.unpackbits(observation.available, axis=-1, count=num_stocks)
  return bits > 0


def observation_of(
  day: Array, available: Array, account: Account | None, state: Any = ()
) -> AnyObservation:
  """Returns a `FullObservation`, or an `Observation` if `account` is None.

  The arguments are its fields; an `Observation` has no `state`.
  """
  # No empty field, so that older checkpoints without an account stay readable.
  if account is not None:
    return FullObservation(day, available, account, state)
  return Observation(day, available)


def observe(market: Market, observation: AnyObservation) -> Any:
  """Returns the networks' inputs for observations [B].

  Returns:
    The market windows that end on the observed days, [B, D, C, F]; if the
    observations include the account, a pair of the windows and the account.
  """
  windows = market.windows(observation.day)
  if isinstance(observation, FullObservation):
    return windows, observation.account
  return windows


def observations_of(
  spec: ActionSpec, days: Array, account: Account | None = None
) -> AnyObservation:
  """Returns observations of `days` with all stocks available.

  Args:
    spec: spec of the actions.
    days: [M], or [] for a single day.
    account: the observed account, leaves [M, ...], or [...] for a single day;
      None if it is not observed.
  """
  everything = jnp.ones((*days.shape, spec.shape[0]), bool)
  return observation_of(days.astype(jnp.int32), packed(everything), account)


def first_observation(
  environment: TradingEnvironment,
) -> tuple[AnyObservation, Account | None]:
  """Returns an observation of the environment's first day.

  It serves to initialise networks; all stocks count as available.

  Returns:
    The observation as a batch [1], and its account without the batch axis, or
    None if the account is not observed.
  """
  day = environment.first_day
  _, first = environment.reset_at(day)
  batch = jax.tree.map(lambda x: x[None], first.account)
  spec = environment.spec.action
  return observations_of(spec, day[None], batch), first.account


def constrain(
  spec: ActionSpec, observation: AnyObservation, unit_actions: Array
) -> Array:
  """Gives stocks that cannot be bought the lowest coefficient.

  Args:
    spec: spec of the actions.
    observation: observations [B].
    unit_actions: actions in unit space, [B, N, 2], or [B, M, N, 2] for M
      actions per observation.

  Returns:
    Actions of the same shape.
  """
  lowest = spec.to_unit(jnp.asarray(spec.minimum))[0]
  available = unpacked(observation, spec.shape[0])
  if available.ndim < unit_actions.ndim - 1:  # One account, several actions.
    available = available[:, None]
  coefficients = jnp.where(available, unit_actions[..., 0], lowest)
  return unit_actions.at[..., 0].set(coefficients)

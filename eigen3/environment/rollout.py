"""Plays episodes in two passes: the market of all days, then the account.

A policy encodes the market without the account, so all days of all episodes are
encoded in one batch. A cheap scan over the days then simulates the account. If
the policy does not observe its account, the first pass gives the actions. If it
does, the first pass gives an encoded policy, from which the scan computes the
actions; see `EncodedPolicy`.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.environment.trading import TradingEnvironment
from eigen3.types import Array, TimeStep

# Computes a day's actions in E episodes once their accounts are known:
# `(parameters, encoded [E, ...], account [E, ...]) -> actions [E, N, 2]`.
Decide: TypeAlias = Callable[[Any, Any, Any], Array]


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=('parameters', 'encoded'),
  meta_fields=('decide',),
)
@dataclasses.dataclass(frozen=True)
class EncodedPolicy:
  """A policy that has encoded the market but not seen the account; a pytree.

  Attributes:
    decide: computes the actions from the encoded market and the account;
      static, so equal functions must compare equal, or programs are compiled
      again.
    parameters: the parameters of `decide`.
    encoded: the encoded market of each of M days, leaves [M, ...].
  """

  decide: Decide
  parameters: Any
  encoded: Any


# For M days: actions [M, N, 2], or an encoded policy.
Actions: TypeAlias = Array | np.ndarray | EncodedPolicy
# Maps days [M] to actions or an encoded policy.
Policy: TypeAlias = Callable[[Array], Actions]
# A `Policy` that also returns auxiliary outputs.
PolicyWithExtras: TypeAlias = Callable[[Array], tuple[Actions, Any]]


class Episodes(NamedTuple):
  """E episodes of S steps.

  Attributes:
    days: int32 [E, S], the day on which each step's action was decided.
    actions: float32 [E, S, N, 2], in the environment's units.
    timesteps: the timestep after each step, leaves [E, S, ...].
    final_state: the environment's state at the end, leaves [E, ...].
    accounts: the observed account when each step's action was decided, leaves
      [E, S, ...]; None if it is not observed.
    states: the environment's state before each step, leaves [E, S, ...]; ()
      without `keep_states`.
  """

  days: Array
  actions: Array
  timesteps: TimeStep
  final_state: Any
  accounts: Any = None
  states: Any = ()


def rollout(
  environment: TradingEnvironment,
  policy: Policy,
  first_days: Array,
  acting_steps: int | None = None,
  keep_states: bool = False,
) -> Episodes:
  """Runs one episode from each of the days `first_days`.

  Args:
    environment: the trading environment.
    policy: called once, with the days of the first `acting_steps` steps of all
      episodes, int32 [E * acting_steps].
    first_days: int32 [E].
    acting_steps: for how many steps of each episode the policy is evaluated, by
      default all. The remaining steps must be settlement steps, on which
      nothing can be bought. They use coefficient 0 and the lowest sale target
      or, if `policy` returns an encoded policy, the encoding of the last
      evaluated day.
    keep_states: whether to also return the state before each step.
  """
  episodes, _ = rollout_with_extras(
    environment,
    lambda days: (policy(days), None),
    first_days,
    acting_steps,
    keep_states,
  )
  return episodes


def rollout_with_extras(
  environment: TradingEnvironment,
  policy: PolicyWithExtras,
  first_days: Array,
  acting_steps: int | None = None,
  keep_states: bool = False,
) -> tuple[Episodes, Any]:
  """Runs episodes like `rollout`, for a policy with auxiliary outputs.

  Returns:
    The episodes, and the auxiliary outputs as the policy returned them.
  """
  num_episodes, num_steps = first_days.shape[0], environment.num_steps
  asked = num_steps if acting_steps is None else acting_steps
  days = first_days[:, None] + jnp.arange(num_steps)
  actions, extras = policy(days[:, :asked].reshape(-1))
  actions = by_step(actions, (num_episodes, asked))
  rest = num_steps - asked
  if isinstance(actions, EncodedPolicy):
    actions = _map(
      lambda x: jnp.concatenate([x, jnp.repeat(x[:, -1:], rest, 1)], 1), actions
    )
  else:
    lowest = jnp.asarray(environment.spec.action.minimum, actions.dtype)
    lowest = jnp.broadcast_to(lowest, (num_episodes, rest, *actions.shape[2:]))
    actions = jnp.concatenate([actions, lowest], axis=1)
  return play(environment, days, actions, keep_states), extras


def play(
  environment: TradingEnvironment,
  days: Array,
  actions: Actions,
  keep_states: bool = False,
) -> Episodes:
  """Plays episodes with given actions or an encoded policy.

  With an encoded policy the account is observed whatever the environment's
  rules say.

  Args:
    environment: the trading environment.
    days: int32 [E, S], consecutive within an episode.
    actions: actions on these days, float32 [E, S, N, 2]; or an encoded policy
      whose field `encoded` has leaves [E, S, ...].
    keep_states: whether to also return the state before each step.

  Returns:
    The episodes.
  """

  is_encoded = isinstance(actions, EncodedPolicy)

  def keep(before, after, timestep, account, decided):
    del after
    # Given actions need not be copied.
    decided = decided if is_encoded else ()
    return timestep, account, before if keep_states else (), decided

  final_state, kept = walk(environment, days, actions, keep)
  timesteps, accounts, states, decided = kept
  played = decided if is_encoded else jnp.asarray(actions)
  return Episodes(days, played, timesteps, final_state, accounts, states)


def walk(
  environment: TradingEnvironment, days: Array, actions: Actions, keep: Callable
) -> tuple[Any, Any]:
  """Plays episodes like `play`, and keeps what `keep` returns for each step.

  Args:
    environment: see `play`.
    days: see `play`.
    actions: see `play`.
    keep: maps `(state before the step, state after it, time step, observed
      account before the step, actions)`, leaves [E, ...], to the values to
      keep.

  Returns:
    The final state, leaves [E, ...], and the kept values, leaves [E, S, ...].
  """
  policy = _as_encoded(actions)
  if policy is actions:
    environment = environment.observing_account()
  state, first = jax.vmap(environment.reset_at)(days[:, 0])

  def step(carry, encoded):
    before, account = carry
    decided = policy.decide(policy.parameters, encoded, account)
    after, timestep = jax.vmap(environment.step)(before, decided)
    kept = keep(before, after, timestep, account, decided)
    return (after, timestep.account), kept

  (final_state, _), kept = jax.lax.scan(
    step, (state, first.account), _swapped(policy.encoded)
  )
  return final_state, _swapped(kept)


def by_step(actions: Actions, shape: tuple[int, ...]) -> Actions:
  """Reshapes the first axis of actions: from [M, ...] to [*shape, ...]."""
  return _map(lambda x: x.reshape(*shape, *x.shape[1:]), actions)


def on_days(actions: Actions, days: Array) -> Actions:
  """Selects actions by indices `days` of the first axis, [*days.shape, ...]."""
  return _map(lambda x: jnp.asarray(x)[days], actions)


def mean_of(actions: Sequence[Actions]) -> Actions:
  """Returns a committee's actions, the mean of its members' actions.

  The result is an encoded policy if any of `actions` is one.
  """
  if not any(isinstance(one, EncodedPolicy) for one in actions):
    return np.mean([np.asarray(one) for one in actions], axis=0)
  policies = [_as_encoded(one) for one in actions]
  return EncodedPolicy(
    _Mean(tuple(policy.decide for policy in policies)),
    tuple(policy.parameters for policy in policies),
    tuple(policy.encoded for policy in policies),
  )


@dataclasses.dataclass(frozen=True)
class _Mean:
  """A `Decide` that returns the mean of several policies' actions."""

  members: tuple[Decide, ...]

  def __call__(self, parameters, encoded, account) -> Array:
    decided = [
      decide(of_member, market, account)
      for decide, of_member, market in zip(
        self.members, parameters, encoded, strict=True
      )
    ]
    return jnp.mean(jnp.stack(decided), axis=0)


def _as_given(parameters, actions, account) -> Array:
  """Returns the given actions; a `Decide` that ignores the account."""
  del parameters, account
  return actions


def _as_encoded(actions: Actions) -> EncodedPolicy:
  if isinstance(actions, EncodedPolicy):
    return actions
  return EncodedPolicy(_as_given, (), actions)


def _map(function: Callable[[Any], Any], actions: Actions) -> Actions:
  """Maps `function` over the leaves of `actions` that have an axis of days."""
  if isinstance(actions, EncodedPolicy):
    encoded = jax.tree.map(function, actions.encoded)
    return dataclasses.replace(actions, encoded=encoded)
  return function(actions)


def _swapped(tree: Any) -> Any:
  """Swaps the first two axes of all leaves."""
  return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), tree)

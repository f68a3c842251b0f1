"""Plays episodes in two passes: the market of all days, then the account.

A policy encodes the market without its account, so all days of all episodes are
encoded in one batch. A cheap scan then plays the account through them. If the
policy does not observe its account, the batch gives the actions themselves. If
it does, the batch gives encoded policies, and the scan decides the actions.
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

# Decides once the account is known: `(parameters, encoded [E, ...],
# account [E, ...]) -> actions [E, N, 2]`.
Decide: TypeAlias = Callable[[Any, Any, Any], Array]


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=('parameters', 'encoded'),
  meta_fields=('decide',),
)
@dataclasses.dataclass(frozen=True)
class Plans:
  """A policy's encoding of some days, before it sees the account; a pytree.

  Attributes:
    decide: returns the actions; static, so equal functions must compare equal.
    parameters: its parameters.
    encoded: the encoded market of each day, leaves [M, ...].
  """

  decide: Decide
  parameters: Any
  encoded: Any


# For M days: actions [M, N, 2], or an encoded policy.
Acts: TypeAlias = Array | np.ndarray | Plans
# Maps days [M] to actions or an encoded policy.
Policy: TypeAlias = Callable[[Array], Acts]
# The same, and auxiliary outputs.
TellingPolicy: TypeAlias = Callable[[Array], tuple[Acts, Any]]


class Episodes(NamedTuple):
  """E episodes of S steps.

  Attributes:
    days: int32 [E, S], the day on which each step's action was decided.
    actions: float32 [E, S, N, 2], in the environment's units.
    timesteps: the timestep after each step, leaves [E, S, ...].
    final_state: the environment's state at the end, leaves [E, ...].
    accounts: the observed account when each step's action was decided, leaves
      [E, S, ...], or None.
    states: the environment's state before each step, leaves [E, S, ...], or
      None unless requested.
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
    policy: called once, with the days of all episodes.
    first_days: int32 [E].
    acting_steps: for how many steps of each episode the policy is evaluated, by
      default all. The others must be settlement steps, on which nothing can be
      bought. They use the lowest action, or the last encoded policy.
    keep_states: also return the states before all steps.
  """
  episodes, _ = rollout_and_tell(
    environment,
    lambda days: (policy(days), None),
    first_days,
    acting_steps,
    keep_states,
  )
  return episodes


def rollout_and_tell(
  environment: TradingEnvironment,
  policy: TellingPolicy,
  first_days: Array,
  acting_steps: int | None = None,
  keep_states: bool = False,
) -> tuple[Episodes, Any]:
  """Like `rollout`, for a policy with auxiliary outputs.

  Returns:
    The episodes, and the policy's auxiliary outputs, leaves [E * acting_steps,
    ...].
  """
  num_episodes, num_steps = first_days.shape[0], environment.num_steps
  asked = num_steps if acting_steps is None else acting_steps
  days = first_days[:, None] + jnp.arange(num_steps)
  acts, told = policy(days[:, :asked].reshape(-1))
  acts = by_step(acts, (num_episodes, asked))
  rest = num_steps - asked
  if isinstance(acts, Plans):
    acts = _map(
      lambda x: jnp.concatenate([x, jnp.repeat(x[:, -1:], rest, 1)], 1), acts
    )
  else:
    lowest = jnp.asarray(environment.spec.action.minimum, acts.dtype)
    lowest = jnp.broadcast_to(lowest, (num_episodes, rest, *acts.shape[2:]))
    acts = jnp.concatenate([acts, lowest], axis=1)
  return play(environment, days, acts, keep_states), told


def play(
  environment: TradingEnvironment,
  days: Array,
  acts: Acts,
  keep_states: bool = False,
) -> Episodes:
  """Plays episodes with given actions or an encoded policy.

  Args:
    environment: the trading environment.
    days: int32 [E, S], consecutive within an episode.
    acts: of these days; actions float32 [E, S, N, 2], or an encoded policy with
      leaves [E, S, ...].
    keep_states: also return the states before all steps.

  Returns:
    The episodes.
  """

  def tell(before, after, timestep, account, actions):
    del after
    # Given actions need not be copied.
    decided = actions if isinstance(acts, Plans) else ()
    return timestep, account, before if keep_states else (), decided

  final_state, told = walk(environment, days, acts, tell)
  timesteps, accounts, states, decided = told
  actions = decided if isinstance(acts, Plans) else jnp.asarray(acts)
  return Episodes(days, actions, timesteps, final_state, accounts, states)


def walk(
  environment: TradingEnvironment, days: Array, acts: Acts, tell: Callable
) -> tuple[Any, Any]:
  """Like `play`, but `tell` chooses what to keep of a step.

  Args:
    environment: see `play`.
    days: see `play`.
    acts: see `play`.
    tell: `(state before the step, state after it, time step, account before it,
      actions)`, leaves [E, ...], to the values to keep.

  Returns:
    The final state, leaves [E, ...], and the kept values, leaves [E, S, ...].
  """
  plans = _as_plans(acts)
  if plans is acts:
    environment = environment.observing_account()
  state, first = jax.vmap(environment.reset_at)(days[:, 0])

  def step(carry, encoded):
    before, account = carry
    actions = plans.decide(plans.parameters, encoded, account)
    after, timestep = jax.vmap(environment.step)(before, actions)
    kept = tell(before, after, timestep, account, actions)
    return (after, timestep.account), kept

  (final_state, _), told = jax.lax.scan(
    step, (state, first.account), _swapped(plans.encoded)
  )
  return final_state, _swapped(told)


def by_step(acts: Acts, shape: tuple[int, ...]) -> Acts:
  """Reshapes the actions of M days to those of steps, [*shape, ...]."""
  return _map(lambda x: x.reshape(*shape, *x.shape[1:]), acts)


def on_days(acts: Acts, days: Array) -> Acts:
  """Selects days from actions, leaves [T, ...] to [*days.shape, ...]."""
  return _map(lambda x: jnp.asarray(x)[days], acts)


def mean_of(acts: Sequence[Acts]) -> Acts:
  """Returns a committee's actions, the mean of its members' actions."""
  if not any(isinstance(one, Plans) for one in acts):
    return np.mean([np.asarray(one) for one in acts], axis=0)
  plans = [_as_plans(one) for one in acts]
  return Plans(
    _Mean(tuple(plan.decide for plan in plans)),
    tuple(plan.parameters for plan in plans),
    tuple(plan.encoded for plan in plans),
  )


@dataclasses.dataclass(frozen=True)
class _Mean:
  """Returns the mean of several policies' actions."""

  members: tuple[Decide, ...]

  def __call__(self, parameters, encoded, account) -> Array:
    decided = [
      decide(of_member, plans, account)
      for decide, of_member, plans in zip(
        self.members, parameters, encoded, strict=True
      )
    ]
    return jnp.mean(jnp.stack(decided), axis=0)


def _as_given(parameters, actions, account) -> Array:
  """Returns the given actions."""
  del parameters, account
  return actions


def _as_plans(acts: Acts) -> Plans:
  return acts if isinstance(acts, Plans) else Plans(_as_given, (), acts)


def _map(function: Callable[[Any], Any], acts: Acts) -> Acts:
  """Maps `function` over the leaves of `acts` that have an axis of days."""
  if isinstance(acts, Plans):
    encoded = jax.tree.map(function, acts.encoded)
    return dataclasses.replace(acts, encoded=encoded)
  return function(acts)


def _swapped(tree: Any) -> Any:
  """Swaps the first two axes of all leaves."""
  return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), tree)

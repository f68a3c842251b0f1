"""Episodes in two passes: first all actions, then the account's mechanics.

What a policy sees does not depend on the account, so the actions of all days
of all episodes come from one batch; a cheap scan then walks the account
through them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from eigen3.environment import TradingEnvironment
from eigen3.types import Array, TimeStep, Transition

# The actions [M, N, 2] of a policy on days [M].
Policy = Callable[[Array], Array]
# The same, and anything else.
TellingPolicy = Callable[[Array], tuple[Array, Any]]


class Observation(NamedTuple):
  """What decides the worth of an action, and is kept in replay.

  Attributes:
    day: int32 [...], whose window networks see.
    available: uint8 [..., ceil(N / 8)], what could be bought, a bit a stock.
      No network sees it: critics are shown the action as the account
      understands it, without the coefficients of other stocks.
  """

  day: Array
  available: Array


class Episodes(NamedTuple):
  """E episodes of S steps.

  Attributes:
    days: int32 [E, S], the day on which each step's action was decided.
    actions: float32 [E, S, N, 2], in the environment's units.
    timesteps: the timestep after each step, leaves [E, S, ...].
    final_state: the environment's state at the end, leaves [E, ...].
  """

  days: Array
  actions: Array
  timesteps: TimeStep
  final_state: Any


def rollout(
  environment: TradingEnvironment,
  policy: Policy,
  first_days: Array,
  acting_steps: int | None = None,
) -> Episodes:
  """Runs one episode from each of the days `first_days`.

  Args:
    environment: the market's mechanics.
    policy: asked once, for the days of all episodes.
    first_days: int32 [E].
    acting_steps: how many steps of each episode the policy is asked for, by
      default all; the others, which must be of the settlement, when nothing
      can be bought, get the lowest action.
  """
  episodes, _ = rollout_and_tell(
    environment, lambda days: (policy(days), None), first_days, acting_steps
  )
  return episodes


def rollout_and_tell(
  environment: TradingEnvironment,
  policy: TellingPolicy,
  first_days: Array,
  acting_steps: int | None = None,
) -> tuple[Episodes, Any]:
  """As `rollout`, of a policy that also tells.

  Returns:
    The episodes, and what the policy gave beside the actions, leaves
    [E * acting_steps, ...].
  """
  num_episodes, num_steps = first_days.shape[0], environment.num_steps
  asked = num_steps if acting_steps is None else acting_steps
  days = first_days[:, None] + jnp.arange(num_steps)
  actions, told = policy(days[:, :asked].reshape(-1))
  actions = actions.reshape(num_episodes, asked, *actions.shape[1:])
  lowest = jnp.asarray(environment.spec.action.minimum, actions.dtype)
  rest = (num_episodes, num_steps - asked, *actions.shape[2:])
  actions = jnp.concatenate([actions, jnp.broadcast_to(lowest, rest)], axis=1)
  return play(environment, days, actions), told


def play(
  environment: TradingEnvironment, days: Array, actions: Array
) -> Episodes:
  """Walks the account through given actions.

  Args:
    environment: the market's mechanics.
    days: int32 [E, S], consecutive within an episode.
    actions: float32 [E, S, N, 2].

  Returns:
    The episodes.
  """
  state, _ = jax.vmap(environment.reset_at)(days[:, 0])

  def step(state, actions):
    return jax.vmap(environment.step)(state, actions)

  final_state, timesteps = jax.lax.scan(
    step, state, jnp.swapaxes(actions, 0, 1)
  )
  timesteps = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), timesteps)
  return Episodes(days, actions, timesteps, final_state)


def transitions_of(episodes: Episodes, num_steps: int) -> Transition:
  """Experience from the first `num_steps` steps of all episodes.

  What can be bought after the last step of an episode is not known to it, and
  is taken to be everything.

  Returns:
    Transitions [E * num_steps, ...] between `Observation`s.
  """
  timesteps = episodes.timesteps
  available = jnp.packbits(timesteps.extras.available, axis=-1)
  everything = jnp.full_like(available[:, :1], 255)
  after = jnp.concatenate([available[:, 1:], everything], axis=1)
  transitions = Transition(
    s_tm1=Observation(episodes.days, available),
    a_tm1=episodes.actions,
    r_t=timesteps.reward,
    discount_t=timesteps.discount,
    s_t=Observation(timesteps.observation, after),
  )
  return jax.tree.map(
    lambda x: x[:, :num_steps].reshape(-1, *x.shape[2:]), transitions
  )

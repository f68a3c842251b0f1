"""Transitions, the form in which replay stores episodes."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import settings
from eigen3.environment import Rules, rewards
from eigen3.environment.rollout import Episodes
from eigen3.learner.experience.observations import (
  FullObservation,
  observation_of,
  observations_of,
  packed,
)
from eigen3.types import Account, ActionSpec, Transition


def transitions_of(episodes: Episodes, num_steps: int) -> Transition:
  """Converts the first `num_steps` steps of all E episodes to transitions.

  An episode does not record which stocks can be bought after its last step; in
  the observation after that step all stocks count as available.

  Returns:
    Transitions [E * num_steps, ...].
  """
  timesteps = episodes.timesteps
  available = packed(timesteps.extras.available)
  everything = jnp.full_like(available[:, :1], 255)
  after = jnp.concatenate([available[:, 1:], everything], axis=1)
  transitions = Transition(
    s_tm1=observation_of(
      episodes.days, available, episodes.accounts, episodes.states
    ),
    a_tm1=episodes.actions,
    r_t=timesteps.reward,
    discount_t=timesteps.discount,
    s_t=observation_of(timesteps.observation, after, timesteps.account),
  )
  return jax.tree.map(
    lambda x: x[:, :num_steps].reshape(-1, *x.shape[2:]), transitions
  )


def empty_transition(
  spec: ActionSpec, account: Account | None = None, state: Any = ()
) -> Transition:
  """Returns a placeholder with the shapes and dtypes of a stored transition.

  Args:
    spec: spec of the actions.
    account: an observed account, leaves without a batch axis; None if the
      account is not observed.
    state: a state of the environment, leaves without a batch axis; () if states
      are not stored.
  """
  observation = observations_of(spec, jnp.int32(0), account)
  before = observation
  if isinstance(observation, FullObservation):
    before = observation._replace(state=state)
  return Transition(
    s_tm1=before,
    a_tm1=jnp.zeros(spec.shape, jnp.float32),
    r_t=jnp.float32(0),
    discount_t=jnp.float32(0),
    s_t=observation,
  )


def stored_steps(rules: Rules, config: ml_collections.ConfigDict) -> int:
  """Returns how many of an episode's steps, from the first, the replay stores.

  Args:
    rules: rules of the environment.
    config: has `agent` and `learner`.

  Raises:
    ValueError: if settlement steps are not stored although the agent has a
      discount above 0 and the reward has `needs_account`, so that held
      positions earn rewards until they are sold.
  """
  kept = config.learner.store_settlement
  every_day = rewards.find(rules.reward).needs_account
  settings.require(
    kept or not every_day or not config.agent.gamma,
    'learner.store_settlement',
    kept,
    f'True, because agent.gamma is above 0 and with the reward {rules.reward} '
    'positions earn until they are sold',
  )
  return rules.num_steps if kept else rules.trading_days

"""How agents look at the market and act on it, the same in every learner."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import parallel, settings
from eigen3.agent import td3
from eigen3.environment import Market, Rules, TradingEnvironment
from eigen3.learner import rollout
from eigen3.learner.rollout import Acts, FullObservation, Observation, Plans
from eigen3.networks import Divided
from eigen3.types import (
  UNSEEN,
  ActionSpec,
  Array,
  EnvironmentSpec,
  PRNGKey,
  Transition,
)

AnyObservation: TypeAlias = Observation | FullObservation


def observe(market: Market, observation: AnyObservation) -> Any:
  """What networks are shown of observations [B].

  Returns:
    The market windows behind the days, [B, D, C, F]; where the account is
    observed, the pair of these and the account, leaves [B, ...].
  """
  windows = market.windows(observation.day)
  if isinstance(observation, FullObservation):
    return windows, observation.account
  return windows


def observations_of(
  spec: ActionSpec, days: Array, account: Any = UNSEEN
) -> AnyObservation:
  """What a policy is asked for on `days` [M], with everything available.

  Args:
    spec: of the actions.
    days: [M], or [].
    account: what is seen of it, leaves [M, ...] or without that axis.
  """
  everything = jnp.ones((*days.shape, spec.shape[0]), bool)
  return rollout.observation_of(
    days.astype(jnp.int32), jnp.packbits(everything, -1), account
  )


def first_observation(
  environment: TradingEnvironment,
) -> tuple[AnyObservation, Any]:
  """What is seen when the earliest episode begins, to make networks for.

  Returns:
    A batch [1] of it, and the account alone, leaves [...], or `UNSEEN`.
  """
  day = environment.first_day
  _, first = environment.reset_at(day)
  batch = jax.tree.map(lambda x: x[None], first.account)
  spec = environment.spec.action
  return observations_of(spec, day[None], batch), first.account


def empty_transition(spec: ActionSpec, account: Any = UNSEEN) -> Transition:
  """A transition as replay stores it, of no particular day.

  Args:
    spec: of the actions.
    account: as it is seen, leaves without an axis of a batch.
  """
  observation = observations_of(spec, jnp.int32(0), account)
  return Transition(
    s_tm1=observation,
    a_tm1=jnp.zeros(spec.shape, jnp.float32),
    r_t=jnp.float32(0),
    discount_t=jnp.float32(0),
    s_t=observation,
  )


def stored_steps(rules: Rules, config: ml_collections.ConfigDict) -> int:
  """How many steps of an episode replay keeps.

  Args:
    rules: of the environment.
    config: has `agent` and `learner`.

  Raises:
    ValueError: rewards that are paid in the settlement would be left out.
  """
  kept = config.learner.store_settlement
  settings.require(
    kept or rules.reward != 'portfolio' or not config.agent.gamma,
    'learner.store_settlement',
    kept,
    'True with the reward portfolio and agent.gamma above 0: positions earn '
    'until they are left',
  )
  return rules.num_steps if kept else rules.trading_days


class Player(NamedTuple):
  """Asks an agent for its acts on days, whatever becomes of its account.

  Attributes:
    actor: the policy; `Divided` where the account is observed.
    select_action: of TD3, for that policy.
    spec: of the environment.
    chunk: days that are acted on at once; 0 is all.
  """

  actor: hk.TransformedWithState
  select_action: Callable
  spec: EnvironmentSpec
  chunk: int

  def acts(
    self,
    agent: td3.TrainingState,
    market: Market,
    days: Array,
    key: PRNGKey | None = None,
  ) -> Acts:
    """Acts on days [M], noisy where a key is given."""
    if not self.spec.observes_account:
      observations = observations_of(self.spec.action, days)
      return self.select_action(agent, market, observations, key)
    encoder = cast(Divided, self.actor).encoder
    encoded = self._apply(encoder, agent, market, days)
    if key is None:
      return self._plans(agent, encoded)
    shape = (days.shape[0], *self.spec.action.shape)
    noise = agent.noise_scale * jax.random.normal(key, shape, float)
    return self._plans(agent, encoded, noise)

  def acts_and_attention(
    self, agent: td3.TrainingState, market: Market, days: Array
  ) -> tuple[Acts, Array]:
    """Acts on days [M] without noise, and attention [M, C]."""
    if not self.spec.observes_account:
      return self._apply(
        self.actor.apply, agent, market, days, return_attention=True
      )
    encoder = cast(Divided, self.actor).encoder
    encoded = self._apply(encoder, agent, market, days, return_attention=True)
    plans = self._plans(agent, encoded._replace(attention=None))
    return plans, encoded.attention

  def _apply(self, function, agent, market, days, **options):
    """What `function` of the actor gives for the windows of days [M]."""

    def apply(days):
      outputs, _ = function(
        agent.actor.online_params,
        agent.actor.online_state,
        None,
        market.windows(days),
        is_training=False,
        **options,
      )
      return outputs

    return parallel.in_chunks(apply, days, self.chunk)

  def _plans(self, agent, encoded, noise=None) -> Plans:
    head = cast(Divided, self.actor).head
    parameters = (agent.actor.online_params, agent.actor.online_state)
    return Plans(_Decide(head, self.spec.action), parameters, (encoded, noise))


@dataclasses.dataclass(frozen=True)
class _Decide:
  """Decides by an actor's head."""

  head: Callable
  spec: ActionSpec

  def __call__(self, parameters, plans, account) -> Array:
    encoded, noise = plans
    actions, _ = self.head(*parameters, None, encoded, account)
    if noise is None:
      return actions
    return self.spec.perturbed(actions, noise)


def random_actions(spec: ActionSpec, key: PRNGKey, count: int) -> Array:
  """Actions [count, N, 2] drawn uniformly from the box of a scaled spec."""
  unit = jax.random.uniform(key, (count, *spec.shape), minval=-1.0)
  return spec.from_unit(unit)


def constrain(
  spec: ActionSpec, observation: AnyObservation, unit_actions: Array
) -> Array:
  """Coefficients of stocks that can't be bought are as good as the lowest.

  Args:
    spec: of the actions.
    observation: [B].
    unit_actions: [B, N, 2] or [B, M, N, 2].

  Returns:
    As they were given.
  """
  lowest = spec.to_unit(jnp.asarray(spec.minimum))[0]
  available = jnp.unpackbits(
    observation.available, axis=-1, count=spec.shape[0]
  )
  available = jnp.expand_dims(available, tuple(range(1, unit_actions.ndim - 2)))
  coefficients = jnp.where(available > 0, unit_actions[..., 0], lowest)
  return unit_actions.at[..., 0].set(coefficients)

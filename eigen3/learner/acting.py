"""How agents look at the market and act on it, the same in every learner."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, cast

import haiku as hk
import jax

from eigen3 import parallel
from eigen3.agent import td3
from eigen3.environment import Market
from eigen3.environment.rollout import Acts, Plans
from eigen3.learner import experience
from eigen3.networks import Divided
from eigen3.types import (
  ActionSpec,
  Array,
  EnvironmentSpec,
  PRNGKey,
)


class Player(NamedTuple):
  """Asks an agent for its acts on days, whatever becomes of its account.

  Attributes:
    actor: the policy; its `apply` is `Divided` where the account is observed.
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
      observations = experience.observations_of(self.spec.action, days)
      return self.select_action(agent, market, observations, key)
    encoded = self._apply(self._parts.encoder, agent, market, days)
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
    encoded = self._apply(
      self._parts.encoder, agent, market, days, return_attention=True
    )
    plans = self._plans(agent, encoded._replace(attention=None))
    return plans, encoded.attention

  @property
  def _parts(self) -> Divided:
    return cast(Divided, self.actor.apply)

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
    decide = _Decide(self._parts.head, self.spec.action)
    parameters = (agent.actor.online_params, agent.actor.online_state)
    return Plans(decide, parameters, (encoded, noise))


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

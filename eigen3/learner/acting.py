"""How agents look at the market and act on it, the same in every learner."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import parallel, sizes
from eigen3.agent import Agent, Policy, make_agent, replay
from eigen3.environment import Market, TradingEnvironment, rollout
from eigen3.environment.rollout import Acts, Plans
from eigen3.learner import experience
from eigen3.learner.experience import AnyObservation, counterfactuals
from eigen3.networks import Divided, Networks
from eigen3.types import (
  ActionSpec,
  Array,
  EnvironmentSpec,
  PRNGKey,
  Transition,
)


class Player(NamedTuple):
  """An agent in its environment: what it does there, and what it remembers.

  Attributes:
    agent: the algorithm, bound to networks.
    actor: the network that acts; its `apply` is `Divided` where the
      account is observed.
    spec: of the environment.
    chunk: days that are acted on at once; 0 is all.
    batch_size: transitions of an update.
    stored_steps: how many steps of an episode replay keeps.
    counterfactuals: how many orders of other stocks are learnt from beside
      each transition.
    keeps_states: whether replay stores states, from which these are played.
  """

  agent: Agent
  actor: hk.TransformedWithState
  spec: EnvironmentSpec
  chunk: int
  batch_size: int
  stored_steps: int
  counterfactuals: int
  keeps_states: bool

  @classmethod
  def make(
    cls,
    networks: Networks,
    environment: TradingEnvironment,
    config: ml_collections.ConfigDict,
  ) -> 'Player':
    """Binds the algorithm of a config to networks and to an environment.

    Args:
      networks: an actor and critics.
      environment: whose spec and rules count.
      config: has `agent` and `learner`.

    Raises:
      ValueError: a setting is out of range.
    """
    spec, rules = environment.spec, environment.rules
    agent = make_agent(
      networks.actor,
      networks.double_critic,
      experience.observe,
      spec.action,
      config.agent,
      functools.partial(experience.constrain, spec.action),
      networks.shared,
    )
    count = counterfactuals.count_of(rules, config)
    at_once = counterfactuals.are_paid_at_once(rules, config)
    return cls(
      agent,
      networks.actor,
      spec,
      sizes.of_acting(config.agent.acting_chunk),
      config.agent.batch_size,
      experience.stored_steps(rules, config),
      count,
      count > 0 and not at_once,
    )

  def first_state(
    self, key: PRNGKey, environment: TradingEnvironment, market: Market
  ) -> Any:
    """A fresh agent's state, for what is seen when an episode begins."""
    first, _ = experience.first_observation(environment)
    return self.agent.init(key, market, first)

  def empty_replay(
    self, environment: TradingEnvironment, capacity: int
  ) -> replay.ReplayState:
    """Room for so many transitions."""
    _, account = experience.first_observation(environment)
    state: Any = ()
    if self.keeps_states:
      state, _ = environment.reset_at(environment.first_day)
    nothing = experience.empty_transition(self.spec.action, account, state)
    return replay.init(nothing, capacity)

  def collect(
    self,
    environment: TradingEnvironment,
    policy: rollout.Policy,
    keys: PRNGKey,
  ) -> tuple[Transition, rollout.Episodes]:
    """Plays an episode for each key; also the transitions of all of them."""
    _, first = jax.vmap(environment.reset)(keys)
    episodes = rollout.rollout(
      environment,
      policy,
      first.observation,
      self.stored_steps,
      self.keeps_states,
    )
    return experience.transitions_of(episodes, self.stored_steps), episodes

  def audition(
    self,
    environment: TradingEnvironment,
    state: Any,
    market: Market,
    first_days: Array,
    key: PRNGKey,
  ) -> tuple[rollout.Episodes, Transition]:
    """Plays from days [E] twice, having looked at the market once.

    Noise is that of `Agent.noise` about the greedy action, whatever the
    algorithm.

    Args:
      environment: to play in.
      state: of the agent.
      market: what it sees.
      first_days: int32 [E].
      key: consumed by exploration.

    Returns:
      The episodes without noise, and the transitions of those with it.
    """

    def greedy(days):
      acts = self.acts(state, market, days)
      return acts, acts

    episodes, acts = rollout.rollout_and_tell(
      environment, greedy, first_days, self.stored_steps
    )
    explored = rollout.rollout(
      environment,
      lambda days: self._explored(state, acts, days, key),
      first_days,
      self.stored_steps,
      self.keeps_states,
    )
    return episodes, experience.transitions_of(explored, self.stored_steps)

  def unit_actions(
    self, policy: Policy, market: Market, observations: AnyObservation
  ) -> Array:
    """What a policy does of observations [B] without noise, in unit space."""
    (actions, _), _ = self.actor.apply(
      *policy,
      None,
      experience.observe(market, observations),
      is_training=False,
    )
    return self.spec.action.to_unit(actions)

  def sensitivity(
    self,
    policy: Policy,
    market: Market,
    observations: AnyObservation,
    key: PRNGKey,
    projections: int,
  ) -> hk.Params:
    """How much a policy's actions depend on each of its parameters.

    An unbiased estimate of the squares from random signs: a pass back for each
    projection instead of one for each action (Hutchinson 1990,
    https://doi.org/10.1080/03610919008812866).

    Args:
      policy: to look at.
      market: what it sees.
      observations: [B], of which they are the mean.
      key: consumed.
      projections: how many; more are more exact.

    Returns:
      Like the parameters, root mean squares over observations and actions of
      the derivatives of actions in unit space.
    """
    actions, pull_back = jax.vjp(
      lambda params: self.unit_actions(
        policy._replace(params=params), market, observations
      ),
      policy.params,
    )

    def add_projection(total, key):
      signs = jax.random.rademacher(key, actions.shape, actions.dtype)
      (derivative,) = pull_back(signs)
      return jax.tree.map(lambda t, d: t + d**2, total, derivative), None

    zeros = jax.tree.map(jnp.zeros_like, policy.params)
    total, _ = jax.lax.scan(
      add_projection, zeros, jax.random.split(key, projections)
    )
    count = projections * actions.size
    return jax.tree.map(lambda t: jnp.sqrt(t / count), total)

  def sample(
    self, environment: TradingEnvironment, ring: replay.ReplayState, key
  ) -> Transition:
    """A batch to learn from, with orders of other stocks."""
    return counterfactuals.sample(
      environment, ring, key, self.batch_size, self.counterfactuals
    )

  def acts(
    self,
    state: Any,
    market: Market,
    days: Array,
    key: PRNGKey | None = None,
  ) -> Acts:
    """Acts on days [M], noisy where a key is given."""
    if not self.spec.observes_account:
      observations = experience.observations_of(self.spec.action, days)
      return self.agent.act(state, market, observations, key)
    encoded = self._apply(self._parts.encoder, state, market, days)
    plans = self._plans(state, encoded)
    return plans if key is None else self._explored(state, plans, days, key)

  def order_values(
    self,
    state: Any,
    environment: TradingEnvironment,
    market: Market,
    days: Array,
  ) -> Array:
    """What the critics expect of buying each stock alone, and no other.

    Of the largest order with the widest target, less what they expect of
    buying nothing; where the account is seen, it holds nothing yet.

    Args:
      state: of the agent.
      environment: that the agent is for.
      market: what it sees.
      days: int32 [S].

    Returns:
      float32 [S, N], in units of the reward.
    """
    spec = self.spec.action
    lowest, highest = jnp.asarray(spec.minimum), jnp.asarray(spec.maximum)
    stocks = jnp.arange(spec.shape[0])
    idle = jnp.broadcast_to(lowest, (1 + len(stocks), *spec.shape))
    actions = idle.at[1 + stocks, stocks].set(highest)
    _, account = experience.first_observation(environment)
    value = self.agent.value
    assert value is not None, 'an algorithm with critics'

    def of_days(days):
      seen = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (len(days), *x.shape)), account
      )
      values = value(
        state,
        market,
        experience.observations_of(spec, days, seen),
        jnp.broadcast_to(actions, (len(days), *actions.shape)),
      )
      return values[:, 1:] - values[:, :1]

    return parallel.in_chunks(of_days, days, self.chunk)

  def acts_and_attention(
    self, state: Any, market: Market, days: Array
  ) -> tuple[Acts, Array]:
    """Acts on days [M] without noise, and attention [M, C]."""
    if not self.spec.observes_account:
      return self._apply(
        self.actor.apply, state, market, days, return_attention=True
      )
    encoded = self._apply(
      self._parts.encoder, state, market, days, return_attention=True
    )
    plans = self._plans(state, encoded._replace(attention=None))
    return plans, encoded.attention

  def _explored(self, state: Any, acts: Acts, days: Array, key) -> Acts:
    """What was done on days [M] without noise, with it."""
    shape = (days.shape[0], *self.spec.action.shape)
    noise = self.agent.noise(state) * jax.random.normal(key, shape, float)
    if isinstance(acts, Plans):
      encoded, _ = acts.encoded
      return dataclasses.replace(acts, encoded=(encoded, noise))
    return self.spec.action.perturbed(jnp.asarray(acts), noise)

  @property
  def _parts(self) -> Divided:
    return cast(Divided, self.actor.apply)

  def _apply(self, function, state, market, days, **options):
    """What `function` of the actor gives for the windows of days [M]."""

    def apply(days):
      outputs, _ = function(
        *self.agent.policy(state),
        None,
        market.windows(days),
        is_training=False,
        **options,
      )
      return outputs

    return parallel.in_chunks(apply, days, self.chunk)

  def _plans(self, state, encoded) -> Plans:
    decide = _Decide(self._parts.head, self.spec.action)
    parameters = tuple(self.agent.policy(state))
    return Plans(decide, parameters, (encoded, None))


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

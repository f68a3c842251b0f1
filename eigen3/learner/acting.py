"""How agents observe the market, act, and sample the replay."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import parallel, sizes
from eigen3.agent import Agent, Policy, make_agent, replay
from eigen3.environment import Market, TradingEnvironment, rollout
from eigen3.environment.rollout import Actions, EncodedPolicy
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
  """A learning algorithm that plays episodes and samples the replay.

  Attributes:
    agent: the algorithm, bound to networks.
    actor: the acting network; its `apply` must be `Divided` if the account is
      observed.
    spec: the common spec of all environments to play in.
    chunk: number of days that are acted on at once; 0 means all.
    batch_size: number of transitions in an update.
    stored_steps: number of an episode's steps that the replay stores.
    counterfactuals: number of counterfactual orders that are added to each
      transition of a batch.
    keeps_states: whether the replay stores environment states, from which
      counterfactual orders are simulated.
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
      environment: gives the spec and the rules.
      config: has `agent` and `learner`.

    Raises:
      ValueError: if a setting is out of range or does not fit another.
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
    """Initialises an agent for the observations of `environment`."""
    first, _ = experience.first_observation(environment)
    return self.agent.init(key, market, first)

  def empty_replay(
    self, environment: TradingEnvironment, capacity: int
  ) -> replay.ReplayState:
    """Makes an empty replay for `capacity` transitions."""
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
    """Plays one episode per key; the key draws the episode's first day.

    Returns:
      The transitions to store, and the episodes.
    """
    _, first = jax.vmap(environment.reset)(keys)
    episodes = rollout.rollout(
      environment,
      policy,
      first.observation,
      self.stored_steps,
      self.keeps_states,
    )
    return experience.transitions_of(episodes, self.stored_steps), episodes

  def play_both(
    self,
    environment: TradingEnvironment,
    state: Any,
    market: Market,
    first_days: Array,
    explored: np.ndarray,
    key: PRNGKey,
  ) -> tuple[rollout.Episodes, Transition]:
    """Plays an episode from each of E days, and some of them with noise, too.

    The networks encode the market once, for the episodes with and without
    noise. Whatever noise `Agent.act` would add, the noise here is normal, with
    the standard deviation `Agent.noise`.

    Args:
      environment: the environment to play in.
      state: the agent's state.
      market: the market that the agent observes.
      first_days: int32 [E], the first days of the episodes.
      explored: int [M], the indices in `first_days` of the episodes that are
        also played with noise.
      key: consumed by exploration.

    Returns:
      The episodes without noise, and the transitions of those with noise.
    """

    def greedy(days):
      actions = self.actions(state, market, days)
      return actions, actions

    episodes, actions = rollout.rollout_with_extras(
      environment, greedy, first_days, self.stored_steps
    )
    steps = np.arange(self.stored_steps)
    places = explored[:, None] * self.stored_steps + steps
    chosen = rollout.on_days(actions, jnp.asarray(places.reshape(-1)))
    noisy = rollout.rollout(
      environment,
      lambda days: self._explored(state, chosen, days, key),
      first_days[explored],
      self.stored_steps,
      self.keeps_states,
    )
    return episodes, experience.transitions_of(noisy, self.stored_steps)

  def unit_actions(
    self, policy: Policy, market: Market, observations: AnyObservation
  ) -> Array:
    """Returns actions for observations [B], without noise, in unit space."""
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
    """Estimates how much a policy's actions depend on each of its parameters.

    Random projections of the actions give an unbiased estimate of the sum of
    squared derivatives, with one backward pass for each projection instead of
    one for each entry of the actions (Hutchinson 1990,
    https://doi.org/10.1080/03610919008812866).

    Args:
      policy: the policy to differentiate.
      market: the market that the policy observes.
      observations: [B], the observations to average over.
      key: consumed.
      projections: number of projections; more give a smaller error.

    Returns:
      Leaves like the parameters: root mean squares, over observations and
      entries of actions, of the derivatives of actions in unit space.
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
    """Draws a batch to learn from, with counterfactual orders."""
    return counterfactuals.sample(
      environment, ring, key, self.batch_size, self.counterfactuals
    )

  def actions(
    self,
    state: Any,
    market: Market,
    days: Array,
    key: PRNGKey | None = None,
  ) -> Actions:
    """Acts on days [M], with noise if a key is given.

    Returns actions [M, N, 2] in the environment's units, or an `EncodedPolicy`
    if the account is observed.
    """
    if not self.spec.observes_account:
      observations = experience.observations_of(self.spec.action, days)
      return self.agent.act(state, market, observations, key)
    encoded = self._apply(self._parts.encoder, state, market, days)
    policy = self._encoded_policy(state, encoded)
    return policy if key is None else self._explored(state, policy, days, key)

  def order_values(
    self,
    state: Any,
    environment: TradingEnvironment,
    market: Market,
    days: Array,
  ) -> Array:
    """Returns the value of buying each stock alone, averaged over the critics.

    This is the value of an order with the highest coefficient and sale target
    that the spec allows, less the value of buying nothing. An agent that
    observes its account is shown the account at the start of an episode, with
    cash only.

    Args:
      state: the agent's state.
      environment: the environment that the agent trades in.
      market: the market that the agent observes.
      days: int32 [S], the days of the orders.

    Returns:
      float32 [S, N], in the reward's unit.
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

  def actions_and_attention(
    self, state: Any, market: Market, days: Array
  ) -> tuple[Actions, Array]:
    """Returns `actions` without noise, and attention to columns [M, C]."""
    if not self.spec.observes_account:
      return self._apply(
        self.actor.apply, state, market, days, return_attention=True
      )
    encoded = self._apply(
      self._parts.encoder, state, market, days, return_attention=True
    )
    policy = self._encoded_policy(state, encoded._replace(attention=None))
    return policy, encoded.attention

  def attention(self, state: Any, market: Market, days: Array) -> Array:
    """Returns each column's share of attention [C], averaged over days [M]."""
    return self.actions_and_attention(state, market, days)[1].mean(0)

  def _explored(
    self, state: Any, actions: Actions, days: Array, key
  ) -> Actions:
    """Adds noise to the actions, or the `EncodedPolicy`, of days [M]."""
    shape = (days.shape[0], *self.spec.action.shape)
    noise = self.agent.noise(state) * jax.random.normal(key, shape, float)
    if isinstance(actions, EncodedPolicy):
      encoded, _ = actions.encoded
      return dataclasses.replace(actions, encoded=(encoded, noise))
    return self.spec.action.perturbed(jnp.asarray(actions), noise)

  @property
  def _parts(self) -> Divided:
    return cast(Divided, self.actor.apply)

  def _apply(self, function, state, market, days, **options):
    """Applies a function of the actor to the windows of days [M]."""

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

  def _encoded_policy(self, state, encoded) -> EncodedPolicy:
    decide = _Decide(self._parts.head, self.spec.action)
    parameters = tuple(self.agent.policy(state))
    return EncodedPolicy(decide, parameters, (encoded, None))


@dataclasses.dataclass(frozen=True)
class _Decide:
  """Computes actions with an actor's head; a `rollout.Decide`.

  `__call__` gets a pair of an encoding and either None or noise in unit space,
  which is added to the actions.
  """

  head: Callable
  spec: ActionSpec

  def __call__(self, parameters, encoded_and_noise, account) -> Array:
    encoded, noise = encoded_and_noise
    actions, _ = self.head(*parameters, None, encoded, account)
    if noise is None:
      return actions
    return self.spec.perturbed(actions, noise)


def random_actions(spec: ActionSpec, key: PRNGKey, count: int) -> Array:
  """Draws actions [count, N, 2] uniformly between a scaled spec's bounds."""
  unit = jax.random.uniform(key, (count, *spec.shape), minval=-1.0)
  return spec.from_unit(unit)

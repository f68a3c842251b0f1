"""Soft actor-critic: an algorithm of one's own, with nothing in the package.

Haarnoja et al. 2018, https://arxiv.org/abs/1812.05905. Differences from the
paper: network state is carried beside the parameters, and gradients can be
clipped and accumulated over micro-batches, as for TD3. Of the settings in the
section `agent`, those of TD3's delay and noise are not used.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from eigen3 import agent as agents
from eigen3 import parallel, settings
from eigen3.agent import losses, td3
from eigen3.agent.network import (
  Network,
  accumulated,
  followed,
  fresh,
  offspring_of,
  optimiser_of,
  policy_of,
  stepped,
)
from eigen3.agent.protocol import (
  Agent,
  Constrain,
  Genes,
  Metrics,
  Observe,
  Policy,
)
from eigen3.types import ActionSpec, Array, PRNGKey, Transition


class TrainingState(NamedTuple):
  """All that learning carries from one update to the next.

  Attributes:
    actor: the policy; its target half is not used.
    critic: the K critics, one tree of parameters.
    log_temperature: float32 [], log of what a nat of entropy is worth.
    temperature_opt_state: of its optimiser.
    noise_scale: float32 [], deviation of exploration in unit space, about and
      on average over the last batch.
    steps: int32 [], updates done.
    key: consumed by the next update.
  """

  actor: Network
  critic: Network
  log_temperature: Array
  temperature_opt_state: optax.OptState
  noise_scale: Array
  steps: Array
  key: PRNGKey


class Draw(NamedTuple):
  """Actions that a policy drew.

  Attributes:
    unit: [B, ...], in unit space.
    log_prob: [B], of their densities.
    deviation: [], mean of their deviations in unit space, about.
  """

  unit: Array
  log_prob: Array
  deviation: Array


def squashed_log_prob(raw: Array, mean: Array, log_deviation: Array) -> Array:
  """Log density of `tanh(raw)`, where `raw` is Gaussian.

  Args:
    raw: the action before it is squashed, any shape.
    mean: of `raw`, same shape.
    log_deviation: of `raw`, same shape.

  Returns:
    The log density of the whole action in unit space, [].
  """
  chex.assert_equal_shape([raw, mean, log_deviation])
  distance = (raw - mean) * jnp.exp(-log_deviation)
  gaussian = -0.5 * (distance**2 + jnp.log(2 * jnp.pi)) - log_deviation
  # log(1 - tanh(raw)^2), which would lose all digits where tanh is near 1.
  log_slope = 2 * (jnp.log(2.0) - raw - jax.nn.softplus(-2 * raw))
  return jnp.sum(gaussian - log_slope)


def soft_critic_loss(
  q_tm1: Array,
  r_t: Array,
  discount_t: Array,
  q_t: Array,
  log_prob_t: Array,
  temperature: Array,
) -> Array:
  """Squared error of every critic against the lowest soft target.

  Args:
    q_tm1: values of the taken action by the online critics, [K].
    r_t: reward, [].
    discount_t: discount, [], 0 at a termination.
    q_t: values of the next action by the target critics, [K].
    log_prob_t: of the next action, [].
    temperature: [].

  Returns:
    The sum over critics of half the squared temporal difference, [].
  """
  chex.assert_rank([q_t, log_prob_t, temperature], [1, 0, 0])
  soft_q_t = q_t - temperature * log_prob_t
  return losses.twin_critic_loss(q_tm1, r_t, discount_t, soft_q_t)


def soft_policy_loss(log_prob: Array, q: Array, temperature: Array) -> Array:
  """What the policy descends: worth less as entropy and value rise.

  Args:
    log_prob: of an action that the policy drew, [].
    q: its values by the critics, [K].
    temperature: [].

  Returns:
    The loss, [].
  """
  chex.assert_rank([log_prob, q, temperature], [0, 1, 0])
  return temperature * log_prob - jnp.min(q)


def temperature_loss(
  log_temperature: Array, log_prob: Array, target_entropy: float
) -> Array:
  """A loss that raises the temperature while the entropy is below its target.

  Args:
    log_temperature: [].
    log_prob: of an action that the policy drew, [].
    target_entropy: in nats.

  Returns:
    The loss, [].
  """
  chex.assert_rank([log_temperature, log_prob], 0)
  lacking = jax.lax.stop_gradient(log_prob + target_entropy)
  return -jnp.exp(log_temperature) * lacking


def make_agent(
  actor: hk.TransformedWithState,
  double_critic: hk.TransformedWithState,
  observe: Observe,
  action_spec: ActionSpec,
  config: ml_collections.ConfigDict,
  constrain: Constrain,
) -> Agent:
  """SAC as learners take it.

  Args:
    actor: its output is `((mean, log deviation), anything)`, each [B, ...], of
      the action in unit space before it is squashed.
    double_critic: as of `eigen3.agent.make_td3`.
    observe: as above.
    action_spec: the box of actions; scaled.
    config: the `agent` section.
    constrain: as above.

  Raises:
    ValueError: a setting is out of range.
  """
  td3.check_settings(config)
  settings.require(
    action_spec.scaled, 'action_spec', 'a raw one', 'a scaled one, with bounds'
  )
  sac = _SAC(actor, double_critic, observe, action_spec, config, constrain)
  return Agent(
    init=sac.init,
    act=sac.act,
    update=sac.update,
    policy=lambda state: policy_of(state.actor),
    with_policy=_with_policy,
    noise=lambda state: state.noise_scale,
    num_updates=lambda state: state.steps,
    trained=_trained,
    report=_report,
    reported=('updates', *_REPORTED),
    genes=_genes,
    offspring=_offspring,
  )


agents.register('sac', make_agent)


class _SAC:
  """SAC's pure functions; the fields are read, never set, after creation."""

  def __init__(self, actor, critic, observe, action_spec, config, constrain):
    self._actor = actor
    self._critic = critic
    self._observe = observe
    self._spec = action_spec
    self._config = config
    self._constrain = constrain
    self._optimiser = optimiser_of(config)
    self._temperature_optimiser = optax.adam(config.actor_learning_rate)
    self._target_entropy = -float(np.prod(action_spec.shape))

  def init(self, key: PRNGKey, context, observations) -> TrainingState:
    """Fresh networks for inputs like `observe(context, observations)`."""
    key, key_actor, key_critic = jax.random.split(key, 3)
    x = self._observe(context, observations)
    actor = self._actor.init(key_actor, x, is_training=False)
    ((mean, _), _), _ = self._actor.apply(*actor, None, x, is_training=False)
    critic = self._critic.init(key_critic, x, mean, is_training=False)
    log_temperature = jnp.float32(0)
    return TrainingState(
      actor=fresh(*actor, self._optimiser),
      critic=fresh(*critic, self._optimiser),
      log_temperature=log_temperature,
      temperature_opt_state=self._temperature_optimiser.init(log_temperature),
      noise_scale=jnp.float32(1),
      steps=jnp.int32(0),
      key=key,
    )

  def act(self, state: TrainingState, context, observations, key=None) -> Array:
    """The middle of the distribution, or a draw where a key is given."""

    def distribution(observations):
      (distribution, _), _ = self._actor.apply(
        state.actor.online_params,
        state.actor.online_state,
        None,
        self._observe(context, observations),
        is_training=False,
      )
      return distribution

    raw, log_deviation = parallel.in_chunks(
      distribution, observations, self._config.acting_chunk
    )
    if key is not None:
      noise = jax.random.normal(key, raw.shape, raw.dtype)
      raw += jnp.exp(log_deviation) * noise
    return self._spec.from_unit(jnp.tanh(raw))

  def update(
    self, state: TrainingState, batch: Transition, context
  ) -> tuple[TrainingState, Metrics]:
    """One update of critics, actor, temperature and targets, in this order."""
    key, key_critic, key_actor = jax.random.split(state.key, 3)
    config = self._config
    critic, critic_loss, q, critic_norm = self._descend(
      state.critic,
      functools.partial(self._critic_loss, state, context),
      config.critic_learning_rate,
      batch,
      key_critic,
    )
    state = state._replace(critic=critic)
    actor, actor_loss, (log_prob, noise_scale), actor_norm = self._descend(
      state.actor,
      functools.partial(self._actor_loss, state, context),
      config.actor_learning_rate,
      batch,
      key_actor,
    )
    # The loss is linear in the log density: the batch's mean will do.
    gradient = jax.grad(temperature_loss)(
      state.log_temperature, log_prob, self._target_entropy
    )
    change, temperature_opt_state = self._temperature_optimiser.update(
      gradient, state.temperature_opt_state
    )
    metrics = {
      'critic_loss': critic_loss,
      'critic_gradient_norm': critic_norm,
      'q': q,
      'actor_loss': actor_loss,
      'actor_gradient_norm': actor_norm,
      'entropy': -log_prob,
      'temperature': jnp.exp(state.log_temperature),
    }
    state = state._replace(
      actor=actor,
      critic=followed(critic, config.tau),
      log_temperature=state.log_temperature + change,
      temperature_opt_state=temperature_opt_state,
      noise_scale=noise_scale.astype(jnp.float32),
      steps=state.steps + 1,
      key=key,
    )
    return state, metrics

  def _descend(self, network: Network, loss, learning_rate, batch, key):
    """One optimiser step; the network, and value, auxiliary, gradient norm."""
    gradient = accumulated(
      jax.value_and_grad(loss, has_aux=True), self._config.accumulation_steps
    )
    (value, (online_state, extra)), gradients = gradient(
      network.online_params, network.online_state, batch, key
    )
    network = stepped(
      network,
      gradients,
      online_state,
      self._optimiser,
      jnp.float32(learning_rate),
    )
    return network, value, extra, optax.tree.norm(gradients)

  def _critic_loss(self, state, context, params, network_state, batch, key):
    """Mean loss of the critics; aux is (network state, mean value)."""
    key_action, key_dropout = jax.random.split(key)
    q_tm1, network_state = self._critic.apply(
      params,
      network_state,
      key_dropout,
      self._observe(context, batch.s_tm1),
      self._constrain(batch.s_tm1, self._spec.to_unit(batch.a_tm1)),
      is_training=True,
    )
    x = self._observe(context, batch.s_t)
    draw, _ = self._drawn(policy_of(state.actor), x, key_action, False)
    q_t, _ = self._critic.apply(
      state.critic.target_params,
      state.critic.target_state,
      None,
      x,
      self._constrain(batch.s_t, draw.unit),
      is_training=False,
    )
    of_state = soft_critic_loss
    if batch.r_t.ndim == 2:  # Several actions of a state, and one future.
      of_state = jax.vmap(of_state, in_axes=(0, 0, None, None, None, None))
    loss = jax.vmap(of_state, in_axes=(0, 0, 0, 0, 0, None))(
      q_tm1,
      batch.r_t,
      self._config.gamma * batch.discount_t,
      q_t,
      draw.log_prob,
      jnp.exp(state.log_temperature),
    )
    taken = q_tm1 if q_tm1.ndim == 2 else q_tm1[:, 0]
    return jnp.mean(loss), (network_state, jnp.mean(taken))

  def _actor_loss(self, state, context, params, network_state, batch, key):
    """Mean policy loss; aux is (network state, (log density, deviation))."""
    x = self._observe(context, batch.s_tm1)
    draw, network_state = self._drawn(
      Policy(params, network_state), x, key, True
    )
    q, _ = self._critic.apply(
      state.critic.online_params,
      state.critic.online_state,
      None,
      x,
      self._constrain(batch.s_tm1, draw.unit),
      is_training=False,
    )
    loss = jax.vmap(soft_policy_loss, in_axes=(0, 0, None))(
      draw.log_prob, q, jnp.exp(state.log_temperature)
    )
    told = jnp.mean(draw.log_prob), draw.deviation
    return jnp.mean(loss), (network_state, told)

  def _drawn(
    self, policy: Policy, x, key: PRNGKey, is_training: bool
  ) -> tuple[Draw, hk.State]:
    """One action of each example, and the network's state."""
    key_noise, key_dropout = jax.random.split(key)
    ((mean, log_deviation), _), network_state = self._actor.apply(
      policy.params, policy.state, key_dropout, x, is_training=is_training
    )
    deviation = jnp.exp(log_deviation)
    noise = jax.random.normal(key_noise, mean.shape, mean.dtype)
    raw = mean + deviation * noise
    draw = Draw(
      unit=jnp.tanh(raw),
      log_prob=jax.vmap(squashed_log_prob)(raw, mean, log_deviation),
      deviation=jnp.mean(deviation * (1 - jnp.tanh(mean) ** 2)),
    )
    return draw, network_state


# In the order of a log, cause before effect.
_REPORTED = (
  'critic_loss',
  'critic_gradient_norm',
  'q',
  'actor_loss',
  'actor_gradient_norm',
  'entropy',
  'temperature',
)


def _report(
  state: TrainingState, metrics: Mapping[str, Any]
) -> dict[str, float]:
  means = {name: float(np.mean(metrics[name])) for name in _REPORTED}
  return {'updates': int(np.max(state.steps)), **means}


def _with_policy(state: TrainingState, policy: Policy) -> TrainingState:
  actor = state.actor._replace(
    online_params=policy.params, online_state=policy.state
  )
  return state._replace(actor=actor)


def _trained(state: TrainingState) -> dict[str, Any]:
  return {
    'actor': policy_of(state.actor),
    'critic': policy_of(state.critic),
    'log_temperature': state.log_temperature,
  }


def _genes(state: TrainingState) -> Genes:
  return Genes(
    {'actor': state.actor.online_params, 'critic': state.critic.online_params},
    {},
  )


def _offspring(
  parents: TrainingState,
  genes: Genes,
  whole: Mapping[str, Array],
  keys: PRNGKey,
) -> TrainingState:
  networks = {
    name: offspring_of(
      getattr(parents, name), genes.parameters[name], whole[name]
    )
    for name in ('actor', 'critic')
  }
  return parents._replace(
    **networks,
    key=keys,
  )

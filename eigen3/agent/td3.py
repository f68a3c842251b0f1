"""Twin delayed deep deterministic policy gradients, and DDPG as its preset.

Fujimoto et al. 2018, https://arxiv.org/abs/1802.09477. Differences from the
paper: network state (batch norm) is carried beside the parameters, the actor's
loss may run in training mode, actions are explored in the unit space of an
`ActionSpec`, and gradients can be clipped and accumulated over micro-batches.
With one critic, no policy delay and no target noise this is DDPG (Lillicrap et
al. 2016, https://arxiv.org/abs/1509.02971).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import optax

from eigen3 import parallel, settings
from eigen3.agent import losses
from eigen3.types import ActionSpec, Array, PRNGKey, Transition

# Turns an observation into what networks take: (context, s [B]) -> input [B].
Observe = Callable[[Any, Any], Any]
# What an environment makes of an action: (s [B], unit actions [B]) -> the same.
Constrain = Callable[[Any, Array], Array]
Metrics = dict[str, Array]


class Network(NamedTuple):
  """One network's online and target halves and its optimiser.

  Attributes:
    online_params: what the loss trains.
    online_state: batch-norm statistics of the online network.
    target_params: slow copy that bootstraps.
    target_state: copy of `online_state`, as of the last soft update.
    opt_state: of the optimiser.
  """

  online_params: hk.Params
  online_state: hk.State
  target_params: hk.Params
  target_state: hk.State
  opt_state: optax.OptState


class Hyperparameters(NamedTuple):
  """Settings that each agent of a population may have its own of.

  Attributes:
    actor_learning_rate: float [].
    critic_learning_rate: float [].
  """

  actor_learning_rate: Array
  critic_learning_rate: Array


class TrainingState(NamedTuple):
  """All that learning carries from one update to the next.

  Attributes:
    actor: the policy.
    critic: the K critics, one tree of parameters.
    hyperparameters: as the config has them, where nothing changed them.
    noise_scale: float32 [], deviation of exploration noise in unit space.
    steps: int32 [], updates done.
    key: consumed by the next update.
  """

  actor: Network
  critic: Network
  hyperparameters: Hyperparameters
  noise_scale: Array
  steps: Array
  key: PRNGKey


def make_td3(
  actor: hk.TransformedWithState,
  double_critic: hk.TransformedWithState,
  observe: Observe,
  action_spec: ActionSpec,
  config: ml_collections.ConfigDict,
  constrain: Constrain = lambda observations, unit_actions: unit_actions,
):
  """Binds TD3 to networks, without looking into them.

  Args:
    actor: `apply(params, state, key, x, is_training=...)` gives
      `((actions [B, ...], anything), state)`, actions in the environment's
      units.
    double_critic: `apply(params, state, key, x, unit_actions,
      is_training=...)` gives `(q [B, K], state)`.
    observe: turns `(context, observations)` into the networks' input x.
    action_spec: the box of actions and its unit space.
    config: the `agent` section.
    constrain: an environment that ignores parts of an action, known from the
      observation, has them set to what it treats them as; critics see actions
      after it. The policy's gradient leaves out what is ignored.

  Returns:
    init: `(key, context, observations) -> TrainingState`.
    select_action: `(state, context, observations, key=None) -> actions
      [B, ...]` in the environment's units; noisy where a key is given.
    update: `(state, batch, context) -> (state, metrics)`, one critic update
      and, every `policy_delay`, one of the actor and of all targets. A batch
      may have several actions [B, M, ...] and rewards [B, M] of each state,
      what was done first: critics are then asked for q [B, M, K]. Who makes it
      vouches that all of a state's actions have the same future.

  Raises:
    ValueError: a setting is out of range.
  """
  check_settings(config)
  if config.invert_gradients and not action_spec.scaled:
    raise ValueError(
      'agent.invert_gradients: found True, expected False with raw actions, '
      'which have no bounds to come back from'
    )
  learner = _Learner(
    actor, double_critic, observe, action_spec, config, constrain
  )
  return learner.init, learner.select_action, learner.update


class _Learner:
  """TD3's pure functions; the fields are read, never set, after creation."""

  def __init__(self, actor, critic, observe, action_spec, config, constrain):
    self._actor = actor
    self._critic = critic
    self._observe = observe
    self._constrain = constrain
    self._spec = action_spec
    self._config = config
    self._optimiser = _optimiser(config)

  def init(self, key: PRNGKey, context, observations) -> TrainingState:
    """Fresh networks for inputs like `observe(context, observations)`."""
    key, key_actor, key_critic = jax.random.split(key, 3)
    x = self._observe(context, observations)
    params, state = self._actor.init(key_actor, x, is_training=False)
    actor = _fresh(params, state, self._optimiser)
    (actions, _), _ = self._actor.apply(
      params, state, None, x, is_training=False
    )
    params, state = self._critic.init(
      key_critic, x, self._spec.to_unit(actions), is_training=False
    )
    return TrainingState(
      actor=actor,
      critic=_fresh(params, state, self._optimiser),
      hyperparameters=Hyperparameters(
        jnp.asarray(self._config.actor_learning_rate, float),
        jnp.asarray(self._config.critic_learning_rate, float),
      ),
      noise_scale=jnp.float32(self._config.exploration_noise),
      steps=jnp.int32(0),
      key=key,
    )

  def select_action(
    self, state: TrainingState, context, observations, key=None
  ) -> Array:
    """The online policy in evaluation mode, noisy where a key is given."""
    actor = state.actor

    def act(observations):
      (actions, _), _ = self._actor.apply(
        actor.online_params,
        actor.online_state,
        None,
        self._observe(context, observations),
        is_training=False,
      )
      return actions

    actions = parallel.in_chunks(act, observations, self._config.acting_chunk)
    if key is None:
      return actions
    noise = state.noise_scale * jax.random.normal(key, actions.shape, float)
    return self._spec.perturbed(actions, noise)

  def update(
    self, state: TrainingState, batch: Transition, context
  ) -> tuple[TrainingState, Metrics]:
    """One update from a batch [B, ...]; see `make_td3`."""
    key, key_critic, key_actor = jax.random.split(state.key, 3)
    state, critic_metrics = self._update_critic(
      state, batch, context, key_critic
    )
    due = (state.steps + 1) % self._config.policy_delay == 0
    # A switch whose first branch passes through: a cond would make XLA copy
    # the whole carry of the surrounding scan (jax issue 38145).
    state, actor_metrics = jax.lax.switch(
      due.astype(jnp.int32),
      [
        lambda s: (s, _empty_actor_metrics()),
        lambda s: self._update_actor(s, batch, context, key_actor),
      ],
      state,
    )
    noise_scale = jnp.maximum(
      state.noise_scale * self._config.exploration_noise_decay,
      self._config.exploration_noise_min,
    )
    state = state._replace(
      noise_scale=noise_scale, steps=state.steps + 1, key=key
    )
    return state, critic_metrics | actor_metrics

  def _update_critic(self, state, batch, context, key):
    def loss(params, network_state, micro_batch, key):
      return self._critic_loss(
        params, network_state, state, micro_batch, context, key
      )

    rate = state.hyperparameters.critic_learning_rate
    critic, value, q, norm = self._descend(state.critic, loss, rate, batch, key)
    metrics = {'critic_loss': value, 'critic_gradient_norm': norm, 'q': q}
    return state._replace(critic=critic), metrics

  def _update_actor(self, state, batch, context, key):
    def loss(params, network_state, micro_batch, key):
      return self._actor_loss(
        params, network_state, state, micro_batch, context, key
      )

    rate = state.hyperparameters.actor_learning_rate
    actor, value, _, norm = self._descend(state.actor, loss, rate, batch, key)
    metrics = {
      # Of the types that an update without the actor gives.
      'actor_loss': value.astype(jnp.float32),
      'actor_gradient_norm': norm.astype(jnp.float32),
      'actor_updates': jnp.float32(1),
    }
    state = state._replace(
      actor=self._soft_update(actor), critic=self._soft_update(state.critic)
    )
    return state, metrics

  def _descend(self, network: Network, loss, learning_rate, batch, key):
    """One optimiser step of a network's online half.

    Returns:
      The network, and of the loss: value, auxiliary and gradient norm, [].
    """
    gradients, online_state, (value, extra) = self._accumulate(
      loss, network.online_params, network.online_state, batch, key
    )
    updates, opt_state = self._optimiser.update(
      gradients, network.opt_state, network.online_params
    )
    updates = jax.tree.map(
      lambda u: (-learning_rate).astype(u.dtype) * u, updates
    )
    network = network._replace(
      online_params=optax.apply_updates(network.online_params, updates),
      online_state=online_state,
      opt_state=opt_state,
    )
    return network, value, extra, optax.tree.norm(gradients)

  def _critic_loss(self, params, network_state, state, batch, context, key):
    """Mean loss of the critics; aux is (network state, mean value)."""
    key_noise, key_dropout = jax.random.split(key)
    q_tm1, network_state = self._critic.apply(
      params,
      network_state,
      key_dropout,
      self._observe(context, batch.s_tm1),
      self._constrain(batch.s_tm1, self._spec.to_unit(batch.a_tm1)),
      is_training=True,
    )
    if self._config.gamma:
      q_t = self._bootstrap(state, batch, context, key_noise)
    else:  # Nothing of the future counts: save the target networks' work.
      q_t = jnp.zeros_like(q_tm1, shape=(len(q_tm1), q_tm1.shape[-1]))
    discount_t = self._config.gamma * batch.discount_t
    of_state = losses.twin_critic_loss
    if batch.r_t.ndim == 2:  # Several actions of a state, and one future.
      of_state = jax.vmap(of_state, in_axes=(0, 0, None, None))
    loss = jax.vmap(of_state)(q_tm1, batch.r_t, discount_t, q_t)
    taken = q_tm1 if q_tm1.ndim == 2 else q_tm1[:, 0]
    return jnp.mean(loss), (network_state, jnp.mean(taken))

  def _bootstrap(self, state, batch, context, key) -> Array:
    """Target critics' values of the smoothed target action, [B, K]."""
    x = self._observe(context, batch.s_t)
    actor, critic = state.actor, state.critic
    (actions, _), _ = self._actor.apply(
      actor.target_params, actor.target_state, None, x, is_training=False
    )
    unit = self._spec.to_unit(actions)
    noise = self._config.target_noise * jax.random.normal(
      key, unit.shape, unit.dtype
    )
    clip = self._config.target_noise_clip
    unit = self._spec.clip_unit(unit + jnp.clip(noise, -clip, clip))
    q_t, _ = self._critic.apply(
      critic.target_params,
      critic.target_state,
      None,
      x,
      self._constrain(batch.s_t, unit),
      is_training=False,
    )
    return jax.lax.stop_gradient(q_t)

  def _actor_loss(self, params, network_state, state, batch, context, key):
    """Mean policy loss; aux is (network state, mean value of critic 0)."""
    x = self._observe(context, batch.s_tm1)
    (actions, _), network_state = self._actor.apply(
      params, network_state, key, x, is_training=True
    )
    unit = self._spec.to_unit(actions)
    critic = state.critic

    def first_value(unit):
      q, _ = self._critic.apply(
        critic.online_params,
        critic.online_state,
        None,
        x,
        self._constrain(batch.s_tm1, unit),
        is_training=False,
      )
      return jnp.sum(q[:, 0]), jnp.mean(q[:, 0])

    dqda, value = jax.grad(first_value, has_aux=True)(
      jax.lax.stop_gradient(unit)
    )
    if self._config.invert_gradients:
      dqda *= losses.room_along(jax.lax.stop_gradient(unit), dqda)
    loss = jax.vmap(losses.policy_loss)(unit, dqda)
    return jnp.mean(loss), (network_state, value)

  def _accumulate(self, loss, params, network_state, batch, key):
    """Mean gradient of `loss` over the micro-batches of a batch.

    Args:
      loss: `(params, network_state, batch, key) -> (value [],
        (network_state, auxiliary []))`.
      params: to differentiate.
      network_state: threaded through the micro-batches.
      batch: [B, ...].
      key: consumed.

    Returns:
      gradients, network state, and the mean (value, auxiliary).
    """
    count = self._config.accumulation_steps
    gradient = jax.value_and_grad(loss, has_aux=True)
    if count == 1:
      (value, (network_state, extra)), gradients = gradient(
        params, network_state, batch, key
      )
      return gradients, network_state, (value, extra)

    def step(carry, inputs):
      total, network_state = carry
      (value, (network_state, extra)), gradients = gradient(
        params, network_state, *inputs
      )
      total = jax.tree.map(lambda t, g: t + g / count, total, gradients)
      return (total, network_state), (value, extra)

    size = jax.tree.leaves(batch)[0].shape[0]
    chex.assert_is_divisible(size, count)
    micro_batches = jax.tree.map(
      lambda x: x.reshape(count, size // count, *x.shape[1:]), batch
    )
    zeros = jax.tree.map(jnp.zeros_like, params)
    (gradients, network_state), extras = jax.lax.scan(
      step,
      (zeros, network_state),
      (micro_batches, jax.random.split(key, count)),
    )
    value, extra = jax.tree.map(jnp.mean, extras)
    return gradients, network_state, (value, extra)

  def _soft_update(self, network: Network) -> Network:
    return network._replace(
      target_params=optax.incremental_update(
        network.online_params, network.target_params, self._config.tau
      ),
      target_state=network.online_state,
    )


def _fresh(params, state, optimiser) -> Network:
  # Copies: an online leaf and its target must not share a donated buffer.
  return Network(
    online_params=params,
    online_state=state,
    target_params=jax.tree.map(jnp.copy, params),
    target_state=jax.tree.map(jnp.copy, state),
    opt_state=optimiser.init(params),
  )


def _empty_actor_metrics() -> Metrics:
  zero = jnp.float32(0)
  return {
    'actor_loss': zero,
    'actor_gradient_norm': zero,
    'actor_updates': zero,
  }


def _optimiser(
  config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """Adam as PyTorch's: clipping, then L2 added to the gradient.

  Its updates are yet to be scaled by the learning rate.
  """
  parts = []
  if config.gradient_clip:
    parts.append(optax.clip_by_global_norm(config.gradient_clip))
  if config.weight_decay:
    parts.append(optax.add_decayed_weights(config.weight_decay))
  # Flat: one long vector costs far less to compile and to step through than
  # a hundred small arrays.
  return optax.flatten(optax.chain(*parts, optax.scale_by_adam()))


_EXPECTED = {
  'gamma': settings.SHARE,
  'tau': settings.number(lambda x: 0 < x <= 1, 'above 0 and at most 1'),
  'invert_gradients': settings.SWITCH,
  'accumulation_steps': settings.AT_LEAST_ONE,
  'policy_delay': settings.AT_LEAST_ONE,
  'batch_size': settings.AT_LEAST_ONE,
  'acting_chunk': settings.COUNT,
  'actor_learning_rate': settings.NOT_NEGATIVE,
  'critic_learning_rate': settings.NOT_NEGATIVE,
  'exploration_noise': settings.NOT_NEGATIVE,
  'exploration_noise_decay': settings.SHARE,
  'exploration_noise_min': settings.NOT_NEGATIVE,
  'gradient_clip': settings.NOT_NEGATIVE,
  'target_noise': settings.NOT_NEGATIVE,
  'target_noise_clip': settings.NOT_NEGATIVE,
  'weight_decay': settings.NOT_NEGATIVE,
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Refuses a section `agent` that nobody can learn by; a ValueError."""
  settings.check('agent', config, _EXPECTED)
  settings.require(
    config.batch_size % config.accumulation_steps == 0,
    'agent.batch_size',
    config.batch_size,
    f'a multiple of agent.accumulation_steps, {config.accumulation_steps}',
  )

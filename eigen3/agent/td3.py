"""Twin delayed deep deterministic policy gradients; DDPG is a special case.

Fujimoto et al. 2018, https://arxiv.org/abs/1802.09477. Main differences from
the paper: network state (batch norm) is carried along with the parameters, the
actor's loss runs in training mode, noise is added in the unit space of an
`ActionSpec`, the critic's gradient with respect to an action can be rescaled
so that actions do not get stuck at a bound (see `losses.room_along`), actions
far from the middle of their box can be penalised, and gradients can be clipped
and accumulated over micro-batches.
With one critic, no policy delay and no target noise this is DDPG (Lillicrap et
al. 2016, https://arxiv.org/abs/1509.02971).
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from eigen3 import parallel, settings, sizes
from eigen3.agent import losses
from eigen3.agent.actor_critic import ActorCritic
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
  ACTING,
  Agent,
  Constrain,
  Genes,
  Metrics,
  Observe,
  Policy,
)
from eigen3.networks import Shared
from eigen3.types import ActionSpec, Array, PRNGKey, Transition


class Hyperparameters(NamedTuple):
  """Settings that may differ between the agents of a population.

  Attributes:
    actor_learning_rate: float [].
    critic_learning_rate: float [].
    exploration: float32 [], factor of the exploration noise; None means 1.
    discount_rate: float32 [], 1 minus the discount; None means 1 - `gamma`.
    smoothing: float32 [], standard deviation of noise on the target action;
      None means `target_noise`.
  """

  actor_learning_rate: Array
  critic_learning_rate: Array
  # None is not a leaf, so older checkpoints without these fields stay readable.
  exploration: Array | None = None
  discount_rate: Array | None = None
  smoothing: Array | None = None


class TrainingState(NamedTuple):
  """State carried from one update to the next.

  Attributes:
    actor: the policy, without the extractor if that is shared.
    critic: the K critics as one network, with the extractor if it is shared.
    hyperparameters: those in the config, unless evolution changed them.
    noise_scale: float32 [], standard deviation of exploration noise in unit
      space, without the factor `Hyperparameters.exploration`.
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
  shared: Shared | None = None,
):
  """Builds TD3 for given networks of any structure.

  Args:
    actor: `apply(params, state, key, x, is_training=...)` returns
      `((actions [B, ...], unused), state)`, actions in the environment's units.
    double_critic: `apply(params, state, key, x, unit_actions,
      is_training=...)` returns `(q [B, K], state)`.
    observe: maps `(context, observations)` to the networks' input x; the
      context is the market, see `protocol.Observe`.
    action_spec: the box of actions and its unit space.
    config: the `agent` section.
    constrain: sets the parts of an action that the environment ignores, given
      the observation, to constants. Critics see constrained actions, so the
      critics' gradient with respect to ignored parts is 0.
    shared: the networks' parts if actor and critics share an extractor, else
      None.

  Returns:
    init: `(key, context, observations) -> TrainingState`.
    select_action: `(state, context, observations, key=None) -> actions
      [B, ...]` in the environment's units; with noise if a key is given.
    update: `(state, batch, context) -> (state, metrics)`; updates the critics
      and, every `policy_delay` calls, the actor and all target networks. If a
      batch has M actions for each state, critics must return q [B, M, K].

  Raises:
    ValueError: a setting is invalid, or requires a scaled `action_spec` and the
      given one is raw.
  """
  agent = make_agent(
    actor, double_critic, observe, action_spec, config, constrain, shared
  )
  return agent.init, agent.act, agent.update


def make_agent(
  actor: hk.TransformedWithState,
  double_critic: hk.TransformedWithState,
  observe: Observe,
  action_spec: ActionSpec,
  config: ml_collections.ConfigDict,
  constrain: Constrain,
  shared: Shared | None = None,
) -> Agent:
  """Returns TD3 as an `Agent`; arguments and errors as in `make_td3`.

  If the extractor is shared, only the critics' loss trains it, and the actor's
  loss reads the features that the critics' loss computed in the same update (as
  in DrQ, Kostrikov et al. 2020, https://arxiv.org/abs/2004.13649).
  """
  check_settings(config)
  for field in ('invert_gradients', 'action_penalty'):
    settings.require(
      action_spec.scaled or not config[field],
      f'agent.{field}',
      config[field],
      f'{type(config[field])()}, because environment.scaled_actions is False '
      'and actions have no bounds',
    )
  networks = ActorCritic(actor, double_critic, shared)
  td3 = _TD3(networks, observe, action_spec, config, constrain)
  return Agent(
    init=td3.init,
    act=td3.select_action,
    update=td3.update,
    policy=lambda state: networks.policy(state.actor, state.critic),
    with_policy=functools.partial(_with_policy, networks),
    noise=_noise,
    num_updates=lambda state: state.steps,
    trained=_trained,
    report=_report,
    reported=_REPORTED,
    genes=_genes,
    offspring=_offspring,
    value=td3.value,
    more=_more(config),
  )


class _TD3:
  """Pure functions of TD3; attributes do not change after creation."""

  def __init__(self, networks, observe, action_spec, config, constrain):
    self._networks = networks
    self._actor = networks.actor
    self._critic = networks.critic
    self._observe = observe
    self._constrain = constrain
    self._spec = action_spec
    self._config = config
    self._optimiser = optimiser_of(config)

  def init(self, key: PRNGKey, context, observations) -> TrainingState:
    """Initialises networks for inputs like `observe(context, observations)`."""
    key, key_actor, key_critic = jax.random.split(key, 3)
    x = self._observe(context, observations)
    actor, critic = self._networks.init(key_actor, key_critic, x, self._spec)
    return TrainingState(
      actor=fresh(actor[0], actor[1], self._optimiser),
      critic=fresh(critic[0], critic[1], self._optimiser),
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
    """Returns actions, with exploration noise if a key is given.

    The network runs in evaluation mode.
    """
    policy = self._networks.policy(state.actor, state.critic)

    def act(observations):
      (actions, _), _ = self._networks.whole_actor.apply(
        *policy,
        None,
        self._observe(context, observations),
        is_training=False,
      )
      return actions

    chunk = sizes.of_acting(self._config.acting_chunk)
    actions = parallel.in_chunks(act, observations, chunk)
    if key is None:
      return actions
    noise = _noise(state) * jax.random.normal(key, actions.shape, float)
    return self._spec.perturbed(actions, noise)

  def value(
    self, state: TrainingState, context, observations, actions
  ) -> Array:
    """Returns each action's value, averaged over the online critics, [B, M]."""
    critic = state.critic
    params, network_state = critic.online_params, critic.online_state
    x = self._observe(context, observations)
    encoded, _ = self._networks.encode(params, network_state, None, x, False)
    unit = self._constrain(observations, self._spec.to_unit(actions))
    q, _ = self._critic.apply(
      params, network_state, None, encoded, unit, is_training=False
    )
    return q.mean(-1)

  def update(
    self, state: TrainingState, batch: Transition, context
  ) -> tuple[TrainingState, Metrics]:
    """Performs one update from a batch [B, ...]; see `make_td3`."""
    key, key_critic, key_actor = jax.random.split(state.key, 3)
    critic, loss, (q, encoded), norm = self._descend(
      state.critic,
      functools.partial(self._critic_loss, state, context),
      state.hyperparameters.critic_learning_rate,
      batch,
      key_critic,
    )
    metrics = {'critic_loss': loss, 'critic_gradient_norm': norm, 'q': q}
    state = state._replace(critic=critic)
    due = (state.steps + 1) % self._config.policy_delay == 0

    def update_actor(state):
      actor, loss, _, norm = self._descend(
        state.actor,
        functools.partial(self._actor_loss, state, context),
        state.hyperparameters.actor_learning_rate,
        (batch, encoded),
        key_actor,
      )
      tau = self._config.tau
      state = state._replace(
        actor=followed(actor, tau), critic=followed(state.critic, tau)
      )
      # The types must be those of an update without the actor.
      of_actor = loss.astype(jnp.float32), norm.astype(jnp.float32)
      return state, (*of_actor, jnp.float32(1))

    zero = jnp.float32(0)
    # A switch whose first branch is the identity: a cond would make XLA copy
    # the whole carry of the surrounding scan (jax issue 38145).
    state, of_actor = jax.lax.switch(
      due.astype(jnp.int32),
      [lambda state: (state, (zero, zero, zero)), update_actor],
      state,
    )
    noise_scale = jnp.maximum(
      state.noise_scale * self._config.exploration_noise_decay,
      self._config.exploration_noise_min,
    )
    state = state._replace(
      noise_scale=noise_scale, steps=state.steps + 1, key=key
    )
    return state, metrics | dict(zip(_OF_ACTOR, of_actor, strict=True))

  def _descend(self, network: Network, loss, learning_rate, batch, key):
    """Performs one optimiser step on a network's online parameters.

    Returns:
      The network, the loss [], the loss's auxiliary output without the network
      state, and the norm [] of the gradient before clipping.
    """
    gradient = accumulated(
      jax.value_and_grad(loss, has_aux=True), self._config.accumulation_steps
    )
    (value, (online_state, extra)), gradients = gradient(
      network.online_params, network.online_state, batch, key
    )
    network = stepped(
      network, gradients, online_state, self._optimiser, learning_rate
    )
    return network, value, extra, optax.tree.norm(gradients)

  def _critic_loss(self, state, context, params, network_state, batch, key):
    """Returns the critics' mean loss and its auxiliary output.

    The latter is (network state, (mean Q value of the executed actions,
    features for the actor)); the features are None unless the extractor is
    shared.
    """
    key_noise, key_dropout = jax.random.split(key)
    x = self._observe(context, batch.s_tm1)
    encoded, network_state, key_dropout = self._networks.encode_for_loss(
      params, network_state, key_dropout, x
    )
    q_tm1, network_state = self._critic.apply(
      params,
      network_state,
      key_dropout,
      encoded,
      self._constrain(batch.s_tm1, self._spec.to_unit(batch.a_tm1)),
      is_training=True,
    )
    if self._config.gamma:
      q_t = self._bootstrap(state, batch, context, key_noise)
    else:  # The discount is 0: target networks are not needed.
      q_t = jnp.zeros_like(q_tm1, shape=(len(q_tm1), q_tm1.shape[-1]))
    discount_t = self._discount(state) * batch.discount_t
    of_state = losses.twin_critic_loss
    if batch.r_t.ndim == 2:  # M actions per state, and 1 or M next states.
      future = 0 if q_t.ndim == 3 else None
      of_state = jax.vmap(of_state, in_axes=(0, 0, future, future))
    loss = jax.vmap(of_state)(q_tm1, batch.r_t, discount_t, q_t)
    taken = q_tm1 if q_tm1.ndim == 2 else q_tm1[:, 0]
    kept = jax.lax.stop_gradient(encoded) if self._networks.are_shared else None
    return jnp.mean(loss), (network_state, (jnp.mean(taken), kept))

  def _discount(self, state: TrainingState) -> Array | float:
    rate = state.hyperparameters.discount_rate
    # Evolution multiplies the rate by factors, which can raise it above 1.
    return self._config.gamma if rate is None else jnp.maximum(1 - rate, 0)

  def _bootstrap(self, state, batch, context, key) -> Array:
    """Returns the target critics' values of the target action plus noise.

    Returns:
      [B, K], or [B, M, K] if each of M actions has its own next account.
    """
    actor, critic = state.actor, state.critic
    encoded, _ = self._networks.encode(
      critic.target_params,
      critic.target_state,
      None,
      self._observe(context, batch.s_t),
      False,
    )
    (actions, _), _ = self._actor.apply(
      actor.target_params, actor.target_state, None, encoded, is_training=False
    )
    unit = self._spec.to_unit(actions)
    own = state.hyperparameters.smoothing
    deviation = self._config.target_noise if own is None else own
    noise = deviation * jax.random.normal(key, unit.shape, unit.dtype)
    clip = self._config.target_noise_clip
    unit = self._spec.clip_unit(unit + jnp.clip(noise, -clip, clip))
    q_t, _ = self._critic.apply(
      critic.target_params,
      critic.target_state,
      None,
      encoded,
      self._constrain(batch.s_t, unit),
      is_training=False,
    )
    return jax.lax.stop_gradient(q_t)

  def _actor_loss(self, state, context, params, network_state, inputs, key):
    """Returns the mean policy loss and (network state, mean Q value)."""
    batch, x = inputs
    if x is None:
      x = self._observe(context, batch.s_tm1)
    (actions, _), network_state = self._actor.apply(
      params, network_state, key, x, is_training=True
    )
    unit = self._spec.to_unit(actions)
    critic = state.critic

    def value_of(unit):
      q, _ = self._critic.apply(
        critic.online_params,
        critic.online_state,
        None,
        x,
        self._constrain(batch.s_tm1, unit),
        is_training=False,
      )
      is_mean = self._config.policy_value == 'mean'
      climbed = q.mean(-1) if is_mean else q[:, 0]
      return jnp.sum(climbed), jnp.mean(climbed)

    taken = jax.lax.stop_gradient(unit)
    dqda, value = jax.grad(value_of, has_aux=True)(taken)
    if self._config.action_penalty:
      dqda -= self._config.action_penalty * taken
    if self._config.invert_gradients:
      dqda *= losses.room_along(taken, dqda)
    loss = jax.vmap(losses.policy_loss)(unit, dqda)
    return jnp.mean(loss), (network_state, value)


_OF_ACTOR = ('actor_loss', 'actor_gradient_norm', 'actor_updates')
# In the order of a log, cause before effect.
_REPORTED = (
  'updates',
  'critic_loss',
  'critic_gradient_norm',
  'q',
  'actor_loss',
  'actor_gradient_norm',
  'noise_scale',
)


def _report(
  state: TrainingState, metrics: Mapping[str, Any]
) -> dict[str, float]:
  """Implements `Agent.report` by averaging metrics over updates and agents.

  The actor's metrics are averaged over the updates that trained the actor, and
  are 0 if there were none.
  """
  actor_updates = max(float(np.sum(metrics['actor_updates'])), 1.0)
  return {
    'updates': int(np.max(state.steps)),
    **{
      name: float(np.mean(metrics[name]))
      for name in ('critic_loss', 'critic_gradient_norm', 'q')
    },
    **{
      name: float(np.sum(metrics[name])) / actor_updates
      for name in ('actor_loss', 'actor_gradient_norm')
    },
    'noise_scale': float(np.mean(state.noise_scale)),
  }


def _with_policy(
  networks: ActorCritic, state: TrainingState, policy: Policy
) -> TrainingState:
  actor, critic = networks.with_policy(state.actor, state.critic, policy)
  return state._replace(actor=actor, critic=critic)


def _trained(state: TrainingState) -> dict[str, Any]:
  return {'actor': policy_of(state.actor), 'critic': policy_of(state.critic)}


def _noise(state: TrainingState) -> Array:
  own = state.hyperparameters.exploration
  return state.noise_scale if own is None else own * state.noise_scale


def _more(config: ml_collections.ConfigDict) -> dict[str, float]:
  """Returns `Agent.more`: hyperparameters above 0 that have an effect."""
  found = {'exploration': 1.0}
  if config.gamma:  # else there is no target action
    found['discount_rate'] = 1.0 - config.gamma
    found['smoothing'] = config.target_noise
  return {name: value for name, value in found.items() if value > 0.0}


def _genes(state: TrainingState) -> Genes:
  own = state.hyperparameters._asdict()
  return Genes(
    {ACTING: state.actor.online_params, 'critic': state.critic.online_params},
    {name: value for name, value in own.items() if value is not None},
  )


def _offspring(
  parents: TrainingState,
  genes: Genes,
  whole: Mapping[str, Array],
  keys: PRNGKey,
) -> TrainingState:
  """Returns P agents with new genes; see `Agent.offspring`."""
  params = genes.parameters
  return parents._replace(
    actor=offspring_of(parents.actor, params[ACTING], whole[ACTING]),
    critic=offspring_of(parents.critic, params['critic'], whole['critic']),
    hyperparameters=Hyperparameters(**genes.hyperparameters),
    key=keys,
  )


_EXPECTED = {
  'gamma': settings.SHARE,
  'tau': settings.number(lambda x: 0 < x <= 1, 'above 0 and at most 1'),
  'invert_gradients': settings.SWITCH,
  'action_penalty': settings.NOT_NEGATIVE,
  'accumulation_steps': settings.AT_LEAST_ONE,
  'policy_delay': settings.AT_LEAST_ONE,
  'policy_value': settings.one_of('first', 'mean'),
  'batch_size': settings.AT_LEAST_ONE,
  'acting_chunk': settings.or_auto(settings.COUNT),
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
  """Checks the `agent` section; raises a ValueError naming the bad field."""
  settings.check('agent', config, _EXPECTED)
  settings.require(
    config.batch_size % config.accumulation_steps == 0,
    'agent.batch_size',
    config.batch_size,
    f'a multiple of agent.accumulation_steps, {config.accumulation_steps}',
  )

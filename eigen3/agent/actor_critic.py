"""An actor and its critics, with separate extractors or a shared one."""

import jax

from eigen3.agent.network import Network, policy_of
from eigen3.agent.protocol import Policy
from eigen3.networks import Shared
from eigen3.types import ActionSpec


class ActorCritic:
  """Actor and critics that read the same inputs, or shared features of them.

  Attributes:
    whole_actor: the actor with its extractor; maps inputs to actions.
    actor: maps the output of `encode` to actions.
    critic: values actions, given the output of `encode`.
    are_shared: whether actor and critics share one extractor.
  """

  def __init__(self, actor, critic, shared: Shared | None):
    self.whole_actor = actor
    self._shared = shared
    self.are_shared = shared is not None
    self.actor = shared.actor if shared else actor
    self.critic = shared.double_critic if shared else critic

  def encode(self, params, state, key, x, is_training):
    """Encodes x if the extractor is shared; otherwise returns x unchanged.

    Args:
      params: the critics' parameters, including the extractor's.
      state: the critics' network state, including the extractor's.
      key: for dropout, or None.
      x: a batch of the networks' inputs, such as windows.
      is_training: whether to use batch statistics and dropout.

    Returns:
      The input of `actor` and `critic`, and the critics' new network state.
    """
    if self._shared is None:
      return x, state
    return self._shared.extractor.apply(
      params, state, key, x, is_training=is_training
    )

  def encode_for_loss(self, params, state, key, x):
    """Encodes x like `encode`, in training mode.

    Returns:
      The input of `actor` and `critic`, the critics' new network state, and a
      key for `critic`.
    """
    if self._shared is None:
      return x, state, key
    key, key_extractor = jax.random.split(key)
    encoded, state = self.encode(params, state, key_extractor, x, True)
    return encoded, state, key

  def init(self, key_actor, key_critic, x, spec: ActionSpec):
    """Initialises actor and critics for inputs x.

    Returns:
      (params, state) of the actor, and (params, state) of the critics. A shared
      extractor belongs to the critics.
    """
    of_extractor: tuple[dict, dict] = {}, {}
    if self._shared is not None:
      key_critic, key = jax.random.split(key_critic)
      of_extractor = self._shared.extractor.init(key, x)
    encoded, _ = self.encode(*of_extractor, None, x, False)
    actor = self.actor.init(key_actor, encoded, is_training=False)
    (actions, _), _ = self.actor.apply(*actor, None, encoded, is_training=False)
    of_heads = self.critic.init(
      key_critic, encoded, spec.to_unit(actions), is_training=False
    )
    params, state = (
      {**x, **y} for x, y in zip(of_extractor, of_heads, strict=True)
    )
    return actor, (params, state)

  def policy(self, actor: Network, critic: Network) -> Policy:
    """Returns the online parameters and state that `whole_actor` needs."""
    if self._shared is None:
      return policy_of(actor)
    return Policy(
      self._shared.join(actor.online_params, critic.online_params),
      self._shared.join(actor.online_state, critic.online_state),
    )

  def with_policy(
    self, actor: Network, critic: Network, policy: Policy
  ) -> tuple[Network, Network]:
    """Returns the networks with the online parameters and state of `policy`.

    The critic changes only if it contains a shared extractor, and only there.
    """
    params, state = policy
    if self._shared is not None:
      params, critic_params = self._shared.split(params, critic.online_params)
      state, critic_state = self._shared.split(state, critic.online_state)
      critic = critic._replace(
        online_params=critic_params, online_state=critic_state
      )
    return actor._replace(online_params=params, online_state=state), critic

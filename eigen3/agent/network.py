"""A network in training: online and target parameters, and its optimiser."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import optax

from eigen3.agent.protocol import Policy
from eigen3.types import Array


class Network(NamedTuple):
  """Online and target parameters of a network, and its optimiser's state.

  Attributes:
    online_params: trained by the loss.
    online_state: batch-norm statistics of the online network.
    target_params: follow `online_params` slowly; for bootstrapping.
    target_state: copy of `online_state` at the last soft update.
    opt_state: the optimiser's state.
  """

  online_params: hk.Params
  online_state: hk.State
  target_params: hk.Params
  target_state: hk.State
  opt_state: optax.OptState


def fresh(
  params: hk.Params, state: hk.State, optimiser: optax.GradientTransformation
) -> Network:
  """Returns an untrained network whose target is a copy of it."""
  # Copies: an online leaf and its target must not share a donated buffer.
  return Network(
    online_params=params,
    online_state=state,
    target_params=jax.tree.map(jnp.copy, params),
    target_state=jax.tree.map(jnp.copy, state),
    opt_state=optimiser.init(params),
  )


def followed(network: Network, tau: float) -> Network:
  """Moves target parameters towards the online ones by the fraction `tau`.

  This soft update also sets the target state to the online state.
  """
  return network._replace(
    target_params=optax.incremental_update(
      network.online_params, network.target_params, tau
    ),
    target_state=network.online_state,
  )


def policy_of(actor: Network) -> Policy:
  """Returns a network's online parameters and state as a policy."""
  return Policy(actor.online_params, actor.online_state)


def optimiser_of(
  config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """Returns Adam with gradient clipping and weight decay, if these are set.

  Weight decay is added to the clipped gradient, as in PyTorch's Adam. The
  caller multiplies the updates by minus the learning rate.
  """
  parts = []
  if config.gradient_clip:
    parts.append(optax.clip_by_global_norm(config.gradient_clip))
  if config.weight_decay:
    parts.append(optax.add_decayed_weights(config.weight_decay))
  # Flat: one long vector compiles and runs far faster than a hundred small
  # arrays.
  return optax.flatten(optax.chain(*parts, optax.scale_by_adam()))


def accumulated(gradient: Callable, count: int) -> Callable:
  """Returns a gradient function that averages over successive micro-batches.

  Args:
    gradient: `(params, network_state, batch, key) -> ((value [],
      (network_state, auxiliary)), gradients)`. Values and auxiliary leaves []
      are averaged, too; auxiliary leaves with a batch axis, [b, ...] for b
      examples, are concatenated.
    count: number of micro-batches; it must divide the batch size. Each
      micro-batch starts from the network state that the previous one returned.

  Returns:
    A function like `gradient`, or `gradient` itself if `count` is 1.
  """
  if count == 1:
    return gradient

  def of_batch(params, network_state, batch, key):
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

    def together(x):
      return jnp.mean(x) if x.ndim == 1 else x.reshape(size, *x.shape[2:])

    value, extra = jax.tree.map(together, extras)
    return (value, (network_state, extra)), gradients

  return of_batch


def stepped(
  network: Network,
  gradients: hk.Params,
  online_state: hk.State,
  optimiser: optax.GradientTransformation,
  learning_rate: Array,
) -> Network:
  """Takes one step of the optimiser and replaces the online state."""
  updates, opt_state = optimiser.update(
    gradients, network.opt_state, network.online_params
  )
  updates = jax.tree.map(
    lambda u: (-learning_rate).astype(u.dtype) * u, updates
  )
  return network._replace(
    online_params=optax.apply_updates(network.online_params, updates),
    online_state=online_state,
    opt_state=opt_state,
  )


def offspring_of(parents: Network, params: hk.Params, whole: Array) -> Network:
  """Returns `parents` with the online parameters `params`, leaves [P, ...].

  A parent's target is kept where `whole` [P] is True; elsewhere the target
  becomes a copy of the new online network.
  """
  return parents._replace(
    online_params=params,
    target_params=choose(whole, parents.target_params, params),
    target_state=choose(whole, parents.target_state, parents.online_state),
  )


def choose(mask: Array, one: Any, other: Any) -> Any:
  """Selects from `one` where `mask` is True, else from `other`.

  `mask` is [P], and all leaves are [P, ...].
  """

  def of_leaf(x, y):
    return jnp.where(mask.reshape(-1, *[1] * (x.ndim - 1)), x, y)

  return jax.tree.map(of_leaf, one, other)

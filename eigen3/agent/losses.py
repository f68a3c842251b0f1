"""TD3's losses, built on RLax, for a single example; the caller vmaps them."""

import chex
import jax
import jax.numpy as jnp
import rlax

from eigen3.types import Array

# `room_along` divides by no smaller distance, so that factors stay finite.
_LEAST_ROOM = 1e-3


def twin_critic_loss(
  q_tm1: Array, r_t: Array, discount_t: Array, q_t: Array
) -> Array:
  """Computes the squared error of all critics against one common target.

  Clipped double Q-learning (Fujimoto et al. 2018,
  https://arxiv.org/abs/1802.09477): the target is bootstrapped from the lowest
  value of the target critics.

  Args:
    q_tm1: the online critics' values of the action taken, [K].
    r_t: reward, [].
    discount_t: the agent's discount, [], or 0 at a termination.
    q_t: the target critics' values of the next action, [K].

  Returns:
    The sum over critics of half the squared temporal difference, [].
  """
  chex.assert_rank([q_tm1, r_t, discount_t, q_t], [1, 0, 0, 1])
  chex.assert_equal_shape([q_tm1, q_t])
  v_t = jnp.min(q_t)
  td_error = jax.vmap(rlax.td_learning, in_axes=(0, None, None, None))(
    q_tm1, r_t, discount_t, v_t
  )
  return jnp.sum(rlax.l2_loss(td_error))


def room_along(unit_action: Array, dqda: Array) -> Array:
  """Returns factors for dQ/da that let a squashed action leave a bound.

  A policy that ends in a sigmoid or tanh has almost no gradient near a bound,
  in either direction: once there it stays, even if the critic changes. With
  these factors, the gradient with respect to the output before squashing fades
  near a bound only if it pushes the action towards this bound, not if it pushes
  the action away (except within `_LEAST_ROOM` of the bound). The factor for an
  action of 0 is 1.

  This adapts inverting gradients (Hausknecht and Stone 2016,
  https://arxiv.org/abs/1511.04143) to outputs that are already squashed.

  Args:
    unit_action: the policy's action, in [-1, 1], any shape.
    dqda: gradient of the critic's value at that action, same shape.

  Returns:
    Positive factors of the same shape.
  """
  chex.assert_equal_shape([unit_action, dqda])
  # Replaces the squashing's slope (1 - u)(1 + u) with the room ahead.
  behind = jnp.where(dqda > 0, 1.0 + unit_action, 1.0 - unit_action)
  return 1.0 / jnp.maximum(behind, _LEAST_ROOM)


def policy_loss(a_t: Array, dqda_t: Array) -> Array:
  """Computes a loss whose negative gradient at `a_t` is `dqda_t`.

  Deterministic policy gradient (Silver et al. 2014,
  http://proceedings.mlr.press/v32/silver14.pdf).

  Args:
    a_t: action of the policy, any shape.
    dqda_t: gradient of the critic's value at that action, perhaps rescaled,
      same shape.

  Returns:
    The loss, [].
  """
  chex.assert_equal_shape([a_t, dqda_t])
  # RLax returns one loss per entry; the gradient of their sum is -dqda_t.
  return jnp.sum(rlax.dpg_loss(jnp.ravel(a_t), jnp.ravel(dqda_t)))

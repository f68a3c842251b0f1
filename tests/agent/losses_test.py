"""Tests of eigen3.agent.losses: numbers worked out by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.agent import losses

# Values by online critics, reward, discount, values by target critics.
ARGUMENTS = (
  np.float32([1.0, 4.0]),
  np.float32(2.0),
  np.float32(0.5),
  np.float32([6.0, 3.0]),
)

twin_critic_loss = jax.jit(losses.twin_critic_loss)
policy_loss = jax.jit(losses.policy_loss)
room_along = jax.jit(losses.room_along)


def test_twin_critic_loss():
  # Target 2 + 0.5 * min(6, 3) = 3.5; errors 2.5 and -0.5.
  loss = twin_critic_loss(*ARGUMENTS)
  np.testing.assert_allclose(loss, 0.5 * 2.5**2 + 0.5 * 0.5**2)


def test_one_critic_is_plain_temporal_difference():
  # Target 2 + 0.5 * 6 = 5; error 4.
  loss = twin_critic_loss(np.float32([1.0]), *ARGUMENTS[1:3], np.float32([6.0]))
  np.testing.assert_allclose(loss, 8.0)


def test_a_termination_leaves_only_the_reward():
  # Target 2; errors 1 and -2.
  loss = twin_critic_loss(*ARGUMENTS[:2], np.float32(0.0), ARGUMENTS[3])
  np.testing.assert_allclose(loss, 2.5)


def test_twin_critic_gradient_pulls_every_critic_to_the_target():
  gradients = jax.jit(jax.grad(twin_critic_loss, (0, 1, 2, 3)))(*ARGUMENTS)
  np.testing.assert_allclose(gradients[0], [-2.5, 0.5])
  for gradient in gradients[1:]:  # The target is a constant.
    np.testing.assert_array_equal(gradient, 0.0)


def test_twin_critic_loss_is_per_example():
  batch = jax.tree.map(lambda x: np.stack([x, 2 * x, 0 * x]), ARGUMENTS)
  # Twice everything: target 4 + 1 * 6 = 10; errors 8 and 2.
  np.testing.assert_allclose(
    jax.jit(jax.vmap(twin_critic_loss))(*batch), [3.25, 34.0, 0.0]
  )


@pytest.mark.parametrize(
  'changes',
  [
    {0: np.float32(1.0)},
    {1: np.float32([2.0])},
    {2: np.float32([0.5])},
    {3: np.float32([6.0, 3.0, 1.0])},
  ],
)
def test_twin_critic_loss_asserts_its_shapes(changes):
  arguments = [changes.get(i, x) for i, x in enumerate(ARGUMENTS)]
  with pytest.raises(AssertionError):
    losses.twin_critic_loss(*arguments)


def test_policy_loss():
  # Half the squared norm of the critic's gradient: (9 + 16 + 4) / 2.
  action = np.float32([[0.1, 0.2], [0.3, 0.4]])
  slope = np.float32([[3.0, -4.0], [0.0, 2.0]])
  np.testing.assert_allclose(policy_loss(action, slope), 14.5, rtol=1e-5)
  gradient = jax.jit(jax.grad(policy_loss))(action, slope)
  np.testing.assert_allclose(gradient, -slope, atol=1e-6)


def test_policy_loss_does_not_reach_into_the_critic():
  ones = np.ones(3, np.float32)
  gradient = jax.jit(jax.grad(policy_loss, 1))(ones, ones)
  np.testing.assert_array_equal(gradient, 0.0)


def test_policy_loss_climbs_the_critic():
  def value(action):  # Highest, 0, at (0.5, -0.25).
    return -jnp.sum((action - jnp.array([0.5, -0.25])) ** 2)

  @jax.jit
  def climb(action):
    slope = jax.grad(value)(action)
    action -= 0.1 * jax.grad(losses.policy_loss)(action, slope)
    return action, value(action)

  action = np.float32([-1.0, 1.0])
  values = [jax.jit(value)(action)]
  for _ in range(50):
    action, reached = climb(action)
    values.append(reached)
  assert np.all(np.diff(values) >= 0)
  np.testing.assert_allclose(action, [0.5, -0.25], atol=1e-3)


def test_policy_loss_asserts_equal_shapes():
  with pytest.raises(AssertionError):
    losses.policy_loss(np.ones((2, 2)), np.ones(4))


def test_room_is_one_in_the_middle_and_follows_the_direction():
  unit = np.float32([0.0, 0.0, 0.5, 0.5, -0.5])
  dqda = np.float32([2.0, -2.0, 1.0, -1.0, 1.0])
  np.testing.assert_allclose(
    room_along(unit, dqda), [1.0, 1.0, 1 / 1.5, 2.0, 2.0], rtol=1e-6
  )


def test_a_saturated_policy_returns_within_steps():
  """u = tanh(x) reduces u from a high start; without the weights it stays."""

  @functools.partial(jax.jit, static_argnums=1)
  def step(x, weighted):
    u, slope = jax.value_and_grad(jnp.tanh)(x)
    dqda = jnp.float32(-1.0)
    if weighted:
      dqda = dqda * losses.room_along(u, dqda)
    return x + 0.1 * dqda * slope

  def steps_to_return(weighted):
    x, count = np.float32(4.0), 0
    while np.tanh(x) > 0 and count < 500:
      x, count = step(x, weighted), count + 1
    return count

  assert steps_to_return(weighted=True) < 50
  assert steps_to_return(weighted=False) == 500


def test_room_fades_towards_a_bound_past_the_squashing():
  x = np.linspace(-3, 3, 7, dtype=np.float32)
  u = np.tanh(x)
  slope = 1 - u**2
  up, down = np.ones_like(u), -np.ones_like(u)
  upwards, downwards = (np.asarray(room_along(u, x)) for x in (up, down))
  np.testing.assert_allclose(slope * upwards, 1 - u, rtol=1e-5)
  np.testing.assert_allclose(slope * downwards, 1 + u, rtol=1e-5)

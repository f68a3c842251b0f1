"""Tests of eigen3.agent.losses: numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.agent import losses

# Values by online critics, reward, discount, values by target critics.
ARGUMENTS = (
  jnp.array([1.0, 4.0]),
  jnp.array(2.0),
  jnp.array(0.5),
  jnp.array([6.0, 3.0]),
)


def test_twin_critic_loss():
  # Target 2 + 0.5 * min(6, 3) = 3.5; errors 2.5 and -0.5.
  loss = losses.twin_critic_loss(*ARGUMENTS)
  np.testing.assert_allclose(loss, 0.5 * 2.5**2 + 0.5 * 0.5**2)


def test_one_critic_is_plain_temporal_difference():
  # Target 2 + 0.5 * 6 = 5; error 4.
  loss = losses.twin_critic_loss(
    jnp.array([1.0]), *ARGUMENTS[1:3], jnp.array([6.0])
  )
  np.testing.assert_allclose(loss, 8.0)


def test_a_termination_leaves_only_the_reward():
  # Target 2; errors 1 and -2.
  loss = losses.twin_critic_loss(*ARGUMENTS[:2], jnp.array(0.0), ARGUMENTS[3])
  np.testing.assert_allclose(loss, 2.5)


def test_twin_critic_gradient_pulls_every_critic_to_the_target():
  gradients = jax.grad(losses.twin_critic_loss, (0, 1, 2, 3))(*ARGUMENTS)
  np.testing.assert_allclose(gradients[0], [-2.5, 0.5])
  for gradient in gradients[1:]:  # The target is a constant.
    np.testing.assert_array_equal(gradient, 0.0)


def test_twin_critic_loss_is_per_example():
  batch = jax.tree.map(lambda x: jnp.stack([x, 2 * x, 0 * x]), ARGUMENTS)
  # Twice everything: target 4 + 1 * 6 = 10; errors 8 and 2.
  np.testing.assert_allclose(
    jax.vmap(losses.twin_critic_loss)(*batch), [3.25, 34.0, 0.0]
  )


@pytest.mark.parametrize(
  'changes',
  [
    {0: jnp.array(1.0)},
    {1: jnp.array([2.0])},
    {2: jnp.array([0.5])},
    {3: jnp.array([6.0, 3.0, 1.0])},
  ],
)
def test_twin_critic_loss_asserts_its_shapes(changes):
  arguments = [changes.get(i, x) for i, x in enumerate(ARGUMENTS)]
  with pytest.raises(AssertionError):
    losses.twin_critic_loss(*arguments)


def test_policy_loss():
  # Half the squared norm of the critic's gradient: (9 + 16 + 4) / 2.
  action = jnp.array([[0.1, 0.2], [0.3, 0.4]])
  slope = jnp.array([[3.0, -4.0], [0.0, 2.0]])
  np.testing.assert_allclose(losses.policy_loss(action, slope), 14.5, rtol=1e-5)
  gradient = jax.grad(losses.policy_loss)(action, slope)
  np.testing.assert_allclose(gradient, -slope, atol=1e-6)


def test_policy_loss_does_not_reach_into_the_critic():
  gradient = jax.grad(losses.policy_loss, 1)(jnp.ones(3), jnp.ones(3))
  np.testing.assert_array_equal(gradient, 0.0)


def test_policy_loss_climbs_the_critic():
  def value(action):  # Highest, 0, at (0.5, -0.25).
    return -jnp.sum((action - jnp.array([0.5, -0.25])) ** 2)

  action = jnp.array([-1.0, 1.0])
  values = [value(action)]
  for _ in range(50):
    slope = jax.grad(value)(action)
    action -= 0.1 * jax.grad(losses.policy_loss)(action, slope)
    values.append(value(action))
  assert np.all(np.diff(values) >= 0)
  np.testing.assert_allclose(action, [0.5, -0.25], atol=1e-3)


def test_policy_loss_asserts_equal_shapes():
  with pytest.raises(AssertionError):
    losses.policy_loss(jnp.ones((2, 2)), jnp.ones(4))


def test_room_is_one_in_the_middle_and_follows_the_direction():
  unit = jnp.array([0.0, 0.0, 0.5, 0.5, -0.5])
  dqda = jnp.array([2.0, -2.0, 1.0, -1.0, 1.0])
  np.testing.assert_allclose(
    losses.room_along(unit, dqda), [1.0, 1.0, 1 / 1.5, 2.0, 2.0], rtol=1e-6
  )


def test_a_saturated_policy_returns_within_steps():
  """u = tanh(x) climbs -u from far up; without the weights it never leaves."""

  def steps_to_return(weighted):
    x, count = jnp.float32(4.0), 0
    while jnp.tanh(x) > 0 and count < 500:
      u, slope = jax.value_and_grad(jnp.tanh)(x)
      dqda = jnp.float32(-1.0)
      if weighted:
        dqda = dqda * losses.room_along(u, dqda)
      x, count = x + 0.1 * dqda * slope, count + 1
    return count

  assert steps_to_return(weighted=True) < 50
  assert steps_to_return(weighted=False) == 500


def test_room_fades_towards_a_bound_past_the_squashing():
  x = jnp.linspace(-3, 3, 7)
  u, slope = jnp.tanh(x), 1 - jnp.tanh(x) ** 2
  up, down = jnp.ones_like(u), -jnp.ones_like(u)
  np.testing.assert_allclose(slope * losses.room_along(u, up), 1 - u, rtol=1e-5)
  np.testing.assert_allclose(
    slope * losses.room_along(u, down), 1 + u, rtol=1e-5
  )

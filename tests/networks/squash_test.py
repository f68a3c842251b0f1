"""The bounded outputs of a policy, and that they can be left again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.networks import layers


def test_value_is_the_sigmoid():
  x = jnp.linspace(-20, 20, 101)
  np.testing.assert_array_equal(layers.squash(x), jax.nn.sigmoid(x))


def test_slope_in_the_middle_is_the_sigmoids():
  for sign in (1.0, -1.0):
    slope = jax.grad(lambda x, s=sign: s * layers.squash(x))(0.0)
    assert slope == pytest.approx(sign * 0.25)


def test_gradient_is_whole_away_from_a_bound_and_gone_towards_it():
  high = 10.0  # sigmoid(10) is 1 - 4.5e-5
  falls = jax.grad(layers.squash)(high)  # descent lowers it: all room
  rises = jax.grad(lambda x: -layers.squash(x))(high)
  assert falls == pytest.approx(0.5, rel=1e-3)
  assert rises == pytest.approx(-0.5 * 4.54e-5, rel=1e-2)
  assert jax.grad(layers.squash)(-high) == pytest.approx(0.5 * 4.54e-5, 1e-2)


def test_gradient_keeps_the_sign_of_the_true_one():
  x = jax.random.normal(jax.random.PRNGKey(0), (1000,)) * 4
  cotangent = jax.random.normal(jax.random.PRNGKey(1), (1000,))
  ours = jax.vjp(layers.squash, x)[1](cotangent)[0]
  true = jax.vjp(jax.nn.sigmoid, x)[1](cotangent)[0]
  np.testing.assert_array_equal(jnp.sign(ours), jnp.sign(true))


def test_a_saturated_output_returns_within_steps():
  def steps_to_return(function):
    x, count = jnp.float32(12.0), 0
    slope = jax.jit(jax.grad(lambda x: function(x)))
    while function(x) > 0.5 and count < 2000:
      x, count = x - 0.1 * slope(x), count + 1
    return count

  assert steps_to_return(layers.squash) < 400
  assert steps_to_return(jax.nn.sigmoid) == 2000

"""Micro-batches run in sequence, and their outputs are combined."""

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.agent.network import accumulated


def test_of_each_example_something_comes_in_the_order_of_the_batch():
  def loss(w, state, batch, key):
    del key
    y = w * batch
    return jnp.mean(y**2), (state + 1, (jnp.mean(y), {'features': y}))

  batch = jnp.arange(6.0)
  gradient = jax.value_and_grad(loss, has_aux=True)
  of_batch = jax.jit(accumulated(gradient, 3))
  found = of_batch(jnp.float32(2), jnp.int32(0), batch, jax.random.PRNGKey(0))
  (value, (state, (mean, told))), slope = found
  assert state == 3
  np.testing.assert_array_equal(told['features'], 2 * batch)
  np.testing.assert_allclose(mean, 5.0)
  np.testing.assert_allclose(value, 4 * np.mean(np.arange(6) ** 2), rtol=1e-6)
  np.testing.assert_allclose(slope, value, rtol=1e-6)

"""Tests of eigen3.networks.lstm_cell against autodiff of the textbook's step.

What walks over days is tested as a whole in recurrent_test.py.
"""

import double_precision
import jax
import jax.numpy as jnp
import numpy as np

from eigen3.networks import lstm_cell

ROWS, H = 3, 5


def _step(gates, cell):
  i, f, g, o = gates
  cell = cell / (1 + jnp.exp(-f)) + jnp.tanh(g) / (1 + jnp.exp(-i))
  return jnp.tanh(cell) / (1 + jnp.exp(-o)), cell


def test_a_step_and_its_gradient():
  with double_precision.enable_x64(True):
    rng = np.random.default_rng(0)
    gates = jnp.asarray(3 * rng.normal(size=(4, ROWS, H)))
    cell, *d_states = jnp.asarray(rng.normal(size=(3, ROWS, H)))
    expected, back = jax.vjp(_step, gates, cell)
    found = lstm_cell.step(lambda k: gates[k], cell)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)

    # Gradients are written where the gates were.
    written, asked = list(gates), []

    def gate(k):
      asked.append(k)
      return written[k]

    cells, d_hidden, d_cell = (cell, found[1]), *d_states
    d_before = lstm_cell.step_back(
      gate, written.__setitem__, cells, d_hidden, d_cell
    )
    assert tuple(asked) == lstm_cell.BACKWARD_ORDER
    d_gates, d_cell = back(tuple(d_states))
    np.testing.assert_allclose(written, d_gates, rtol=0, atol=1e-14)
    np.testing.assert_allclose(d_before, d_cell, rtol=0, atol=1e-14)


def test_the_sigmoid_saturates():
  found = lstm_cell.sigmoid(jnp.asarray([-100.0, 0.0, 100.0]))
  np.testing.assert_array_equal(found, [0, 0.5, 1])

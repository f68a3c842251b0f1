"""The loops of a persistent core as scans over the same steps.

Kernels can run on one kind of GPU alone. What lies around them, and the
arithmetic of their steps, is so tested on any machine and in any type.
"""

import jax
import jax.numpy as jnp

from eigen3.networks import lstm_cell


def forward(projected, weights, reverse, emitted, keeps_cells):
  """See `lstm_cell.Loops`."""
  walks = [
    _walk(*direction, back)
    for *direction, back in zip(projected, weights, reverse, strict=True)
  ]
  hidden, cells = (jnp.stack(states) for states in zip(*walks, strict=True))
  return hidden[:, hidden.shape[1] - emitted :], cells if keeps_cells else None


def backward(gates, cells, d_hidden, transposed, reverse):
  """See `lstm_cell.Loops`."""
  arrays = gates, cells, d_hidden, transposed, reverse
  return jnp.stack([_walk_back(*one) for one in zip(*arrays, strict=True)])


def _walk(projected, weights, reverse):
  """One direction: [T, R, 4H] to hidden states and cells [T, R, H]."""
  narrow = projected.dtype
  wide = jnp.promote_types(narrow, jnp.float32)

  def step(carry, projected):
    hidden, cell = carry
    sums = jnp.matmul(hidden, weights, preferred_element_type=wide)
    gates = jnp.split(sums + projected.astype(wide), 4, -1)
    hidden, cell = lstm_cell.step(lambda k: gates[k], cell)
    hidden = hidden.astype(narrow)
    return (hidden, cell), (hidden, cell.astype(narrow))

  zeros = jnp.zeros((projected.shape[1], weights.shape[0]), narrow)
  carry = zeros, zeros.astype(wide)
  return jax.lax.scan(step, carry, projected, reverse=reverse)[1]


def _walk_back(gates, cells, d_hidden, transposed, reverse):
  """One direction: the gates' gradients [T, R, 4H]."""
  narrow = gates.dtype
  wide = jnp.promote_types(narrow, jnp.float32)
  edge = jnp.zeros_like(cells[:1])
  before = [cells[1:], edge] if reverse else [edge, cells[:-1]]

  def step(carry, inputs):
    d_state, d_cell = carry
    gates, before, after, d_hidden = (x.astype(wide) for x in inputs)
    parts, found = jnp.split(gates, 4, -1), {}
    d_cell = lstm_cell.step_back(
      parts.__getitem__,
      found.__setitem__,
      (before, after),
      d_state + d_hidden,
      d_cell,
    )
    d_gates = jnp.concatenate([found[k] for k in range(4)], -1).astype(narrow)
    d_state = jnp.matmul(d_gates, transposed, preferred_element_type=wide)
    return (d_state, d_cell), d_gates

  zeros = jnp.zeros(cells.shape[1:], wide)
  return jax.lax.scan(
    step,
    (zeros, zeros),
    (gates, jnp.concatenate(before), cells, d_hidden),
    reverse=not reverse,
  )[1]


# Rows are padded, as they are to the 64 of a kernel.
LOOPS = lstm_cell.Loops(forward, backward, 4)

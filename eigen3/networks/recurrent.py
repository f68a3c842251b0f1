"""A two-layer bidirectional LSTM that computes only what is used of it.

Only the mean of the last few steps leaves the core. The second layer's
reverse direction starts at the last step, so it runs exactly those steps and
no more: values and gradients are those of the whole pass.
Gates are in PyTorch's order i, f, g, o; PyTorch's two biases are one here.

Time comes first and rows come last, so that gates are contiguous slices. The
backward pass is written by hand: its loop yields only the gates' gradients,
and the weights' are one contraction after it instead of a sum in every step.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jmp

from eigen3.types import Array

Carry = tuple[Array, Array]  # hidden and cell, [H, rows] each


class DirectionWeights(NamedTuple):
  """One direction of one layer.

  Attributes:
    input: [I, 4H].
    hidden: [H, 4H].
    bias: [4H].
  """

  input: Array
  hidden: Array
  bias: Array


class Weights(NamedTuple):
  """Both directions of both layers; I is 2H in the second."""

  layer_1_forward: DirectionWeights
  layer_1_reverse: DirectionWeights
  layer_2_forward: DirectionWeights
  layer_2_reverse: DirectionWeights


class _Steps(NamedTuple):
  """What the backward pass needs of every step."""

  hidden: Array  # [D, H, rows], before the step
  cell: Array  # [D, H, rows], before the step
  gates: Array  # [D, 4H, rows], after their activations


def pooled_lstm(
  weights: Weights,
  x: Array,
  keep: Array | None,
  pooled_days: int,
  policy: jmp.Policy,
) -> Array:
  """The mean of the last `pooled_days` outputs of a bidirectional LSTM.

  Source: Hochreiter and Schmidhuber (1997), as in PyTorch's nn.LSTM with two
  layers; Eigen2 pools 3 days.

  Args:
    weights: parameters of the four directions.
    x: [D, I, rows], time first.
    keep: [D, 2H, rows], dropout factors between the layers, or None.
    pooled_days: how many last steps are averaged.
    policy: products in its compute dtype, cell state in its output dtype.

  Returns:
    [rows, 2H] in the policy's output dtype, forward direction first.

  Raises:
    ValueError: if there are fewer steps than `pooled_days`.
  """
  if x.shape[0] < pooled_days:
    raise ValueError(
      f'pooled_days: found {pooled_days}, expected at most the '
      f'{x.shape[0]} context days'
    )
  x = policy.cast_to_compute(x)
  start = _zero_carry(weights.layer_1_forward, x.shape[-1], policy)
  forward, _ = _outputs(policy, weights.layer_1_forward, x, start)
  reverse, _ = _outputs(policy, weights.layer_1_reverse, x[::-1], start)
  hidden = jnp.concatenate([forward, reverse[::-1]], 1)
  if keep is not None:
    hidden = hidden * keep.astype(hidden.dtype)
  before, pooled = hidden[:-pooled_days], hidden[-pooled_days:]
  _, carry = _outputs(policy, weights.layer_2_forward, before, start)
  forward, _ = _outputs(policy, weights.layer_2_forward, pooled, carry)
  reverse, _ = _outputs(policy, weights.layer_2_reverse, pooled[::-1], start)
  both = jnp.concatenate([forward, reverse], 1)
  return both.mean(0, dtype=policy.output_dtype).T


def _zero_carry(
  weights: DirectionWeights, rows: int, policy: jmp.Policy
) -> Carry:
  """The state before the first step."""
  shape = (weights.hidden.shape[0], rows)
  hidden = jnp.zeros(shape, policy.compute_dtype)
  return hidden, jnp.zeros(shape, policy.output_dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _outputs(
  policy: jmp.Policy, weights: DirectionWeights, x: Array, carry: Carry
) -> tuple[Array, Carry]:
  """One direction: [D, I, rows] to outputs [D, H, rows] and the last carry."""
  return _outputs_forward(policy, weights, x, carry)[0]


def _outputs_forward(
  policy: jmp.Policy, weights: DirectionWeights, x: Array, carry: Carry
):
  """As `_outputs`, with what the backward pass needs."""
  joined = jnp.concatenate([weights.input, weights.hidden]).T
  joined = policy.cast_to_compute(joined)
  wide = policy.output_dtype

  def step(carry: Carry, x_t: Array):
    hidden, cell = carry
    gates = weights.bias[:, None] + jnp.matmul(
      joined, jnp.concatenate([x_t, hidden]), preferred_element_type=wide
    )
    i, f, g, o = jnp.split(gates, 4)
    i, f, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
    g = jnp.tanh(g)
    after = f * cell + i * g
    output = policy.cast_to_compute(o * jnp.tanh(after))
    gates = policy.cast_to_compute(jnp.concatenate([i, f, g, o]))
    return (output, after), (output, _Steps(hidden, cell, gates))

  last, (outputs, steps) = jax.lax.scan(step, carry, x)
  return (outputs, last), (weights, x, steps)


def _outputs_backward(policy: jmp.Policy, residuals, cotangents):
  """Backpropagation through time of `_outputs`."""
  weights, x, steps = residuals
  to_outputs, to_last = cotangents
  narrow, wide = policy.compute_dtype, policy.output_dtype
  product = functools.partial(jnp.einsum, preferred_element_type=wide)
  recurrent = weights.hidden.astype(narrow)

  def step(carry: Carry, inputs):
    to_output, (_, cell, gates) = inputs
    to_hidden, to_cell = carry
    to_hidden = to_hidden + to_output
    i, f, g, o = jnp.split(gates.astype(wide), 4)
    squashed = jnp.tanh(f * cell + i * g)
    to_cell = to_cell + to_hidden * o * (1 - squashed * squashed)
    to_gates = jnp.concatenate(
      [
        to_cell * g * i * (1 - i),
        to_cell * cell * f * (1 - f),
        to_cell * i * (1 - g * g),
        to_hidden * squashed * o * (1 - o),
      ]
    ).astype(narrow)
    to_hidden = product('hg,gr->hr', recurrent, to_gates)
    return (to_hidden, to_cell * f), to_gates

  to_last = (to_last[0].astype(wide), to_last[1])
  (to_hidden, to_cell), to_gates = jax.lax.scan(
    step, to_last, (to_outputs, steps), reverse=True
  )
  to_weights = DirectionWeights(
    input=product('dir,dgr->ig', x, to_gates),
    hidden=product('dhr,dgr->hg', steps.hidden, to_gates),
    bias=to_gates.sum((0, 2), dtype=wide),
  )
  to_x = product('ig,dgr->dir', weights.input.astype(narrow), to_gates)
  return to_weights, to_x.astype(narrow), (to_hidden.astype(narrow), to_cell)


_outputs.defvjp(_outputs_forward, _outputs_backward)

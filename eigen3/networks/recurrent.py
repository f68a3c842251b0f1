"""A two-layer bidirectional LSTM that computes only what is used of it.

Only the mean of the last few steps leaves the core. The second layer's
reverse direction starts at the last step, so it runs exactly those steps and
no more: values and gradients are those of the whole pass (DESIGN, decision 3).
Gates are in PyTorch's order i, f, g, o; PyTorch's two biases are one here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jmp

from eigen3.types import Array

Carry = tuple[Array, Array]  # hidden and cell, [..., rows, H] each


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
    x: [D, rows, I], time first.
    keep: [D, rows, 2H], dropout factors between the layers, or None.
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
  hidden = _layer_1(weights, x, policy)
  if keep is not None:
    hidden = hidden * keep.astype(hidden.dtype)
  before, pooled = hidden[:-pooled_days], hidden[-pooled_days:]
  start = _zero_carry(x.shape[1], weights.layer_2_forward, policy)
  carry = _advance(weights.layer_2_forward, before, start, policy)
  forward = _outputs(weights.layer_2_forward, pooled, carry, policy)
  reverse = _outputs(weights.layer_2_reverse, pooled[::-1], start, policy)
  both = jnp.concatenate([forward.mean(0), reverse.mean(0)], -1)
  return both.astype(policy.output_dtype)


def _layer_1(weights: Weights, x: Array, policy: jmp.Policy) -> Array:
  """Both directions in one scan: [D, rows, I] to [D, rows, 2H]."""
  stacked = jax.tree.map(
    lambda *w: jnp.stack(w), weights.layer_1_forward, weights.layer_1_reverse
  )
  x = jnp.stack([x, x[::-1]], 1)
  start = _zero_carry(x.shape[2], weights.layer_1_forward, policy)
  start = jax.tree.map(lambda c: jnp.stack([c, c]), start)
  hidden = _outputs(stacked, x, start, policy)
  return jnp.concatenate([hidden[:, 0], hidden[::-1, 1]], -1)


def _zero_carry(
  rows: int, weights: DirectionWeights, policy: jmp.Policy
) -> Carry:
  """The state before the first step: hidden and cell, [rows, H] each."""
  shape = (rows, weights.hidden.shape[-2])
  hidden = jnp.zeros(shape, policy.compute_dtype)
  return hidden, jnp.zeros(shape, policy.output_dtype)


def _outputs(
  weights: DirectionWeights, x: Array, carry: Carry, policy: jmp.Policy
) -> Array:
  """Every step's output: [D, ..., rows, I] to [D, ..., rows, H]."""
  step = _step(weights, policy)

  def body(carry, x_t):
    carry = step(carry, x_t)
    return carry, carry[0]

  return jax.lax.scan(body, carry, policy.cast_to_compute(x))[1]


def _advance(
  weights: DirectionWeights, x: Array, carry: Carry, policy: jmp.Policy
) -> Carry:
  """The state after all steps of `x` [D, ..., rows, I]."""
  step = _step(weights, policy)

  def body(carry, x_t):
    return step(carry, x_t), None

  return jax.lax.scan(body, carry, policy.cast_to_compute(x))[0]


def _step(weights: DirectionWeights, policy: jmp.Policy):
  """The function from a carry and an input [..., rows, I] to the next carry."""
  joined = jnp.concatenate([weights.input, weights.hidden], -2)
  joined = policy.cast_to_compute(joined)
  bias = weights.bias[..., None, :]

  def step(carry: Carry, x_t: Array) -> Carry:
    hidden, cell = carry
    x_t = jnp.concatenate([x_t, hidden], -1)
    gates = bias + jnp.matmul(
      x_t, joined, preferred_element_type=policy.output_dtype
    )
    i, f, g, o = jnp.split(gates, 4, -1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    return policy.cast_to_compute(hidden), cell

  return step

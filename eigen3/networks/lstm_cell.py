"""The arithmetic of one step of an LSTM, and what walks over all of them.

A kernel calls these functions on registers, a test on arrays in float64: what
they compute is the same. Gates are in PyTorch's order i, f, g, o.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from eigen3.types import Array

BACKWARD_ORDER = (3, 1, 0, 2)  # in which `step_back` asks for gates


class Loops(NamedTuple):
  """Both passes over the days of G directions of a layer, by one kernel each.

  T days, R rows, H units; a direction whose entry of `reverse` is True walks
  from the last day to the first.

  Attributes:
    forward: `(projected [G, T, R, 4H], weights [G, H, 4H], reverse, emitted,
      keeps_cells)` to hidden states [G, emitted, R, H] of the last `emitted`
      days and, where it keeps them, cells [G, T, R, H] of all, else None. All
      are in the type of `projected`.
    backward: `(gates [G, T, R, 4H] before they are squashed, cells [G, T, R,
      H], to_hidden [G, T, R, H], transposed [G, 4H, H], reverse)` to the
      gradients [G, T, R, 4H] of the gates, in their type.
    rows: R has to be a multiple of it.
  """

  forward: Callable[..., tuple[Array, Array | None]]
  backward: Callable[..., Array]
  rows: int


def step(gate: Callable[[int], Array], cell: Array) -> tuple[Array, Array]:
  """One step forward.

  Args:
    gate: returns i, f, g or o (0 to 3) before it is squashed.
    cell: before the step.

  Returns:
    Hidden state and cell after the step.
  """
  cell = sigmoid(gate(1)) * cell + sigmoid(gate(0)) * jnp.tanh(gate(2))
  return sigmoid(gate(3)) * jnp.tanh(cell), cell


def step_back(
  gate: Callable[[int], Array],
  emit: Callable[[int, Array], None],
  cells: tuple[Array, Array],
  to_hidden: Array,
  to_cell: Array,
) -> Array:
  """One step of backpropagation.

  A gate is asked for once and emitted after that, in `BACKWARD_ORDER`, which
  keeps few values alive: where a gate lay, its gradient may be written.

  Args:
    gate: returns i, f, g or o (0 to 3) before it is squashed.
    emit: takes the gradient of that.
    cells: before and after the step.
    to_hidden: gradient of the hidden state after the step.
    to_cell: gradient of the cell after the step, but by way of that.

  Returns:
    The gradient of the cell before the step.
  """
  before, after = cells
  o, squashed = sigmoid(gate(3)), jnp.tanh(after)
  emit(3, to_hidden * squashed * o * (1.0 - o))
  to_cell = to_cell + to_hidden * o * (1.0 - squashed * squashed)
  f = sigmoid(gate(1))
  emit(1, to_cell * before * f * (1.0 - f))
  i, g = sigmoid(gate(0)), jnp.tanh(gate(2))
  emit(0, to_cell * g * i * (1.0 - i))
  emit(2, to_cell * i * (1.0 - g * g))
  return to_cell * f


def sigmoid(x: Array) -> Array:
  """By the hyperbolic tangent, which a GPU computes in one instruction."""
  return 0.5 * jnp.tanh(0.5 * x) + 0.5

"""The arithmetic of one LSTM step, and the interface of loops over all steps.

Kernels call these functions on registers, tests on arrays in float64. Gates are
in PyTorch's order i, f, g, o.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from eigen3.types import Array

BACKWARD_ORDER = (3, 1, 0, 2)  # the order in which `step_back` reads gates


class Loops(NamedTuple):
  """The loops over days, forward and backward, for G directions of a layer.

  T days, R rows (sequences), H units. A direction whose entry of `reverse` is
  True runs from the last day to the first.

  Attributes:
    forward: maps `(projected [G, T, R, 4H], weights [G, H, 4H], reverse,
      emitted, keeps_cells)` to the hidden states [G, emitted, R, H] of the last
      `emitted` days and, if `keeps_cells`, which requires `emitted` = T, the
      cell states [G, T, R, H], else None. `projected` is inputs times input
      weights plus bias, `weights` are the recurrent weights. Results have the
      dtype of `projected`.
    backward: maps `(gates [G, T, R, 4H], cells [G, T, R, H], d_hidden
      [G, T, R, H], transposed [G, 4H, H], reverse)` to the gradients of the
      gates [G, T, R, 4H], in the dtype of `gates`. Gates and their gradients
      are those before activation, `cells` are the cell states that `forward`
      returned, `d_hidden` is the gradient of the outputs, `transposed` are the
      transposed recurrent weights.
    rows: R must be a multiple of this number.
  """

  forward: Callable[..., tuple[Array, Array | None]]
  backward: Callable[..., Array]
  rows: int


def step(gate: Callable[[int], Array], cell: Array) -> tuple[Array, Array]:
  """Computes one step forward.

  Args:
    gate: returns gate k before activation; k from 0 to 3 is i, f, g or o.
    cell: the cell state before the step.

  Returns:
    Hidden state and cell state after the step.
  """
  cell = sigmoid(gate(1)) * cell + sigmoid(gate(0)) * jnp.tanh(gate(2))
  return sigmoid(gate(3)) * jnp.tanh(cell), cell


def step_back(
  gate: Callable[[int], Array],
  emit: Callable[[int, Array], None],
  cells: tuple[Array, Array],
  d_hidden: Array,
  d_cell: Array,
) -> Array:
  """Computes one step of backpropagation.

  Reads each gate only once, in `BACKWARD_ORDER`, and emits its gradient later.
  This keeps few values live, and lets the gradient overwrite the gate.

  Args:
    gate: returns gate k before activation; k from 0 to 3 is i, f, g or o.
    emit: called with k and the gradient of gate k before activation.
    cells: the cell states before and after the step.
    d_hidden: gradient of the hidden state after the step.
    d_cell: gradient of the cell state after the step, from later steps.

  Returns:
    The gradient of the cell state before the step.
  """
  before, after = cells
  o, squashed = sigmoid(gate(3)), jnp.tanh(after)
  emit(3, d_hidden * squashed * o * (1.0 - o))
  d_cell = d_cell + d_hidden * o * (1.0 - squashed * squashed)
  f = sigmoid(gate(1))
  emit(1, d_cell * before * f * (1.0 - f))
  i, g = sigmoid(gate(0)), jnp.tanh(gate(2))
  emit(0, d_cell * g * i * (1.0 - i))
  emit(2, d_cell * i * (1.0 - g * g))
  return d_cell * f


def sigmoid(x: Array) -> Array:
  """Computes the sigmoid from tanh, which is one instruction on a GPU."""
  return 0.5 * jnp.tanh(0.5 * x) + 0.5

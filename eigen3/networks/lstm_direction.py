"""One direction of an LSTM layer, with a hand-written backward pass.

Autodiff of a loop over days is slow: it stores more than is needed, and copies
what it stores. In arrays, time comes first and rows (sequences) last, so that
gates are contiguous slices. The operands of a step's product (input, hidden
state and a 1 for the bias) lie in one buffer that the loop carries and
overwrites; the gradients of the four gates lie in another. Concatenating
operands or gradients at every step would cost as much as the products. Gates
are in PyTorch's order i, f, g, o; there is one bias instead of PyTorch's two,
of which only the sum matters.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jmp

from eigen3.networks import dropout
from eigen3.networks.lstm_cell import Loops
from eigen3.types import Array


class DirectionWeights(NamedTuple):
  """The weights of one direction of a layer with I inputs and H units.

  Attributes:
    input: [I, 4H].
    hidden: [H, 4H].
    bias: [4H].
  """

  input: Array
  hidden: Array
  bias: Array


class Plan(NamedTuple):
  """Static settings of the LSTM in `recurrent`.

  Apart from rounding, only `pooled_days` and `dropout_rate` change results.

  Attributes:
    policy: sets the dtypes: the compute dtype for the operands of products,
      gates and hidden states, the output dtype for current cell states.
    pooled_days: number of last days whose outputs are averaged.
    dropout_rate: rate of the dropout between the layers, applied if keys are
      given.
    save_gates: for each layer, whether its gates are stored for the backward
      pass. Otherwise they are recomputed from inputs and hidden states, which
      saves up to two thirds of the memory for stored values. In the first
      layer, which has few inputs, recomputing costs little.
    hoist: whether products that do not depend on the recurrence are moved out
      of the loops: inputs times weights are computed before a loop, gradients
      of weights and inputs after it.
    precision: of products, see `layers.at_precision`.
    loops: kernels that replace the scans, see `persistent`, or None. With
      kernels, `save_gates`, `hoist` and `together` have no effect: gates are
      never stored, and products are always hoisted.
    together: whether the directions of the first layer run in one loop, see
      `lstm_together`. `hoist` then affects only the second layer's reverse
      direction.
  """

  policy: jmp.Policy
  pooled_days: int
  dropout_rate: float = 0.0
  save_gates: tuple[bool, bool] = (False, True)
  hoist: bool = False
  precision: str = 'default'
  loops: Loops | None = None
  together: bool = False


class Trace(NamedTuple):
  """Values of S steps that the backward pass needs, in the order of days."""

  hidden: Array  # [S, H, rows], after the step
  cell: Array  # [S, H, rows], after the step
  gates: tuple[Array, ...]  # i, f, g, o [S, H, rows] each; empty if not saved


class Span(NamedTuple):
  """The S days from `first` to `stop` - 1; steps run back if `reverse`."""

  first: int
  stop: int
  reverse: bool

  @property
  def days(self) -> Array:
    return jnp.arange(self.first, self.stop)

  @property
  def start(self) -> int:
    return self.stop - 1 if self.reverse else self.first


class Input(NamedTuple):
  """A layer's input, in one or two parts, with dropout if keys are given."""

  parts: tuple[Array, ...]  # [D, I / number of parts, rows] each
  keys: Array | None = None  # of the dropout
  rate: float = 0.0

  @property
  def size(self) -> int:
    return sum(part.shape[1] for part in self.parts)

  def at(self, day: Array) -> list[Array]:
    """Returns the parts on one day after dropout, [size of part, rows] each."""
    return [
      jax.lax.dynamic_index_in_dim(part, day, 0, False) * self.keep(day, k)
      for k, part in enumerate(self.parts)
    ]

  def keep(self, day: Array, part: int) -> Array | float:
    """Returns a part's dropout factors on a day, [size of part, rows].

    Without keys the result is the number 1.0.
    """
    if self.keys is None:
      return 1.0
    of_part = self.parts[part]
    size = of_part.shape[1]
    first = day * self.size + part * size
    return dropout.keep_scale(
      self.keys, self.rate, (size,), of_part.dtype, first
    )

  def whole(self, span: Span) -> Array:
    """Returns the input, after dropout, on all days of a span, [S, I, rows]."""
    days = slice(span.first, span.stop)
    x = jnp.concatenate([part[days] for part in self.parts], 1)
    if self.keys is None:
      return x
    shape = (span.stop - span.first, self.size)
    return x * dropout.keep_scale(
      self.keys, self.rate, shape, x.dtype, span.first * self.size
    )


class Direction:
  """One direction of one layer, and the operations of its steps.

  The methods' argument `joint` is the buffer [K, rows] with the K operands of a
  step's product: the input (unless products are hoisted), the hidden state and
  a 1. `matrix` [K, 4H] holds their weights in the same order. `narrow` is the
  compute dtype, `wide` the output dtype.
  """

  def __init__(
    self,
    plan: Plan,
    weights: DirectionWeights,
    inputs: Input,
    span: Span,
    saves_gates: bool,
  ):
    self.plan = plan
    self.saves_gates = saves_gates
    self.inputs = inputs
    self.span = span
    self.width, self.rows = weights.hidden.shape[0], inputs.parts[0].shape[-1]
    self.narrow = plan.policy.compute_dtype
    self.wide = plan.policy.output_dtype
    self.product = functools.partial(
      jnp.einsum, preferred_element_type=self.wide
    )
    # The input takes the first `read` entries of the buffer's first axis.
    self.read = 0 if plan.hoist else inputs.size
    parts = [weights.hidden, weights.bias[None]]
    if not plan.hoist:
      parts = [weights.input, *parts]
    self.matrix = jnp.concatenate(parts).astype(self.narrow)
    # Outside the loops, so that it is laid out once.
    self.transposed = self.matrix.T
    self.projection = weights.input.astype(self.narrow)

  def projected(self) -> Array | None:
    """Returns inputs times input weights, [S, 4H, rows], or None.

    It is None if products are not hoisted.
    """
    if not self.plan.hoist:
      return None
    inputs = self.inputs.whole(self.span)
    return self.product('ig,dir->dgr', self.projection, inputs)

  def buffer(self) -> Array:
    """Returns the first step's buffer, with hidden state 0, before `load`."""
    joint = jnp.ones((self.matrix.shape[0], self.rows), self.narrow)
    return self.remember(joint, jnp.zeros((self.width, self.rows), self.narrow))

  def remember(self, joint: Array, hidden: Array) -> Array:
    """Returns the buffer with the given hidden state written into it."""
    hidden = hidden.astype(self.narrow)
    return jax.lax.dynamic_update_slice(joint, hidden, (self.read, 0))

  def load(self, joint: Array, day: Array) -> Array:
    """Returns the buffer with a day's input written into it.

    If products are hoisted, the buffer is unchanged.
    """
    if self.plan.hoist:
      return joint
    first = 0
    for part in self.inputs.at(day):
      joint = jax.lax.dynamic_update_slice(joint, part, (first, 0))
      first += part.shape[0]
    return joint

  def gates(
    self, joint: Array, projected: Array | None, day: Array
  ) -> tuple[Array, ...]:
    """Returns a step's activated gates i, f, g and o, [H, rows] each."""
    gates = self.product('gk,kr->gr', self.transposed, joint)
    if projected is not None:
      gates += projected[day - self.span.first]
    return squash(gates, self.narrow)


def squash(gates: Array, dtype: jnp.dtype) -> tuple[Array, ...]:
  """Applies the activations to gates [..., 4H, rows]; returns i, f, g, o."""
  i, f, g, o = jnp.split(gates, 4, -2)
  squashed = (*map(jax.nn.sigmoid, (i, f)), jnp.tanh(g), jax.nn.sigmoid(o))
  return tuple(gate.astype(dtype) for gate in squashed)


def through_cell(
  gates: tuple[Array, ...],
  cell: Array,
  before: Array,
  d_hidden: Array,
  d_cell: Array,
) -> tuple[Array, tuple[Array, ...]]:
  """Computes the elementwise part of a backward step.

  Args:
    gates: i, f, g and o, activated.
    cell: cell state after the step.
    before: cell state before the step.
    d_hidden: gradient of the hidden state after the step.
    d_cell: gradient of `cell` from later steps.

  Returns:
    The gradient of `before`, and those of i, f, g and o before activation.
  """
  i, f, g, o = gates
  squashed = jnp.tanh(cell)
  d_cell += d_hidden * o * (1 - squashed * squashed)
  return d_cell * f, (
    d_cell * g * i * (1 - i),
    d_cell * before * f * (1 - f),
    d_cell * i * (1 - g * g),
    d_hidden * squashed * o * (1 - o),
  )


def _stepper(direction: Direction):
  """Returns the function of one step, for `jax.lax.scan`, and the first carry.

  The function maps `((joint, cell), day)` to the next carry and `(hidden, cell,
  gates)`; `joint` is the buffer of `Direction`.
  """
  projected = direction.projected()

  def step(carry, day):
    joint, cell = carry
    joint = direction.load(joint, day)
    gates = direction.gates(joint, projected, day)
    i, f, g, o = (gate.astype(direction.wide) for gate in gates)
    cell = f * cell + i * g
    hidden = (o * jnp.tanh(cell)).astype(direction.narrow)
    return (direction.remember(joint, hidden), cell), (hidden, cell, gates)

  cell = jnp.zeros((direction.width, direction.rows), direction.wide)
  return step, (direction.buffer(), cell)


def outputs(direction: Direction, wanted: int) -> Array:
  """Returns the hidden states on the last `wanted` days, [wanted, H, rows].

  These are the last of the direction's S days; for a reverse direction,
  `wanted` must be S.
  """
  step, carry = _stepper(direction)
  days, reverse = direction.span.days, direction.span.reverse
  before = days.shape[0] - wanted
  if before:
    assert not reverse
    carry, _ = jax.lax.scan(
      lambda carry, day: (step(carry, day)[0], None), carry, days[:before]
    )

  def emit(carry, day):
    carry, (hidden, _, _) = step(carry, day)
    return carry, hidden

  return jax.lax.scan(emit, carry, days[before:], reverse=reverse)[1]


def trace(direction: Direction) -> Trace:
  """Runs all steps; returns the values that the backward pass needs."""
  step, carry = _stepper(direction)

  def emit(carry, day):
    carry, (hidden, cell, gates) = step(carry, day)
    gates = gates if direction.saves_gates else ()
    return carry, Trace(hidden, cell, gates)

  span = direction.span
  return jax.lax.scan(emit, carry, span.days, reverse=span.reverse)[1]


def backpropagate(
  direction: Direction, trace: Trace, d_output: Callable[[Array], Array]
) -> tuple[DirectionWeights, Array]:
  """Backpropagates through time in one direction.

  Args:
    direction: the direction, with its weights and inputs.
    trace: the result of the function `trace` for this direction.
    d_output: maps a day to the gradient of that day's output, [H, rows].

  Returns:
    The gradients of the weights, and of the inputs after dropout [S, I, rows].
  """
  plan, span, width = direction.plan, direction.span, direction.width
  narrow, wide, product = direction.narrow, direction.wide, direction.product
  projected = None if direction.saves_gates else direction.projected()
  matrix, read = direction.matrix, direction.read

  def before(states: Array, day: Array) -> Array:
    index = day - span.first + (1 if span.reverse else -1)
    state = jax.lax.dynamic_index_in_dim(states, index, 0, False)
    return jnp.where(day == span.start, jnp.zeros_like(state), state)

  def step(carry, inputs):
    joint, d_joint, d_cell, d_gates, d_matrix = carry
    day, cell, gates = inputs
    joint = direction.load(joint, day)
    joint = direction.remember(joint, before(trace.hidden, day))
    gates = gates or direction.gates(joint, projected, day)
    d_cell, parts = through_cell(
      tuple(gate.astype(wide) for gate in gates),
      cell,
      before(trace.cell, day),
      d_joint[read : read + width] + d_output(day).astype(wide),
      d_cell,
    )
    d_gates = _fill(d_gates, *parts)
    d_joint = product('kg,gr->kr', matrix, d_gates)
    if plan.hoist:
      emitted = d_gates
    else:
      d_matrix += product('kr,gr->kg', joint, d_gates)
      emitted = d_joint[:read].astype(narrow)
    return (joint, d_joint, d_cell, d_gates, d_matrix), emitted

  carry, emitted = jax.lax.scan(
    step,
    _initial_carry(direction),
    (span.days, trace.cell, trace.gates),
    reverse=not span.reverse,
  )
  if plan.hoist:
    return _contract(direction, trace, emitted)
  d_input, d_hidden, d_bias = jnp.split(carry[-1], (read, read + width))
  return DirectionWeights(d_input, d_hidden, d_bias[0]), emitted


def _initial_carry(direction: Direction) -> tuple[Array, ...]:
  """Returns the initial carry of `backpropagate`: buffer and zero gradients."""
  matrix, rows, width = direction.matrix, direction.rows, direction.width
  wide, hoists = direction.wide, direction.plan.hoist
  return (
    direction.buffer(),
    jnp.zeros((matrix.shape[0], rows), wide),
    jnp.zeros((width, rows), wide),
    jnp.zeros((4 * width, rows), direction.narrow),
    jnp.zeros(() if hoists else matrix.shape, wide),
  )


def _contract(
  direction: Direction, trace: Trace, d_gates: Array
) -> tuple[DirectionWeights, Array]:
  """Computes the gradients of weights and inputs after the loop over days.

  `backpropagate` returns them if `plan.hoist` is set. `d_gates` [S, 4H, rows]
  are the gradients with respect to the gates before activation.
  """
  span, product = direction.span, direction.product
  inputs = direction.inputs.whole(span)
  edge = jnp.zeros_like(trace.hidden[:1])
  if span.reverse:
    before = jnp.concatenate([trace.hidden[1:], edge])
  else:
    before = jnp.concatenate([edge, trace.hidden[:-1]])
  d_weights = DirectionWeights(
    input=product('dir,dgr->ig', inputs, d_gates),
    hidden=product('dhr,dgr->hg', before, d_gates),
    bias=d_gates.sum((0, 2), dtype=direction.wide),
  )
  d_inputs = product('ig,dgr->dir', direction.projection, d_gates)
  return d_weights, d_inputs.astype(direction.narrow)


def _fill(buffer: Array, *parts: Array) -> Array:
  """Returns `buffer` overwritten with equal parts, joined along axis 0."""
  for k, part in enumerate(parts):
    part = part.astype(buffer.dtype)
    buffer = jax.lax.dynamic_update_slice(buffer, part, (k * len(part), 0))
  return buffer

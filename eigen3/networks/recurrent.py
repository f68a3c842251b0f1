"""A two-layer bidirectional LSTM that computes only what is used of it.

Only the mean of the last few steps leaves the core. The second layer's
reverse direction starts at the last step, so it runs exactly those steps and
no more: values and gradients are those of the whole pass.
Gates are in PyTorch's order i, f, g, o; PyTorch's two biases are one here.

The backward pass is written by hand, because what autodiff makes of the loops
is slow: it keeps more than is needed, and copies it about. Time comes first
and rows come last, so that gates are contiguous slices. What a step
multiplies, its input, the hidden state and a one for the bias, lies in one
buffer that the loop carries and overwrites; so do the four gates' gradients.
Joining them anew at every step would cost as much as the products.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jmp

from eigen3.networks import dropout
from eigen3.types import Array


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


class Plan(NamedTuple):
  """How the core runs; what it computes depends on no field but the rate.

  Attributes:
    policy: products in its compute dtype, cell state in its output dtype.
    pooled_days: how many last steps are averaged.
    dropout_rate: between the layers, where keys are given.
    save_gates: for each layer, keep its gates for the backward pass;
      otherwise they are computed again from hidden and cell states, a third
      of the memory. The first layer's cost little: its inputs are few.
    hoist: take products that do not depend on the recurrence out of the
      loops: inputs times weights go before them, the gradients of weights and
      inputs after them.
  """

  policy: jmp.Policy
  pooled_days: int
  dropout_rate: float = 0.0
  save_gates: tuple[bool, bool] = (False, True)
  hoist: bool = False


class _Trace(NamedTuple):
  """What the backward pass needs of every step, in the order of days."""

  hidden: Array  # [S, H, rows], after the step
  cell: Array  # [S, H, rows], after the step
  gates: tuple[Array, ...]  # i, f, g, o [S, H, rows] each, or none


class _Span(NamedTuple):
  """The S days that a direction walks over, and which way."""

  first: int
  stop: int
  reverse: bool

  @property
  def days(self) -> Array:
    return jnp.arange(self.first, self.stop)

  @property
  def start(self) -> int:
    return self.stop - 1 if self.reverse else self.first


class _Input(NamedTuple):
  """A layer's input: its parts one above the other, some of it dropped."""

  parts: tuple[Array, ...]  # [D, I / number of parts, rows] each
  keys: Array | None = None  # of the dropout
  rate: float = 0.0

  @property
  def size(self) -> int:
    return sum(part.shape[1] for part in self.parts)

  def at(self, day: Array) -> list[Array]:
    """The parts on one day, [I / number of parts, rows] each."""
    return [
      jax.lax.dynamic_index_in_dim(part, day, 0, False) * self.keep(day, k)
      for k, part in enumerate(self.parts)
    ]

  def keep(self, day: Array, part: int) -> Array | float:
    """What dropout multiplies a part with, like it or 1."""
    if self.keys is None:
      return 1.0
    of_part = self.parts[part]
    size = of_part.shape[1]
    first = day * self.size + part * size
    return dropout.keep_scale(
      self.keys, self.rate, (size,), of_part.dtype, first
    )

  def whole(self, span: _Span) -> Array:
    """All days of a span, [S, I, rows]."""
    days = slice(span.first, span.stop)
    x = jnp.concatenate([part[days] for part in self.parts], 1)
    return x * self.whole_keep(span)

  def whole_keep(self, span: _Span) -> Array | float:
    """What dropout multiplies `whole` with."""
    if self.keys is None:
      return 1.0
    shape = (span.stop - span.first, self.size)
    return dropout.keep_scale(
      self.keys, self.rate, shape, self.parts[0].dtype, span.first * self.size
    )


def pooled_lstm(
  plan: Plan, weights: Weights, x: Array, keys: Array | None
) -> Array:
  """The mean of the last days' outputs of a bidirectional LSTM.

  Source: Hochreiter and Schmidhuber (1997), as in PyTorch's nn.LSTM with two
  layers; Eigen2 pools 3 days.

  Args:
    plan: static.
    weights: parameters of the four directions.
    x: [D, I, rows], time first.
    keys: uint32 [rows, 2], of the dropout between the layers, or None.

  Returns:
    [rows, 2H] in the policy's output dtype, forward direction first.

  Raises:
    ValueError: if there are fewer days than are pooled.
  """
  if x.shape[0] < plan.pooled_days:
    raise ValueError(
      f'pooled_days: found {plan.pooled_days}, expected at most the '
      f'{x.shape[0]} context days'
    )
  if not plan.dropout_rate:
    keys = None
  return _core(plan, weights, plan.policy.cast_to_compute(x), keys).T


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _core(plan: Plan, weights: Weights, x: Array, keys: Array | None) -> Array:
  """As `pooled_lstm`, but [2H, rows], and x is in the compute dtype."""
  first, second = _layers(plan, weights, x)
  outputs = tuple(_outputs(d, x.shape[0]) for d in first(_Input((x,))))
  inputs = _Input(outputs, keys, plan.dropout_rate)
  return _pool(plan, [_outputs(d, plan.pooled_days) for d in second(inputs)])


def _core_forward(plan: Plan, weights: Weights, x: Array, keys: Array | None):
  """As `_core`, with what the backward pass needs."""
  first, second = _layers(plan, weights, x)
  traces = tuple(map(_trace, first(_Input((x,)))))
  inputs = _Input(tuple(t.hidden for t in traces), keys, plan.dropout_rate)
  traces += tuple(map(_trace, second(inputs)))
  pooled = _pool(plan, [t.hidden[-plan.pooled_days :] for t in traces[2:]])
  return pooled, (weights, x, keys, traces)


def _core_backward(plan: Plan, residuals, to_pooled: Array):
  """Backpropagation through time of both layers."""
  weights, x, keys, traces = residuals
  first, second = _layers(plan, weights, x)
  inputs = _Input(tuple(t.hidden for t in traces[:2]), keys, plan.dropout_rate)
  pooled_from = x.shape[0] - plan.pooled_days
  to_halves = jnp.split(to_pooled / plan.pooled_days, 2)

  def pooled(half: int, day: Array) -> Array:
    return jnp.where(day >= pooled_from, to_halves[half], 0)

  (to_forward, to_inputs), (to_reverse, to_last) = (
    _backpropagate(direction, trace, functools.partial(pooled, half))
    for half, (direction, trace) in enumerate(
      zip(second(inputs), traces[2:], strict=True)
    )
  )
  # The last days were read by both directions.
  to_inputs = jax.lax.dynamic_update_slice(
    to_inputs, to_inputs[pooled_from:] + to_last, (pooled_from, 0, 0)
  )

  def hidden(half: int, day: Array) -> Array:
    size = inputs.size // 2
    return inputs.keep(day, half) * jax.lax.dynamic_slice(
      to_inputs, (day, half * size, 0), (1, size, to_inputs.shape[-1])
    ).squeeze(0)

  to_first, to_x = zip(
    *(
      _backpropagate(direction, trace, functools.partial(hidden, half))
      for half, (direction, trace) in enumerate(
        zip(first(_Input((x,))), traces[:2], strict=True)
      )
    ),
    strict=True,
  )
  to_weights = Weights(to_first[0], to_first[1], to_forward, to_reverse)
  return to_weights, to_x[0] + to_x[1], None


_core.defvjp(_core_forward, _core_backward)


class _Direction:
  """The products of one direction of one layer."""

  def __init__(
    self,
    plan: Plan,
    weights: DirectionWeights,
    inputs: _Input,
    span: _Span,
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
    # How much of the buffer is input.
    self.read = 0 if plan.hoist else inputs.size
    parts = [weights.hidden, weights.bias[None]]
    if not plan.hoist:
      parts = [weights.input, *parts]
    self.matrix = jnp.concatenate(parts).astype(self.narrow)
    # Here, not in the loops, so that it is laid out once.
    self.transposed = self.matrix.T
    self.projection = weights.input.astype(self.narrow)

  def projected(self) -> Array | None:
    """Inputs times weights, [S, 4H, rows], where they leave the loop."""
    if not self.plan.hoist:
      return None
    inputs = self.inputs.whole(self.span)
    return self.product('ig,dir->dgr', self.projection, inputs)

  def buffer(self) -> Array:
    """What the first step multiplies, without its input."""
    joint = jnp.ones((self.matrix.shape[0], self.rows), self.narrow)
    return self.remember(joint, jnp.zeros((self.width, self.rows), self.narrow))

  def remember(self, joint: Array, hidden: Array) -> Array:
    """Puts the hidden state into the buffer."""
    hidden = hidden.astype(self.narrow)
    return jax.lax.dynamic_update_slice(joint, hidden, (self.read, 0))

  def load(self, joint: Array, day: Array) -> Array:
    """Puts a day's input into the buffer."""
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
    """i, f, g and o, [H, rows] each in the compute dtype."""
    gates = self.product('gk,kr->gr', self.transposed, joint)
    if projected is not None:
      gates += projected[day - self.span.first]
    i, f, g, o = jnp.split(gates, 4)
    squashed = (*map(jax.nn.sigmoid, (i, f)), jnp.tanh(g), jax.nn.sigmoid(o))
    return tuple(gate.astype(self.narrow) for gate in squashed)


def _layers(plan: Plan, weights: Weights, x: Array):
  """For each layer, what makes its two directions of an input."""
  days = x.shape[0]
  whole, back = _Span(0, days, False), _Span(0, days, True)
  # The other days of the last direction are never read.
  short = _Span(days - plan.pooled_days, days, True)

  def layer(k, spans):
    def directions(inputs: _Input) -> list[_Direction]:
      return [
        _Direction(plan, w, inputs, span, plan.save_gates[k])
        for w, span in zip(weights[2 * k : 2 * k + 2], spans, strict=True)
      ]

    return directions

  return layer(0, (whole, back)), layer(1, (whole, short))


def _pool(plan: Plan, outputs: list[Array]) -> Array:
  """Mean over days of both directions' outputs, [2H, rows]."""
  both = jnp.concatenate(outputs, 1)
  return both.mean(0, dtype=plan.policy.output_dtype)


def _stepper(direction: _Direction):
  """The function of one step, and the carry of the first."""
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


def _outputs(direction: _Direction, wanted: int) -> Array:
  """The hidden states of the last `wanted` steps, [wanted, H, rows]."""
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


def _trace(direction: _Direction) -> _Trace:
  """All steps, with what the backward pass needs."""
  step, carry = _stepper(direction)

  def emit(carry, day):
    carry, (hidden, cell, gates) = step(carry, day)
    gates = gates if direction.saves_gates else ()
    return carry, _Trace(hidden, cell, gates)

  span = direction.span
  return jax.lax.scan(emit, carry, span.days, reverse=span.reverse)[1]


def _backpropagate(
  direction: _Direction, trace: _Trace, to_output
) -> tuple[DirectionWeights, Array]:
  """Backpropagation through time of one direction.

  Args:
    direction: its products.
    trace: of its steps.
    to_output: the gradient of a day's output, [H, rows].

  Returns:
    The gradients of the weights, and of the inputs [S, I, rows].
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
    joint, to_joint, to_cell, to_gates, to_matrix = carry
    day, cell, gates = inputs
    joint = direction.load(joint, day)
    joint = direction.remember(joint, before(trace.hidden, day))
    gates = gates or direction.gates(joint, projected, day)
    i, f, g, o = (gate.astype(wide) for gate in gates)
    to_hidden = to_joint[read : read + width] + to_output(day).astype(wide)
    squashed = jnp.tanh(cell)
    to_cell += to_hidden * o * (1 - squashed * squashed)
    to_gates = _fill(
      to_gates,
      to_cell * g * i * (1 - i),
      to_cell * before(trace.cell, day) * f * (1 - f),
      to_cell * i * (1 - g * g),
      to_hidden * squashed * o * (1 - o),
    )
    to_joint = product('kg,gr->kr', matrix, to_gates)
    if plan.hoist:
      emitted = to_gates
    else:
      to_matrix += product('kr,gr->kg', joint, to_gates)
      emitted = to_joint[:read].astype(narrow)
    return (joint, to_joint, to_cell * f, to_gates, to_matrix), emitted

  rows = direction.rows
  carry = (
    direction.buffer(),
    jnp.zeros((matrix.shape[0], rows), wide),
    jnp.zeros((width, rows), wide),
    jnp.zeros((4 * width, rows), narrow),
    jnp.zeros(() if plan.hoist else matrix.shape, wide),
  )
  carry, emitted = jax.lax.scan(
    step,
    carry,
    (span.days, trace.cell, trace.gates),
    reverse=not span.reverse,
  )
  if plan.hoist:
    return _contract(direction, trace, emitted)
  to_input, to_hidden, to_bias = jnp.split(carry[-1], (read, read + width))
  return DirectionWeights(to_input, to_hidden, to_bias[0]), emitted


def _contract(
  direction: _Direction, trace: _Trace, to_gates: Array
) -> tuple[DirectionWeights, Array]:
  """What `_backpropagate` returns, of all gates' gradients [S, 4H, rows]."""
  span, product = direction.span, direction.product
  inputs = direction.inputs.whole(span)
  edge = jnp.zeros_like(trace.hidden[:1])
  if span.reverse:
    before = jnp.concatenate([trace.hidden[1:], edge])
  else:
    before = jnp.concatenate([edge, trace.hidden[:-1]])
  to_weights = DirectionWeights(
    input=product('dir,dgr->ig', inputs, to_gates),
    hidden=product('dhr,dgr->hg', before, to_gates),
    bias=to_gates.sum((0, 2), dtype=direction.wide),
  )
  to_inputs = product('ig,dgr->dir', direction.projection, to_gates)
  return to_weights, to_inputs.astype(direction.narrow)


def _fill(buffer: Array, *parts: Array) -> Array:
  """Overwrites a buffer by parts of equal size, one above the other."""
  for k, part in enumerate(parts):
    part = part.astype(buffer.dtype)
    buffer = jax.lax.dynamic_update_slice(buffer, part, (k * len(part), 0))
  return buffer

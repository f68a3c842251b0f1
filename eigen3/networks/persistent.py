"""The LSTM with kernels: loops whose only products are the recurrent ones.

All other products are computed for whole windows: before a loop, inputs times
weights and, in the backward pass, the gates from inputs and stored hidden
states; after the loop, the gradients of weights and inputs. Only hidden states
and cell states (cells) are stored for the backward pass.

Arrays of G directions over T days are [G, T, rows, units], as the kernels
expect, in the order of the days; a row is a sequence. Rows of zeros are added
up to a multiple of `Loops.rows`. The outputs of these rows are dropped, so the
rows add nothing to any gradient.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from eigen3 import parallel
from eigen3.networks import dropout
from eigen3.networks.lstm_cell import Loops
from eigen3.networks.lstm_direction import DirectionWeights, Plan
from eigen3.types import Array

_DAYS_OF_PART = 8  # most days in each part of a sum over all days
_ALIGNED = 8  # inner sizes of products are padded to multiples of this
_BOTH = (False, True)  # `reverse` of a layer's two directions

# Hidden states and cells after each step of G directions, [G, T, rows, H] each.
Trace = tuple[Array, Array]


def pooled(plan: Plan, weights, x: Array, keys: Array | None) -> Array:
  """Computes `recurrent.pooled_lstm` as [2H, rows], for x in compute dtype."""
  rows = x.shape[-1]
  x, keys = _prepare(plan, x, keys)
  first, last = weights[:2], plan.pooled_days
  hidden, _ = _walk(plan, first, x, _BOTH, x.shape[0], False)
  x = _inner_inputs(plan, hidden, keys)
  ahead, _ = _walk(plan, weights[2:3], x, _BOTH[:1], last, False)
  back, _ = _walk(plan, weights[3:], x[-last:], _BOTH[1:], last, False)
  return _pool(plan, ahead, back, rows)


def forward(plan: Plan, weights, x: Array, keys: Array | None):
  """Computes `pooled`, and also returns the traces that `backward` needs."""
  rows, last = x.shape[-1], plan.pooled_days
  x, keys = _prepare(plan, x, keys)
  traces = [_trace(plan, weights[:2], x, _BOTH)]
  x = _inner_inputs(plan, traces[0][0], keys)
  traces.append(_trace(plan, weights[2:3], x, _BOTH[:1]))
  traces.append(_trace(plan, weights[3:], x[-last:], _BOTH[1:]))
  ahead, back = traces[1][0][:, -last:], traces[2][0]
  return _pool(plan, ahead, back, rows), tuple(traces)


def backward(
  plan: Plan,
  weights,
  x: Array,
  keys: Array | None,
  traces: tuple[Trace, ...],
  d_pooled: Array,
) -> tuple[list[DirectionWeights], Array]:
  """Backpropagates through both layers.

  The first four arguments are those that `forward` was given.

  Args:
    plan: static settings.
    weights: of the four directions.
    x: [D, I, rows].
    keys: [rows, 2] or None.
    traces: the second result of `forward`.
    d_pooled: gradient of the first result of `forward`, [2H, rows].

  Returns:
    The gradients of the weights, in the order of `weights`, and of x.
  """
  rows, last = x.shape[-1], plan.pooled_days
  x, keys = _prepare(plan, x, keys)
  days = x.shape[0]
  d_halves = _d_halves(plan, d_pooled)
  inputs = _inner_inputs(plan, traces[0][0], keys)
  # Only the last days' outputs are read.
  d_last = jnp.broadcast_to(d_halves, (last, *d_halves.shape))
  d_last = jnp.moveaxis(d_last, 1, 0)
  d_ahead = jnp.pad(d_last[:1], ((0, 0), (days - last, 0), (0, 0), (0, 0)))
  d_third, d_inputs = _walk_back(
    plan, weights[2:3], inputs, traces[1], d_ahead, _BOTH[:1]
  )
  d_fourth, d_end = _walk_back(
    plan, weights[3:], inputs[-last:], traces[2], d_last[1:], _BOTH[1:]
  )
  d_inputs = d_inputs.at[-last:].add(d_end)
  if keys is not None:
    d_inputs *= _keep(plan, keys, d_inputs)
  d_hidden = jnp.stack(jnp.split(d_inputs, 2, -1))
  d_first, d_x = _walk_back(plan, weights[:2], x, traces[0], d_hidden, _BOTH)
  d_x = jnp.swapaxes(d_x[:, :rows], 1, 2)
  return [*d_first, *d_third, *d_fourth], d_x


def _prepare(
  plan: Plan, x: Array, keys: Array | None
) -> tuple[Array, Array | None]:
  """Returns x as [D, rows, I], and the keys, both with padded rows."""
  multiple = _loops(plan).rows
  x = parallel.pad_to_multiple(jnp.swapaxes(x, 1, 2), multiple, 1)
  if keys is not None:
    keys = parallel.pad_to_multiple(keys, multiple, 0)
  return x, keys


def _loops(plan: Plan) -> Loops:
  assert plan.loops is not None
  return plan.loops


def _inner_inputs(plan: Plan, hidden: Array, keys: Array | None) -> Array:
  """Returns the second layer's inputs [D, rows, 2H], after dropout."""
  both = jnp.concatenate(list(hidden), -1)
  return both if keys is None else both * _keep(plan, keys, both)


def _keep(plan: Plan, keys: Array, x: Array) -> Array:
  """Returns dropout's factors for x [D, rows, 2H]."""
  days, _, size = x.shape
  keep = dropout.keep_scale(keys, plan.dropout_rate, (days, size), x.dtype)
  return jnp.swapaxes(keep, 1, 2)


def _pool(plan: Plan, ahead: Array, back: Array, rows: int) -> Array:
  """Averages both directions' outputs over days, to [2H, rows].

  The outputs, `ahead` (forward) and `back` (reverse), are [1, pooled days,
  padded rows, H] each; only the first `rows` rows are kept.
  """
  both = jnp.concatenate([ahead[0], back[0]], -1)
  return both.mean(0, dtype=plan.policy.output_dtype)[:rows].T


def _d_halves(plan: Plan, d_pooled: Array) -> Array:
  """Returns the gradients of both directions' outputs on a pooled day.

  They are [2, padded rows, H], the same on all pooled days.
  """
  d_rows = (d_pooled / plan.pooled_days).T.astype(plan.policy.compute_dtype)
  d_rows = parallel.pad_to_multiple(d_rows, _loops(plan).rows, 0)
  return jnp.stack(jnp.split(d_rows, 2, -1))


def _walk(
  plan: Plan,
  weights: Sequence[DirectionWeights],
  x: Array,
  reverse: tuple[bool, ...],
  emitted: int,
  keeps_cells: bool,
) -> tuple[Array, Array | None]:
  """Runs G directions on inputs [T, rows, I]; see `Loops.forward`."""
  narrow = plan.policy.compute_dtype
  joint = _joint(x, None, len(weights))
  projected = _product(joint, _matrix(plan, weights, False), narrow)
  hidden = jnp.stack([w.hidden for w in weights]).astype(narrow)
  return _loops(plan).forward(projected, hidden, reverse, emitted, keeps_cells)


def _trace(
  plan: Plan,
  weights: Sequence[DirectionWeights],
  x: Array,
  reverse: tuple[bool, ...],
) -> Trace:
  """Runs G directions; returns hidden states and cells of all days."""
  hidden, cells = _walk(plan, weights, x, reverse, x.shape[0], True)
  assert cells is not None
  return hidden, cells


def _walk_back(
  plan: Plan,
  weights: Sequence[DirectionWeights],
  x: Array,
  trace: Trace,
  d_hidden: Array,
  reverse: tuple[bool, ...],
) -> tuple[list[DirectionWeights], Array]:
  """Backpropagates through G directions.

  Args:
    plan: static settings.
    weights: of the G directions.
    x: inputs of all G directions, [T, rows, I].
    trace: the directions' hidden states and cells.
    d_hidden: gradient of the directions' outputs, [G, T, rows, H].
    reverse: for each direction, whether it runs from the last day to the first.

  Returns:
    Gradients of the weights, and of the inputs [T, rows, I].
  """
  narrow = plan.policy.compute_dtype
  hidden, cells = trace
  joint = _joint(x, _before(hidden, reverse), len(weights))
  gates = _product(joint, _matrix(plan, weights, True), narrow)
  transposed = jnp.stack([w.hidden.T for w in weights]).astype(narrow)
  d_gates = _loops(plan).backward(gates, cells, d_hidden, transposed, reverse)
  d_matrix = _sum_of_products(joint, d_gates, plan.policy.output_dtype)
  projection = jnp.stack([w.input for w in weights]).astype(narrow)
  d_x = jnp.einsum(
    'gtrz,giz->gtri', d_gates, projection, preferred_element_type=narrow
  )
  inputs, units = x.shape[-1], hidden.shape[-1]
  d_weights = [
    DirectionWeights(
      of_one[:inputs],
      of_one[inputs : inputs + units],
      of_one[inputs + units],
    )
    for of_one in d_matrix
  ]
  return d_weights, d_x.sum(0)


def _before(hidden: Array, reverse: tuple[bool, ...]) -> Array:
  """Turns hidden states after each step into those before each step."""
  edge = jnp.zeros_like(hidden[0, :1])
  return jnp.stack(
    [
      jnp.concatenate([states[1:], edge] if back else [edge, states[:-1]])
      for states, back in zip(hidden, reverse, strict=True)
    ]
  )


def _joint(x: Array, before: Array | None, directions: int) -> Array:
  """Concatenates inputs, hidden states and a 1 for the bias, [G, T, rows, K].

  `_product` multiplies this array by the one that `_matrix` returns. K is I, or
  I + H with hidden states, plus 1, rounded up to a multiple of `_ALIGNED`; the
  added entries are 0.

  Args:
    x: inputs, [T, rows, I].
    before: hidden states before each step, [G, T, rows, H], or None.
    directions: G, the number of directions.
  """
  parts = [jnp.broadcast_to(x, (directions, *x.shape))]
  if before is not None:
    parts.append(before)
  width = sum(part.shape[-1] for part in parts)
  # A one for the bias, then zeros.
  rest = jnp.zeros(1 + parallel.padding(width + 1, _ALIGNED), x.dtype)
  rest = rest.at[0].set(1)
  parts.append(jnp.broadcast_to(rest, (*parts[0].shape[:-1], len(rest))))
  return jnp.concatenate(parts, -1)


def _matrix(
  plan: Plan, weights: Sequence[DirectionWeights], with_hidden: bool
) -> Array:
  """Stacks weights and bias of G directions, [G, K, 4H]; K as in `_joint`.

  The recurrent weights are included only if `with_hidden`.
  """
  of_each = [
    jnp.concatenate(
      [w.input, w.hidden, w.bias[None]]
      if with_hidden
      else [w.input, w.bias[None]]
    )
    for w in weights
  ]
  matrix = jnp.stack(of_each).astype(plan.policy.compute_dtype)
  return parallel.pad_to_multiple(matrix, _ALIGNED, 1)


def _product(joint: Array, matrix: Array, dtype) -> Array:
  """Multiplies [G, T, rows, K] by [G, K, 4H]; the result has `dtype`.

  XLA accumulates the sums in float32 or wider, even if `dtype` is narrower.
  """
  return jnp.einsum(
    'gtrk,gkz->gtrz', joint, matrix, preferred_element_type=dtype
  )


def _sum_of_products(x: Array, y: Array, dtype) -> Array:
  """Contracts [G, T, rows, K] and [G, T, rows, Z] over T and rows: [G, K, Z].

  Sums within parts of the days first, and then adds the parts: the result is
  small, so a single product would occupy only a few of a GPU's multiprocessors.
  """
  days = math.gcd(x.shape[1], _DAYS_OF_PART)
  x, y = (z.reshape(len(z), -1, days, *z.shape[2:]) for z in (x, y))
  parts = jnp.einsum('gptrk,gptrz->gpkz', x, y, preferred_element_type=dtype)
  return parts.sum(1)

"""The LSTM for devices where each step is costly: two directions in one loop.

On a GPU, starting a loop's step and each operation in it takes longer than the
arithmetic of small operations. So both directions of the first layer run in one
loop, the reverse one over the reversed days; a step is one batched product and
some elementwise operations. Each step concatenates input and hidden state, and
adds the bias after the product. (In `lstm_direction` the bias is one more row
of the matrix; without it the sizes of the products suit tensor cores.)
Gradients of weights and inputs are products over many steps.
All values that are stored for a step are in the compute dtype; the loop carries
cell states in the output dtype.

Arrays of n directions are [D, n, ..., rows], where a row is a sequence; the
first axis is in the order of each direction's steps. The second layer's forward
direction is such a loop with n = 1; the second layer's reverse direction has
only a few steps and uses `lstm_direction`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from eigen3.networks import lstm_direction
from eigen3.networks.lstm_direction import (
  Direction,
  DirectionWeights,
  Input,
  Plan,
  Span,
  Trace,
)
from eigen3.types import Array

_MOST_STEPS = 64  # for which the gates' gradients are stored at once


class Kept(NamedTuple):
  """Values of each step for the backward pass, and the last hidden state.

  Attributes:
    hidden_tm1: [D, n, H, rows], hidden states before each step.
    cell_tm1: [D, n, H, rows], cell states before each step.
    gates: activated gates i, f, g and o, [D, n, H, rows] each; an empty tuple
      if they are not saved.
    last: [n, H, rows], the hidden state after the last step.
  """

  hidden_tm1: Array
  cell_tm1: Array
  gates: tuple[Array, ...]
  last: Array

  @property
  def hidden(self) -> Array:
    """Returns the hidden states after each step, [D, n, H, rows]."""
    return jnp.concatenate([self.hidden_tm1[1:], self.last[None]])


class Walk:
  """n directions that run in one loop, with their weights and inputs."""

  def __init__(
    self,
    plan: Plan,
    weights: Sequence[DirectionWeights],
    x: Array,
    saves_gates: bool,
  ):
    """Stacks the weights of n directions.

    Their inputs are x, [D, n, I, rows], in the order of the steps.
    `saves_gates` tells whether `keep` stores the gates.
    """
    self.narrow = plan.policy.compute_dtype
    self.wide = plan.policy.output_dtype
    self.saves_gates = saves_gates
    self.x = x
    self.inputs = x.shape[2]
    matrices = [jnp.concatenate([w.input, w.hidden]) for w in weights]
    self.matrix = jnp.stack(matrices).astype(self.narrow)  # [n, I + H, 4H]
    self.bias = jnp.stack([w.bias for w in weights])[..., None]
    self.product = functools.partial(
      jnp.einsum, preferred_element_type=self.wide
    )

  def zeros(self, dtype: jnp.dtype) -> Array:
    """Returns zeros in the shape of a step's states, [n, H, rows]."""
    count, size, _ = self.matrix.shape
    return jnp.zeros((count, size - self.inputs, self.x.shape[-1]), dtype)

  def gates(self, x: Array, hidden: Array) -> tuple[Array, ...]:
    """Returns a step's activated gates i, f, g and o, [n, H, rows] each."""
    joint = jnp.concatenate([x, hidden], 1)
    gates = self.product('nkg,nkr->ngr', self.matrix, joint) + self.bias
    return lstm_direction.squash(gates, self.narrow)

  def take(self, emit: Callable) -> tuple[Array, Any]:
    """Runs all steps.

    Args:
      emit: maps `(carry, gates, hidden)` to the arrays that are stored for a
        step; `carry` is a pair of the hidden and the cell state before the
        step, `hidden` the hidden state after the step.

    Returns:
      The hidden state after the last step, [n, H, rows], and the stored arrays,
      stacked to [D, ...].
    """

    def step(carry, x):
      hidden, cell = carry
      gates = self.gates(x, hidden)
      i, f, g, o = (gate.astype(self.wide) for gate in gates)
      cell = f * cell + i * g
      hidden = (o * jnp.tanh(cell)).astype(self.narrow)
      return (hidden, cell), emit(carry, gates, hidden)

    carry = self.zeros(self.narrow), self.zeros(self.wide)
    (last, _), emitted = jax.lax.scan(step, carry, self.x)
    return last, emitted

  def hidden(self) -> Array:
    """Returns the hidden state after each step, [D, n, H, rows]."""
    return self.take(lambda carry, gates, hidden: hidden)[1]

  def keep(self) -> Kept:
    """Runs all steps, storing what the backward pass needs."""

    def emit(carry, gates, hidden):
      del hidden
      gates = gates if self.saves_gates else ()
      return carry[0], carry[1].astype(self.narrow), gates

    last, (hidden_tm1, cell_tm1, gates) = self.take(emit)
    return Kept(hidden_tm1, cell_tm1, gates, last)


def backpropagate(
  walk: Walk, kept: Kept, d_output: Callable[[Array], Array]
) -> tuple[list[DirectionWeights], Array]:
  """Backpropagates through time in n directions.

  The products for the gradients of weights and inputs are computed for one
  block of steps at a time: a product over all steps would need the gates'
  gradients of all steps at once, which would about double the memory.

  Args:
    walk: the directions, with their weights and inputs.
    kept: the values that the forward pass stored.
    d_output: maps a step's index to the gradient of that step's output,
      [n, H, rows].

  Returns:
    The gradients of each direction's weights, and of the inputs
    [D, n, I, rows].
  """
  steps, count, size, rows = kept.hidden_tm1.shape
  block, wide = _block_of(steps), walk.wide
  back = _step_back(walk, d_output, block)
  # Steps next to rows, so that products over both need no transposition.
  empty = jnp.zeros((count, 4 * size, block, rows), walk.narrow)

  def of_block(carry, given):
    d_weights, d_hidden, d_cell = carry
    (d_hidden, d_cell, d_gates), _ = jax.lax.scan(
      back, (d_hidden, d_cell, empty), given, reverse=True
    )
    _, x, hidden_tm1, *_ = given
    added, d_x = _contract(walk, x, hidden_tm1, d_gates)
    d_weights = jax.tree.map(jnp.add, d_weights, added)
    return (d_weights, d_hidden, d_cell), d_x

  shapes = (walk.inputs, 4 * size), (size, 4 * size), (4 * size,)
  d_weights = DirectionWeights(
    *(jnp.zeros((count, *shape), wide) for shape in shapes)
  )
  given = (jnp.arange(steps), walk.x, *kept[:3])
  (d_weights, _, _), d_x = jax.lax.scan(
    of_block,
    (d_weights, walk.zeros(wide), walk.zeros(wide)),
    jax.tree.map(lambda x: x.reshape(-1, block, *x.shape[1:]), given),
    reverse=True,
  )
  each = [DirectionWeights(*x) for x in zip(*d_weights, strict=True)]
  return each, d_x.reshape(walk.x.shape)


def _step_back(
  walk: Walk, d_output: Callable[[Array], Array], block: int
) -> Callable:
  """Returns the function of a backward step, for `jax.lax.scan`.

  That function writes the gates' gradients into the buffer of `block` steps
  that it carries.
  """
  wide = walk.wide

  def back(carry, given):
    d_hidden, d_cell, d_gates = carry
    step, x, hidden_tm1, cell_tm1, gates = given
    gates = gates or walk.gates(x, hidden_tm1)
    i, f, g, o = (gate.astype(wide) for gate in gates)
    cell_tm1 = cell_tm1.astype(wide)
    d_cell, parts = lstm_direction.through_cell(
      (i, f, g, o),
      f * cell_tm1 + i * g,
      cell_tm1,
      d_hidden + d_output(step).astype(wide),
      d_cell,
    )
    of_step = jnp.concatenate(parts, 1).astype(walk.narrow)
    d_gates = jax.lax.dynamic_update_slice_in_dim(
      d_gates, of_step[:, :, None], step % block, 2
    )
    d_hidden = walk.product(
      'nkg,ngr->nkr', walk.matrix[:, walk.inputs :], of_step
    )
    return (d_hidden, d_cell, d_gates), None

  return back


def _contract(
  walk: Walk, x: Array, hidden_tm1: Array, d_gates: Array
) -> tuple[DirectionWeights, Array]:
  """Computes the gradients of weights and inputs over one block of steps.

  Args:
    walk: the n directions.
    x: the block's inputs, [block, n, I, rows].
    hidden_tm1: hidden states before each step, [block, n, H, rows].
    d_gates: gradients of the gates before activation, [n, 4H, block, rows].
  """
  d_weights = DirectionWeights(
    input=walk.product('snir,ngsr->nig', x, d_gates),
    hidden=walk.product('snhr,ngsr->nhg', hidden_tm1, d_gates),
    bias=d_gates.sum((2, 3), dtype=walk.wide),
  )
  matrix = walk.matrix[:, : walk.inputs]
  return d_weights, jnp.einsum('nig,ngsr->snir', matrix, d_gates)


def _block_of(steps: int) -> int:
  """Returns the number of steps of a block, a divisor of `steps`.

  It is the largest divisor that is at most `_MOST_STEPS` and at most half of
  `steps`; 1 for a single step.
  """
  most = max(min(_MOST_STEPS, steps // 2), 1)
  return next(x for x in range(most, 0, -1) if steps % x == 0)


def _together(forward: Array, reverse: Array) -> Array:
  """Stacks two arrays [D, ...] in day order as [D, 2, ...] in step order."""
  return jnp.stack([forward, reverse[::-1]], 1)


def _apart(steps: Array) -> tuple[Array, Array]:
  """Splits [D, 2, ...] in step order into two arrays [D, ...] in day order."""
  return steps[:, 0], steps[::-1, 1]


def _first(plan: Plan, weights: Sequence[DirectionWeights], x: Array) -> Walk:
  """Returns the first layer's two directions, for inputs x [D, I, rows]."""
  return Walk(plan, weights[:2], _together(x, x), plan.save_gates[0])


def _dropped(plan: Plan, both: tuple[Array, ...], keys: Array | None) -> Array:
  """Joins `both` to [D, 2H, rows] and applies the dropout between the layers.

  `both` holds, in one or two parts, the first layer's outputs, or the gradient
  of the second layer's inputs. Without keys there is no dropout.
  """
  span = Span(0, both[0].shape[0], False)
  return Input(both, keys, plan.dropout_rate).whole(span)


def _second(
  plan: Plan, weights: Sequence[DirectionWeights], x: Array
) -> tuple[Walk, Direction]:
  """Returns the second layer's forward and reverse direction.

  Their inputs, after dropout, are x [D, 2H, rows]. The reverse direction covers
  only the last `plan.pooled_days` days.
  """
  saves, days = plan.save_gates[1], plan.pooled_days
  return (
    Walk(plan, weights[2:3], x[:, None], saves),
    Direction(
      plan, weights[3], Input((x[-days:],)), Span(0, days, True), saves
    ),
  )


def outputs(
  plan: Plan,
  weights: Sequence[DirectionWeights],
  x: Array,
  keys: Array | None,
) -> list[Array]:
  """Returns the second layer's outputs on the last `plan.pooled_days` days.

  Args:
    plan: static settings.
    weights: of the four directions, as in `recurrent.Weights`.
    x: [D, I, rows] in the compute dtype.
    keys: of the dropout between the layers, or None.

  Returns:
    [pooled days, H, rows] for each direction.
  """
  both = _apart(_first(plan, weights, x).hidden())
  second, last = _second(plan, weights, _dropped(plan, both, keys))
  days = plan.pooled_days
  return [second.hidden()[-days:, 0], lstm_direction.outputs(last, days)]


def forward(
  plan: Plan,
  weights: Sequence[DirectionWeights],
  x: Array,
  keys: Array | None,
) -> tuple[list[Array], tuple[Kept, Kept, Trace]]:
  """Computes `outputs`, and also returns what the backward pass needs."""
  first = _first(plan, weights, x).keep()
  dropped = _dropped(plan, _apart(first.hidden), keys)
  second, last = _second(plan, weights, dropped)
  kept = first, second.keep(), lstm_direction.trace(last)
  return [kept[1].hidden[-plan.pooled_days :, 0], kept[2].hidden], kept


def backward(
  plan: Plan,
  weights: Sequence[DirectionWeights],
  x: Array,
  keys: Array | None,
  kept: tuple[Kept, Kept, Trace],
  d_halves: Sequence[Array],
) -> tuple[list[DirectionWeights], Array]:
  """Backpropagates through time in both layers.

  The first four arguments are those that `forward` was given.

  Args:
    plan: static settings.
    weights: of the four directions.
    x: [D, I, rows].
    keys: of the dropout, or None.
    kept: the second result of `forward`.
    d_halves: for each direction of the second layer, the gradient of that
      direction's output on one pooled day, [H, rows]. The gradient is the same
      for every pooled day.

  Returns:
    The gradients of the weights of the four directions, and of x.
  """
  dropped = _dropped(plan, _apart(kept[0].hidden), keys)
  second, last = _second(plan, weights, dropped)
  pooled_from = x.shape[0] - plan.pooled_days
  (d_forward,), d_dropped = backpropagate(
    second,
    kept[1],
    lambda day: jnp.where(day >= pooled_from, d_halves[0][None], 0),
  )
  d_reverse, d_last = lstm_direction.backpropagate(
    last, kept[2], lambda day: d_halves[1]
  )
  d_dropped = d_dropped[:, 0].at[pooled_from:].add(d_last)
  d_outputs = _together(
    *jnp.split(_dropped(plan, (d_dropped,), keys), 2, axis=1)
  )
  d_first, d_x = backpropagate(
    _first(plan, weights, x),
    kept[0],
    lambda step: jax.lax.dynamic_index_in_dim(d_outputs, step, 0, False),
  )
  of_forward, of_reverse = _apart(d_x)
  return [*d_first, d_forward, d_reverse], of_forward + of_reverse

"""Persistent kernels for an LSTM's loops over days, on NVIDIA's Hopper GPUs.

A scan launches several kernels per step and reads the recurrent weights each
time. Here one program (thread block) keeps the weights in the shared memory of
its multiprocessor and loops over all days, for 64 rows (sequences) of one
direction. Products over whole windows are left to XLA (see `persistent`).

A program has two warpgroups. Each owns 64 of the 128 units, with all four gates
of these units, so that the warpgroups need not exchange cells (cell states).
Each writes the hidden states (forward) or gates' gradients (backward) of its
units to shared memory, and both read those of all units for their products. Use
of shared memory in KiB, at most 224 of 227:

  forward   128 weights, 64 a day's projected inputs, 16 hidden states, 16 cells
            to be copied out
  backward  128 transposed weights, 64 a day's gates, later overwritten by their
            gradients, 16 cells, 16 gradients of the outputs

A copy out of shared memory must be contiguous there, so outputs lie in tiles of
[64, 64], one for each warpgroup (and gate, in the backward pass). Products are
of bfloat16 and accumulated in float32. In registers, the current cells (forward
pass) and the gradients of states (backward pass) stay float32.

Why nothing is overwritten or read too early:

- A barrier has phases, and a warpgroup that waits sees only their parity, so a
  barrier must never get two phases ahead of that warpgroup. Both warpgroups
  must arrive at the barriers `written` and `multiplied`, which take turns, each
  once per step. So one warpgroup returns to a barrier only after the other has
  passed it.
- A barrier that signals the end of copies (`..._here`) gets new copies only
  after every warpgroup that reads the previous ones has passed it. For
  projected inputs, both have passed it before `written`. `weights_here` is used
  once. Each of the other such barriers belongs to a single warpgroup.
- The operands that both warpgroups read (hidden states; gates' gradients) are
  written after the previous products' `multiplied` and before the next
  products' `written`.
- What a copy overwrites has been read: projected inputs by both warpgroups
  before `written`; a warpgroup's own cells and gradients of outputs before its
  `meet`; gates' gradients by the products of both warpgroups before
  `multiplied`, and by the copy out of shared memory by the end of the wait for
  that copy.
- What a copy reads is not overwritten until the wait for that copy has ended:
  hidden states and cells in the forward pass, gates' gradients in the backward
  pass.
- The copy engine and products access memory through a different path (proxy)
  from loads and stores: `meet` begins with a fence, and separates a warpgroup's
  loads and stores from any copy or product that follows. At the start of the
  backward pass a fence alone does this: a warpgroup reads its cells, which only
  it reads, and fetches its states once more.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from eigen3.networks import lstm_cell
from eigen3.types import Array

ROWS = 64  # rows of a program, as many as a warpgroup multiplies at once
UNITS = 128  # H; the recurrent weights of 128 units fit in shared memory
DTYPE = jnp.bfloat16
_HALF = UNITS // 2  # units of a warpgroup
_GATES = 4 * UNITS
_TILED = (plgpu.TilingTransform((8, 64)), plgpu.SwizzleTransform(128))


def forward(
  projected: Array,
  weights: Array,
  reverse: tuple[bool, ...],
  emitted: int,
  keeps_cells: bool,
) -> tuple[Array, Array | None]:
  """Runs the forward loop; see `lstm_cell.Loops`.

  Arrays must be bfloat16, with H = `UNITS`. `reverse` must be (False, True) or
  have equal entries. With `keeps_cells`, `emitted` must equal the number of
  days.
  """
  directions, days, rows, _ = projected.shape
  assert not keeps_cells or emitted == days
  hidden = jax.ShapeDtypeStruct((directions, emitted, rows, UNITS), DTYPE)
  memory: dict[str, Any] = {
    'weights': _smem(UNITS, _GATES),
    'projected': _smem(ROWS, _GATES),
    'hidden': _smem(2, ROWS, _HALF),
    'weights_here': plgpu.Barrier(),
    'projected_here': plgpu.Barrier(),
    'multiplied': plgpu.Barrier(num_arrivals=2),
    'written': plgpu.Barrier(num_arrivals=2),
  }
  outputs = [hidden]
  if keeps_cells:
    outputs.append(hidden)
    memory['cells'] = _smem(2, ROWS, _HALF)

  def lstm_forward(*refs, **memory):
    _Forward(SimpleNamespace(**memory), refs, days, reverse, emitted).run()

  kernel = _launch(lstm_forward, outputs, directions, rows, memory)
  found = kernel(projected, weights)
  return found[0], found[1] if keeps_cells else None


def backward(
  gates: Array,
  cells: Array,
  d_hidden: Array,
  transposed: Array,
  reverse: tuple[bool, ...],
) -> Array:
  """Runs the backward loop; see `lstm_cell.Loops`.

  The conditions on dtype, H and `reverse` are those of `forward`.
  """
  directions, days, rows, _ = gates.shape
  memory = {
    'weights': _smem(_GATES, UNITS),
    'gates': _smem(2, 4, ROWS, _HALF),
    'cells': _smem(2, ROWS, _HALF),
    'd_hidden': _smem(2, ROWS, _HALF),
    'weights_here': plgpu.Barrier(),
    'gates_here': plgpu.Barrier(num_barriers=8),
    'states_here': plgpu.Barrier(num_arrivals=2, num_barriers=2),
    'multiplied': plgpu.Barrier(num_arrivals=2),
    'written': plgpu.Barrier(num_arrivals=2),
  }

  def lstm_backward(*refs, **memory):
    _Backward(SimpleNamespace(**memory), refs, days, reverse).run()

  output = jax.ShapeDtypeStruct(gates.shape, DTYPE)
  kernel = _launch(lstm_backward, [output], directions, rows, memory)
  return kernel(gates, cells, d_hidden, transposed)[0]


# Jitted, so that a program with many calls of a loop lowers it once.
LOOPS = lstm_cell.Loops(
  jax.jit(forward, static_argnames=('reverse', 'emitted', 'keeps_cells')),
  jax.jit(backward, static_argnames='reverse'),
  ROWS,
)


def _launch(body: Callable, outputs, directions: int, rows: int, memory: dict):
  """Returns a kernel with one program for each 64 rows of each direction.

  Both warpgroups of a program run `body`. It gets references to inputs and
  outputs as positional arguments, and what `memory` allocates by name.
  """
  return plgpu.kernel(
    body,
    out_type=outputs,
    scratch_types=memory,
    grid=(directions, rows // ROWS),
    grid_names=('direction', 'tile'),
    num_threads=2,
    thread_name='warpgroup',
    compiler_params=plgpu.CompilerParams(approx_math=True),
  )


def _smem(*shape: int):
  return plgpu.SMEM(shape, DTYPE, transforms=_TILED)


class _Program:
  """One warpgroup's part of a program, which computes 64 rows of a direction.

  Both warpgroups of a program run this code, each for its own units.

  Attributes:
    memory: what the kernel allocates, by name: shared memory and barriers. The
      names of barriers that signal the end of copies end in `_here`.
    own: the index of this warpgroup, 0 or 1.
    units: the slice of units that this warpgroup owns.
    rows: the program's slice of rows.
    direction: the index of the direction.
  """

  def __init__(self, memory, days: int, reverse: tuple[bool, ...]):
    self.memory = memory
    self.own = lax.axis_index('warpgroup')
    self.units = pl.ds(self.own * _HALF, _HALF)
    self.rows = pl.ds(lax.axis_index('tile') * ROWS, ROWS)
    self.direction = lax.axis_index('direction')
    self._days = days
    self._reverse = reverse

  def day(self, step: Array) -> Array:
    """Returns the day on which the forward pass takes the given step."""
    last, reverse = self._days - 1, self._reverse
    if len(set(reverse)) == 1:
      return last - step if reverse[0] else step
    assert reverse == (False, True)
    return jnp.where(self.direction == 1, last - step, step)

  def columns(self, gate: int):
    """Returns the slice of the 4H axis for one gate of the owned units."""
    return pl.ds(gate * UNITS + self.own * _HALF, _HALF)

  def fetch_weights(self, weights) -> None:
    """Starts copying the weights, in warpgroup 0 for both."""
    memory = self.memory

    @pl.when(self.own == 0)
    def _():
      source = weights.at[self.direction]
      plgpu.copy_gmem_to_smem(source, memory.weights, memory.weights_here)

  def meet(self) -> None:
    """Waits until both warpgroups arrive and their writes are visible."""
    plgpu.commit_smem()
    plgpu.barrier_arrive(self.memory.written)
    plgpu.barrier_wait(self.memory.written)


class _Forward(_Program):
  """One warpgroup's part of a program of the forward pass."""

  def __init__(self, memory, refs, days, reverse, emitted: int):
    super().__init__(memory, days, reverse)
    self._projected, self._weights, *self._outputs = refs
    self._sources = [memory.hidden, getattr(memory, 'cells', None)]
    self._before = days - emitted  # days that are not emitted

  def run(self) -> None:
    """Runs the loop over all days."""
    memory = self.memory
    self.fetch_weights(self._weights)
    self._fetch(0)
    memory.hidden[self.own] = _zeros().astype(DTYPE)
    plgpu.barrier_wait(memory.weights_here)
    self.meet()
    lax.fori_loop(0, self._days, self._walk, _zeros())
    plgpu.wait_smem_to_gmem(0)

  def _fetch(self, step) -> None:
    """Starts copying a step's projected inputs, in warpgroup 0 for both."""
    memory = self.memory

    @pl.when((self.own == 0) & (step < self._days))
    def _():
      place = self.direction, self.day(step), self.rows
      source = self._projected.at[place]
      plgpu.copy_gmem_to_smem(source, memory.projected, memory.projected_here)

  def _walk(self, step: Array, cell: Array) -> Array:
    memory = self.memory
    sums = pl.run_scoped(self._multiply, *[_sums()] * 4)
    plgpu.barrier_arrive(memory.multiplied)
    plgpu.barrier_wait(memory.projected_here)

    def gate(k):
      return sums[k] + _wide(memory.projected[:, self.columns(k)])

    states = lstm_cell.step(gate, cell)
    # After these waits the buffers may be overwritten: this warpgroup's copies
    # out have read them, and both warpgroups have multiplied.
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    plgpu.barrier_wait(memory.multiplied)
    for place, state in zip(self._sources, states, strict=True):
      if place is not None:
        place[self.own] = state.astype(DTYPE)
    # After this, both warpgroups have also read the projected inputs.
    self.meet()
    self._emit(self.day(step))
    self._fetch(step + 1)
    return states[1]

  def _multiply(self, *sums):
    memory = self.memory
    for k, gate in enumerate(sums):
      for half in range(2):
        inner = pl.ds(half * _HALF, _HALF)
        weights = memory.weights.at[inner, self.columns(k)]
        plgpu.wgmma(gate, memory.hidden.at[half], weights)
    return tuple(gate[...] for gate in sums)

  def _emit(self, day: Array) -> None:
    @pl.when(day >= self._before)
    def _():
      place = self.direction, day - self._before, self.rows, self.units
      for source, target in zip(self._sources, self._outputs, strict=False):
        plgpu.copy_smem_to_gmem(source.at[self.own], target.at[place])


class _Backward(_Program):
  """One warpgroup's part of a program of the backward pass.

  Step 0 is the last step of the forward pass. Each warpgroup fetches only what
  it alone reads, except for the weights. Both read the gates' gradients, which
  overwrite the gates.
  """

  def __init__(self, memory, refs, days, reverse):
    super().__init__(memory, days, reverse)
    *self._states, self._weights, self._d_gates = refs

  def run(self) -> None:
    """Runs the loop over all days."""
    memory, own = self.memory, self.own
    self.fetch_weights(self._weights)
    # Fetches the cell state of step 0; the gradient that is fetched with it is
    # fetched again below.
    self._fetch_states(0, 0)
    self._fetch_gates(0)
    plgpu.barrier_wait(memory.weights_here)
    plgpu.barrier_wait(memory.states_here.at[own])
    last = memory.cells[own]
    plgpu.commit_smem()
    self._fetch_states(0, 1)
    carry = _zeros(), _zeros(), last
    lax.fori_loop(0, self._days, self._walk, carry)
    plgpu.wait_smem_to_gmem(0)

  def _place(self, step, columns):
    return self.direction, self.day(self._days - 1 - step), self.rows, columns

  def _fetch_gates(self, step) -> None:
    """Starts copying a step's gates for this warpgroup, in the order of use."""

    @pl.when(step < self._days)
    def _():
      for k in lstm_cell.BACKWARD_ORDER:
        source = self._states[0].at[self._place(step, self.columns(k))]
        place = self.memory.gates.at[self.own, k]
        plgpu.copy_gmem_to_smem(source, place, self._gate_here(k))

  def _gate_here(self, k: int):
    return self.memory.gates_here.at[4 * self.own + k]

  def _fetch_states(self, step, of_cell) -> None:
    """Starts copying a step's output gradient, and the cell state of `of_cell`.

    `step` and `of_cell` are steps of the backward pass. The cell state is the
    one after the forward pass's step on the same day as `of_cell`.
    """
    memory, own = self.memory, self.own
    here = memory.states_here.at[own]
    cells, d_hidden = self._states[1:]

    @pl.when(step < self._days)
    def _():
      # No cell precedes the last step: `_walk` multiplies what is copied by 0.
      place = self._place(jnp.minimum(of_cell, self._days - 1), self.units)
      plgpu.copy_gmem_to_smem(cells.at[place], memory.cells.at[own], here)
      source = d_hidden.at[self._place(step, self.units)]
      plgpu.copy_gmem_to_smem(source, memory.d_hidden.at[own], here)

  def _walk(self, step: Array, carry):
    memory, own = self.memory, self.own
    d_state, d_cell, after = carry
    plgpu.barrier_wait(memory.states_here.at[own])
    before = memory.cells[own]
    is_there = jnp.where(step + 1 < self._days, 1.0, 0.0)

    def gate(k):
      plgpu.barrier_wait(self._gate_here(k))
      return _wide(memory.gates[own, k])

    def emit(k, gradient):
      memory.gates[own, k] = gradient.astype(DTYPE)

    d_cell = lstm_cell.step_back(
      gate,
      emit,
      (_wide(before) * is_there, _wide(after)),
      d_state + _wide(memory.d_hidden[own]),
      d_cell,
    )
    self.meet()
    self._emit(step)
    self._fetch_states(step + 1, step + 2)
    d_state = pl.run_scoped(self._multiply, _sums())
    # After these waits the buffers may be overwritten: this warpgroup's copies
    # out have read them, and both warpgroups have multiplied.
    plgpu.barrier_arrive(memory.multiplied)
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    plgpu.barrier_wait(memory.multiplied)
    self._fetch_gates(step + 1)
    return d_state, d_cell, before

  def _multiply(self, sums):
    memory = self.memory
    for half in range(2):
      for k in range(4):
        inner = pl.ds(k * UNITS + half * _HALF, _HALF)
        weights = memory.weights.at[inner, self.units]
        plgpu.wgmma(sums, memory.gates.at[half, k], weights)
    return sums[...]

  def _emit(self, step: Array) -> None:
    for k in range(4):
      target = self._d_gates.at[self._place(step, self.columns(k))]
      plgpu.copy_smem_to_gmem(self.memory.gates.at[self.own, k], target)


def _sums():
  """Returns the type of a warpgroup's accumulator, which lies in registers."""
  return plgpu.ACC((ROWS, _HALF), jnp.float32)


def _zeros() -> Array:
  """Returns zeros in the register layout of `_sums`."""
  return pl.run_scoped(lambda sums: sums[...], _sums())


def _wide(tile: Array) -> Array:
  return tile.astype(jnp.float32)

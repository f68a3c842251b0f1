"""Persistent kernels for the passes of an LSTM over its days, for Hopper.

A scan launches several programs a step and reads the recurrent weights each
time. Here a program keeps them in the shared memory of its multiprocessor and
walks over all days with 64 rows of one direction. All else, products of whole
windows, is left to XLA (`persistent`).

A program is two warpgroups. Each owns 64 of the 128 units, all four gates of
them, so that the cell needs no exchange; hidden states (forward) and the
gates' gradients (backward) are written by one and multiplied by both. Shared
memory, 224 of the 227 KiB that there are:

  forward   weights 128, a day's projected inputs 64, hidden states 16, cells
            on their way out 16
  backward  weights transposed 128, a day's gates, which their gradients
            overwrite, 64, cells 16, gradients of the outputs 16

A copy out of shared memory must be contiguous there, so what leaves lies in
tiles of [64, 64], each of one warpgroup. Products are of bfloat16 and
accumulated in float32; cells and their gradients stay float32 in registers.

Barriers have phases: who waits for one has to have passed its last phase
before the next can end. `meet` ends when both warpgroups have arrived, and
between two arrivals at the one barrier each warpgroup waits for the other
barrier, so that none is a phase ahead. A barrier of copies is waited for by
each warpgroup that reads them, before any that issues the next ones can do so.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from eigen3.networks import lstm_cell
from eigen3.types import Array

ROWS = 64  # of a program: those of a product of a warpgroup
UNITS = 128  # H, all of whose weights fit in shared memory
DTYPE = jnp.bfloat16
_HALF = UNITS // 2  # units of a warpgroup
_GATES = 4 * UNITS
_TILED = (plgpu.TilingTransform((8, 64)), plgpu.SwizzleTransform(128))


def _smem(*shape: int):
  return plgpu.SMEM(shape, DTYPE, transforms=_TILED)


def _launch(body: Callable, outputs, directions: int, rows: int, scratch: dict):
  """The kernel of `body`, a program for each direction and 64 rows."""
  return plgpu.kernel(
    body,
    out_type=outputs,
    scratch_types=scratch,
    grid=(directions, rows // ROWS),
    grid_names=('direction', 'tile'),
    num_threads=2,
    thread_name='warpgroup',
    compiler_params=plgpu.CompilerParams(approx_math=True),
  )


def _day(step: Array, days: int, reverse: tuple[bool, ...]) -> Array:
  """The day of a step of this program's direction."""
  if len(set(reverse)) == 1:
    return days - 1 - step if reverse[0] else step
  assert reverse == (False, True)
  back = lax.axis_index('direction') == 1
  return jnp.where(back, days - 1 - step, step)


def _own(gate: int, warpgroup: Array):
  """The columns of a gate that a warpgroup owns."""
  return pl.ds(gate * UNITS + warpgroup * _HALF, _HALF)


def _sums():
  """Of a product of a warpgroup, in its registers."""
  return plgpu.ACC((ROWS, _HALF), jnp.float32)


def _zeros() -> Array:
  """Laid out as sums are, which begin with them."""
  return pl.run_scoped(lambda sums: sums[...], _sums())


def _load(ref, *index) -> Array:
  """A tile of shared memory in float32, laid out as products are."""
  return ref[index].astype(jnp.float32)


def _meet(barrier) -> None:
  """Waits until both warpgroups are here, and see what they have written."""
  plgpu.commit_smem()
  plgpu.barrier_arrive(barrier)
  plgpu.barrier_wait(barrier)


def forward(
  projected: Array,
  weights: Array,
  reverse: tuple[bool, ...],
  emitted: int,
  keeps_cells: bool,
) -> tuple[Array, Array | None]:
  """See `lstm_cell.Loops`."""
  directions, days, rows, _ = projected.shape
  assert not keeps_cells or emitted == days
  hidden = jax.ShapeDtypeStruct((directions, emitted, rows, UNITS), DTYPE)
  body = functools.partial(
    _forward_body,
    days=days,
    reverse=reverse,
    emitted=emitted,
    keeps_cells=keeps_cells,
  )
  scratch = {
    'weights_smem': _smem(UNITS, _GATES),
    'projected_smem': _smem(ROWS, _GATES),
    'hidden_smem': _smem(2, ROWS, _HALF),
    'cells_smem': _smem(2, ROWS, _HALF) if keeps_cells else None,
    'weights_here': plgpu.Barrier(),
    'projected_here': plgpu.Barrier(),
    'written': plgpu.Barrier(num_arrivals=2),
    'multiplied': plgpu.Barrier(num_arrivals=2),
  }
  outputs = (hidden, hidden) if keeps_cells else (hidden,)
  if not keeps_cells:
    del scratch['cells_smem']
  kernel = _launch(body, outputs, directions, rows, scratch)
  found = kernel(projected, weights)
  return found[0], found[1] if keeps_cells else None


def _forward_body(
  projected,
  weights,
  hidden,
  *cells,
  weights_smem,
  projected_smem,
  hidden_smem,
  weights_here,
  projected_here,
  written,
  multiplied,
  days: int,
  reverse: tuple[bool, ...],
  emitted: int,
  keeps_cells: bool,
  cells_smem=None,
):
  """A program of the forward pass; names in `_here` are barriers of copies."""
  own = lax.axis_index('warpgroup')
  direction = lax.axis_index('direction')
  rows = pl.ds(lax.axis_index('tile') * ROWS, ROWS)
  units = pl.ds(own * _HALF, _HALF)

  def fetch(step):
    day = _day(step, days, reverse)
    plgpu.copy_gmem_to_smem(
      projected.at[direction, day, rows], projected_smem, projected_here
    )

  @pl.when(own == 0)
  def _():
    plgpu.copy_gmem_to_smem(weights.at[direction], weights_smem, weights_here)
    fetch(0)

  hidden_smem[own] = _zeros().astype(DTYPE)
  plgpu.barrier_wait(weights_here)
  _meet(written)

  def product(*accumulators):
    for gate, accumulator in enumerate(accumulators):
      for half in range(2):
        plgpu.wgmma(
          accumulator,
          hidden_smem.at[half],
          weights_smem.at[pl.ds(half * _HALF, _HALF), _own(gate, own)],
        )
    return tuple(accumulator[...] for accumulator in accumulators)

  def walk(step, cell):
    sums = pl.run_scoped(product, *[_sums()] * 4)
    plgpu.barrier_arrive(multiplied)
    plgpu.barrier_wait(projected_here)

    def gate(k):
      return sums[k] + _load(projected_smem, slice(None), _own(k, own))

    state, cell = lstm_cell.step(gate, cell)
    # What is overwritten now: this warpgroup's copies have left, and both have
    # multiplied it.
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    plgpu.barrier_wait(multiplied)
    hidden_smem[own] = state.astype(DTYPE)
    if keeps_cells:
      cells_smem[own] = cell.astype(DTYPE)
    # Both have read the projected inputs, too, when they have met.
    _meet(written)
    day = _day(step, days, reverse)

    @pl.when(day >= days - emitted)
    def _():
      index = direction, day - (days - emitted), rows, units
      plgpu.copy_smem_to_gmem(hidden_smem.at[own], hidden.at[index])
      if keeps_cells:
        plgpu.copy_smem_to_gmem(cells_smem.at[own], cells[0].at[index])

    @pl.when((own == 0) & (step + 1 < days))
    def _():
      fetch(step + 1)

    return cell

  lax.fori_loop(0, days, walk, _zeros())
  plgpu.wait_smem_to_gmem(0)


def backward(
  gates: Array,
  cells: Array,
  to_hidden: Array,
  transposed: Array,
  reverse: tuple[bool, ...],
) -> Array:
  """See `lstm_cell.Loops`."""
  directions, days, rows, _ = gates.shape
  body = functools.partial(_backward_body, days=days, reverse=reverse)
  scratch = {
    'weights_smem': _smem(_GATES, UNITS),
    'gates_smem': _smem(2, 4, ROWS, _HALF),
    'cells_smem': _smem(2, ROWS, _HALF),
    'to_hidden_smem': _smem(2, ROWS, _HALF),
    'weights_here': plgpu.Barrier(),
    'gates_here': plgpu.Barrier(num_arrivals=4, num_barriers=2),
    'states_here': plgpu.Barrier(num_arrivals=2, num_barriers=2),
    'written': plgpu.Barrier(num_arrivals=2),
    'multiplied': plgpu.Barrier(num_arrivals=2),
  }
  outputs = (jax.ShapeDtypeStruct(gates.shape, DTYPE),)
  kernel = _launch(body, outputs, directions, rows, scratch)
  return kernel(gates, cells, to_hidden, transposed)[0]


def _backward_body(
  gates,
  cells,
  to_hidden,
  weights,
  to_gates,
  *,
  weights_smem,
  gates_smem,
  cells_smem,
  to_hidden_smem,
  weights_here,
  gates_here,
  states_here,
  written,
  multiplied,
  days: int,
  reverse: tuple[bool, ...],
):
  """A program of the backward pass.

  Steps count from the last of the forward pass. All copies are a warpgroup's
  own: what it fetches, it alone reads, but for the gates' gradients that it
  writes where the gates were.
  """
  own = lax.axis_index('warpgroup')
  direction = lax.axis_index('direction')
  rows = pl.ds(lax.axis_index('tile') * ROWS, ROWS)
  units = pl.ds(own * _HALF, _HALF)

  def day_of(step):
    return days - 1 - _day(step, days, reverse)

  def fetch(source, step, columns, target, barrier):
    index = direction, day_of(step), rows, columns
    plgpu.copy_gmem_to_smem(source.at[index], target, barrier.at[own])

  def fetch_gates(step):
    for k in range(4):
      place = gates_smem.at[own, k]
      fetch(gates, step, _own(k, own), place, gates_here)

  def fetch_states(step):
    """The output's gradient on a day, and the cell of the day before."""
    before = jnp.minimum(step + 1, days - 1)
    fetch(cells, before, units, cells_smem.at[own], states_here)
    fetch(to_hidden, step, units, to_hidden_smem.at[own], states_here)

  # Before the first step, the cell after it.
  fetch(cells, 0, units, cells_smem.at[own], states_here)
  fetch(to_hidden, 0, units, to_hidden_smem.at[own], states_here)
  fetch_gates(0)

  @pl.when(own == 0)
  def _():
    plgpu.copy_gmem_to_smem(weights.at[direction], weights_smem, weights_here)

  plgpu.barrier_wait(weights_here)
  plgpu.barrier_wait(states_here.at[own])
  last = cells_smem[own]
  plgpu.commit_smem()
  fetch_states(0)

  def product(accumulator):
    for half in range(2):
      for k in range(4):
        plgpu.wgmma(
          accumulator,
          gates_smem.at[half, k],
          weights_smem.at[pl.ds(k * UNITS + half * _HALF, _HALF), units],
        )
    return accumulator[...]

  def walk(step, carry):
    to_state, to_cell, after = carry
    plgpu.barrier_wait(states_here.at[own])
    plgpu.barrier_wait(gates_here.at[own])
    before = cells_smem[own]
    # Before the first day there is none; a cell is finite.
    is_there = jnp.where(step + 1 < days, 1.0, 0.0)

    def emit(k, gradient):
      gates_smem[own, k] = gradient.astype(DTYPE)

    to_cell = lstm_cell.step_back(
      lambda k: _load(gates_smem, own, k),
      emit,
      (before.astype(jnp.float32) * is_there, after.astype(jnp.float32)),
      to_state + _load(to_hidden_smem, own),
      to_cell,
    )
    _meet(written)
    for k in range(4):
      index = direction, day_of(step), rows, _own(k, own)
      plgpu.copy_smem_to_gmem(gates_smem.at[own, k], to_gates.at[index])

    @pl.when(step + 1 < days)
    def _():
      fetch_states(step + 1)

    to_state = pl.run_scoped(product, _sums())
    # What is overwritten now: this warpgroup's copies have left, and both have
    # multiplied it.
    plgpu.barrier_arrive(multiplied)
    plgpu.wait_smem_to_gmem(0, wait_read_only=True)
    plgpu.barrier_wait(multiplied)

    @pl.when(step + 1 < days)
    def _():
      fetch_gates(step + 1)

    return to_state, to_cell, before

  lax.fori_loop(0, days, walk, (_zeros(), _zeros(), last))
  plgpu.wait_smem_to_gmem(0)


LOOPS = lstm_cell.Loops(forward, backward, ROWS)

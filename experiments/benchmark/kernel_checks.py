"""Compares kernels of the LSTM core with its implementation as a scan.

The core is `recurrent.pooled_lstm`; each of its rows is a sequence. Kernels
compute in bfloat16, the scan in float32 with matrix products at JAX's 'highest'
precision, so differences should come from the kernels' rounding only. Rows are
independent, so one scan over the largest number of rows is also the reference
for smaller numbers.
"""

import functools
import math
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.networks import layers, recurrent
from eigen3.networks.lstm_cell import Loops
from eigen3.types import Array

_RATE = 0.1  # of dropout
_POOLED_DAYS = 3
# Limits of the relative errors of the values (the core's outputs) and of each
# gradient: the norm of the difference from the scan's result over the norm of
# that result.
VALUES, GRADIENTS = 5e-3, 1.5e-2


class Sizes(NamedTuple):
  """Sizes of the comparison.

  Attributes:
    days: number of steps, D; at least `_POOLED_DAYS`.
    inputs: number of input channels per step.
    hidden: H, hidden units of one direction.
    rows: the numbers of rows to check, at least two, with the largest last.
  """

  days: int = 504
  inputs: int = 32
  hidden: int = 128
  rows: tuple[int, ...] = (1, 63, 65, 669, 8 * 669)


class _Problem(NamedTuple):
  """Inputs of the core, and the gradient of a loss with respect to its output.

  This gradient is `d_output`, [rows, 2H]. For the inputs see
  `recurrent.pooled_lstm`.
  """

  weights: recurrent.Weights
  x: Array
  keys: Array
  d_output: Array

  def first(self, rows: int) -> '_Problem':
    return _Problem(
      self.weights, self.x[..., :rows], self.keys[:rows], self.d_output[:rows]
    )


def check_rows(loops: Loops, sizes: Sizes, dropped: bool) -> dict[str, float]:
  """Compares kernels' values and gradients with a scan's, per number of rows.

  Args:
    loops: the kernels to check.
    sizes: sizes of the comparison.
    dropped: whether there is dropout between the layers.

  Returns:
    Relative errors for each number of rows R: that of the values, keyed
    'values, R rows', and the largest one of the gradients, keyed
    'gradients, R rows'.

  Raises:
    ValueError: if an error is not finite or above its limit (`VALUES` or
      `GRADIENTS`), or two identical calls have different results.
  """
  rate = _RATE if dropped else 0.0
  whole = _problem(sizes, sizes.rows[-1])
  parts = [whole.first(rows) for rows in sizes.rows]
  reference = jax.jit(_results(_scan(rate)))
  ours = jax.jit(_results(_core(loops, rate)))
  # In parallel: nearly all of the time is compilation.
  with futures.ThreadPoolExecutor() as pool:
    scan = pool.submit(_compiled, reference, whole)
    programs = list(pool.map(functools.partial(_compiled, ours), parts))
  found: dict[str, float] = {}
  for rows, part, program in zip(sizes.rows, parts, programs, strict=True):
    counts = (jnp.arange(sizes.rows[-1]) < rows)[:, None]
    masked = whole._replace(d_output=whole.d_output * counts)
    found |= _compare(
      f'{rows} rows',
      functools.partial(program, part),
      _cut(scan.result()(masked), rows),
    )
  return found


def check_ways(loops: Loops, sizes: Sizes) -> dict[str, float]:
  """Compares kernels with a scan, under `vmap` and in rematerialised blocks.

  The `vmap` is over two problems, and there are two blocks, all with dropout.

  Args:
    loops: the kernels to check.
    sizes: sizes of the comparison; each problem of the `vmap`, and each block,
      has `sizes.rows[1]` rows.

  Returns:
    Relative errors as from `check_rows`, but with 'vmap' or 'remat' in the keys
    instead of 'R rows'.

  Raises:
    ValueError: as in `check_rows`.
  """
  rows = sizes.rows[1]
  core = _core(loops, _RATE)
  members = [_problem(sizes, rows, seed) for seed in (1, 2)]
  stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
  population = jax.jit(jax.vmap(_results(core)))
  reference = jax.jit(_results(_scan(_RATE)))
  each = [reference(member) for member in members]
  expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
  found = _compare('vmap', lambda: population(stacked), expected)

  both = _problem(sizes, 2 * rows)
  blocks = jax.jit(_results(_in_blocks(core)))
  return found | _compare('remat', lambda: blocks(both), reference(both))


def _compiled(jitted: Any, problem: _Problem) -> Callable[..., Any]:
  return jitted.lower(problem).compile()


def _core(loops: Loops | None, rate: float, dtype='bfloat16', **options):
  plan = recurrent.Plan(
    layers.precision_policy(dtype), _POOLED_DAYS, rate, loops=loops, **options
  )
  return functools.partial(recurrent.pooled_lstm, plan)


def _scan(rate: float) -> Callable[..., Array]:
  return _core(None, rate, 'float32', precision='highest')


def _in_blocks(core: Callable[..., Array]) -> Callable[..., Array]:
  """Returns a core that runs the two halves of the rows one after the other.

  The backward pass recomputes each half's activations.
  """

  def looped(weights, x, keys):
    block = jax.checkpoint(core, prevent_cse=False)
    x, keys = jnp.stack(jnp.split(x, 2, -1)), jnp.stack(jnp.split(keys, 2))
    halves = jax.lax.map(lambda half: block(weights, *half), (x, keys))
    return halves.reshape(-1, halves.shape[-1])

  return looped


def _results(core: Callable[..., Array]) -> Callable[[_Problem], Any]:
  """Returns a function that computes the core's values and gradients.

  The function returns them in a dict with the keys 'values', 'weights' and 'x';
  the last two are for the gradients.
  """

  def results(problem: _Problem):
    def of(weights, x):
      return core(weights, x, problem.keys)

    values, back = jax.vjp(of, problem.weights, problem.x)
    d_weights, d_x = back(problem.d_output)
    return {'values': values, 'weights': d_weights, 'x': d_x}

  return results


def _cut(results: dict[str, Any], rows: int) -> dict[str, Any]:
  """Keeps the first `rows` rows of the values and of the gradient of x.

  The other rows' `d_output` must be 0, so that they add nothing to the
  gradients of the weights.
  """
  return results | {
    'values': results['values'][:rows],
    'x': results['x'][..., :rows],
  }


def _problem(sizes: Sizes, rows: int, seed: int = 0) -> _Problem:
  """Draws a problem with `rows` rows.

  Weights are drawn as PyTorch does; x is like the output of a ReLU.
  """
  rng, hidden = np.random.default_rng(seed), sizes.hidden
  bound = 1 / math.sqrt(hidden)

  def direction(inputs):
    shapes = (inputs, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,)
    return recurrent.DirectionWeights(
      *(
        jnp.asarray(rng.uniform(-bound, bound, shape), jnp.float32)
        for shape in shapes
      )
    )

  inner = (sizes.inputs,) * 2 + (2 * hidden,) * 2
  weights = recurrent.Weights(*map(direction, inner))
  x = np.maximum(rng.normal(size=(sizes.days, sizes.inputs, rows)), 0)
  keys = rng.integers(0, 2**32, (rows, 2), dtype=np.uint32)
  d_output = rng.normal(size=(rows, 2 * hidden))
  return _Problem(
    weights,
    jnp.asarray(x, jnp.float32),
    jnp.asarray(keys),
    jnp.asarray(d_output, jnp.float32),
  )


def _compare(
  what: str, call: Callable[[], Any], expected: dict[str, Any]
) -> dict[str, float]:
  """Compares two results of `call` with each other, then one with `expected`.

  Args:
    what: what is compared, for keys and messages.
    call: returns a dict as the function from `_results` does.
    expected: such a dict, from the scan.

  Returns:
    Relative errors as from `check_rows`, but with `what` in the keys instead of
    'R rows'.

  Raises:
    ValueError: as in `check_rows`.
  """
  found, again = jax.device_get((call(), call()))
  for a, b in zip(*map(jax.tree.leaves, (found, again)), strict=True):
    if a.tobytes() != b.tobytes():
      raise ValueError(
        f'LSTM kernels, {what}: found different results of two identical '
        'calls, expected the same bits'
      )
  differences = {'values': 0.0, 'gradients': 0.0}
  for name, difference in _differences(found, jax.device_get(expected)):
    is_value = name == "['values']"
    # Written so that NaN fails, too.
    if not difference <= (VALUES if is_value else GRADIENTS):
      raise ValueError(
        f'LSTM kernels, {what}: {name}: found a relative error of '
        f'{difference:.2g} against the scan, expected at most '
        f'{VALUES if is_value else GRADIENTS}'
      )
    kind = 'values' if is_value else 'gradients'
    differences[kind] = max(differences[kind], difference)
  return {f'{kind}, {what}': x for kind, x in differences.items()}


def _differences(found: Any, expected: Any) -> Iterator[tuple[str, float]]:
  """Yields each array's path in the tree, and its relative error.

  The error is defined at `VALUES`.
  """
  pairs = jax.tree_util.tree_leaves_with_path(expected)
  for (path, b), a in zip(pairs, jax.tree.leaves(found), strict=True):
    norm = np.linalg.norm(b.astype(np.float64))
    difference = np.linalg.norm(a.astype(np.float64) - b)
    yield jax.tree_util.keystr(path), float(difference / norm)

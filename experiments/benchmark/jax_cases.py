"""Helps to build cases in JAX: timed compilation, networks, matrix products."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from eigen3 import networks, parallel
from eigen3.types import EnvironmentSpec
from experiments.benchmark import operations
from experiments.benchmark.cases import Built

# The matrix product with whose FLOP/s other cases are compared: the recurrent
# product of one step of an LSTM, for 8 windows of 669 columns,
# [5352, H] x [H, 4H] with H = 128.
PRODUCT_SHAPE = (5352, 128, 512)
PRODUCTS = 20  # number of products in a run


class Program(NamedTuple):
  """A compiled function.

  Attributes:
    call: takes arguments of the shapes and dtypes it was compiled for.
    seconds: time of tracing, lowering and compilation.
    temp_bytes: temporary memory as XLA reports it, or None.
  """

  call: Callable[..., Any]
  seconds: float
  temp_bytes: int | None


def compiled(
  function: Callable[..., Any],
  arguments: tuple[Any, ...],
  options: Mapping[str, Any] | None = None,
  **jit_options: Any,
) -> Program:
  """Compiles `function` for `arguments`, and times the compilation.

  If there are several devices, each gets a copy of all outputs.

  Args:
    function: a pure function.
    arguments: trees of arrays, on all devices as from `everywhere`.
    options: compiler options.
    **jit_options: further arguments of `jax.jit`.
  """
  mesh = parallel.make_mesh()
  if mesh is not None:
    # A program's output must have the sharding of the next one's input.
    jit_options['out_shardings'] = parallel.everywhere(mesh)
  jitted = jax.jit(
    function, compiler_options=dict(options or {}), **jit_options
  )
  return compiled_jit(jitted, arguments)


def compiled_jit(jitted: Any, arguments: tuple[Any, ...]) -> Program:
  """Compiles a jitted function for `arguments`, and times the compilation.

  Later calls of `jitted` itself need not compile again.
  """
  start = time.perf_counter()
  program = jitted.lower(*arguments).compile()
  seconds = time.perf_counter() - start
  analysis = program.memory_analysis()
  temp_bytes = int(analysis.temp_size_in_bytes) if analysis else None
  return Program(program, seconds, temp_bytes)


def built(
  function: Callable[..., Any],
  arguments: tuple[Any, ...],
  options: Mapping[str, Any] | None = None,
  output: Callable[[Any], np.ndarray] | None = None,
) -> Built:
  """Builds a case that calls `function` once in a run.

  Args:
    function: see `compiled`.
    arguments: trees of arrays; they are copied to all devices.
    options: compiler options.
    output: see `Built`.
  """
  arguments = everywhere(arguments)
  program = compiled(function, arguments, options)

  def run():
    return jax.block_until_ready(program.call(*arguments))

  return Built(run, program.seconds, program.temp_bytes, output)


def make_networks(
  config: ml_collections.ConfigDict, spec: EnvironmentSpec
) -> networks.Networks:
  """Makes networks that use the devices of all processes."""
  return networks.make_networks(config, spec, mesh=parallel.make_mesh())


def everywhere(tree: Any) -> Any:
  """Copies `tree` to all devices; returns it unchanged if there is only one."""
  return parallel.replicate(tree, parallel.make_mesh())


def product_case(
  shape: tuple[int, int, int] = PRODUCT_SHAPE, dtype: str = 'float32'
) -> Built:
  """Builds a case whose run does `PRODUCTS` matrix products on each device.

  With several processes, all must build and run the case.

  Args:
    shape: (rows, inner, columns) of each device's product, [rows, inner] x
      [inner, columns].
    dtype: the dtype of both matrices.
  """
  rows, inner, columns = shape
  mesh = parallel.make_mesh()
  along = None if mesh is None else NamedSharding(mesh, P(mesh.axis_names))

  def operands():
    return (
      jnp.ones((rows * jax.device_count(), inner), dtype),
      jnp.ones((inner, columns), dtype),
    )

  where = along, parallel.everywhere(mesh)
  arguments = jax.jit(operands, out_shardings=where)()
  program = compiled_jit(jax.jit(jnp.matmul, out_shardings=along), arguments)

  def run():
    for _ in range(PRODUCTS):
      jax.block_until_ready(program.call(*arguments))

  return Built(run, program.seconds, program.temp_bytes)


def product_rate(width: int, dtype: str) -> float:
  """Measures the FLOP/s of products of square matrices, summed over devices.

  With several processes, all must call this.

  Args:
    width: number of rows and of columns of each device's matrices.
    dtype: the dtype of the matrices.

  Returns:
    The FLOP/s of the fastest of three runs.
  """
  run = product_case((width,) * 3, dtype).run
  assert run is not None
  seconds = []
  for _ in range(3):
    start = time.perf_counter()
    run()
    seconds.append(time.perf_counter() - start)
  work = PRODUCTS * operations.product(*(width,) * 3)
  return work * jax.device_count() / min(seconds)


def product_operations() -> int:
  """Returns the FLOPs per device of a run of the default `product_case()`."""
  return PRODUCTS * operations.product(*PRODUCT_SHAPE)

"""Meshes, sharding, blocks, padding and agreement between processes.

A batch that does not divide into equal blocks on all devices is padded with
zeros. A population must divide evenly among the mesh's groups of devices; the
blocks within a group's share may be unequal. Only this module of the library
asks JAX for its devices and processes, and it configures neither: the main
programs choose the number of CPU devices and connect a run's processes.

Processes of one run execute the same compiled programs in the same order, each
on its own devices. An output is either replicated on all devices or sharded.
All processes must call the functions that communicate; their docstrings say so.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from eigen3 import settings
from eigen3.types import Array

# The mesh axes that the sequences of a batch and the members of a population
# are sharded along.
BATCH_AXIS = 'batch'
POPULATION_AXIS = 'population'

# See `compiler_options`.
_COMPILER_OPTIONS: dict[str, dict[str, int | bool]] = {
  'cpu': {
    'xla_backend_optimization_level': 2,
    'xla_cpu_prefer_vector_width': 512,
  },
  'gpu': {
    'xla_gpu_enable_triton_gemm': False,
    'xla_gpu_experimental_enable_fusion_autotuner': False,
  },
}

_VECTOR = 16  # float32 values in the widest register of a CPU

Tree = TypeVar('Tree')


def make_mesh(
  num_devices: int | None = None, devices_per_agent: int | None = None
) -> Mesh | None:
  """Makes a mesh of a run's devices, with `POPULATION_AXIS` and `BATCH_AXIS`.

  All processes must call this function.

  Args:
    num_devices: how many devices to use: the first ones in JAX's list of all
      processes' devices; by default all.
    devices_per_agent: how many of the used devices share an agent's batch, the
      size of `BATCH_AXIS`; by default all. They are consecutive devices, and
      belong to one process if each process's number of devices is a multiple of
      `devices_per_agent`.

  Returns:
    The mesh, or None for a single device, where nothing is sharded.

  Raises:
    ValueError: if `num_devices` is below 1 or above the number of devices, or
      `devices_per_agent` is not a positive divisor of the number used.
  """
  devices = jax.devices()
  count = len(devices) if num_devices is None else num_devices
  settings.require(
    1 <= count <= len(devices),
    'num_devices',
    count,
    f'{settings.span(1, len(devices))}, the number of devices',
  )
  each = count if devices_per_agent is None else devices_per_agent
  settings.require(
    each >= 1 and count % each == 0,
    'devices_per_agent',
    each,
    f'a positive divisor of {count}, the number of devices used',
  )
  if count == 1:
    return None
  grid = np.asarray(devices[:count]).reshape(-1, each)
  mesh = Mesh(grid, (POPULATION_AXIS, BATCH_AXIS))
  if mesh.is_multi_process:
    _connect(mesh)
  return mesh


def _connect(mesh: Mesh) -> None:
  """Waits for all processes, and then connects their devices.

  CPU devices connect at their first communication, which fails if one process
  starts it half a minute after another, for example because it was compiling.
  """
  wait_for_all()
  whole = PartitionSpec()
  for axes in (POPULATION_AXIS, BATCH_AXIS, mesh.axis_names):
    meet = jax.shard_map(
      functools.partial(jax.lax.psum, axis_name=axes),
      mesh=mesh,
      in_specs=whole,
      out_specs=whole,
      check_vma=False,
    )
    jax.block_until_ready(jax.jit(meet)(replicate(np.zeros(1), mesh)))


class Device(NamedTuple):
  """Properties of a run's devices, the same in all of its processes.

  Attributes:
    backend: JAX's name of the platform: 'cpu', 'gpu' or 'tpu'.
    kind: JAX's name of the device's model, such as 'NVIDIA H200'.
    memory: bytes that a program may use on the device with the least memory,
      rounded down to MiB; None where JAX does not report them, as on CPUs.
    capability: CUDA's compute capability, such as (9, 0); None on a device
      without CUDA.
  """

  backend: str
  kind: str
  memory: int | None = None
  capability: tuple[int, int] | None = None


def describe_device() -> Device:
  """Returns the first device's properties, but the least memory of any device.

  All processes must call this function.
  """
  device = jax.devices()[0]
  stats = [x.memory_stats() or {} for x in jax.local_devices()]
  # In MiB, because processes exchange 32-bit numbers.
  least = np.int32(min(x.get('bytes_limit', 0) for x in stats) >> 20)
  if jax.process_count() > 1:
    least = multihost_utils.process_allgather(least).min()
  number = str(getattr(device, 'compute_capability', '')).split('.')
  is_cuda = len(number) == 2 and all(x.isdigit() for x in number)
  return Device(
    jax.default_backend(),
    device.device_kind,
    (int(least) << 20) or None,
    (int(number[0]), int(number[1])) if is_cuda else None,
  )


def agents_at_once(mesh: Mesh | None) -> int:
  """Returns the number of shards that `map_members` makes of a population."""
  return 1 if mesh is None else mesh.shape[POPULATION_AXIS]


def map_members(
  function: Callable,
  shared,
  members,
  block: int,
  mesh: Mesh | None = None,
):
  """Maps a function over the P members of a population, sharded among devices.

  Args:
    function: `(shared, member) -> outputs`, for one member.
    shared: passed to every call.
    members: leaves [P, ...].
    block: how many members a device vectorises at once; 0 for the device's
      whole share. Blocks run one after another; larger ones need more memory.
    mesh: members are sharded along its `POPULATION_AXIS`, whose size must
      divide P; None for one device.

  Returns:
    Outputs, leaves [P, ...].
  """

  def of_device(shared, members):
    share = jax.tree.leaves(members)[0].shape[0]
    of_one = functools.partial(function, shared)
    if not block or block >= share:
      return jax.vmap(of_one)(members)
    if block == 1:
      return jax.lax.map(of_one, members)
    return jax.lax.map(of_one, members, batch_size=block)

  return _spread(of_device, mesh, POPULATION_AXIS)(shared, members)


def along_population(mesh: Mesh | None) -> NamedSharding | None:
  """Returns the sharding of arrays [P, ...]; None without a mesh."""
  if mesh is None:
    return None
  return NamedSharding(mesh, PartitionSpec(POPULATION_AXIS))


def replicate(tree: Tree, mesh: Mesh | None) -> Tree:
  """Copies `tree` to all devices of the mesh; without a mesh returns `tree`.

  All processes must hold equal values.
  """
  sharding = everywhere(mesh)
  if sharding is None:
    return tree
  if sharding.is_fully_addressable:
    return jax.device_put(tree, sharding)
  return jax.tree.map(lambda x: _put(jnp.asarray(x), sharding), tree)


def everywhere(mesh: Mesh | None) -> NamedSharding | None:
  """Returns the sharding of replicated arrays; None without a mesh."""
  return None if mesh is None else NamedSharding(mesh, PartitionSpec())


def place_like(value: np.ndarray, like: Array) -> Array:
  """Copies `value` to the devices of `like`, sharded as `like` is.

  If `like` is not committed to its device, the copy is on the default device
  and not committed either: for a committed copy, JAX would recompile the
  programs that take it, and they might then round differently. All processes
  must hold equal values.
  """
  if not like.is_fully_addressable:
    return _put(value, like.sharding)
  if like.committed:
    return jax.device_put(value, like.sharding, may_alias=False)
  return jnp.array(value)


def _put(value: Array | np.ndarray, sharding: Sharding) -> Array:
  """Copies `value` to devices of several processes.

  `jax.device_put` would check that all processes hold equal values, which fails
  for NaN.
  """
  on_host = np.asarray(value)
  return jax.make_array_from_callback(
    on_host.shape, sharding, lambda place: np.array(on_host[place])
  )


def to_host(tree: Tree) -> Tree:
  """Returns `tree` with complete NumPy arrays, perhaps views of JAX's buffers.

  All processes must call this function if arrays are sharded among processes.
  """

  def whole(x):
    if getattr(x, 'is_fully_addressable', True) or x.is_fully_replicated:
      return jax.device_get(x)
    return multihost_utils.process_allgather(x, tiled=True)

  return jax.tree.map(whole, tree)


def is_first_process() -> bool:
  """Returns whether this process is the one that writes files and prints."""
  return jax.process_index() == 0


def agree(flag: bool) -> bool:
  """Returns whether any process's flag is set; all processes must call this."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def wait_for_all() -> None:
  """Waits until all processes have called this function."""
  agree(False)


def is_same_everywhere(text: str) -> bool:
  """Returns whether all processes have the same text; all must call this."""
  if jax.process_count() == 1:
    return True
  digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
  return bool((multihost_utils.process_allgather(digest) == digest).all())


def map_blocks(
  function: Callable,
  parameters,
  inputs,
  size: int,
  mesh: Mesh | None = None,
  remat: bool = False,
):
  """Maps a function over the leading axis in blocks, sharded among devices.

  Each device gets an equal share of the axis, and loops over this share in
  blocks of equal size, a multiple of 16 if `size` and the share are at least
  16. Apart from rounding, the outputs depend neither on the number of devices
  nor on the size of blocks. The axis is padded with zeros, whose results are
  dropped. The compiled program does not grow with the number of blocks.

  Args:
    function: `(parameters, inputs) -> outputs`, with leaves [c, ...] of inputs
      and outputs; entry i of the outputs must depend only on entry i of the
      inputs. The function's derivative must be finite at zeros, the padding.
    parameters: passed to every call.
    inputs: leaves [S, ...], with S at least 1.
    size: upper limit of the block size c; 0 for a device's whole share.
    mesh: the leading axis is sharded along its `BATCH_AXIS`; None for one
      device.
    remat: whether to recompute a block in the backward pass instead of storing
      its activations.

  Returns:
    Outputs, leaves [S, ...].
  """
  total = jax.tree.leaves(inputs)[0].shape[0]
  devices = 1 if mesh is None else mesh.shape[BATCH_AXIS]
  share = -(-total // devices)
  block = _block_size(share, size)
  count = -(-share // block)

  def of_block(arguments):
    return function(*arguments)

  if remat:
    # In a loop CSE cannot undo remat; but a loop of one step is unrolled.
    of_block = jax.checkpoint(of_block, prevent_cse=count == 1)

  def of_device(parameters, inputs):
    if count == 1:
      return of_block((parameters, inputs))
    blocks = jax.tree.map(
      lambda x: x.reshape(count, block, *x.shape[1:]), inputs
    )
    outputs = jax.lax.map(lambda b: of_block((parameters, b)), blocks)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)

  padded = jax.tree.map(
    lambda x: pad_to_multiple(x, devices * count * block, 0), inputs
  )
  outputs = _spread(of_device, mesh, BATCH_AXIS)(parameters, padded)
  return jax.tree.map(lambda x: x[:total], outputs)


def _spread(function: Callable, mesh: Mesh | None, axis: str) -> Callable:
  """Wraps `function(shared, shares)` to shard `shares` along a mesh axis.

  The outputs are sharded in the same way. The function is returned unchanged
  if there is no mesh or the axis has one device.

  The other mesh axis, if it has several devices, stays automatic, so calls can
  be nested: a function sharded over the population can shard its batches. A
  nested call ignores `mesh` and takes the mesh of the enclosing context, as JAX
  requires.
  """
  if mesh is None or mesh.shape[axis] == 1:
    return function
  around = jax.sharding.get_abstract_mesh()
  manual = {axis}
  if around.empty:
    # With an automatic axis JAX annotates the output of every operation, which
    # lengthens compilation. An axis of one device needs none of it.
    manual |= {name for name, size in mesh.shape.items() if size == 1}
  return jax.shard_map(
    function,
    mesh=mesh if around.empty else around,
    axis_names=manual,
    in_specs=(PartitionSpec(), PartitionSpec(axis)),
    out_specs=PartitionSpec(axis),
    check_vma=False,
  )


def _block_size(share: int, size: int) -> int:
  """Returns the block size with the least estimated time for a share.

  The time of a block is estimated as its size plus a constant. Only multiples
  of 16 are tried: sizes that do not fill vector registers are slower
  (docs/design.md). But if `size` or the share is below 16, the share is split
  evenly into the fewest blocks of at most `size`; if `size` is 0, the whole
  share is one block.
  """
  if not size or min(share, size) < _VECTOR:
    return -(-share // -(-share // size)) if size else share
  rounded_up = -(-share // _VECTOR) * _VECTOR
  return min(
    range(_VECTOR, min(size, rounded_up) + 1, _VECTOR),
    key=lambda block: -(-share // block) * (block + _VECTOR),
  )


def in_chunks(function: Callable, inputs: Tree, size: int) -> Tree:
  """Maps a function over the leading axis in chunks, to bound memory.

  An incomplete last chunk is padded with zeros, whose results are dropped.

  Args:
    function: maps leaves [c, ...] to leaves [c, ...], each entry independently.
    inputs: leaves [B, ...].
    size: size c of a chunk; if it is 0, or at least B, there is one chunk of B.

  Returns:
    Leaves [B, ...].
  """
  count = jax.tree.leaves(inputs)[0].shape[0]
  if not 0 < size < count:
    return function(inputs)
  padded = jax.tree.map(lambda x: pad_to_multiple(x, size, 0), inputs)
  chunks = jax.tree.map(lambda x: x.reshape(-1, size, *x.shape[1:]), padded)
  outputs = jax.lax.map(function, chunks)
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], outputs)


def pad_to_multiple(
  x: Array, multiple: int, axis: int, value: float = 0
) -> Array:
  """Pads an axis so that its size is a multiple of `multiple`.

  Args:
    x: any array; returned unchanged if the axis needs no padding.
    multiple: the number to pad to a multiple of, at least 1.
    axis: the axis to extend, at its end.
    value: value of the padding.

  Returns:
    The padded array.

  Raises:
    ValueError: if `multiple` is not positive.
  """
  missing = padding(x.shape[axis], multiple)
  if not missing:
    return x
  widths = [(0, 0)] * x.ndim
  widths[axis] = (0, missing)
  return jnp.pad(x, widths, constant_values=value)


def padding(size: int, multiple: int) -> int:
  """Returns the least number to add to `size` for a multiple of `multiple`.

  The result is 0 if `size` is a multiple already.

  Raises:
    ValueError: if `multiple` is not positive.
  """
  if multiple < 1:
    raise ValueError(f'multiple: found {multiple}, expected at least 1')
  return -size % multiple


def compiler_options() -> dict[str, int | bool]:
  """Returns options of `jax.jit` for long programs of many small loops.

  On a CPU, a training iteration compiles sooner with LLVM's optimisation level
  2 than with level 3, and the compiled program was faster in a paired
  measurement. Vectors of 512 bits, which XLA does not use by default, also made
  the program faster (docs/performance.md), but not forward passes alone.

  On a GPU, XLA's search for Triton kernels for matrix products and fusions is
  turned off: it took half of the compilation time of an update, and did not
  make the update faster.

  The result is empty for other backends, and if XLA_FLAGS sets one of these
  options. Options that the compiler does not know are left out.
  """
  wanted = _COMPILER_OPTIONS.get(jax.default_backend(), {})
  flags = os.environ.get('XLA_FLAGS', '')
  return {} if any(x in flags for x in wanted) else known_options(wanted)


def quick_compilation() -> dict[str, int | bool]:
  """Returns options of `jax.jit` for small programs that run a few times.

  On a CPU they at least halve the compilation time, and change results by
  rounding only. For other backends the result is empty.
  """
  if jax.default_backend() != 'cpu':
    return {}
  return known_options(
    {
      'xla_backend_optimization_level': 0,
      'xla_cpu_use_fusion_emitters': False,
    }
  )


def known_options(options: Mapping[str, int | bool]) -> dict[str, int | bool]:
  """Returns those of the given `jax.jit` options that the compiler knows.

  Options differ between versions of XLA, and an unknown one raises an error at
  the program's first call.
  """
  return {
    name: value
    for name, value in options.items()
    if _knows_option(jax.default_backend(), name, value)
  }


@functools.cache
def _knows_option(backend: str, name: str, value: int | bool) -> bool:
  """Returns whether the compiler knows an option; compiles a tiny program."""
  del backend  # only a key of the cache
  least = jax.jit(lambda x: x, compiler_options={name: value})
  try:
    least.lower(jnp.float32(0)).compile()
  except jax.errors.JaxRuntimeError as error:
    if 'No such compile option' not in str(error):
      raise
    return False
  return True

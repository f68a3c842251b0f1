"""Chooses block sizes and kernels for a device where settings say 'auto'.

Only this module turns 'auto' into a value: from the devices' kind, number and
usable memory, the other settings of the networks, the sizes of networks,
windows, batch and population, and JAX's version, but never from a timing or
from the memory that is currently free. For the same run, equal machines with
the same JAX therefore choose equal values. A training run records them in
`run.json` and keeps them when resumed.

A sequence is one column of one window. Its memory is counted in bytes per
D x H, the days of a window times the hidden units of one direction of the LSTM.
Unless stated otherwise, constants are from one H200 (docs/performance.md): a
TD3 update of 8 windows of 504 days x 669 columns, H = 128 and two critics,
needed 1.4 GiB in blocks of 64 sequences, 9.0 GiB in blocks of 1344 and
118.7 GiB in one block with stored activations; in bfloat16 6.3 GiB in blocks of
1344. That was without storing the first layer's gates (4 per hidden unit in
each of the two directions), and with a loop for each direction.

The implementation of the LSTM is chosen here, too, from a static table.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import ml_collections

from eigen3 import parallel, settings
from eigen3.parallel import Device
from eigen3.settings import AUTO
from eigen3.types import EnvironmentSpec

# Fields of the section `networks` that may be 'auto'.
NETWORKS = (
  'sequence_block',
  'evaluation_block',
  'remat',
  'lstm_hoist',
  'lstm_directions',
  'compute_dtype',
  'lstm_kernel',
)
# The field of the section `agent` that may be 'auto': days acted on at once.
_CHUNK = 'acting_chunk'
FIELDS = (*(f'networks.{name}' for name in NETWORKS), f'agent.{_CHUNK}')

# Bytes that a sequence of the current block needs forward and backward, per
# D x H: (9.0 - 1.4) GiB / (1344 - 64) / (504 x 128) = 100, and in bfloat16
# (6.3 - 0.95) GiB / 1344 / (504 x 128) = 67, as 0.95 GiB do not depend on the
# block; the bytes of 8 gates are added to each.
_OF_BLOCK = {'bfloat16': 83, 'float32': 132, 'float64': 264}
# The factor of `_OF_BLOCK` if both directions share a loop: from XLA's memory
# analysis of the LSTM on a CPU, with the backward pass and without it.
_TOGETHER = 1.3
# The factor of `_OF_BLOCK` for a sequence with stored activations, per critic:
# 118.7 GiB / 5352 sequences / 2 critics / (504 x 128) = 185, plus the 32 bytes
# of 8 gates in float32, over 132.
_KEPT = 1.64
# Bytes per D x H that a kernel stores for a sequence and critic: hidden states
# and cells of 3 directions in bfloat16, inputs and little else, counted and not
# measured. The current block needs `_OF_BLOCK` in addition.
_KEPT_BY_KERNEL = 16
# On accelerators, evaluation blocks are larger than training blocks by this
# factor, because a sequence needs a sixth of the memory there.
_EVALUATION = 6
# Bytes that do not depend on the block, per cell and feature of a batch of
# windows: 0.95 GiB / (8 x 504 x 669 x 5).
_OF_WINDOWS = 76
# The share of a device's usable memory that blocks and windows may fill. The
# rest is for parameters, replay, the market, the compiler's trials and
# temporary arrays.
_SHARE = 0.5
# The share of that memory for the windows of days that are acted on at once.
_ACTING_SHARE = 0.25
_MOST_DAYS = 1024
# Up to this many bytes per sequence, loops over blocks, bfloat16 and
# rematerialisation do not pay; with D = 32 and H = 16 a sequence takes 66 KiB.
_SMALL = 2**18
_ROWS = 64  # blocks on an accelerator are multiples of it

# Memory in GB, and support of bfloat16 products, by kind of device, for
# runtimes that do not report usable memory. The first name that is part of the
# device's kind counts. JAX takes three quarters of a GPU's memory by default.
_KINDS = {
  'H200': (141, True),
  'H100': (80, True),
  'A100-SXM4-80GB': (80, True),
  'A100 80GB': (80, True),
  'A100': (40, True),
  'L40': (48, True),
  'L4': (24, True),
  'A10': (24, True),
  'T4': (16, False),
  'V100': (16, False),
  'P100': (16, False),
}
_SMALLEST = (8, False)
_TAKEN = 0.75
_BFLOAT16 = (8, 0)  # the first CUDA compute capability with bfloat16 products

# Values of `networks.lstm_kernel`, and where they run, for the error message.
KERNELS = {
  'scan': 'everything',
  'hopper': (
    'GPUs of compute capability 9.0, in bfloat16, with 128 hidden units '
    'and jax 0.10 or later'
  ),
}


class _Fit(NamedTuple):
  """A kernel with the backend, capability, dtype, H and oldest JAX it needs."""

  kernel: str
  backend: str
  capability: tuple[int, int]
  dtype: str
  hidden: int
  oldest_jax: tuple[int, int]


# The table of kernels, and the pairs of JAX version and kind of device for
# which they are the default. For each pair, experiments/results has a record,
# named hopper_full_<version>_<kind>.json, of a run of the benchmark suite
# `hopper` with all checks, in which no case failed.
_FITS = (_Fit('hopper', 'gpu', (9, 0), 'bfloat16', 128, (0, 10)),)
PASSED = frozenset({('0.11.2', 'NVIDIA H200')})

_DAYS_ON_CPU = 64  # number of days that are acted on at once
# Number of sequences whose LSTM step fits a second-level cache of 1 or 2 MiB.
# On an Intel Xeon (2 MiB) 96 and 112 were equal and faster than 64; on an AMD
# EPYC (1 MiB) 112 was faster than 48, the former default. No other sizes or
# machines were measured.
_BLOCK_ON_CPU = 112


class Work(NamedTuple):
  """Numbers that, besides the networks and the window, determine memory use.

  Attributes:
    examples: number of windows in a batch for one gradient; None if not known.
    shares: number of devices that a batch is split among.
    members: number of a population's members that a device computes at once.
  """

  examples: int | None = None
  shares: int = 1
  members: int = 1


def resolve(
  networks: ml_collections.ConfigDict,
  chunk: int | str,
  spec: EnvironmentSpec,
  device: Device,
  work: Work | None = None,
) -> dict[str, Any]:
  """Returns the values of all `FIELDS`, keyed by full name, without 'auto'.

  Values other than 'auto' are returned as given.

  Args:
    networks: a config's section `networks`, already checked by
      `eigen3.networks.check_settings`.
    chunk: the setting `agent.acting_chunk`.
    spec: gives the days D, columns C and features F.
    device: describes the run's devices, which must be alike.
    work: see `Work`; None if not known.

  Raises:
    ValueError: if the device cannot run the configured kernel.
  """
  given = {f'networks.{name}': networks[name] for name in NETWORKS}
  given[f'agent.{_CHUNK}'] = chunk
  choose = _of_cpu if device.backend == 'cpu' else _of_accelerator
  chosen = choose(networks, spec, device, work or Work())
  return {
    name: chosen[name.rpartition('.')[2]] if value == AUTO else value
    for name, value in given.items()
  }


def choose_kernel(
  networks: ml_collections.ConfigDict,
  dtype: str,
  device: Device,
  version: str = jax.__version__,
) -> str:
  """Returns the name of the LSTM's implementation, a key of `KERNELS`.

  'auto' becomes the kernel in `_FITS` for this device, dtype, number of hidden
  units and JAX version, if there is one and `PASSED` has the JAX version and
  the kind of device; otherwise 'scan'.

  Args:
    networks: a config's section `networks`.
    dtype: the resolved `networks.compute_dtype`.
    device: describes the run's devices, which must be alike.
    version: version of JAX.

  Raises:
    ValueError: if the configured kernel does not support the device, the dtype,
      the number of hidden units or the version of JAX.
  """
  asked, release = networks.lstm_kernel, tuple(map(int, version.split('.')[:2]))
  found = (device.backend, device.capability, dtype, networks.hidden)
  fits = [
    row.kernel
    for row in _FITS
    if row[1:-1] == found and release >= row.oldest_jax
  ]
  if asked == AUTO:
    is_proven = (version, device.kind) in PASSED
    return fits[0] if fits and is_proven else 'scan'
  settings.require(
    asked == 'scan' or asked in fits,
    'networks.lstm_kernel',
    asked,
    f"'auto' or 'scan': '{asked}' needs {KERNELS[asked]}; this is "
    f'{device.kind}, {dtype}, {networks.hidden} hidden units and jax {version}',
  )
  return asked


def of_networks(
  config: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  work: Work | None = None,
) -> ml_collections.ConfigDict:
  """Returns the section `networks` with 'auto' resolved for JAX's devices.

  This function is for callers that build networks without the complete config
  of a run. All processes of a run must call it. A section without 'auto' is
  returned unchecked.

  Args:
    config: the section `networks`.
    spec: gives the days D, columns C and features F.
    work: as in `resolve`.

  Raises:
    ValueError: if a setting is 'auto' and the devices cannot run the configured
      kernel.
  """
  if all(config[name] != AUTO for name in NETWORKS):
    return config
  found = resolve(config, 0, spec, parallel.describe_device(), work)
  return filled(ml_collections.ConfigDict({'networks': config}), found).networks


def of_acting(chunk: int | str) -> int:
  """Returns for how many days actions are computed at once, 0 for all.

  `chunk` is the setting `agent.acting_chunk`; for 'auto' the result is the
  number chosen on a CPU.
  """
  return _DAYS_ON_CPU if chunk == AUTO else int(chunk)


def filled(
  config: ml_collections.ConfigDict, found: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """Returns a copy of settings with 'auto' replaced by given values.

  Args:
    config: all settings, or the relevant sections.
    found: values, keyed by full name; settings other than 'auto' stay.
  """
  copy = config.copy_and_resolve_references()
  with copy.unlocked(), copy.ignore_type():
    for name, value in found.items():
      section, _, field = name.partition('.')
      if section in copy and copy[section][field] == AUTO:
        copy[section][field] = value
  return copy


def _of_cpu(
  networks: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  device: Device,
  work: Work,
) -> dict[str, Any]:
  """Chooses all values for a CPU, with blocks that fit its cache.

  Sequences that need little memory are not split into blocks. See
  docs/design.md.
  """
  del work
  dtype = networks.compute_dtype
  dtype = 'float32' if dtype == AUTO else dtype
  small = _of_sequence(networks.hidden, spec, 'float32') <= _SMALL
  return {
    'sequence_block': 0 if small else _BLOCK_ON_CPU,
    'evaluation_block': 0 if small else 384,
    'remat': not small,
    'lstm_hoist': 'never',
    'lstm_directions': 'apart',
    'compute_dtype': dtype,
    'lstm_kernel': choose_kernel(networks, dtype, device),
    _CHUNK: _DAYS_ON_CPU,
  }


def _of_accelerator(
  networks: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  device: Device,
  work: Work,
) -> dict[str, Any]:
  """Chooses all values for an accelerator, with the largest blocks that fit.

  Every block costs time, because each step of its loop launches kernels.
  """
  small = _of_sequence(networks.hidden, spec, 'float32') <= _SMALL
  dtype = networks.compute_dtype
  if dtype == AUTO:
    narrow = not small and _multiplies_bfloat16(device)
    dtype = 'bfloat16' if narrow else 'float32'
  directions = networks.lstm_directions
  if directions == AUTO:
    directions = 'together' if device.backend == 'gpu' else 'apart'
  kernel = choose_kernel(networks, dtype, device)
  memory = _SHARE * _memory(device)
  window = spec.context_days * spec.num_columns * spec.num_features
  of_day = _OF_WINDOWS * window * work.members
  examples = work.examples or 0
  left = max(memory - examples * of_day / work.shares, memory / 4)
  is_joint = directions == 'together' and kernel == 'scan'
  more = _TOGETHER if is_joint else 1
  sequence = more * _of_sequence(networks.hidden, spec, dtype) * work.members
  rows = -(-examples * spec.num_columns // work.shares)
  critics = max(networks.critic.ensemble, 1)
  kept = critics * _KEPT * sequence
  if kernel != 'scan':
    of_units = spec.context_days * networks.hidden * work.members
    kept = sequence + critics * _KEPT_BY_KERNEL * of_units
  keeps = rows * kept <= left if rows else small
  block = max(int(left / sequence) // _ROWS, 1) * _ROWS
  whole = keeps or 0 < rows <= block
  days = int(_ACTING_SHARE * memory / of_day)
  return {
    'sequence_block': 0 if whole else block,
    'evaluation_block': _EVALUATION * block,
    'remat': not keeps,
    # On a GPU it was 9 % slower (docs/performance.md); TPUs are not measured.
    'lstm_hoist': 'never' if device.backend == 'gpu' else 'always',
    'lstm_directions': directions,
    'compute_dtype': dtype,
    'lstm_kernel': kernel,
    _CHUNK: min(max(days // 8 * 8, 8), _MOST_DAYS),
  }


def _of_sequence(hidden: int, spec: EnvironmentSpec, dtype: str) -> int:
  """Returns the bytes that a sequence of the current block needs."""
  return _OF_BLOCK[dtype] * spec.context_days * hidden


def _memory(device: Device) -> int:
  """Returns a device's usable bytes, reported or estimated from its kind."""
  return device.memory or int(_TAKEN * _kind(device)[0] * 1e9)


def _multiplies_bfloat16(device: Device) -> bool:
  if device.capability is not None:
    return device.capability >= _BFLOAT16
  return device.backend == 'tpu' or _kind(device)[1]


def _kind(device: Device) -> tuple[int, bool]:
  return next((_KINDS[x] for x in _KINDS if x in device.kind), _SMALLEST)

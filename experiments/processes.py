"""Joins several processes into one run, according to the flags."""

import sys

import jax

from eigen3 import parallel
from experiments.options import processes as options


def join() -> None:
  """Joins the processes of a run; must precede JAX's first computation.

  Without --coordinator, --num_processes and --process_id, nothing is done. CPU
  devices communicate through gloo, JAX's default.

  Raises:
    ValueError: if the flags are invalid or do not fit together, JAX detects no
      cluster, not all processes connect to the given address, or the processes
      have different numbers of devices.
  """
  address = options.COORDINATOR.value
  given = (options.NUM_PROCESSES.value, options.PROCESS_ID.value)
  if address is None and given == (None, None):
    return
  # We handle SIGTERM: it ends a run after the current iteration.
  jax.config.update('jax_enable_preemption_service', False)
  if address == 'auto':
    _join_cluster(given)
  else:
    _join_at(address, *given)
  local, total = jax.local_device_count(), jax.device_count()
  if local * jax.process_count() != total:
    raise ValueError(
      f'--cpu_devices: found {local} of {total} devices (CPU devices or GPUs) '
      'in this process, expected the same number in each of the '
      f'{jax.process_count()} processes'
    )
  parallel.wait_for_all()  # connects all processes; see make_mesh


def _join_cluster(given: tuple[int | None, int | None]) -> None:
  if given != (None, None):
    raise ValueError(
      '--coordinator: found auto with --num_processes or --process_id, '
      'expected auto alone, or HOST:PORT with both'
    )
  try:
    jax.distributed.initialize()
  except ValueError as error:
    raise ValueError(
      '--coordinator: found auto where JAX detects no cluster, expected '
      'HOST:PORT with --num_processes and --process_id'
    ) from error
  except jax.errors.JaxRuntimeError as error:
    raise ValueError(
      '--coordinator: found auto, but not all processes of the cluster '
      f'connected, expected all to connect ({error})'
    ) from error


def _join_at(address: str | None, count: int | None, this: int | None) -> None:
  if address is None or count is None or this is None:
    raise ValueError(
      f'--coordinator: found {address}, --num_processes: {count}, '
      f'--process_id: {this}, expected all three or none'
    )
  host, _, port = address.rpartition(':')
  if not host or not port.isdigit():
    raise ValueError(
      f"--coordinator: found '{address}', expected HOST:PORT or auto"
    )
  if this >= count:
    raise ValueError(
      f'--process_id: found {this}, expected less than --num_processes '
      f'({count})'
    )
  print(f'waiting at {address} for {count} processes', file=sys.stderr)
  try:
    jax.distributed.initialize(address, count, this)
  except jax.errors.JaxRuntimeError as error:
    raise ValueError(
      f'--coordinator: found fewer processes at {address} than --num_processes '
      f'({count}), expected all to connect ({error})'
    ) from error

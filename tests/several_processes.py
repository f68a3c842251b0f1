"""Starts the processes of one run on this machine."""

import socket

import forks

# What conftest.py spares tests of one device.
AS_USERS = {'JAX_PLATFORMS': 'cpu', 'JAX_USE_SHARDY_PARTITIONER': '1'}


def start(count, command, **environment):
  """Processes of Python on `command(address, this)`, on CPUs."""
  address = f'127.0.0.1:{_free_port()}'
  return [
    forks.start(*command(address, this), **AS_USERS | environment)
    for this in range(count)
  ]


def finish(processes, seconds=550):
  """(exit status, stdout, stderr) of each."""
  try:
    said = [process.communicate(timeout=seconds) for process in processes]
  finally:
    for process in processes:
      process.kill()
  return [
    (process.returncode, *texts)
    for process, texts in zip(processes, said, strict=True)
  ]


def _free_port():
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    return listener.getsockname()[1]

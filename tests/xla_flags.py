"""Flags with which XLA compiles sooner: tests compile more than they compute.

They are the options of `parallel.quick_compilation`, for whole processes.
"""

import functools
import os
import subprocess
import sys

QUICK = (
  '--xla_backend_optimization_level=0',
  '--xla_cpu_use_fusion_emitters=false',
)

# The least that makes XLA read its flags.
_READ_FLAGS = 'from jaxlib import xla_client; xla_client.CompileOptions()'


def quick() -> str:
  """A value of XLA_FLAGS: those of `QUICK` that the installed XLA has."""
  return ' '.join(flag for flag in QUICK if knows(flag))


@functools.cache
def knows(flag: str) -> bool:
  """Whether XLA has a flag, asked in a process that may die of it.

  XLA aborts at a flag that it lacks, and a process reads its flags only once.

  Raises:
    RuntimeError: the process died of something else.
  """
  ended = subprocess.run(
    [sys.executable, '-c', _READ_FLAGS],
    env={**os.environ, 'XLA_FLAGS': flag},
    capture_output=True,
    text=True,
    check=False,
  )
  if ended.returncode and 'Unknown flag' not in ended.stderr:
    raise RuntimeError(f'jaxlib did not start: {ended.stderr}')
  return ended.returncode == 0

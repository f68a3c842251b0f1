"""Prints the oldest versions that setup.py allows, as constraints of pip.

python tests/oldest_versions.py > constraints-oldest.txt
"""

import pathlib
import re
import runpy
import sys
import types
from typing import Any
from unittest import mock

SETUP = pathlib.Path(__file__).resolve().parent.parent / 'setup.py'

_BOUND = re.compile(r'([\w.-]+)>=([\w.]+)')


def constraints(setup: pathlib.Path = SETUP) -> list[str]:
  """`name==bound` of all that the package and its tests need.

  Args:
    setup: the file that states the bounds.

  Raises:
    ValueError: a requirement is not of the form `name>=version`.
  """
  arguments = setup_arguments(setup)
  return [
    pinned(requirement)
    for requirement in (
      *arguments['install_requires'],
      *arguments['extras_require']['test'],
    )
  ]


def oldest_python(setup: pathlib.Path = SETUP) -> tuple[int, int]:
  """The oldest Python that the package allows, e.g. (3, 11)."""
  stated = setup_arguments(setup)['python_requires']
  found = re.fullmatch(r'>=(\d+)\.(\d+)', stated)
  if found is None:
    raise ValueError(f'python_requires: found {stated!r}, expected >=3.N')
  return int(found[1]), int(found[2])


def pinned(requirement: str) -> str:
  """A requirement at its lower bound: `jax>=0.7` becomes `jax==0.7`."""
  found = _BOUND.fullmatch(requirement)
  if found is None:
    raise ValueError(f'setup.py: found {requirement!r}, expected name>=version')
  return f'{found[1]}=={found[2]}'


def setup_arguments(setup: pathlib.Path) -> dict[str, Any]:
  """What setup.py calls `setuptools.setup` with; it needs no setuptools."""
  taken: dict[str, Any] = {}
  stand_in = types.ModuleType('setuptools')
  stand_in.setup = taken.update
  stand_in.find_packages = lambda **_: []
  with mock.patch.dict(sys.modules, setuptools=stand_in):
    runpy.run_path(str(setup))
  return taken


if __name__ == '__main__':
  print('\n'.join(constraints()))

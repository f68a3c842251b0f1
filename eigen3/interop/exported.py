"""Exports a policy to a file that can be run with JAX, without this package.

The file is a ZIP archive without pickles:

  - policy.jax: a program made by `jax.export` that contains the parameters and
    the normalisation, for one or more platforms and any number of windows;
  - about.json: the format's version, the platforms, and a description of the
    policy, such as its inputs, outputs and origin;
  - example.npz: example inputs and the policy's outputs for them, for a check.

docs/interop.md shows how to read it.
"""

import functools
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import haiku as hk
import jax
import numpy as np
from jax import experimental, export

from eigen3.data import Normalisation
from eigen3.files import atomic_path
from eigen3.types import Account, EnvironmentSpec

FORMAT, VERSION = 'eigen3 policy', 1
PLATFORMS = ('cpu', 'cuda', 'rocm', 'tpu')
# A context manager; in jax 0.7 it is in `jax.experimental`.
_enable_x64 = next(
  module.enable_x64
  for module in (jax, experimental)
  if hasattr(module, 'enable_x64')
)


def export_policy(
  actor: hk.TransformedWithState,
  variables: tuple[Any, Any],
  normalisation: Normalisation,
  spec: EnvironmentSpec,
  platforms: Sequence[str] = PLATFORMS,
) -> export.Exported:
  """Exports a policy as a program with its parameters and normalisation.

  The program takes the arrays that `inputs_of` names, float32, as positional
  arguments in that order, and returns a dictionary of those that `outputs_of`
  names. All have a leading batch axis. The program normalises the windows.

  Args:
    actor: made by `make_networks`, with `lstm_kernel` 'scan': other kernels
      support one platform only.
    variables: (params, state) of the actor.
    normalisation: mean and standard deviation of the observed features, [C, F]
      each.
    spec: spec of the environment that the actor was made for.
    platforms: one or more of `PLATFORMS`.

  Raises:
    ValueError: a platform is unknown, or there is none.
  """
  unknown = [name for name in platforms if name not in PLATFORMS]
  if unknown or not platforms:
    raise ValueError(
      f'platforms: found {", ".join(unknown) or "none"}, expected one or more '
      f'of {", ".join(PLATFORMS)}'
    )
  normalise = _normaliser(normalisation, spec, platforms)

  def act(variables, inputs):
    window, *seen = (x[None] for x in inputs)
    x = normalise(window)
    if spec.observes_account:
      x = (x, Account(*seen))
    outputs, _ = actor.apply(
      *variables, None, x, is_training=False, return_attention=True
    )
    return dict(zip(outputs_of(spec), (x[0] for x in outputs), strict=True))

  @jax.jit
  def policy(*inputs):
    # Without a barrier, constants would be folded, and rounded differently.
    hidden = jax.lax.optimization_barrier(variables)
    # One at a time, so that a window's outputs depend on no other window.
    return jax.lax.map(functools.partial(act, hidden), inputs)

  (batch,) = export.symbolic_shape('batch')
  shapes = [
    jax.ShapeDtypeStruct((batch, *shape), np.float32)
    for shape in inputs_of(spec).values()
  ]
  return export.export(policy, platforms=platforms)(*shapes)


def inputs_of(spec: EnvironmentSpec) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of a program's inputs by name, without batch axis."""
  cells = (spec.context_days, spec.num_columns, spec.num_features)
  if not spec.observes_account:
    return {'windows': cells}
  return {'windows': cells, 'stocks': (spec.num_investable, 5), 'whole': (2,)}


def outputs_of(spec: EnvironmentSpec) -> dict[str, tuple[int, ...]]:
  """Returns the shapes of a program's outputs by name, without batch axis."""
  return {'actions': spec.action.shape, 'attention': (spec.num_columns,)}


def save(
  path: os.PathLike | str,
  program: export.Exported,
  about: Mapping[str, Any],
  example: Mapping[str, np.ndarray],
) -> None:
  """Writes an exported policy to a file, atomically.

  Args:
    path: the file to create or replace.
    program: returned by `export_policy`.
    about: further contents of about.json, besides the versions of the format
      and of `jax.export` and the platforms; values that JSON can represent.
    example: example inputs, and the policy's outputs for them, keyed by name.

  Raises:
    ValueError: if the package flatbuffers is missing, which JAX needs to write
      programs.
  """
  try:
    code = program.serialize()
  except ImportError as error:
    raise ValueError(
      'export: found no package flatbuffers, expected it to be installed, '
      'because JAX needs it to serialise an exported policy: '
      "pip install 'eigen3[export]'"
    ) from error
  arrays = io.BytesIO()
  np.savez_compressed(arrays, allow_pickle=False, **example)
  described = {
    'format': FORMAT,
    'version': VERSION,
    'jax_export_version': program.calling_convention_version,
    'platforms': list(program.platforms),
    **about,
  }
  parts = {
    'about.json': json.dumps(described, indent=2).encode(),
    'policy.jax': bytes(code),
    'example.npz': arrays.getvalue(),
  }
  with (
    atomic_path(path) as temporary,
    zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as file,
  ):
    for name, content in parts.items():
      file.writestr(name, content)


def _normaliser(
  normalisation: Normalisation,
  spec: EnvironmentSpec,
  platforms: Sequence[str],
):
  """Returns a function that normalises windows [1, D, C, F].

  Its results equal those of `Market` bit for bit. `Market` normalises in
  float64, so this function is exported separately, with float64 enabled; the
  rest of the policy's program, and the process that calls the program, need
  not enable float64.
  """
  mean, std = np.float64(normalisation.mean), np.float64(normalisation.std)

  @jax.jit
  def normalise(windows):
    return ((windows.astype(np.float64) - mean) / std).astype(np.float32)

  shape = jax.ShapeDtypeStruct((1, *inputs_of(spec)['windows']), np.float32)
  with _enable_x64(True):
    return export.export(normalise, platforms=platforms)(shape).call

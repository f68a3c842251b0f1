"""Converts arrays of Eigen2's PyTorch networks to those of ours, and back.

PyTorch stores the axes of a weight in reverse order, attention's projections of
query, key and value in one array, and two biases for each direction of an LSTM
layer, of which only the sum matters. PyTorch's batch norm also stores a counter
of batches, which is not read, and written as 0. Otherwise only names differ.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

StateDict = Mapping[str, np.ndarray]
# Haiku's parameters or state: {module path: {name: array}}.
Modules = Mapping[str, Mapping[str, Any]]
_Move = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


class Variables(NamedTuple):
  """The first two arguments of a Haiku network's `apply`."""

  params: Modules
  state: Modules


class Entry(NamedTuple):
  """Some of our arrays, and the PyTorch arrays that they correspond to.

  Attributes:
    module: Haiku path of the module of our arrays.
    names: names of our arrays.
    torch_names: names of PyTorch's arrays.
    from_torch: maps PyTorch's arrays, in the order of `torch_names`, to ours,
      in the order of `names`.
    to_torch: maps our arrays to PyTorch's, in the same orders.
    is_state: whether our arrays are network state, not parameters.
  """

  module: str
  names: tuple[str, ...]
  torch_names: tuple[str, ...]
  from_torch: _Move
  to_torch: _Move
  is_state: bool = False


def actor() -> Iterator[Entry]:
  """Yields all entries of an actor."""
  yield from _feature_extractor('actor')
  attention = 'actor/cross_attention'
  query = ('attention.query',)
  yield Entry(attention, ('query',), query, _unchanged, _unchanged)
  yield from _attention(attention)
  for module, torch_name in (
    ('investable_1', 'investable_fc.0'),
    ('investable_2', 'investable_fc.3'),
    ('context', 'context_fc.0'),
    ('coefficient_1', 'coefficient_head.0'),
    ('coefficient_2', 'coefficient_head.3'),
    ('sale_target_1', 'sale_target_head.0'),
    ('sale_target_2', 'sale_target_head.3'),
  ):
    yield from _linear(f'actor/{module}', torch_name)


def critic(name: str, self_attention: bool) -> Iterator[Entry]:
  """Yields all entries of a critic with Haiku path `name`."""
  yield from _feature_extractor(name)
  if self_attention:
    yield from _attention(f'{name}/self_attention')
  for module, torch_name in (
    ('linear_1', 'critic_fc.0'),
    ('linear_2', 'critic_fc.3'),
    ('value', 'critic_fc.6'),
  ):
    yield from _linear(f'{name}/mean_head/{module}', torch_name)


def from_torch(
  entries: Iterable[Entry], state_dict: StateDict, kind: str
) -> Variables:
  """Converts a state dict to variables.

  Args:
    entries: all entries of the network.
    state_dict: arrays by PyTorch's parameter names.
    kind: 'actor' or 'critic', for messages.

  Raises:
    ValueError: arrays are missing or unknown; the message names them.
  """
  entries = list(entries)
  found = {
    name: np.asarray(array)
    for name, array in state_dict.items()
    if not name.endswith(_COUNTER)
  }
  expected = [name for entry in entries for name in entry.torch_names]
  _check_names('state dict', found, expected, kind)
  params: dict[str, dict[str, Any]] = {}
  state: dict[str, dict[str, Any]] = {}
  for entry in entries:
    modules = state if entry.is_state else params
    arrays = entry.from_torch([found[name] for name in entry.torch_names])
    for name, array in zip(entry.names, arrays, strict=True):
      modules.setdefault(entry.module, {})[name] = jnp.asarray(array)
  return Variables(params, state)


def to_torch(
  entries: Iterable[Entry], variables: Variables, kind: str
) -> dict[str, np.ndarray]:
  """Converts a network's variables to a state dict.

  Args:
    entries: all entries of the network.
    variables: parameters and state.
    kind: 'actor' or 'critic', for messages.

  Raises:
    ValueError: arrays are missing or unknown; the message names them.
  """
  entries = list(entries)
  found = {
    f'{module}/{name}': np.asarray(array)
    for modules in variables
    for module, arrays in modules.items()
    for name, array in arrays.items()
  }
  expected = [f'{e.module}/{name}' for e in entries for name in e.names]
  _check_names('variables', found, expected, kind)
  state_dict = {}
  for entry in entries:
    arrays = [found[f'{entry.module}/{name}'] for name in entry.names]
    for name, array in zip(
      entry.torch_names, entry.to_torch(arrays), strict=True
    ):
      state_dict[name] = np.array(array, order='C')  # a copy in C order
  # Batch norm with a momentum does not use the counter; PyTorch requires it.
  state_dict[f'feature_extractor.bn1.{_COUNTER}'] = np.zeros((), np.int64)
  return state_dict


_COUNTER = 'num_batches_tracked'


def _feature_extractor(parent: str) -> Iterator[Entry]:
  """Yields the entries of the convolution, its batch norm and the LSTM."""
  source, target = 'feature_extractor', f'{parent}/feature_extractor'
  convolution = f'{target}/convolution'
  yield from _linear(convolution, f'{source}.conv1')
  norm = f'{convolution}/batch_norm'
  yield from _scale(norm, f'{source}.bn1')
  for name, torch_name in (('mean', 'mean'), ('variance', 'var')):
    yield _transposed(norm, name, f'{source}.bn1.running_{torch_name}', True)
  lstm = f'{target}/lstm'
  for layer in (1, 2):
    for direction, suffix in (('forward', ''), ('reverse', '_reverse')):
      name = f'layer_{layer}_{direction}'
      place = f'l{layer - 1}{suffix}'
      yield _transposed(
        lstm, f'{name}_input', f'{source}.lstm.weight_ih_{place}'
      )
      yield _transposed(
        lstm, f'{name}_hidden', f'{source}.lstm.weight_hh_{place}'
      )
      biases = (
        f'{source}.lstm.bias_ih_{place}',
        f'{source}.lstm.bias_hh_{place}',
      )
      yield Entry(lstm, (f'{name}_bias',), biases, _added, _with_zero)


def _attention(module: str) -> Iterator[Entry]:
  """Yields the entries of multi-head attention and its layer norm."""
  source, inner = 'attention.attention', f'{module}/attention'
  for ours, theirs in (('w', 'weight'), ('b', 'bias')):
    names = tuple(f'{name}_{ours}' for name in ('query', 'key', 'value'))
    yield Entry(
      inner, names, (f'{source}.in_proj_{theirs}',), _split, _concatenated
    )
  yield _transposed(inner, 'output_w', f'{source}.out_proj.weight')
  yield _transposed(inner, 'output_b', f'{source}.out_proj.bias')
  yield from _scale(f'{module}/layer_norm', 'attention.norm')


def _linear(module: str, torch_name: str) -> Iterator[Entry]:
  """Yields the entries of a layer's weight and bias."""
  yield _transposed(module, 'w', f'{torch_name}.weight')
  yield _transposed(module, 'b', f'{torch_name}.bias')


def _scale(module: str, torch_name: str) -> Iterator[Entry]:
  """Yields the entries of a norm's scale and offset."""
  yield _transposed(module, 'scale', f'{torch_name}.weight')
  yield _transposed(module, 'offset', f'{torch_name}.bias')


def _transposed(
  module: str, name: str, torch_name: str, is_state: bool = False
) -> Entry:
  """Returns the entry of an array whose axes PyTorch stores in reverse."""
  return Entry(module, (name,), (torch_name,), _transpose, _transpose, is_state)


def _unchanged(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
  return arrays


def _transpose(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
  return [array.T for array in arrays]


def _split(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
  return _transpose(np.split(arrays[0], 3))


def _concatenated(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
  return [np.concatenate(_transpose(arrays))]


def _added(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
  return [arrays[0] + arrays[1]]


def _with_zero(arrays: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
  """Returns a bias and a second bias of -0: adding 0 would turn -0 into 0."""
  return [arrays[0], np.full_like(arrays[0], -0.0)]


def _check_names(
  where: str, found: Mapping[str, Any], expected: Sequence[str], kind: str
) -> None:
  missing = [name for name in expected if name not in found]
  if missing:
    raise ValueError(
      f'{where}: found no {", ".join(missing)}, expected all entries of an '
      f'Eigen2 {kind}'
    )
  unknown = sorted(found.keys() - set(expected))
  if unknown:
    raise ValueError(
      f'{where}: found {", ".join(unknown)}, expected only the entries of an '
      f'Eigen2 {kind}'
    )

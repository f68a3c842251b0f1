"""Networks of Eigen2, the PyTorch system that Eigen3 replaces.

A state dict here is a mapping of PyTorch's parameter names to NumPy arrays.
The results are Haiku's (params, state) for the networks that
`eigen3.networks.make_networks` builds with `actor.coefficient_head='eigen2'`
and `critic.pooling='mean'`.
"""

import importlib
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

StateDict = Mapping[str, np.ndarray]
# Haiku's parameters or state: {module path: {name: array}}.
Modules = dict[str, dict[str, Any]]


class Variables(NamedTuple):
  """What a Haiku network's `apply` takes first."""

  params: Modules
  state: Modules


class Eigen2Agent(NamedTuple):
  """An agent of Eigen2 as its checkpoint holds it.

  Attributes:
    actor: variables of the online actor.
    target_actor: variables of the target actor.
    critic: variables of the online critic.
    target_critic: variables of the target critic.
    noise_scale: standard deviation of the exploration noise.
    update_count: gradient steps behind it.
  """

  actor: Variables
  target_actor: Variables
  critic: Variables
  target_critic: Variables
  noise_scale: float
  update_count: int


def actor_from_torch(state_dict: StateDict) -> Variables:
  """The variables of an actor.

  Args:
    state_dict: PyTorch's names to arrays.

  Returns:
    (params, state) for `Networks.actor`.

  Raises:
    ValueError: naming the entries that are missing or unknown.
  """
  reader = _Reader(state_dict, 'actor')
  reader.feature_extractor('actor')
  attention = 'actor/cross_attention'
  reader.array(attention, 'query', 'attention.query')
  reader.attention(attention)
  for module, name in (
    ('investable_1', 'investable_fc.0'),
    ('investable_2', 'investable_fc.3'),
    ('context', 'context_fc.0'),
    ('coefficient_1', 'coefficient_head.0'),
    ('coefficient_2', 'coefficient_head.3'),
    ('sale_target_1', 'sale_target_head.0'),
    ('sale_target_2', 'sale_target_head.3'),
  ):
    reader.linear(f'actor/{module}', name)
  return reader.variables()


def critic_from_torch(state_dict: StateDict, name: str = 'critic') -> Variables:
  """The variables of a critic, with or without self-attention.

  Args:
    state_dict: PyTorch's names to arrays.
    name: Haiku path of the critic.

  Returns:
    (params, state) for `Networks.critic`.

  Raises:
    ValueError: naming the entries that are missing or unknown.
  """
  reader = _Reader(state_dict, 'critic')
  reader.feature_extractor(name)
  if any(key.startswith('attention.') for key in state_dict):
    reader.attention(f'{name}/self_attention')
  for module, torch_name in (
    ('linear_1', 'critic_fc.0'),
    ('linear_2', 'critic_fc.3'),
    ('value', 'critic_fc.6'),
  ):
    reader.linear(f'{name}/mean_head/{module}', torch_name)
  return reader.variables()


def double_critic_from_torch(first: StateDict, second: StateDict) -> Variables:
  """The variables of two critics side by side.

  Args:
    first: state dict of the first column's critic.
    second: of the second column's.

  Returns:
    (params, state) for `Networks.double_critic` with `critic.ensemble=2`.

  Raises:
    ValueError: naming the entries that are missing or unknown.
  """
  critics = [
    critic_from_torch(state_dict, f'double_critic/critic_{number}')
    for number, state_dict in enumerate((first, second), 1)
  ]
  return Variables(
    params={k: v for critic in critics for k, v in critic.params.items()},
    state={k: v for critic in critics for k, v in critic.state.items()},
  )


def load_agent(path: str | pathlib.Path) -> Eigen2Agent:
  """Reads an agent that Eigen2 saved.

  Only tensors and plain values are unpickled; the optimisers are left out.

  Args:
    path: a `.pth` file.

  Returns:
    The agent's networks and counters.

  Raises:
    ValueError: if PyTorch is not installed, or the file is no such agent.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise ValueError(f'{path}: no such file, expected an Eigen2 checkpoint')
  try:
    torch = importlib.import_module('torch')
  except ImportError as error:
    raise ValueError(
      f'{path}: reading it needs PyTorch, which is not installed; run '
      "'pip install torch'"
    ) from error
  try:
    saved = torch.load(path, map_location='cpu', weights_only=True)
  except Exception as error:  # torch raises whatever its zip and pickle do
    reason = str(error).partition('\n')[0]
    raise ValueError(f'{path}: not a PyTorch checkpoint: {reason}') from error
  try:
    return _agent_from_checkpoint(saved)
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(f'{path}: not an Eigen2 agent: {error}') from error


def _agent_from_checkpoint(saved: Mapping[str, Any]) -> Eigen2Agent:
  def arrays(key):
    return {name: value.numpy() for name, value in saved[key].items()}

  return Eigen2Agent(
    actor=actor_from_torch(arrays('actor_state_dict')),
    target_actor=actor_from_torch(arrays('actor_target_state_dict')),
    critic=critic_from_torch(arrays('critic_state_dict')),
    target_critic=critic_from_torch(arrays('critic_target_state_dict')),
    noise_scale=float(saved['noise_scale']),
    update_count=int(saved['update_count']),
  )


class _Reader:
  """Moves entries of a state dict to Haiku paths, and sees what is left."""

  def __init__(self, state_dict: StateDict, kind: str):
    self._left = {
      name: array
      for name, array in state_dict.items()
      if not name.endswith('num_batches_tracked')  # unused with a momentum
    }
    self._kind = kind
    self._missing: list[str] = []
    self._params: Modules = {}
    self._state: Modules = {}

  def array(self, module: str, name: str, torch_name: str) -> None:
    """Moves one entry as it is."""
    self._put(module, name, self._take(torch_name))

  def linear(self, module: str, torch_name: str) -> None:
    """Moves a linear layer; PyTorch keeps [outputs, inputs]."""
    self._put(module, 'w', self._take(f'{torch_name}.weight').T)
    self._put(module, 'b', self._take(f'{torch_name}.bias'))

  def feature_extractor(self, parent: str) -> None:
    """Moves convolution, batch norm with its statistics, and LSTM."""
    source = 'feature_extractor'
    target = f'{parent}/feature_extractor'
    convolution = f'{target}/convolution'
    # [channels, features, kernel] to [kernel, features, channels].
    kernel = self._take(f'{source}.conv1.weight', 3).transpose(2, 1, 0)
    self._put(convolution, 'w', kernel)
    self.array(convolution, 'b', f'{source}.conv1.bias')
    norm = f'{convolution}/batch_norm'
    self.array(norm, 'scale', f'{source}.bn1.weight')
    self.array(norm, 'offset', f'{source}.bn1.bias')
    for name, torch_name in (
      ('mean', 'running_mean'),
      ('variance', 'running_var'),
    ):
      statistic = self._take(f'{source}.bn1.{torch_name}')
      self._state.setdefault(norm, {})[name] = jnp.asarray(statistic)
    for layer in (1, 2):
      for direction, suffix in (('forward', ''), ('reverse', '_reverse')):
        self._lstm(
          f'{target}/lstm',
          f'layer_{layer}_{direction}',
          f'{source}.lstm.{{}}_l{layer - 1}{suffix}',
        )

  def attention(self, module: str) -> None:
    """Moves PyTorch's multi-head attention and the layer norm after it."""
    names = ('query', 'key', 'value')
    weights = self._take('attention.attention.in_proj_weight')
    biases = self._take('attention.attention.in_proj_bias')
    inner = f'{module}/attention'
    for name, w, b in zip(
      names, np.split(weights, 3), np.split(biases, 3), strict=True
    ):
      self._put(inner, f'{name}_w', w.T)
      self._put(inner, f'{name}_b', b)
    output = self._take('attention.attention.out_proj.weight')
    self._put(inner, 'output_w', output.T)
    self.array(inner, 'output_b', 'attention.attention.out_proj.bias')
    norm = f'{module}/layer_norm'
    self.array(norm, 'scale', 'attention.norm.weight')
    self.array(norm, 'offset', 'attention.norm.bias')

  def variables(self) -> Variables:
    """Everything moved so far; refuses missing and left-over entries."""
    if self._missing:
      raise ValueError(
        f'state dict: expected the entries of an Eigen2 {self._kind}, found '
        f'no {", ".join(self._missing)}'
      )
    if self._left:
      raise ValueError(
        f'state dict: found entries that no Eigen2 {self._kind} has: '
        f'{", ".join(sorted(self._left))}'
      )
    return Variables(self._params, self._state)

  def _lstm(self, module: str, name: str, torch_name: str) -> None:
    """Moves one direction of one layer; its two biases are only ever added."""
    self._put(
      module, f'{name}_input', self._take(torch_name.format('weight_ih')).T
    )
    self._put(
      module, f'{name}_hidden', self._take(torch_name.format('weight_hh')).T
    )
    bias = self._take(torch_name.format('bias_ih'))
    bias = bias + self._take(torch_name.format('bias_hh'))
    self._put(module, f'{name}_bias', bias)

  def _take(self, name: str, rank: int = 0) -> np.ndarray:
    array = self._left.pop(name, None)
    if array is None:
      self._missing.append(name)
      # Carries on, so that one error names everything that is missing.
      return np.zeros((3,) + (0,) * (rank - 1) if rank else (3,))
    return np.asarray(array)

  def _put(self, module: str, name: str, array: np.ndarray) -> None:
    self._params.setdefault(module, {})[name] = jnp.asarray(array)

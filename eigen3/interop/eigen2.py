"""Import and export of networks of Eigen2, the PyTorch predecessor of Eigen3.

A state dict here maps PyTorch's parameter names to NumPy arrays. Its
counterpart is Haiku's (params, state) of networks that
`eigen3.networks.make_networks` builds with the settings of a preset with
`+eigen2`. Converting to PyTorch and back keeps all bits. So does converting
from PyTorch and back, except that of the two biases for each direction of an
LSTM layer only the sum is kept, and that batch norm's counter of batches
becomes 0.
"""

import importlib
import pathlib
import re
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eigen3.files import atomic_path
from eigen3.interop import eigen2_layout as layout
from eigen3.interop.eigen2_layout import StateDict, Variables

# Settings of Eigen2's optimisers, which checkpoints also store.
_ACTOR_LEARNING_RATE = 1e-4
_CRITIC_LEARNING_RATE = 3e-4
_WEIGHT_DECAY = 5e-4


class Eigen2Agent(NamedTuple):
  """An Eigen2 agent, as its checkpoint stores it, without optimisers.

  Attributes:
    actor: variables of the online actor.
    target_actor: variables of the target actor.
    critic: variables of the online critic.
    target_critic: variables of the target critic.
    noise_scale: standard deviation of the exploration noise.
    update_count: number of gradient steps so far.
  """

  actor: Variables
  target_actor: Variables
  critic: Variables
  target_critic: Variables
  noise_scale: float
  update_count: int


def actor_from_torch(state_dict: StateDict) -> Variables:
  """Converts an actor's state dict to (params, state).

  Args:
    state_dict: arrays by PyTorch's parameter names.

  Returns:
    (params, state) for `Networks.actor`.

  Raises:
    ValueError: entries are missing or unknown; the message names them.
  """
  return layout.from_torch(layout.actor(), state_dict, 'actor')


def actor_to_torch(variables: Variables) -> dict[str, np.ndarray]:
  """Converts an actor to a state dict.

  Args:
    variables: (params, state) of `Networks.actor`. The setting
      `networks.actor.coefficient_head`, an activation, is not converted: Eigen2
      always applies the same activation.

  Returns:
    Arrays by PyTorch's parameter names. Converted to tensors, they are complete
    for `load_state_dict` with `strict=True`.

  Raises:
    ValueError: arrays are missing or unknown; the message names them.
  """
  return layout.to_torch(layout.actor(), variables, 'actor')


def critic_from_torch(state_dict: StateDict, name: str = 'critic') -> Variables:
  """Converts a critic's state dict, with or without self-attention.

  Args:
    state_dict: arrays by PyTorch's parameter names.
    name: Haiku path of the critic.

  Returns:
    (params, state) for `Networks.critic`.

  Raises:
    ValueError: entries are missing or unknown; the message names them.
  """
  has_attention = any(key.startswith('attention.') for key in state_dict)
  entries = layout.critic(name, has_attention)
  return layout.from_torch(entries, state_dict, 'critic')


def critic_to_torch(
  variables: Variables, name: str = 'critic'
) -> dict[str, np.ndarray]:
  """Converts a critic, with or without self-attention, to a state dict.

  Args:
    variables: (params, state) of `Networks.critic`.
    name: Haiku path of the critic.

  Returns:
    Arrays by PyTorch's parameter names.

  Raises:
    ValueError: arrays are missing or unknown; the message names them.
  """
  attention = f'{name}/self_attention/'
  has_attention = any(key.startswith(attention) for key in variables.params)
  entries = layout.critic(name, has_attention)
  return layout.to_torch(entries, variables, 'critic')


def double_critic_from_torch(*state_dicts: StateDict) -> Variables:
  """Converts critics' state dicts to variables of one network of all critics.

  Args:
    *state_dicts: a state dict for each critic.

  Returns:
    (params, state) for a `Networks.double_critic` with as many critics.

  Raises:
    ValueError: entries are missing or unknown; the message names them.
  """
  critics = [
    critic_from_torch(state_dict, _critic_name(number))
    for number, state_dict in enumerate(state_dicts, 1)
  ]
  return Variables(
    params={k: v for critic in critics for k, v in critic.params.items()},
    state={k: v for critic in critics for k, v in critic.state.items()},
  )


def double_critic_to_torch(
  variables: Variables,
) -> tuple[dict[str, np.ndarray], ...]:
  """Converts each critic of a network of K critics to a state dict.

  Args:
    variables: (params, state) of `Networks.double_critic`.

  Returns:
    A state dict for each critic, in order.

  Raises:
    ValueError: arrays are missing or unknown; the message names them.
  """
  numbers = {path.split('/')[1] for path in variables.params}
  critics = []
  for number in range(1, len(numbers) + 1):
    name = _critic_name(number)
    params, state = (
      {k: v for k, v in modules.items() if k.startswith(f'{name}/')}
      for modules in variables
    )
    critics.append(critic_to_torch(Variables(params, state), name))
  return tuple(critics)


def load_agent(path: str | pathlib.Path) -> Eigen2Agent:
  """Reads an agent that Eigen2 saved.

  Only tensors and plain values are unpickled; optimisers are not returned.

  Args:
    path: a `.pth` file.

  Returns:
    The agent's networks, exploration noise and number of updates.

  Raises:
    ValueError: if PyTorch is not installed, there is no such file, or the file
      holds no Eigen2 agent.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    found = 'a folder' if path.is_dir() else 'no such file'
    raise ValueError(f'{path}: found {found}, expected an Eigen2 checkpoint')
  torch = _torch(path, 'reading')
  try:
    with warnings.catch_warnings(action='ignore'):  # the error says enough
      saved = torch.load(path, map_location='cpu', weights_only=True)
  except Exception as error:  # torch passes on any error of zip and pickle
    raise ValueError(
      f'{path}: found no PyTorch checkpoint ({_reason(error)}), expected a '
      'checkpoint that Eigen2 saved'
    ) from error
  try:
    return _agent_from_checkpoint(saved)
  except (ValueError, KeyError, TypeError, RuntimeError) as error:
    reason = ' '.join(str(error).split())
    if isinstance(error, KeyError):
      reason = f'found no {reason}'
    raise ValueError(
      f'{path}: found no Eigen2 agent ({reason}), expected a checkpoint that '
      'Eigen2 saved'
    ) from error


def save_agent(
  path: str | pathlib.Path, agent: Eigen2Agent, agent_id: int = 0
) -> None:
  """Writes a checkpoint that Eigen2 and `load_agent` can read.

  The optimisers in the checkpoint are new: they have Eigen2's settings and no
  moments.

  Args:
    path: a `.pth` file to create or replace.
    agent: the agent to write.
    agent_id: the agent's number in an Eigen2 population.

  Raises:
    ValueError: if PyTorch is not installed, or a network's arrays are not those
      of an Eigen2 network.
    OSError: if the file cannot be written.
  """
  path = pathlib.Path(path)
  torch = _torch(path, 'writing')
  arrays = {
    'actor': actor_to_torch(agent.actor),
    'actor_target': actor_to_torch(agent.target_actor),
    'critic': critic_to_torch(agent.critic),
    'critic_target': critic_to_torch(agent.target_critic),
  }
  networks = {
    name: {key: torch.from_numpy(x) for key, x in state_dict.items()}
    for name, state_dict in arrays.items()
  }
  saved = {
    'agent_id': agent_id,
    **{f'{name}_state_dict': network for name, network in networks.items()},
    'actor_optimizer_state_dict': _fresh_optimiser(
      torch, networks['actor'], _ACTOR_LEARNING_RATE
    ),
    'critic_optimizer_state_dict': _fresh_optimiser(
      torch, networks['critic'], _CRITIC_LEARNING_RATE
    ),
    'noise_scale': float(agent.noise_scale),
    'update_count': int(agent.update_count),
  }
  with atomic_path(path) as temporary:
    torch.save(saved, temporary)


def _critic_name(number: int) -> str:
  """Returns the Haiku path of a critic; `number` counts from 1."""
  return f'double_critic/critic_{number}'


def _torch(path: pathlib.Path, doing: str) -> Any:
  """Imports PyTorch, which is needed only to read and write checkpoints.

  Raises:
    ValueError: if PyTorch is not installed.
  """
  try:
    return importlib.import_module('torch')
  except ImportError as error:
    raise ValueError(
      f'{path}: found no package torch, expected it to be installed for '
      f'{doing} an Eigen2 checkpoint: pip install torch'
    ) from error


def _reason(error: Exception) -> str:
  """Returns the reason in PyTorch's error message, in one line.

  PyTorch's advice to trust the file is left out.
  """
  refused = re.search(r'GLOBAL (\S+)', str(error))
  if refused is not None:
    return f'it contains {refused[1]}, which is neither a tensor nor a number'
  sentence = ' '.join(re.split(r'\.\s', str(error))[0].split())
  return f'{type(error).__name__}: {sentence}'.rstrip(': ')


def _agent_from_checkpoint(saved: Mapping[str, Any]) -> Eigen2Agent:
  def arrays(key):
    if not isinstance(saved[key], Mapping):
      raise TypeError(
        f'{key}: found {type(saved[key]).__name__}, expected a dict of tensors'
      )
    return {name: _numpy(name, value) for name, value in saved[key].items()}

  if not isinstance(saved, Mapping):
    raise TypeError(f'found {type(saved).__name__}, expected a dict')

  return Eigen2Agent(
    actor=actor_from_torch(arrays('actor_state_dict')),
    target_actor=actor_from_torch(arrays('actor_target_state_dict')),
    critic=critic_from_torch(arrays('critic_state_dict')),
    target_critic=critic_from_torch(arrays('critic_target_state_dict')),
    noise_scale=float(saved['noise_scale']),
    update_count=int(saved['update_count']),
  )


def _numpy(name: str, value: Any) -> np.ndarray:
  if not hasattr(value, 'numpy'):
    raise TypeError(f'{name}: found {type(value).__name__}, expected a tensor')
  return value.numpy()


def _fresh_optimiser(
  torch: Any, network: Mapping[str, Any], rate: float
) -> dict[str, Any]:
  """Returns the state dict of a new Eigen2 optimiser for a network."""
  parameters = [
    tensor
    for name, tensor in network.items()
    if not re.search(r'\.(running_|num_batches)', name)
  ]
  return torch.optim.Adam(
    parameters, rate, weight_decay=_WEIGHT_DECAY
  ).state_dict()

"""Converts whole agents of Eigen2 to training states, and back."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eigen3.agent import td3
from eigen3.interop import eigen2
from eigen3.interop.eigen2 import Eigen2Agent, Variables

_KERNEL = 3  # days that the kernel of the convolution spans


class Dimensions(NamedTuple):
  """Dimensions of an agent's networks.

  Attributes:
    num_features: F.
    num_stocks: N.
    settings: the layer sizes in the config's section `networks`, and whether
      the critic has self-attention, keyed by name; a dot separates a nested
      section's name. Settings that the arrays do not show, such as the number
      of attention heads and dropout, are left out.
  """

  num_features: int
  num_stocks: int
  settings: dict[str, Any]


def dimensions_of(agent: Eigen2Agent) -> Dimensions:
  """Reads the dimensions of an agent's networks from its arrays.

  Raises:
    ValueError: if an array whose shape is needed has the wrong number of axes,
      the convolution's kernel is not 3 days long, or the critic's input is not
      2H features plus two numbers per stock for at least one stock.
      `into_state` checks all other shapes.
  """
  actor = _Shapes(agent.actor, 'actor')
  critic = _Shapes(agent.critic, 'critic')
  kernel, features, channels = actor.of('feature_extractor/convolution', 'w', 3)
  if kernel != _KERNEL:
    raise ValueError(
      f'actor: found a convolution over {kernel} days, expected {_KERNEL}'
    )
  hidden, _ = actor.of('feature_extractor/lstm', 'layer_1_forward_hidden', 2)
  _, stock_1 = actor.of('investable_1', 'w', 2)
  _, stock_2 = actor.of('investable_2', 'w', 2)
  _, context = actor.of('context', 'w', 2)
  _, head = actor.of('coefficient_1', 'w', 2)
  critic_hidden, _ = critic.of(
    'feature_extractor/lstm', 'layer_1_forward_hidden', 2
  )
  inputs, critic_1 = critic.of('mean_head/linear_1', 'w', 2)
  _, critic_2 = critic.of('mean_head/linear_2', 'w', 2)
  stocks, odd = divmod(inputs - 2 * critic_hidden, 2)
  if odd or stocks < 1:
    raise ValueError(
      f'critic: found {inputs} inputs, expected {2 * critic_hidden} features '
      'plus two inputs per stock, for at least one stock'
    )
  attention = 'critic/self_attention/attention'
  return Dimensions(
    features,
    stocks,
    {
      'convolution_channels': channels,
      'hidden': hidden,
      'actor.investable_sizes': (stock_1, stock_2),
      'actor.context_size': context,
      'actor.head_size': head,
      'critic.sizes': (critic_1, critic_2),
      'critic.self_attention': attention in agent.critic.params,
    },
  )


def into_state(
  agent: Eigen2Agent, like: td3.TrainingState
) -> td3.TrainingState:
  """Returns a state with an agent's networks, noise scale and update count.

  All else, such as optimisers and the key, is taken from `like`.

  Args:
    agent: the Eigen2 agent.
    like: an untrained state with networks of the same dimensions and one
      critic.

  Raises:
    ValueError: an array is missing or unknown, its shape differs from that in
      `like`, or it is not finite; the message names it.
  """
  critic, target_critic = (
    eigen2.double_critic_from_torch(eigen2.critic_to_torch(critic))
    for critic in (agent.critic, agent.target_critic)
  )
  return like._replace(
    actor=_network('actor', agent.actor, agent.target_actor, like.actor),
    critic=_network('critic', critic, target_critic, like.critic),
    noise_scale=jnp.asarray(agent.noise_scale, like.noise_scale.dtype),
    steps=jnp.asarray(agent.update_count, like.steps.dtype),
  )


def from_state(state: td3.TrainingState) -> Eigen2Agent:
  """Converts a training state with one critic to an Eigen2 agent.

  Args:
    state: a state whose networks have the settings of a preset with `+eigen2`.

  Raises:
    ValueError: there are several critics, or arrays of a critic are missing or
      do not exist in Eigen2. The actor is not checked.
  """
  critics = [
    eigen2.double_critic_to_torch(Variables(params, network_state))
    for params, network_state in (
      (state.critic.online_params, state.critic.online_state),
      (state.critic.target_params, state.critic.target_state),
    )
  ]
  if len(critics[0]) != 1:
    raise ValueError(
      f'number of critics: found {len(critics[0])}, expected 1, as in an '
      'Eigen2 agent'
    )
  return Eigen2Agent(
    actor=Variables(state.actor.online_params, state.actor.online_state),
    target_actor=Variables(state.actor.target_params, state.actor.target_state),
    critic=eigen2.critic_from_torch(critics[0][0]),
    target_critic=eigen2.critic_from_torch(critics[1][0]),
    noise_scale=float(state.noise_scale),
    update_count=int(state.steps),
  )


class _Shapes:
  """Looks up the shapes of a network's parameters."""

  def __init__(self, variables: Variables, name: str):
    self._params = variables.params
    self._name = name

  def of(self, module: str, name: str, rank: int) -> tuple[int, ...]:
    shape = np.shape(self._params[f'{self._name}/{module}'][name])
    if len(shape) != rank:
      raise ValueError(
        f'{self._name}/{module}/{name}: found shape {shape}, expected {rank} '
        'axes'
      )
    return shape


def _network(
  name: str, online: Variables, target: Variables, like: td3.Network
) -> td3.Network:
  return like._replace(
    online_params=_fitting(name, online.params, like.online_params),
    online_state=_fitting(name, online.state, like.online_state),
    target_params=_fitting(f'target {name}', target.params, like.target_params),
    target_state=_fitting(f'target {name}', target.state, like.target_state),
  )


def _fitting(name: str, tree: Any, like: Any) -> Any:
  """Returns `tree`, after comparing its arrays with those of `like`.

  Args:
    name: name of the network, for messages.
    tree: parameters or state of the network.
    like: a tree with the expected arrays; only names and shapes matter.

  Raises:
    ValueError: an array of `tree` is missing, unknown, not finite or has
      another shape than in `like`.
  """
  expected = dict(jax.tree_util.tree_leaves_with_path(like))
  found = dict(jax.tree_util.tree_leaves_with_path(tree))
  for path in sorted(expected.keys() | found.keys(), key=str):
    where = f"the agent's {name}: {'/'.join(str(key.key) for key in path)}"
    shapes = [
      f'shape {leaves[path].shape}' if path in leaves else 'no such array'
      for leaves in (found, expected)
    ]
    if shapes[0] != shapes[1]:
      raise ValueError(f'{where}: found {shapes[0]}, expected {shapes[1]}')
    if not np.isfinite(found[path]).all():
      raise ValueError(
        f'{where}: found NaN or infinite numbers, expected finite ones'
      )
  return tree

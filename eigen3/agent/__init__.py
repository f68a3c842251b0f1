"""Learning from transitions: TD3 (DDPG is a special case), and the replay."""

import inspect

import haiku as hk
import ml_collections

from eigen3 import settings
from eigen3.agent import replay, td3
from eigen3.agent.protocol import Agent, Constrain, Maker, Observe, Policy
from eigen3.agent.td3 import TrainingState, make_td3
from eigen3.networks import Shared
from eigen3.types import ActionSpec

__all__ = (
  'Agent',
  'Policy',
  'TrainingState',
  'make_agent',
  'make_td3',
  'register',
  'replay',
)

_MAKERS: dict[str, Maker] = {'td3': td3.make_agent}


def register(name: str, maker: Maker) -> None:
  """Registers an algorithm, so that `agent.algorithm` can name it."""
  _MAKERS[name] = maker


def make_agent(
  actor: hk.TransformedWithState,
  double_critic: hk.TransformedWithState,
  observe: Observe,
  action_spec: ActionSpec,
  config: ml_collections.ConfigDict,
  constrain: Constrain = lambda observations, unit_actions: unit_actions,
  shared: Shared | None = None,
) -> Agent:
  """Builds an agent with the algorithm that `config.algorithm` names.

  That setting is a registered name, or the import path of a `Maker`. `make_td3`
  describes the arguments in full.

  Args:
    actor: the policy's network.
    double_critic: the critics' network.
    observe: turns context and observations into the networks' inputs.
    action_spec: the box of actions.
    config: the `agent` section.
    constrain: sets the parts of actions that the environment ignores to
      constants.
    shared: the networks' parts if actor and critics share an extractor, else
      None; passed on only if given, because not every algorithm supports this.

  Raises:
    ValueError: a setting is invalid, the algorithm is unknown, or `shared` is
      given and the algorithm does not support it.
  """
  maker = settings.named(
    'agent.algorithm',
    config.algorithm,
    _MAKERS,
    callable,
    'a maker in Python, as in my_agent.make_agent',
  )
  parts = {} if shared is None else {'shared': shared}
  settings.require(
    parts.keys() <= inspect.signature(maker).parameters.keys(),
    'networks.shared_extractor',
    'all',
    "'none' or 'critics', because "
    f'the maker of agent.algorithm={config.algorithm!r} has no parameter '
    'shared',
  )
  return maker(
    actor, double_critic, observe, action_spec, config, constrain, **parts
  )

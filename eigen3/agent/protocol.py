"""What a learner asks of an algorithm, whichever it is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import haiku as hk
import ml_collections

from eigen3.types import ActionSpec, Array, PRNGKey, Transition

# Turns an observation into what networks take: (context, s [B]) -> input [B].
Observe: TypeAlias = Callable[[Any, Any], Any]
# What an environment makes of an action: (s [B], unit actions [B]) -> the same.
Constrain: TypeAlias = Callable[[Any, Array], Array]
Metrics: TypeAlias = dict[str, Array]
# In an agent's genes, the network that acts.
ACTING = 'actor'
# All that an agent carries from one update to the next, a pytree of arrays.
State: TypeAlias = Any


class Policy(NamedTuple):
  """All that decides an agent's actions without noise.

  Attributes:
    params: of the network that acts.
    state: its batch-norm statistics.
  """

  params: hk.Params
  state: hk.State


class Genes(NamedTuple):
  """What evolution varies of an agent.

  Attributes:
    parameters: trees of parameters, by network; `ACTING` is the policy's.
    hyperparameters: positive float32 leaves, by name; may be empty.
  """

  parameters: dict[str, hk.Params]
  hyperparameters: dict[str, Array]


class Agent(NamedTuple):
  """Pure functions of one algorithm; learners look into no state of its.

  Attributes:
    init: `(key, context, observations) -> state`, fresh, for inputs like these.
    act: `(state, context, observations, key=None) -> actions [B, ...]` in the
      environment's units; noisy where a key is given.
    update: `(state, batch, context) -> (state, metrics)`; a batch may have
      several actions [B, M, ...] and rewards [B, M] of each state, what was
      done first: all of a state's actions must have the same future.
    value: `(state, context, observations, actions [B, M, ...]) -> [B, M]`, what
      the critics think of actions, their mean; None where there are none.
    policy: of a state.
    with_policy: `(state, policy) -> state`, which acts by that policy.
    noise: of a state, the deviation of exploration in unit space, [].
    num_updates: of a state, int32 [].
    trained: of a state, by network what must stay finite.
    report: `(state, metrics) -> numbers by name`, of updates [..., U] on the
      host; state and metrics may be of several agents.
    reported: the names of these, cause before effect.
    genes: of a state.
    born: `(parents, genes, whole, keys) -> states`, all with a leading axis P;
      where `whole`, by network [P], a child keeps what its parent's parameters
      had led to. Hyperparameters may be `more` than those of the parents.
    more: hyperparameters that an agent may have its own of, and what they are
      where it has not, by name.
  """

  init: Callable[[PRNGKey, Any, Any], State]
  act: Callable[..., Array]
  update: Callable[[State, Transition, Any], tuple[State, Metrics]]
  policy: Callable[[State], Policy]
  with_policy: Callable[[State, Policy], State]
  noise: Callable[[State], Array]
  num_updates: Callable[[State], Array]
  trained: Callable[[State], Mapping[str, Any]]
  report: Callable[[State, Mapping[str, Any]], dict[str, float]]
  reported: tuple[str, ...]
  genes: Callable[[State], Genes]
  born: Callable[[State, Genes, Mapping[str, Array], PRNGKey], State]
  more: Mapping[str, float] = {}
  value: Callable[[State, Any, Any, Array], Array] | None = None


# `(actor, critic, observe, action_spec, config, constrain) -> Agent`; one that
# can share an extractor also takes `shared`, a `networks.Shared`.
Maker: TypeAlias = Callable[
  [
    hk.TransformedWithState,
    hk.TransformedWithState,
    Observe,
    ActionSpec,
    ml_collections.ConfigDict,
    Constrain,
  ],
  Agent,
]

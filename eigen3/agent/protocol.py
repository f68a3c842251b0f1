"""The interface of a learning algorithm, as `eigen3.learner` uses it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import haiku as hk
import ml_collections

from eigen3.types import ActionSpec, Array, PRNGKey, Transition

# Turns observations into inputs of networks: (context, s [B]) -> input [B]. The
# context is what observations refer to: the market that holds the windows.
Observe: TypeAlias = Callable[[Any, Any], Any]
# Sets the parts of an action that the environment ignores to constants:
# (s [B], unit actions [B]) -> unit actions [B].
Constrain: TypeAlias = Callable[[Any, Array], Array]
Metrics: TypeAlias = dict[str, Array]
# The name, in an agent's genes, of the network that acts.
ACTING = 'actor'
# All that an agent carries from one update to the next, a pytree of arrays.
State: TypeAlias = Any


class Policy(NamedTuple):
  """All that determines an agent's actions without noise.

  Attributes:
    params: the acting network's parameters.
    state: the acting network's batch-norm statistics.
  """

  params: hk.Params
  state: hk.State


class Genes(NamedTuple):
  """The evolvable part of an agent.

  Attributes:
    parameters: trees of parameters, keyed by the network's name; `ACTING` is
      the name of the policy's network.
    hyperparameters: float arrays [], at least 0, keyed by name; may be empty.
  """

  parameters: dict[str, hk.Params]
  hyperparameters: dict[str, Array]


class Agent(NamedTuple):
  """Pure functions of one algorithm.

  An agent's state is opaque to callers, except that populations need a
  NamedTuple whose field `key` is a PRNG key. `context` and `observations` are
  the arguments of `Observe`. The functions `policy`, `num_updates`, `trained`,
  `report` and `genes` also take the states of several agents, whose leaves have
  leading axes.

  Attributes:
    init: `(key, context, observations) -> state`, an untrained agent for inputs
      of these shapes.
    act: `(state, context, observations, key=None) -> actions [B, ...]` in the
      environment's units; with noise if a key is given.
    update: `(state, batch, context) -> (state, metrics)`; a batch may have
      several actions [B, M, ...] and rewards [B, M] for each state, the
      executed action first. Either the M actions of a state share one discount
      and next state, or each has its own (see `Transition`).
    value: `(state, context, observations, actions [B, M, ...]) -> [B, M]`, the
      value of each action, averaged over the critics; None for algorithms
      without critics.
    policy: `(state) -> Policy`.
    with_policy: `(state, policy) -> state`, the state with another policy.
    noise: `(state) -> []`, the standard deviation of exploration noise in unit
      space.
    num_updates: `(state) -> int32 []`, the number of updates done.
    trained: `(state) -> (parameters, network state)` of each network, keyed by
      the network's name. A run stops if any of these numbers is not finite.
    report: `(state, metrics) -> numbers for a log`, keyed by name. Metrics are
      arrays [..., U] on the host, from U updates.
    reported: the names of the numbers that `report` returns, causes before
      effects: if several metrics of an update are not finite, the error names
      the first of these.
    genes: `(state) -> Genes`.
    offspring: `(parents, genes, whole, keys) -> states` of agents with these
      genes and PRNG keys, all with a leading axis P. `whole` has a bool [P] for
      each network: True if a child keeps its parent's target network, False if
      the target becomes a copy of the new parameters. The genes may include
      hyperparameters from `more` that the parents lack.
    more: optional hyperparameters that may differ between agents: for each
      name, the value in effect for an agent that lacks this hyperparameter.
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
  offspring: Callable[[State, Genes, Mapping[str, Array], PRNGKey], State]
  more: Mapping[str, float] = {}
  value: Callable[[State, Any, Any, Array], Array] | None = None


# `(actor, critic, observe, action_spec, config, constrain) -> Agent`. A maker
# that supports a shared extractor also takes `shared`, a `networks.Shared`.
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

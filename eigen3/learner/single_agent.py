"""A single agent's training iteration, jitted as a whole: act, store, learn."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import parallel, settings
from eigen3.agent import Policy, replay
from eigen3.environment import Market, TradingEnvironment, rollout
from eigen3.learner.acting import Player, random_actions
from eigen3.networks import Networks
from eigen3.types import Array, PRNGKey


class Champion(NamedTuple):
  """The policy with the best validation score so far.

  Attributes:
    params: the actor's parameters.
    state: the actor's batch-norm statistics.
    score: float32 [], the score that chose the policy, -inf before the first
      validation; see the argument `champion_by` of `AgentRecord`.
    iteration: int32 [], the iteration after which the policy was validated.
  """

  params: hk.Params
  state: hk.State
  score: Array
  iteration: Array


class LearnerState(NamedTuple):
  """The complete state of a run; saved and restored as a whole.

  Attributes:
    agent: state of networks, optimisers and exploration.
    replay: transitions.
    champion: the policy with the best validation score.
    iteration: int32 [], iterations done.
    environment_steps: int32 [], steps of all episodes so far, except those of
      validation.
    key: consumed by the next iteration.
  """

  agent: Any
  replay: replay.ReplayState
  champion: Champion
  iteration: Array
  environment_steps: Array
  key: PRNGKey


class Iteration(NamedTuple):
  """The outcome of an iteration, to be read on the host.

  Attributes:
    updates: metrics of U updates, float32 [U] each, keyed by name.
    episodes: means over the iteration's episodes, float32 [] each: 'reward' (an
      episode's total), 'profit' (divided by the initial cash) and 'trades'
      (number of closed trades).
  """

  updates: dict[str, Array]
  episodes: dict[str, Array]


_EXPECTED = {
  'iterations': settings.AT_LEAST_ONE,
  'episodes_per_iteration': settings.AT_LEAST_ONE,
  'updates_per_iteration': settings.AT_LEAST_ONE,
  'replay_capacity': settings.AT_LEAST_ONE,
  'learning_starts': settings.COUNT,
  'counterfactuals': settings.COUNT,
  'store_settlement': settings.SWITCH,
  'evaluate_every': settings.AT_LEAST_ONE,
  'checkpoint_every': settings.AT_LEAST_ONE,
  'keep_checkpoints': settings.AT_LEAST_ONE,
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks a single agent's `learner` section; a ValueError names the field."""
  settings.check('learner', config, _EXPECTED)


class SingleAgent:
  """Pure functions that train one agent on slices of the training days.

  The market and the environment are arguments of the jitted functions. If they
  were closed over, they would be compiled into the program as constants.
  """

  unit = 'iteration'

  def __init__(
    self,
    networks: Networks,
    environment: TradingEnvironment,
    market: Market,
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh | None = None,
  ):
    """Binds networks to a market.

    Args:
      networks: an actor and critics.
      environment: of the training days.
      market: the market that the agent observes.
      config: has `agent` and `learner`.
      mesh: the mesh that the networks were made with; all state is replicated
        on its devices. None for one device.

    Raises:
      ValueError: if a setting is out of range or does not fit another.
    """
    check_settings(config.learner)
    self.player = Player.make(networks, environment, config)
    self.agent = self.player.agent
    self._config = config.learner
    self._mesh = mesh
    self._environment = parallel.replicate(environment, mesh)
    self._market = parallel.replicate(market, mesh)
    added = config.learner.episodes_per_iteration * self.player.stored_steps
    settings.require(
      config.learner.replay_capacity >= added,
      'learner.replay_capacity',
      config.learner.replay_capacity,
      f'at least the {added} transitions of an iteration: '
      f'{config.learner.episodes_per_iteration} episodes '
      '(learner.episodes_per_iteration) x '
      f'{self.player.stored_steps} stored steps',
    )
    self._greedy = jax.jit(self.player.actions)
    self._attention = jax.jit(
      self.player.attention, compiler_options=parallel.quick_compilation()
    )
    self._order_values = jax.jit(self.player.order_values)
    # Without `out_shardings` the compiler may choose the sharding of a state's
    # parts, and the next function would be recompiled for it.
    jit = functools.partial(jax.jit, out_shardings=parallel.everywhere(mesh))
    self._init = jit(self._pure_init)
    self._warm_up = jit(self._pure_warm_up, donate_argnums=0)
    self._iterate = jit(
      self._pure_iterate,
      donate_argnums=1,
      compiler_options=parallel.compiler_options(),
    )
    # One iteration; donates the buffers of the state.
    self.iterate: Callable[[LearnerState], tuple[LearnerState, Iteration]] = (
      functools.partial(self._iterate, (self._environment, self._market))
    )

  @property
  def steps_per_iteration(self) -> int:
    """Returns the number of environment steps in one iteration."""
    return self._config.episodes_per_iteration * self._environment.num_steps

  def init(self, key: PRNGKey) -> LearnerState:
    """Returns the state of a new run, with its replay filled by `begin`."""
    return self.begin(self.blank(key))

  def blank(self, key: PRNGKey) -> LearnerState:
    """Returns the state of a new run, with an empty replay."""
    key = parallel.replicate(key, self._mesh)
    return self._init(key, self._environment, self._market)

  def begin(self, state: LearnerState) -> LearnerState:
    """Adds at least `learning_starts` transitions to an empty replay.

    The buffers of `state` are donated.
    """
    count = self._config.episodes_per_iteration
    per_round = count * self.player.stored_steps
    for _ in range(-(-self._config.learning_starts // per_round)):
      state = self._warm_up(state, self._environment, self._market)
    return state

  def count(self, state: LearnerState) -> int:
    """Returns the number of iterations done."""
    return int(state.iteration)

  def abstract_state(self) -> LearnerState:
    """Returns shapes and dtypes of a run's state, without computing it."""
    return jax.eval_shape(
      self._init, jax.random.PRNGKey(0), self._environment, self._market
    )

  def greedy_actions(self, agent: Any, days) -> rollout.Actions:
    """Returns an agent's actions without noise for days [M].

    The result is a NumPy array [M, N, 2] or, if the agent observes its account,
    an `EncodedPolicy` with NumPy arrays.
    """
    return parallel.to_host(self._greedy(agent, self._market, days))

  def attention(self, agent: Any, days) -> np.ndarray:
    """Returns an agent's attention to columns, [C], averaged over days [M]."""
    return parallel.to_host(self._attention(agent, self._market, days))

  def order_values(self, agent: Any, days) -> np.ndarray:
    """Returns `Player.order_values` [S, N] of an agent on days [S]."""
    values = self._order_values(agent, self._environment, self._market, days)
    return parallel.to_host(values)

  def champion(self, state: LearnerState) -> Any:
    """Returns the agent of `state` with the champion's policy."""
    policy = Policy(state.champion.params, state.champion.state)
    return self.agent.with_policy(state.agent, policy)

  def _pure_init(self, key, environment, market) -> LearnerState:
    key, key_agent = jax.random.split(key)
    agent = self.player.first_state(key_agent, environment, market)
    params, network_state = jax.tree.map(jnp.copy, self.agent.policy(agent))
    return LearnerState(
      agent=agent,
      replay=self.player.empty_replay(
        environment, self._config.replay_capacity
      ),
      champion=Champion(
        params, network_state, jnp.float32(-jnp.inf), jnp.int32(0)
      ),
      iteration=jnp.int32(0),
      environment_steps=jnp.int32(0),
      key=key,
    )

  def _pure_warm_up(self, state, environment, market) -> LearnerState:
    """Adds `episodes_per_iteration` episodes with random actions to the replay.

    If actions are not scaled, coefficients have no upper bound and cannot be
    drawn uniformly. In that case the agent acts with exploration noise instead.
    """
    key, key_reset, key_act = jax.random.split(state.key, 3)
    action_spec = self.player.spec.action

    def policy(days):
      if not action_spec.scaled:  # an unbounded box has no uniform distribution
        return self.player.actions(state.agent, market, days, key_act)
      return random_actions(action_spec, key_act, days.shape[0])

    state, _ = self._collect(state, environment, policy, key_reset)
    return state._replace(key=key)

  def _pure_iterate(self, world, state):
    environment, market = world
    key, key_reset, key_act, key_updates = jax.random.split(state.key, 4)

    def policy(days):
      return self.player.actions(state.agent, market, days, key_act)

    state, episodes = self._collect(state, environment, policy, key_reset)

    def update(agent, key):
      batch = self.player.sample(environment, state.replay, key)
      return self.agent.update(agent, batch, market)

    agent, updates = jax.lax.scan(
      update,
      state.agent,
      jax.random.split(key_updates, self._config.updates_per_iteration),
    )
    state = state._replace(agent=agent, iteration=state.iteration + 1, key=key)
    return state, Iteration(updates, episodes)

  def _collect(self, state, environment, policy, key):
    keys = jax.random.split(key, self._config.episodes_per_iteration)
    transitions, episodes = self.player.collect(environment, policy, keys)
    state = state._replace(
      replay=replay.add(state.replay, transitions),
      environment_steps=state.environment_steps + self.steps_per_iteration,
    )
    timesteps, final = episodes.timesteps, episodes.final_state
    metrics = {
      'reward': jnp.mean(jnp.sum(timesteps.reward, axis=1)),
      'profit': jnp.mean(final.equity) / environment.rules.initial_cash - 1.0,
      'trades': jnp.mean(final.num_trades.astype(jnp.float32)),
    }
    return state, metrics

"""One agent's training iteration: act, remember, learn; jitted as one step."""

import functools
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import parallel, settings
from eigen3.agent import replay, td3
from eigen3.environment import Market, TradingEnvironment, rollout
from eigen3.learner import acting, experience
from eigen3.learner.experience import counterfactuals
from eigen3.types import Array, PRNGKey


class Champion(NamedTuple):
  """The policy that validated best so far.

  Attributes:
    params: the actor's parameters.
    state: the actor's batch-norm statistics.
    score: float32 [], its validation profit over initial cash.
    iteration: int32 [], when it was validated.
  """

  params: hk.Params
  state: hk.State
  score: Array
  iteration: Array


class LearnerState(NamedTuple):
  """All of a run that goes on: saved and restored whole.

  Attributes:
    agent: networks, optimisers and exploration.
    replay: experience.
    champion: the best validated policy.
    iteration: int32 [], iterations done.
    environment_steps: int32 [], steps taken.
    key: consumed by the next iteration.
  """

  agent: td3.TrainingState
  replay: replay.ReplayState
  champion: Champion
  iteration: Array
  environment_steps: Array
  key: PRNGKey


class Iteration(NamedTuple):
  """What an iteration tells, to be read on the host.

  Attributes:
    updates: metrics of every update, leaves float32 [U].
    episodes: metrics of the episodes played, leaves float32 [].
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
  """Refuses a section `learner` that one agent cannot learn by; ValueError."""
  settings.check('learner', config, _EXPECTED)


class SingleAgent:
  """Pure functions that train one TD3 agent on slices of the training days.

  The market and the environment are arguments of what is jitted, never closed
  over: as constants they would be compiled into the program.
  """

  def __init__(
    self,
    actor: hk.TransformedWithState,
    double_critic: hk.TransformedWithState,
    environment: TradingEnvironment,
    market: Market,
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh | None = None,
  ):
    """Binds networks to a market.

    Args:
      actor: as `td3.make_td3` takes it; where the account is observed,
        its `apply` is `networks.Divided`.
      double_critic: likewise.
      environment: the mechanics of the training days.
      market: what agents see.
      config: has `agent` and `learner`.
      mesh: of the networks, where they are spread over devices; all state
        lies on each of these.

    Raises:
      ValueError: a setting is out of range.
    """
    check_settings(config.learner)
    self._config = config.learner
    self._batch_size = config.agent.batch_size
    self._spec = environment.spec.action
    self._mesh = mesh
    self._environment = parallel.replicate(environment, mesh)
    self._market = parallel.replicate(market, mesh)
    self._init_agent, self.select_action, self._update = td3.make_td3(
      actor,
      double_critic,
      experience.observe,
      self._spec,
      config.agent,
      functools.partial(experience.constrain, self._spec),
    )
    self._player = acting.Player(
      actor, self.select_action, environment.spec, config.agent.acting_chunk
    )
    self._stored_steps = experience.stored_steps(environment.rules, config)
    self._counterfactuals = counterfactuals.count_of(environment.rules, config)
    added = config.learner.episodes_per_iteration * self._stored_steps
    settings.require(
      config.learner.replay_capacity >= added,
      'learner.replay_capacity',
      config.learner.replay_capacity,
      f'at least the {added} transitions of an iteration',
    )
    self._greedy = jax.jit(self._pure_greedy)
    # Otherwise the compiler may choose where parts of a state lie, and what
    # they are given to next would be compiled for that.
    jit = functools.partial(jax.jit, out_shardings=parallel.everywhere(mesh))
    self._init = jit(self._pure_init)
    self._iterate = jit(
      self._pure_iterate,
      donate_argnums=0,
      compiler_options=parallel.compiler_options(),
    )
    self._warm_up = jit(self._pure_warm_up, donate_argnums=0)

  @property
  def steps_per_iteration(self) -> int:
    """Environment steps of one iteration."""
    return self._config.episodes_per_iteration * self._environment.num_steps

  def init(self, key: PRNGKey) -> LearnerState:
    """A fresh run whose replay holds `learning_starts` random transitions."""
    return self.begin(self.blank(key))

  def blank(self, key: PRNGKey) -> LearnerState:
    """A run that has not begun: fresh networks and an empty replay."""
    key = parallel.replicate(key, self._mesh)
    return self._init(key, self._environment, self._market)

  def begin(self, state: LearnerState) -> LearnerState:
    """Fills an empty replay; the buffers of `state` are given up."""
    per_round = self._config.episodes_per_iteration * self._stored_steps
    for _ in range(-(-self._config.learning_starts // per_round)):
      state = self._warm_up(state, self._environment, self._market)
    return state

  def abstract_state(self) -> LearnerState:
    """Shapes and types of a run's state, without making one."""
    return jax.eval_shape(
      self._init, jax.random.PRNGKey(0), self._environment, self._market
    )

  def iterate(self, state: LearnerState) -> tuple[LearnerState, Iteration]:
    """One iteration; the buffers of `state` are given up."""
    return self._iterate(state, self._environment, self._market)

  def greedy_actions(self, agent: td3.TrainingState, days) -> rollout.Acts:
    """What the policy does on days [M] without noise, on the host.

    Actions [M, N, 2], or plans where it sees its account.
    """
    return parallel.to_host(self._greedy(agent, self._market, days))

  def champion(self, state: LearnerState) -> td3.TrainingState:
    """The agent with the champion's policy in place of its own."""
    actor = state.agent.actor._replace(
      online_params=state.champion.params, online_state=state.champion.state
    )
    return state.agent._replace(actor=actor)

  def _pure_greedy(self, agent, market, days):
    return self._player.acts(agent, market, days)

  def _pure_init(self, key, environment, market) -> LearnerState:
    key, key_agent = jax.random.split(key)
    first, account = experience.first_observation(environment)
    agent = self._init_agent(key_agent, market, first)
    champion = Champion(
      params=jax.tree.map(jnp.copy, agent.actor.online_params),
      state=jax.tree.map(jnp.copy, agent.actor.online_state),
      score=jnp.float32(-jnp.inf),
      iteration=jnp.int32(0),
    )
    return LearnerState(
      agent=agent,
      replay=replay.init(
        experience.empty_transition(self._spec, account),
        self._config.replay_capacity,
      ),
      champion=champion,
      iteration=jnp.int32(0),
      environment_steps=jnp.int32(0),
      key=key,
    )

  def _pure_warm_up(self, state, environment, market) -> LearnerState:
    """Fills replay by actions that do not depend on a trained policy."""
    key, key_reset, key_act = jax.random.split(state.key, 3)

    def policy(days):
      if not self._spec.scaled:  # An unbounded box has no uniform law.
        return self._player.acts(state.agent, market, days, key_act)
      return acting.random_actions(self._spec, key_act, days.shape[0])

    state, _ = self._collect(state, environment, policy, key_reset)
    return state._replace(key=key)

  def _pure_iterate(self, state, environment, market):
    key, key_reset, key_act, key_updates = jax.random.split(state.key, 4)

    def policy(days):
      return self._player.acts(state.agent, market, days, key_act)

    state, episodes = self._collect(state, environment, policy, key_reset)

    def update(agent, key):
      batch = counterfactuals.sample(
        environment, state.replay, key, self._batch_size, self._counterfactuals
      )
      return self._update(agent, batch, market)

    agent, updates = jax.lax.scan(
      update,
      state.agent,
      jax.random.split(key_updates, self._config.updates_per_iteration),
    )
    state = state._replace(agent=agent, iteration=state.iteration + 1, key=key)
    return state, Iteration(updates, episodes)

  def _collect(self, state, environment, policy, key):
    count = self._config.episodes_per_iteration
    _, first = jax.vmap(environment.reset)(jax.random.split(key, count))
    episodes = rollout.rollout(
      environment, policy, first.observation, self._stored_steps
    )
    transitions = experience.transitions_of(episodes, self._stored_steps)
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

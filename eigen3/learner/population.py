"""A generation of evolutionary reinforcement learning, jitted as a whole.

First the agents that learn take gradient steps on batches from a common replay.
Then all agents play the same slices of the training days without noise, for
their fitness, and some of these slices again with noise, to fill the replay.
All are validated on the same days; the agent with the best validation score so
far is the champion. Finally evolution breeds the next members.

Source: Khadka and Tumer 2018, https://arxiv.org/abs/1805.07917. That all
members take gradient steps, the default, is from Eigen2. In Eigen2, as here
with `learner.fitness_play` 'exploring', fitness is measured before the gradient
steps, with noise, on separate slices for each agent.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import parallel, settings
from eigen3.agent import replay
from eigen3.environment import Market, TradingEnvironment, rollout
from eigen3.evolution import Genome, Origin, operators
from eigen3.learner import breeding, fitness, importance, slices
from eigen3.learner.acting import Player, random_actions
from eigen3.learner.breeding import Breeding
from eigen3.learner.population_state import (
  Champion,
  Fitness,
  Generation,
  Lineage,
  PopulationState,
)
from eigen3.networks import Networks
from eigen3.types import Array, PRNGKey

_ONE_GROUP = 'with --cpu_devices=1 there is one group'
_LEARNER = {
  'generations': settings.AT_LEAST_ONE,
  'fitness_slices': settings.AT_LEAST_ONE,
  'exploring_slices': settings.AT_LEAST_ONE,
  'fitness_worst': settings.AT_LEAST_ONE,
  'validation_play': settings.one_of('continuous', 'slices'),
  'validation_slices': settings.AT_LEAST_ONE,
  'validation_worst': settings.AT_LEAST_ONE,
  'validation_starts': settings.one_of('even', 'random'),
  'fitness': settings.one_of('profit', 'reward'),
  'fitness_play': settings.one_of('common', 'exploring'),
  'fitness_memory': settings.SHARE,
  'no_trade_penalty': settings.NOT_NEGATIVE,
  'updates_per_generation': settings.AT_LEAST_ONE,
  'batches': settings.one_of('common', 'own'),
  'replay_capacity': settings.AT_LEAST_ONE,
  'learning_starts': settings.COUNT,
  'counterfactuals': settings.COUNT,
  'store_settlement': settings.SWITCH,
  'importance_decay': settings.SHARE,
  'importance_persistent': settings.AT_LEAST_ONE,
  'checkpoint_every': settings.AT_LEAST_ONE,
  'keep_checkpoints': settings.AT_LEAST_ONE,
}


class _Played(NamedTuple):
  """Results of P members and R learners on E training slices.

  For a single agent the axis P + R is absent.

  Attributes:
    judged: each agent's results, leaves [P + R].
    scores: each agent's score on each slice, [P + R, E].
  """

  judged: slices.Judged
  scores: Array


class Population:
  """Pure functions that train and breed a population of agents.

  The market and the environments are arguments of the jitted functions. If they
  were closed over, they would be compiled into the program as constants.
  """

  unit = 'generation'

  def __init__(
    self,
    networks: Networks,
    environment: TradingEnvironment,
    validation: TradingEnvironment,
    market: Market,
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh | None = None,
  ):
    """Binds networks and evolution to a market.

    Args:
      networks: an actor and critics.
      environment: environment of the training days.
      validation: environment of the validation days; if
        `learner.validation_play` is 'continuous', one episode must span all of
        them.
      market: the market that agents observe.
      config: has `agent`, `evolution`, `learner` and `networks`.
      mesh: devices that agents are sharded over, as given to the networks; None
        for one device.

    Raises:
      ValueError: if a setting is out of range or does not fit another, or the
        number of agents that learn, or of those that play, is not a multiple of
        the result of `parallel.agents_at_once(mesh)`.
    """
    _check(config, mesh)
    self._config, self._evolution = config.learner, config.evolution
    self._members = config.evolution.population_size
    self._agents = self._members + config.evolution.learners
    self._is_common = config.learner.fitness_play == 'common'
    self.player = Player.make(networks, environment, config)
    self.agent = self.player.agent
    self._breeding = Breeding(self.player, config, mesh)
    self._mesh = mesh
    self._on_all = functools.partial(
      parallel.map_members, block=config.evolution.block, mesh=mesh
    )
    self._world = parallel.replicate((environment, validation, market), mesh)
    self._judge = functools.partial(
      slices.judge,
      by=config.learner.fitness,
      no_trade_penalty=config.learner.no_trade_penalty,
    )
    played = self._agents * _explored_slices(config.learner)
    self._added = played * self.player.stored_steps
    self.steps_per_iteration = played * environment.num_steps
    settings.require(
      config.learner.replay_capacity >= self._added,
      'learner.replay_capacity',
      config.learner.replay_capacity,
      f'at least the {self._added} transitions of a generation: {self._agents} '
      'agents (evolution.population_size and evolution.learners) x '
      f'{_explored_slices(config.learner)} slices x '
      f'{self.player.stored_steps} stored steps',
    )
    self._compile()

  def _compile(self) -> None:
    self._greedy = jax.jit(self.player.actions)
    self._attention = jax.jit(
      self.player.attention, compiler_options=parallel.quick_compilation()
    )
    whole = parallel.everywhere(self._mesh)
    where: dict[str, Any] = dict.fromkeys(PopulationState._fields, whole)
    where['agents'] = parallel.along_population(self._mesh)
    state = PopulationState(**where)
    self._init = jax.jit(self._pure_init, out_shardings=state)
    self._warm_up = jax.jit(
      self._pure_warm_up, donate_argnums=0, out_shardings=state
    )
    self._iterate = jax.jit(
      self._pure_iterate,
      donate_argnums=1,
      out_shardings=(state, whole),
      compiler_options=parallel.compiler_options(),
    )
    # One generation; the state's buffers are donated.
    self.iterate: Callable[
      [PopulationState], tuple[PopulationState, Generation]
    ] = functools.partial(self._iterate, self._world)

  @property
  def num_members(self) -> int:
    """Returns P, the number of agents that evolve."""
    return self._members

  @property
  def num_agents(self) -> int:
    """Returns P + R, the number of members and learners."""
    return self._agents

  def init(self, key: PRNGKey) -> PopulationState:
    """Returns the state of a new run, with its replay filled by `begin`."""
    return self.begin(self.blank(key))

  def blank(self, key: PRNGKey) -> PopulationState:
    """Returns the state of a new run, with an empty replay."""
    return self._init(parallel.replicate(key, self._mesh), *self._world)

  def begin(self, state: PopulationState) -> PopulationState:
    """Fills an empty replay with at least `learning_starts` transitions.

    If agents learn before they play, at least one round of episodes is played.
    The buffers of `state` are donated.
    """
    rounds = -(-self._config.learning_starts // self._added)
    # Agents that learn before they play need transitions to learn from.
    for _ in range(max(rounds, int(self._is_common))):
      state = self._warm_up(state, *self._world)
    return state

  def count(self, state: PopulationState) -> int:
    """Returns the number of finished generations."""
    return int(state.generation)

  def abstract_state(self) -> PopulationState:
    """Returns shapes and dtypes of a run's state, without making one."""
    return jax.eval_shape(self._init, jax.random.PRNGKey(0), *self._world)

  def champion(self, state: PopulationState) -> Any:
    """Returns the agent with the best validation score so far."""
    return state.champion.agent

  def report(self, state: PopulationState) -> dict[str, Array]:
    """Returns metrics of the evolution strategy, keyed by name, each []."""
    return self._breeding.report(state.strategy)

  def greedy_actions(self, agent: Any, days) -> rollout.Actions:
    """Returns one agent's actions without noise on days [M].

    The result is an array [M, N, 2], or an `EncodedPolicy` if the agent
    observes its account; arrays are on the host.
    """
    return parallel.to_host(self._greedy(agent, self._world[2], days))

  def attention(self, agent: Any, days) -> np.ndarray:
    """Returns an agent's attention to columns, [C], averaged over days [M]."""
    return parallel.to_host(self._attention(agent, self._world[2], days))

  def _pure_init(self, key, environment, validation, market):
    key, key_agents, key_members = jax.random.split(key, 3)

    def init_agent(shared, key):
      return self.player.first_state(key, *shared)

    agents = self._on_all(
      init_agent,
      (environment, market),
      jax.random.split(key_agents, self._agents),
    )
    agents, strategy = self._breeding.begin(agents, key_members)
    champion = Champion(
      agent=jax.tree.map(lambda x: x[0], agents),
      score=jnp.float32(-jnp.inf),
      generation=jnp.int32(0),
    )
    return PopulationState(
      agents=agents,
      lineage=Lineage(
        parent=jnp.full(self._members, -1, jnp.int32),
        origin=jnp.full(self._members, int(Origin.INITIAL), jnp.int32),
      ),
      strategy=strategy,
      replay=self.player.empty_replay(
        environment, self._config.replay_capacity
      ),
      champion=champion,
      importance=importance.init(environment.spec.num_columns),
      generation=jnp.int32(0),
      environment_steps=jnp.int32(0),
      key=key,
      standing=self._breeding.first_standing(),
    )

  def _pure_warm_up(self, state, environment, validation, market):
    """Adds a round of episodes with random actions to the replay.

    If actions are unscaled, there are no bounds to draw between, and the agents
    act with noise instead.
    """
    del validation
    key, key_collect = jax.random.split(state.key)
    state, _ = self._collect(
      state,
      environment,
      market,
      key_collect,
      by_chance=True,
    )
    return state._replace(key=key)

  def _pure_iterate(self, world, state):
    environment, validation, market = world
    key, key_play, key_learn, key_slices, key_evolve = jax.random.split(
      state.key, 5
    )
    if self._is_common:
      state, updates = self._learn(state, environment, market, key_learn)
      state, played = self._play(state, environment, market, key_play)
    else:
      state, played = self._collect(state, environment, market, key_play)
      state, updates = self._learn(state, environment, market, key_learn)
    validated, attention = self._validate(state, validation, market, key_slices)
    state = _update_champion(state, validated.score)._replace(
      importance=importance.update(
        state.importance, attention, self._config.importance_decay
      ),
      generation=state.generation + 1,
      key=key,
    )
    judged, selected = self._select(state, played)
    state, varied = self._breeding.evolve(
      judged, market, selected.value, key_evolve
    )
    outcome = Generation(
      updates,
      played.judged,
      selected,
      validated,
      judged.lineage,
      self.agent.genes(judged.agents).hyperparameters,
      self._breeding.report(state.strategy),
      _spread(self._breeding.genome_of(judged.agents)),
      attention,
      judged.standing,
      varied,
    )
    return state, outcome

  def _play(self, state, environment, market, key):
    """Plays the same slices with all agents, and some again with noise.

    Returns:
      The state with the episodes with noise in its replay, and the `_Played` of
      the episodes without noise.
    """
    key_starts, key_act = jax.random.split(key)
    starts = fitness.common_starts(
      key_starts,
      self._config.fitness_slices,
      environment.first_day,
      environment.last_day,
    )

    # Evenly spaced, so that the replay has days of all seasons, too.
    explored = np.linspace(
      0,
      self._config.fitness_slices - 1,
      _explored_slices(self._config),
      dtype=int,
    )

    def play(shared, member):
      (environment, market, starts), (agent, key) = shared, member
      episodes, transitions = self.player.play_both(
        environment, agent, market, starts, explored, key
      )
      return transitions, self._played(environment, episodes)

    transitions, played = self._on_all(
      play,
      (environment, market, starts),
      (state.agents, jax.random.split(key_act, self._agents)),
    )
    return self._remembering(state, transitions), played

  def _played(self, environment, episodes) -> _Played:
    return _Played(
      self._judge(environment, episodes, worst=self._config.fitness_worst),
      slices.scores(
        environment,
        episodes,
        self._config.fitness,
        self._config.no_trade_penalty,
      ),
    )

  def _remembering(self, state, transitions) -> PopulationState:
    """Adds all agents' transitions to the replay, and counts their steps."""
    transitions = jax.tree.map(
      lambda x: x.reshape(-1, *x.shape[2:]), transitions
    )
    return state._replace(
      replay=replay.add(state.replay, transitions),
      environment_steps=state.environment_steps + self.steps_per_iteration,
    )

  def _select(self, state, played) -> tuple[PopulationState, Fitness]:
    """Returns the state with new estimates of fitness, and the `Fitness`.

    If each agent played its own slices, the state has no estimates, and an
    agent's fitness is its score.
    """
    score = played.judged.score
    found = fitness.reliability(played.scores, self._is_common)
    if not self._is_common:
      return state, Fitness(score, jnp.full_like(score, jnp.nan), found)
    estimate = fitness.estimated(
      played.scores,
      state.standing.estimate,
      self._config.fitness_worst,
      self._config.fitness_memory,
    )
    selected = Fitness(
      score.mean() + estimate.deviation, jnp.sqrt(estimate.variance), found
    )
    standing = state.standing._replace(estimate=estimate)
    return state._replace(standing=standing), selected

  def _collect(self, state, environment, market, key, by_chance=False):
    """Plays separate slices with each agent, and stores them in the replay.

    Agents act with noise or, with `by_chance` and scaled actions, at random.

    Returns:
      The state, and the `_Played` of these episodes.
    """

    action_spec = self.player.spec.action

    def play(shared, member):
      (environment, market), (agent, key) = shared, member
      key_reset, key_act = jax.random.split(key)

      def policy(days):
        if by_chance and action_spec.scaled:  # otherwise without bounds
          return random_actions(action_spec, key_act, days.shape[0])
        return self.player.actions(agent, market, days, key_act)

      keys = jax.random.split(key_reset, _explored_slices(self._config))
      transitions, episodes = self.player.collect(environment, policy, keys)
      return transitions, self._played(environment, episodes)

    transitions, played = self._on_all(
      play,
      (environment, market),
      (state.agents, jax.random.split(key, self._agents)),
    )
    return self._remembering(state, transitions), played

  def _learn(self, state, environment, market, key):
    """Performs the gradient steps of all agents that learn."""

    def learn(shared, member):
      (environment, market, ring), (agent, keys) = shared, member

      def update(agent, key):
        batch = self.player.sample(environment, ring, key)
        return self.agent.update(agent, batch, market)

      return jax.lax.scan(update, agent, keys)

    first = 0 if self._evolution.members_learn else self._members
    learners = jax.tree.map(lambda x: x[first:], state.agents)
    count, updates = self._agents - first, self._config.updates_per_generation
    if self._config.batches == 'own':
      keys = jax.random.split(key, (count, updates))
    else:
      keys = jax.random.split(key, updates)
      keys = jnp.broadcast_to(keys, (count, *keys.shape))
    agents, metrics = self._on_all(
      learn, (environment, market, state.replay), (learners, keys)
    )
    if first:
      agents = jax.tree.map(
        lambda x, y: jnp.concatenate([x[:first], y]), state.agents, agents
      )
    return state._replace(agents=agents), metrics

  def _validate(self, state, environment, market, key):
    """Returns all agents' validation results, and attention [C].

    The attention is averaged over agents and days.
    """
    count, worst = self._config.validation_slices, self._config.validation_worst
    first, last = environment.first_day, environment.last_day
    judge = self._judge
    if self._config.validation_play == 'continuous':
      # The profit of a backtest of these days, as for a single agent.
      starts, worst = first[None], 1
      judge = functools.partial(judge, by='profit', no_trade_penalty=0.0)
    elif self._config.validation_starts == 'even':
      part = jnp.arange(count) / max(count - 1, 1)
      starts = first + jnp.round(part * (last - first)).astype(jnp.int32)
    else:
      starts = jax.random.randint(key, (count,), first, last + 1)

    def play(shared, agent):
      environment, market, starts = shared
      episodes, attention = rollout.rollout_with_extras(
        environment,
        functools.partial(self.player.actions_and_attention, agent, market),
        starts,
        environment.rules.trading_days,
      )
      return judge(environment, episodes, worst=worst), attention.mean(0)

    judged, attention = self._on_all(
      play, (environment, market, starts), state.agents
    )
    return judged, attention.mean(0)


def _update_champion(state: PopulationState, scores: Array) -> PopulationState:
  """Replaces the champion if an agent has a higher validation score.

  `scores` [P + R] are this generation's validation scores.
  """
  best = operators.ranking(scores)[0]
  better = scores[best] > state.champion.score
  found = Champion(
    jax.tree.map(lambda x: x[best], state.agents),
    scores[best],
    state.generation + 1,
  )
  champion = jax.tree.map(
    lambda new, old: jnp.where(better, new, old), found, state.champion
  )
  state = state._replace(champion=champion)
  if state.standing is None:
    return state
  founder, before = state.standing.founder, state.standing.champion_founder
  standing = state.standing._replace(
    champion_founder=jnp.where(better, founder[best], before)
  )
  return state._replace(standing=standing)


def _spread(genomes: Genome) -> Array:
  """Returns the relative spread of the members' parameters, float32 [].

  It is the RMS distance of the members' parameter vectors from their mean,
  divided by the norm of that mean.
  """
  leaves = jax.tree.leaves(genomes.parameters)
  means = [x.mean(0) for x in leaves]
  apart = sum(
    jnp.square(x - m).sum() for x, m in zip(leaves, means, strict=True)
  )
  size = sum(jnp.square(m).sum() for m in means)
  return jnp.sqrt(apart / len(leaves[0]) / size)


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the settings in `learner` and most of those in `evolution`.

  `breeding.check_settings` checks the latter.

  Raises:
    ValueError: if a setting is out of range; the message names the field.
  """
  settings.check('learner', config.learner, _LEARNER)
  breeding.check_settings(config.evolution)


def _explored_slices(config: ml_collections.ConfigDict) -> int:
  """Returns how many slices each agent plays with noise, for the replay."""
  if config.fitness_play == 'exploring':
    return config.fitness_slices
  return min(config.exploring_slices, config.fitness_slices)


def _check(
  config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh | None
) -> None:
  check_settings(config)
  settings.require(
    config.networks.shared_extractor != 'all',
    'networks.shared_extractor',
    'all',
    "'none' or 'critics' for a population, because each member's policy is "
    'bred with an extractor of its own',
  )
  for kind in ('fitness', 'validation'):
    played = config.learner[f'{kind}_slices']
    settings.require(
      config.learner[f'{kind}_worst'] <= played,
      f'learner.{kind}_worst',
      config.learner[f'{kind}_worst'],
      f'at most learner.{kind}_slices, {played}',
    )
  settings.require(
    config.evolution.members_learn or config.evolution.learners > 0,
    'evolution.learners',
    config.evolution.learners,
    'at least 1, because no agent would learn with '
    'evolution.members_learn=False and no learners',
  )
  parts = parallel.agents_at_once(mesh)
  learners = config.evolution.learners
  about = (
    f'a multiple of {parts}, the number of groups of '
    'evolution.devices_per_agent devices'
  )
  settings.require(
    config.evolution.members_learn or learners % parts == 0,
    'evolution.learners',
    learners,
    f'{about}, because evolution.members_learn is False; {_ONE_GROUP}',
  )
  settings.require(
    (config.evolution.population_size + learners) % parts == 0,
    'evolution.population_size',
    config.evolution.population_size,
    f'a number whose sum with evolution.learners, {learners}, is {about}; '
    f'{_ONE_GROUP}',
  )

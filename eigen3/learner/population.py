"""A generation of evolutionary reinforcement learning, jitted as one step.

Every agent acts on slices of the training days, and how it fares there is its
fitness; what all of them live through goes to one replay, from which each
takes its gradient steps; all are validated on the same slices; the best ever
is crowned; and evolution breeds the next members. Khadka and Tumer 2018,
https://arxiv.org/abs/1805.07917; that all members learn by gradient, too, is
Eigen2's.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import evolution, parallel, settings
from eigen3.agent import replay
from eigen3.environment import Market, TradingEnvironment, rollout
from eigen3.evolution import Genome, Origin, operators
from eigen3.learner import importance, inheritance, slices
from eigen3.learner.acting import Player, random_actions
from eigen3.learner.population_state import (
  Champion,
  Generation,
  Lineage,
  PopulationState,
)
from eigen3.networks import Networks
from eigen3.types import Array, PRNGKey

_LEARNER = {
  'generations': settings.AT_LEAST_ONE,
  'fitness_slices': settings.AT_LEAST_ONE,
  'fitness_worst': settings.AT_LEAST_ONE,
  'validation_slices': settings.AT_LEAST_ONE,
  'validation_worst': settings.AT_LEAST_ONE,
  'validation_starts': settings.one_of('even', 'random'),
  'fitness': settings.one_of('profit', 'reward'),
  'no_trade_penalty': settings.NOT_NEGATIVE,
  'updates_per_generation': settings.AT_LEAST_ONE,
  'replay_capacity': settings.AT_LEAST_ONE,
  'learning_starts': settings.COUNT,
  'counterfactuals': settings.COUNT,
  'store_settlement': settings.SWITCH,
  'importance_decay': settings.SHARE,
  'importance_persistent': settings.AT_LEAST_ONE,
  'checkpoint_every': settings.AT_LEAST_ONE,
  'keep_checkpoints': settings.AT_LEAST_ONE,
}
_EVOLUTION = {
  'population_size': settings.whole(2),
  'members_learn': settings.SWITCH,
  'inject_champion': settings.SWITCH,
  'devices_per_agent': settings.AT_LEAST_ONE,
  'learners': settings.COUNT,
  'injection_every': settings.AT_LEAST_ONE,
  'block': settings.COUNT,
}


class Population:
  """Pure functions that train and breed a population of agents.

  The market and the environments are arguments of what is jitted, never closed
  over: as constants they would be compiled into the program.
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
      environment: the mechanics of the training days.
      validation: of the validation days.
      market: what agents see.
      config: has `agent`, `evolution` and `learner`.
      mesh: over which the agents are spread; the networks', too.

    Raises:
      ValueError: a setting is out of range, or the devices do not divide the
        agents.
    """
    _check(config, mesh)
    self._config, self._evolution = config.learner, config.evolution
    self._members = config.evolution.population_size
    self._agents = self._members + config.evolution.learners
    self._strategy = evolution.make_strategy(config.evolution, self._members)
    self.player = Player.make(networks, environment, config)
    self.agent = self.player.agent
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
    played = self._agents * config.learner.fitness_slices
    self._added = played * self.player.stored_steps
    self.steps_per_iteration = played * environment.num_steps
    settings.require(
      config.learner.replay_capacity >= self._added,
      'learner.replay_capacity',
      config.learner.replay_capacity,
      f'at least the {self._added} transitions of a generation: {self._agents} '
      'agents (evolution.population_size and evolution.learners) x '
      f'learner.fitness_slices x {self.player.stored_steps} days',
    )
    self._compile()

  def _compile(self) -> None:
    self._greedy = jax.jit(self.player.acts)
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
    # One generation; the buffers of the state are given up.
    self.iterate: Callable[
      [PopulationState], tuple[PopulationState, Generation]
    ] = functools.partial(self._iterate, self._world)

  @property
  def num_members(self) -> int:
    """P, agents that evolve."""
    return self._members

  @property
  def num_agents(self) -> int:
    """P + R, agents that act."""
    return self._agents

  def init(self, key: PRNGKey) -> PopulationState:
    """A fresh run whose replay holds `learning_starts` random transitions."""
    return self.begin(self.blank(key))

  def blank(self, key: PRNGKey) -> PopulationState:
    """A run that has not begun: fresh agents and an empty replay."""
    return self._init(parallel.replicate(key, self._mesh), *self._world)

  def begin(self, state: PopulationState) -> PopulationState:
    """Fills an empty replay; the buffers of `state` are given up."""
    for _ in range(-(-self._config.learning_starts // self._added)):
      state = self._warm_up(state, *self._world)
    return state

  def count(self, state: PopulationState) -> int:
    """Generations done."""
    return int(state.generation)

  def abstract_state(self) -> PopulationState:
    """Shapes and types of a run's state, without making one."""
    return jax.eval_shape(self._init, jax.random.PRNGKey(0), *self._world)

  def champion(self, state: PopulationState) -> Any:
    """The agent that validated best."""
    return state.champion.agent

  def report(self, state: PopulationState) -> dict[str, Array]:
    """Numbers of evolution, by name, []."""
    return self._strategy.report(state.strategy)

  def greedy_actions(self, agent: Any, days) -> rollout.Acts:
    """What one agent does on days [M] without noise, on the host.

    Actions [M, N, 2], or plans where it sees its account.
    """
    return parallel.to_host(self._greedy(agent, self._world[2], days))

  def _pure_init(self, key, environment, validation, market):
    key, key_agents, key_members = jax.random.split(key, 3)

    def init_agent(shared, key):
      return self.player.first_state(key, *shared)

    agents = self._on_all(
      init_agent,
      (environment, market),
      jax.random.split(key_agents, self._agents),
    )
    agents, strategy = self._first_members(agents, key_members)
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
    )

  def _first_members(self, agents, key):
    """Agents as evolution has them begin, and its state."""
    key_init, key_ask, key_agents = jax.random.split(key, 3)
    members = self._first(agents)
    genomes = inheritance.genome_of(self.agent, members)
    if not self._strategy.samples:
      return agents, self._strategy.init(key_init, genomes)
    genomes = operators.take(genomes, jnp.zeros(self._members, jnp.int32))
    strategy = self._strategy.init(key_init, genomes)
    proposal = self._strategy.ask(strategy, key_ask, genomes)
    members = inheritance.born(self.agent, members, proposal, key_agents)
    return self._with_members(agents, members), strategy

  def _pure_warm_up(self, state, environment, validation, market):
    """Fills replay by actions that do not depend on a trained policy."""
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
    key, key_collect, key_learn, key_slices, key_evolve = jax.random.split(
      state.key, 5
    )
    state, training = self._collect(state, environment, market, key_collect)
    agents, updates = self._learn(state, environment, market, key_learn)
    state = state._replace(agents=agents)
    validated, attention = self._validate(state, validation, market, key_slices)
    state = state._replace(
      champion=_crown(state, validated.score),
      importance=importance.update(
        state.importance, attention, self._config.importance_decay
      ),
      generation=state.generation + 1,
      key=key,
    )
    lineage, spread = (
      state.lineage,
      _spread(inheritance.genome_of(self.agent, self._first(agents))),
    )
    state = self._evolve(state, training.score, key_evolve)
    told = Generation(
      updates,
      training,
      validated,
      lineage,
      self.agent.genes(agents).hyperparameters,
      self._strategy.report(state.strategy),
      spread,
      attention,
    )
    return state, told

  def _collect(self, state, environment, market, key, by_chance=False):
    """Every agent plays its own slices; replay keeps what they lived."""

    action_spec = self.player.spec.action

    def play(shared, member):
      (environment, market), (agent, key) = shared, member
      key_reset, key_act = jax.random.split(key)

      def policy(days):
        if by_chance and action_spec.scaled:  # else no uniform law
          return random_actions(action_spec, key_act, days.shape[0])
        return self.player.acts(agent, market, days, key_act)

      keys = jax.random.split(key_reset, self._config.fitness_slices)
      transitions, episodes = self.player.collect(environment, policy, keys)
      worst = self._config.fitness_worst
      return transitions, self._judge(environment, episodes, worst=worst)

    transitions, judged = self._on_all(
      play,
      (environment, market),
      (state.agents, jax.random.split(key, self._agents)),
    )
    transitions = jax.tree.map(
      lambda x: x.reshape(-1, *x.shape[2:]), transitions
    )
    state = state._replace(
      replay=replay.add(state.replay, transitions),
      environment_steps=state.environment_steps + self.steps_per_iteration,
    )
    return state, judged

  def _learn(self, state, environment, market, key):
    """The gradient steps of all that learn, on the same batches."""

    def learn(shared, agent):
      environment, market, ring, keys = shared

      def update(agent, key):
        batch = self.player.sample(environment, ring, key)
        return self.agent.update(agent, batch, market)

      return jax.lax.scan(update, agent, keys)

    keys = jax.random.split(key, self._config.updates_per_generation)
    shared = (environment, market, state.replay, keys)
    if self._evolution.members_learn:
      return self._on_all(learn, shared, state.agents)
    learners = jax.tree.map(lambda x: x[self._members :], state.agents)
    learners, updates = self._on_all(learn, shared, learners)
    agents = jax.tree.map(
      lambda x, y: jnp.concatenate([x[: self._members], y]),
      state.agents,
      learners,
    )
    return agents, updates

  def _validate(self, state, environment, market, key):
    """Every agent plays the same slices; also the mean attention [C]."""
    count = self._config.validation_slices
    first, last = environment.first_day, environment.last_day
    if self._config.validation_starts == 'even':
      part = jnp.arange(count) / max(count - 1, 1)
      starts = first + jnp.round(part * (last - first)).astype(jnp.int32)
    else:
      starts = jax.random.randint(key, (count,), first, last + 1)

    def play(shared, agent):
      environment, market, starts = shared
      episodes, attention = rollout.rollout_and_tell(
        environment,
        functools.partial(self.player.acts_and_attention, agent, market),
        starts,
        environment.rules.trading_days,
      )
      worst = self._config.validation_worst
      judged = self._judge(environment, episodes, worst=worst)
      return judged, attention.mean(0)

    judged, attention = self._on_all(
      play, (environment, market, starts), state.agents
    )
    return judged, attention.mean(0)

  def _evolve(self, state, fitness, key) -> PopulationState:
    """The next generation's members, in place of these."""
    key_ask, key_agents = jax.random.split(key)
    packed, unpack = operators.pack(state.agents)
    packed, fitness = self._inject_learner(state.generation, packed, fitness)
    members = unpack(packed)
    strategy = self._strategy.tell(
      state.strategy,
      inheritance.genome_of(self.agent, members),
      fitness,
      state.champion.score,
    )
    if self._evolution.inject_champion:
      champion = jax.tree.map(lambda x: x[None], state.champion.agent)
      index = self._strategy.replaceable(strategy)
      members = unpack(
        [
          x.at[index].set(y[0])
          for x, y in zip(packed, operators.pack(champion)[0], strict=True)
        ]
      )
    proposal = self._strategy.ask(
      strategy, key_ask, inheritance.genome_of(self.agent, members)
    )
    members = inheritance.born(self.agent, members, proposal, key_agents)
    return state._replace(
      agents=self._with_members(state.agents, members),
      strategy=strategy,
      lineage=Lineage(proposal.parent, proposal.origin),
    )

  def _inject_learner(self, generation, agents, fitness):
    """The fittest learner in place of the weakest member, when it is due.

    Args:
      generation: int32 [].
      agents: all of them, packed.
      fitness: of all, [P + R].

    Returns:
      Members, packed, and their fitness [P].
    """
    members = [x[: self._members] for x in agents]
    if not self._evolution.learners:
      return members, fitness
    due = generation % self._evolution.injection_every == 0
    of_learners = fitness[self._members :]
    fitness = fitness[: self._members]
    fittest = self._members + operators.ranking(of_learners)[0]
    weakest = operators.ranking(fitness)[-1]
    members = [
      x.at[weakest].set(jnp.where(due, y[fittest], x[weakest]))
      for x, y in zip(members, agents, strict=True)
    ]
    weakest_fitness = jnp.where(due, of_learners.max(), fitness[weakest])
    return members, fitness.at[weakest].set(weakest_fitness)

  def _first(self, agents):
    """The members of all agents."""
    return jax.tree.map(lambda x: x[: self._members], agents)

  def _with_members(self, agents, members):
    """All agents, these members in place of theirs."""
    if not self._evolution.learners:
      return members
    return jax.tree.map(
      lambda new, old: jnp.concatenate([new, old[self._members :]]),
      members,
      agents,
    )


def _crown(state: PopulationState, scores: Array) -> Champion:
  """The best of this generation where it beats the best so far."""
  best = operators.ranking(scores)[0]
  better = scores[best] > state.champion.score
  found = Champion(
    jax.tree.map(lambda x: x[best], state.agents),
    scores[best],
    state.generation + 1,
  )
  return jax.tree.map(
    lambda new, old: jnp.where(better, new, old), found, state.champion
  )


def _spread(genomes: Genome) -> Array:
  """Root mean square distance from the mean, over the mean's size."""
  leaves = jax.tree.leaves(genomes.parameters)
  means = [x.mean(0) for x in leaves]
  apart = sum(
    jnp.square(x - m).sum() for x, m in zip(leaves, means, strict=True)
  )
  size = sum(jnp.square(m).sum() for m in means)
  return jnp.sqrt(apart / len(leaves[0]) / size)


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Refuses sections that no population can be bred by; a ValueError."""
  settings.check('learner', config.learner, _LEARNER)
  settings.check('evolution', config.evolution, _EVOLUTION)


def _check(
  config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh | None
) -> None:
  check_settings(config)
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
    'at least 1 where evolution.members_learn is False: nobody would learn',
  )
  parts = parallel.agents_at_once(mesh)
  groups = [config.evolution.population_size + config.evolution.learners]
  if not config.evolution.members_learn:
    groups.append(config.evolution.learners)
  settings.require(
    all(group % parts == 0 for group in groups),
    'evolution.population_size',
    config.evolution.population_size,
    f'with evolution.learners, {config.evolution.learners}, a multiple of the '
    f'{parts} groups of evolution.devices_per_agent devices; '
    '--cpu_devices=1 is one group',
  )

"""Makes the next generation's members from those of the current one.

A strategy of `eigen3.evolution` decides which members are kept and how the
others are made. Before that, the champion and a learner (an agent outside the
population that only learns) can replace members. If all agents were evaluated
on the same slices, a member that acts like a fitter one gets a fitness of -inf
(see `evolution.least_distance`).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from eigen3 import evolution, parallel, settings
from eigen3.agent import replay
from eigen3.agent.protocol import ACTING
from eigen3.evolution import Genome, Origin, Proposal, operators
from eigen3.learner import diversity, fitness, inheritance
from eigen3.learner.acting import Player
from eigen3.learner.diversity import Diversity
from eigen3.learner.population_state import (
  Lineage,
  PopulationState,
  Standing,
)
from eigen3.types import Array, PRNGKey

# The sensitivity's batch is smaller than an update's batch by this factor: with
# the whole batch each projection would cost as much as an update.
_SENSED_PART = 8

_EXPECTED = {
  'population_size': settings.whole(2),
  'members_learn': settings.SWITCH,
  'inject_champion': settings.SWITCH,
  'common_start': settings.SWITCH,
  'bred': settings.one_of('policies', 'networks'),
  'least_distance': settings.SHARE,
  'projections': settings.AT_LEAST_ONE,
  'hyperparameters': settings.one_of('all', 'learning_rates'),
  'devices_per_agent': settings.AT_LEAST_ONE,
  'learners': settings.COUNT,
  'injection_every': settings.AT_LEAST_ONE,
  'block': settings.COUNT,
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the `evolution` section, except `algorithm` and nested sections.

  Raises:
    ValueError: if a setting is out of range; the message names the field.
  """
  settings.check('evolution', config, _EXPECTED)


class Breeding:
  """Pure functions that make the first and the next members of a population."""

  def __init__(
    self,
    player: Player,
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh | None,
  ):
    """Binds an evolution strategy to a learning algorithm.

    Args:
      player: the learning algorithm.
      config: has `evolution` and `learner`.
      mesh: devices that agents are sharded over; None for one device.

    Raises:
      ValueError: if a setting of the strategy is out of range, or
        `evolution.bred` is 'networks' although the strategy needs a
        `Sensitivity`, which only covers networks that act.
    """
    self._config = config.evolution
    self._members = config.evolution.population_size
    self._agents = self._members + config.evolution.learners
    self._strategy = evolution.make_strategy(config.evolution, self._members)
    settings.require(
      config.evolution.bred == 'policies'
      or not self._strategy.needs_sensitivity,
      'evolution.bred',
      config.evolution.bred,
      "'policies', because evolution.genetic.mutation is 'proximal', which "
      'needs the sensitivity of actions to all parameters that are mutated',
    )
    self._is_common = config.learner.fitness_play == 'common'
    self._sensed = max(1, player.batch_size // _SENSED_PART)
    self._player = player
    self._agent = player.agent
    self._mesh = mesh
    self._on_all = functools.partial(
      parallel.map_members, block=config.evolution.block, mesh=mesh
    )

  def report(self, strategy: Any) -> dict[str, Array]:
    """Returns the metrics in a strategy's state, keyed by name, each []."""
    return self._strategy.report(strategy)

  def genome_of(self, agents: Any) -> Genome:
    """Returns the evolvable part of the P members among all agents."""
    members = jax.tree.map(lambda x: x[: self._members], agents)
    policies_only = self._config.bred == 'policies'
    return inheritance.genome_of(self._agent, members, policies_only)

  def first_standing(self) -> Standing | None:
    """Returns the agents' `Standing` before their first evaluation.

    The result is None if agents are not evaluated on the same slices.
    """
    if not self._is_common:
      return None
    return Standing(
      fitness.unknown(self._agents),
      jnp.arange(self._agents, dtype=jnp.int32),
      jnp.int32(0),
      jnp.full(self._members, -1, jnp.int32),
    )

  def begin(self, agents: Any, key: PRNGKey) -> tuple[Any, Any]:
    """Returns the first generation's agents, and the strategy's state.

    If the setting `hyperparameters` is 'all', all agents first get the optional
    hyperparameters in `Agent.more`. With `common_start` all agents, learners
    too, then become copies of the first agent; learners keep their own PRNG
    keys. With `common_start`, or if the strategy draws members around a mean
    (its field `samples`), the strategy finally makes the members by varying the
    first agent, and they get new keys.

    Args:
      agents: P members and R learners, newly initialised, leaves [P + R, ...].
      key: consumed.
    """
    key_init, key_begin, key_offspring = jax.random.split(key, 3)
    if self._config.hyperparameters == 'all':
      agents = self._with_more_hyperparameters(agents)
    if self._config.common_start:
      first = jnp.zeros(self._agents, jnp.int32)
      agents = operators.take(agents, first)._replace(key=agents.key)
    genomes = self.genome_of(agents)
    if not (self._strategy.samples or self._config.common_start):
      return agents, self._strategy.init(key_init, genomes)
    copies = jnp.zeros(self._members, jnp.int32)
    genomes = operators.take(genomes, copies)
    strategy = self._strategy.init(key_init, genomes)
    proposal = Proposal(
      self._strategy.begin(strategy, key_begin, genomes),
      copies,
      jnp.full(self._members, int(Origin.INITIAL), jnp.int32),
      jnp.full(self._members, -1, jnp.int32),
    )
    members = inheritance.offspring(
      self._agent, agents, proposal, key_offspring
    )
    return self._with_members(agents, members), strategy

  def evolve(
    self, state: PopulationState, market, value: Array, key: PRNGKey
  ) -> tuple[PopulationState, Diversity | None]:
    """Replaces the members with those of the next generation.

    Args:
      state: the state after the evaluation of a generation.
      market: the market that agents observe.
      value: fitness of all agents, [P + R].
      key: consumed.

    Returns:
      The state with the next members; and the diversity of the agents that
      they were bred from, or None if agents are not evaluated on the same
      slices.
    """
    key_ask, key_offspring = jax.random.split(key)
    key_seen, key_sense = jax.random.split(jax.random.fold_in(key, 2))
    source = self._sources(state.generation, value)
    members, value = state.agents, value[source]
    if self._config.learners:
      members = operators.take(members, source)
    present, found, sensitivity = jnp.zeros(self._members, bool), None, None
    seen = replay.sample(state.replay, key_seen, self._player.batch_size).s_tm1
    if self._is_common:
      value, present, found = self._compare(state, source, market, seen, value)
    strategy = self._strategy.tell(
      state.strategy, self.genome_of(members), value, state.champion.score
    )
    standing = _of_members(state.standing, source)
    if self._config.inject_champion:
      index = self._strategy.replaceable(strategy)
      absent = None
      if self._is_common:
        absent = ~jnp.any(present & ~_is_after(value, index))
      members = _with_champion(members, state.champion.agent, index, absent)
      standing = _with_champion_standing(standing, index, absent)
    if self._strategy.needs_sensitivity:
      few = jax.tree.map(lambda x: x[: self._sensed], seen)
      sensitivity = self._sensitivity(members, market, few, key_sense)
    proposal = self._strategy.ask(
      strategy, key_ask, self.genome_of(members), sensitivity
    )
    members = inheritance.offspring(
      self._agent, members, proposal, key_offspring
    )
    state = state._replace(
      agents=self._with_members(state.agents, members),
      strategy=strategy,
      lineage=Lineage(proposal.parent, proposal.origin),
      standing=_of_children(standing, state.standing, proposal),
    )
    return state, found

  def _with_more_hyperparameters(self, agents):
    """Adds the optional hyperparameters in `Agent.more` to all agents."""
    genes = self._agent.genes(agents)
    more = {
      name: jnp.full(self._agents, value, jnp.float32)
      for name, value in self._agent.more.items()
    }
    genes = genes._replace(hyperparameters=genes.hyperparameters | more)
    whole = dict.fromkeys(genes.parameters, jnp.ones(self._agents, bool))
    return self._agent.offspring(agents, genes, whole, agents.key)

  def _sensitivity(self, members, market, observations, key):
    """Returns the `Sensitivity` of the members, for `Strategy.ask`."""

    def sense(shared, member):
      (market, observations), (agent, key) = shared, member
      return self._player.sensitivity(
        self._agent.policy(agent),
        market,
        observations,
        key,
        self._config.projections,
      )

    def of(chosen):
      # Padded, so that devices get equal shares.
      parts = parallel.agents_at_once(self._mesh)
      places = jnp.arange(-(-len(chosen) // parts) * parts)
      keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places)
      found = self._on_all(
        sense,
        (market, observations),
        (operators.take(members, chosen[places % len(chosen)]), keys),
      )
      return {ACTING: jax.tree.map(lambda x: x[: len(chosen)], found)}

    return of

  def _compare(self, state, source, market, seen, value):
    """Compares the members' actions on the same observations.

    The members here are the agents to breed from, see `_sources`.

    Args:
      state: has all agents and the champion.
      source: int32 [P], the members' indices among all agents.
      market: the market that agents observe.
      seen: observations [B].
      value: the members' fitness, [P].

    Returns:
      Fitness [P], -inf for members that act like a fitter member; bool [P],
      which members act like the champion; and the members' `Diversity`. If
      `least_distance` is 0, no actions count as alike.
    """

    def look(shared, policy):
      return self._player.unit_actions(policy, *shared)

    # The champion is last, repeated so that devices get equal shares.
    copies = parallel.agents_at_once(self._mesh)
    policies = jax.tree.map(
      lambda x, y: jnp.concatenate([x, jnp.stack([y] * copies)]),
      self._agent.policy(state.agents),
      self._agent.policy(state.champion.agent),
    )
    looks = self._on_all(look, (market, seen), policies)
    actions = looks[source]
    apart = diversity.distances(actions, actions)
    pairs = diversity.between_pairs(apart)
    median = jnp.median(pairs)
    least = self._config.least_distance * median
    is_redundant = jnp.zeros(self._members, bool)
    present = jnp.zeros(self._members, bool)
    if self._config.least_distance:
      is_redundant = diversity.redundant(apart, value, least)
      present = diversity.distances(actions, looks[-1:])[0] <= least
    found = Diversity(median, pairs.min(), is_redundant.sum().astype(jnp.int32))
    return jnp.where(is_redundant, -jnp.inf, value), present, found

  def _sources(self, generation: Array, value: Array) -> Array:
    """Returns the indices of the agents to breed from, int32 [P].

    They are the members, except that the fittest learner takes the place of the
    weakest member in every `injection_every`-th generation.
    """
    places = jnp.arange(self._members, dtype=jnp.int32)
    if not self._config.learners:
      return places
    due = generation % self._config.injection_every == 0
    learner = operators.ranking(value[self._members :])[0] + self._members
    weakest = operators.ranking(value[: self._members])[-1]
    return places.at[weakest].set(jnp.where(due, learner, weakest))

  def _with_members(self, agents, members):
    """Returns all agents: the new `members`, and the learners of `agents`."""
    if not self._config.learners:
      return members
    return jax.tree.map(
      lambda new, old: jnp.concatenate([new, old[self._members :]]),
      members,
      agents,
    )


def _is_after(value: Array, index: Array) -> Array:
  """Returns which members rank after member `index` by fitness; bool [P]."""
  places = jnp.argsort(operators.ranking(value))
  return places > places[index]


def _with_champion(members, champion, index: Array, enters: Array | None):
  """Replaces member `index` with the champion, unless `enters` is False.

  `enters` is bool []; None counts as True.
  """
  packed, unpack = operators.pack(members)
  new, _ = operators.pack(jax.tree.map(lambda x: x[None], champion))

  def put(x, y):
    return x.at[index].set(
      y[0] if enters is None else jnp.where(enters, y[0], x[index])
    )

  return unpack([put(x, y) for x, y in zip(packed, new, strict=True)])


def _of_members(standing: Standing | None, source: Array) -> Standing | None:
  """Returns the standing of the agents with indices `source` [P]."""
  if standing is None:
    return None
  return standing._replace(
    estimate=jax.tree.map(lambda x: x[source], standing.estimate),
    founder=standing.founder[source],
  )


def _with_champion_standing(
  standing: Standing | None, index: Array, enters: Array | None
) -> Standing | None:
  """Records that the champion replaced member `index`, if `enters` is True.

  Member `index` then has the champion's founder and an unknown fitness.
  """
  if standing is None or enters is None:
    return standing

  def put(x, new):
    return x.at[index].set(jnp.where(enters, new, x[index]))

  deviation, variance = standing.estimate
  return standing._replace(
    estimate=fitness.Estimate(put(deviation, 0.0), put(variance, jnp.inf)),
    founder=put(standing.founder, standing.champion_founder),
  )


def _of_children(
  parents: Standing | None, agents: Standing | None, proposal: Proposal
) -> Standing | None:
  """Returns the standing of the next generation's agents.

  Elites keep their estimate of fitness; that of the other members is unknown.
  All members take their parent's founder. Learners keep estimate and founder.
  The result is None if agents are not evaluated on the same slices.

  Args:
    parents: standing of the members after injections and before breeding, [P].
    agents: standing of all agents before breeding, [P + R].
    proposal: the strategy's choice of parents.
  """
  if parents is None or agents is None:
    return None
  count = len(proposal.parent)
  stays = proposal.origin == int(Origin.ELITE)

  def before_learners(new, old):
    return jnp.concatenate([new, old[count:]])

  estimate = fitness.inherited(parents.estimate, proposal.parent, stays)
  return Standing(
    jax.tree.map(before_learners, estimate, agents.estimate),
    before_learners(parents.founder[proposal.parent], agents.founder),
    agents.champion_founder,
    proposal.mate,
  )

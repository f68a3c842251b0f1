"""Tests of eigen3.learner.population."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from eigen3 import parallel
from eigen3.environment import rollout
from eigen3.evaluation.backtest import Backtester
from eigen3.evolution import Genome, Origin, Proposal
from eigen3.learner import experience, fitness, inheritance, slices

KEY = jax.random.PRNGKey(0)


@pytest.fixture(scope='module')
def config():
  return small_run.make_population_config().lock()


@pytest.fixture(scope='module')
def learner(config):
  return small_run.make_population(config)


@pytest.fixture(scope='module')
def first_state(learner):
  return small_run.on_host(learner.init(KEY))


def generations(learner, state, count):
  """States and what was told, on the host, of some generations."""
  state, found = small_run.copied(state), []
  for _ in range(count):
    state, told = learner.iterate(state)
    found.append(small_run.on_host((state, told)))
  return found


@pytest.fixture(scope='module')
def history(learner, first_state):
  return generations(learner, first_state, 3)


def member(agents, k):
  return jax.tree.map(lambda x: np.asarray(x[k]), agents)


def test_a_fresh_population_has_agents_of_their_own(first_state, config):
  agents, size = first_state.agents, config.evolution.population_size
  for x in jax.tree.leaves(agents.actor.online_params):
    assert x.shape[0] == size
  weights = agents.actor.online_params['head']['w']
  assert len(np.unique(weights.reshape(size, -1), axis=0)) == size
  assert len(np.unique(agents.key, axis=0)) == size
  assert float(first_state.champion.score) == -np.inf
  assert set(first_state.lineage.origin) == {int(Origin.INITIAL)}


def test_a_generation_counts(first_state, history, learner, config):
  section, rules = config.learner, config.environment
  slices = config.evolution.population_size * section.fitness_slices
  for number, (state, told) in enumerate(history, 1):
    assert int(state.generation) == number
    # Before the first, replay was filled by chance.
    assert int(state.replay.size) == min(
      (number + 1) * slices * rules.trading_days, section.replay_capacity
    )
    steps = (number + 1) * learner.steps_per_iteration
    assert int(state.environment_steps) == steps
    assert not np.array_equal(state.key, first_state.key)
    for name, values in told.updates.items():
      assert values.shape == (
        config.evolution.population_size,
        section.updates_per_generation,
      ), name
      assert np.isfinite(values).all(), name
    assert told.attention.shape == (config.data.synthetic.num_columns,)
    assert told.attention.sum() == pytest.approx(1, abs=1e-5)
    assert told.spread > 0
  # The champion, and who descends from it, may have been crowned before.
  steps = history[-1][0].agents.steps
  assert steps.max() == 3 * section.updates_per_generation
  assert steps.min() >= section.updates_per_generation


def test_equal_keys_give_equal_bits(learner, first_state, history):
  again = generations(learner, first_state, 3)
  small_run.assert_equal_bits(again, history)


@pytest.mark.parametrize('block', [1, 3])
def test_blocks_change_nothing(first_state, history, block):
  config = small_run.make_population_config(block=block)
  state, told = generations(small_run.make_population(config), first_state, 1)[
    0
  ]
  expected, expected_told = history[0]
  np.testing.assert_allclose(
    told.training.score, expected_told.training.score, rtol=1e-4, atol=1e-6
  )
  np.testing.assert_allclose(
    told.updates['critic_loss'],
    expected_told.updates['critic_loss'],
    rtol=1e-3,
  )
  np.testing.assert_allclose(
    state.replay.storage.a_tm1, expected.replay.storage.a_tm1, rtol=1e-4
  )
  np.testing.assert_array_equal(
    state.replay.storage.s_tm1.day, expected.replay.storage.s_tm1.day
  )


def test_the_champion_scores_what_it_earns_in_a_backtest(
  learner, history, config
):
  """As a single agent's champion does."""
  state, told = history[0]
  panel, _, _ = small_run.make_market(config)
  days = (panel.num_days - config.data.validation_days, panel.num_days)
  backtester = Backtester(panel, config.environment.to_dict(), days)
  actions = learner.greedy_actions(state.champion.agent, backtester.days)
  profit = backtester.run(actions).summary['profit']
  assert float(state.champion.score) == told.validation.score.max()
  assert float(state.champion.score) == pytest.approx(profit, abs=1e-6)


def test_a_champion_of_slices_scores_their_worst():
  """Played again from outside: the worst slices of those that all play."""
  config = small_run.make_population_config()
  config.learner.validation_play = 'slices'
  learner = small_run.make_population(config)
  state, told = generations(learner, learner.init(KEY), 1)[0]
  agents_score = told.validation.score
  assert float(state.champion.score) == agents_score.max()
  panel_days = small_run.make_market(config)[0].num_days
  validation = learner._world[1]
  assert int(validation.stop) == panel_days
  steps = config.environment.trading_days
  first_days = np.stack([validation.first_day, validation.last_day])
  days = (first_days[:, None] + np.arange(steps)).reshape(-1)
  actions = learner.greedy_actions(state.champion.agent, days)
  play = jax.jit(
    lambda environment, actions, first_days: rollout.rollout(
      environment, lambda days: actions, first_days, steps
    )
  )
  episodes = play(validation, actions, first_days)
  equity = np.asarray(episodes.final_state.equity)
  profit = equity / config.environment.initial_cash - 1
  assert float(profit.min()) == pytest.approx(
    float(state.champion.score), abs=1e-6
  )


def test_the_best_ever_is_champion(history):
  best = -np.inf
  for number, (state, told) in enumerate(history, 1):
    if told.validation.score.max() > best:
      best = told.validation.score.max()
      assert int(state.champion.generation) == number
    assert float(state.champion.score) == best


def breed(learner, state, value):
  """The next generation after a given fitness, and what was found."""
  evolve = jax.jit(learner._breeding.evolve)
  market = learner._world[2]
  return small_run.on_host(evolve(state, market, np.float32(value), KEY))


@pytest.mark.parametrize('place', range(6))
def test_the_champion_is_among_the_elites_once(first_state, learner, place):
  """It takes the weakest elite's place, unless it is an elite already."""
  state = with_champion(first_state, 3)
  value = np.roll([6.0, 5, 4, 3, 2, 1], 3 - place)  # it ranks in that place
  after, found = breed(learner, state, value)
  assert (after.lineage.origin[:2] == Origin.ELITE).all()
  fittest = np.argsort(-value)[:2].tolist()
  assert after.lineage.parent[:2].tolist() == fittest
  champion = state.champion.agent
  heads = after.agents.actor.online_params['head']['w']
  same = [
    np.array_equal(x, champion.actor.online_params['head']['w']) for x in heads
  ]
  assert same.index(True) == (place if place < 2 else 1)
  assert sum(same[:2]) == 1
  # Of a champion that comes back no more is known than of a newborn.
  variance = after.standing.estimate.variance
  assert np.isinf(variance[2:]).all()
  assert np.isinf(variance[1]) == (place > 1)
  assert found.replaced == 0
  assert 0 < found.nearest <= found.median


def with_champion(state, k):
  """A state whose champion is member k, and in which errors are known."""
  standing = state.standing
  estimate = standing.estimate._replace(
    variance=np.ones_like(standing.estimate.variance)
  )
  return state._replace(
    champion=state.champion._replace(agent=member(state.agents, k)),
    standing=standing._replace(estimate=estimate),
  )


def test_of_equal_members_one_is_left(first_state, learner):
  state = with_champion(first_state, 0)
  agents = jax.tree.map(np.array, state.agents)
  for twin in (1, 2, 4):
    jax.tree.map(lambda x, twin=twin: x.__setitem__(twin, x[0]), agents)
  after, found = breed(
    learner, state._replace(agents=agents), [6.0, 5, 4, 3, 2, 1]
  )
  assert found.replaced == 3
  assert found.nearest == 0
  assert after.lineage.parent[0] == 0
  # Twins of the fittest are no elites: the next is.
  assert after.lineage.parent[1] == 3


def test_policies_are_bred_and_critics_follow(history, learner):
  """With what they learnt: targets and optimiser."""
  state = with_champion(history[0][0], 0)
  value = np.array([6.0, 5, 4, 3, 2, 1], np.float32)
  after, _ = breed(learner, state, value)
  origin, parent = after.lineage.origin, after.lineage.parent
  assert origin.tolist() == [0, 0, 1, 1, 2, 2]
  for k in range(6):
    child, old = member(after.agents, k), member(state.agents, parent[k])
    small_run.assert_equal_bits(child.critic, old.critic)
    equal = np.array_equal(
      child.actor.online_params['head']['w'],
      old.actor.online_params['head']['w'],
    )
    assert equal == (origin[k] == Origin.ELITE)
    mate = after.standing.mate[k]
    assert (mate >= 0) == (origin[k] == Origin.OFFSPRING)
    assert mate != parent[k]
  np.testing.assert_array_equal(
    after.standing.founder, state.standing.founder[parent]
  )


def test_fitness_is_of_what_is_told_and_without_noise(
  learner, first_state, history, config
):
  """Played again from outside, on the slices that all played."""
  state, told = history[1]
  del state
  # Whoever was judged is not to be had any more; what is known of all is.
  np.testing.assert_allclose(
    told.fitness.value.mean(), told.training.score.mean(), atol=1e-6
  )
  assert (told.fitness.error > 0).all()
  stays = told.lineage.origin == Origin.ELITE
  assert told.fitness.error[stays].max() < told.fitness.error[~stays].min()
  learn = jax.jit(learner._learn)
  play = jax.jit(learner._play)
  environment, _, market = learner._world
  learnt, _ = learn(first_state, environment, market, KEY)
  one, played = play(learnt, environment, market, KEY)
  _, replayed = play(learnt, environment, market, KEY)
  small_run.assert_equal_bits(
    small_run.on_host(played), small_run.on_host(replayed)
  )
  starts = learner_starts(environment, config)
  steps = config.environment.trading_days
  days = (starts[:, None] + np.arange(steps)).reshape(-1)
  for k in (0, 4):
    agent = jax.tree.map(lambda x, k=k: x[k], learnt.agents)
    actions = learner.greedy_actions(agent, days)
    episodes = jax.jit(
      lambda environment, actions: rollout.rollout(
        environment, lambda days: actions, starts, steps
      )
    )(environment, actions)
    equity = np.asarray(episodes.final_state.equity)
    profit = equity / config.environment.initial_cash - 1
    np.testing.assert_allclose(played.scores[k], profit, atol=1e-6)
  # Replay holds the same days, with noise.
  count = config.learner.fitness_slices * steps
  first = int(learnt.replay.insert_index)
  places = (first + np.arange(count)) % config.learner.replay_capacity
  np.testing.assert_array_equal(
    np.asarray(one.replay.storage.s_tm1.day)[places], days
  )
  noisy = np.asarray(one.replay.storage.a_tm1)[places]
  agent = jax.tree.map(lambda x: x[0], learnt.agents)
  greedy = np.asarray(learner.greedy_actions(agent, days))
  assert np.abs(noisy - greedy).max() > 0
  assert np.abs(noisy - greedy)[..., 0].mean() < 0.2


def test_replay_gets_the_noisy_play_of_some_slices():
  config = small_run.make_population_config()
  config.learner.fitness_slices = 4
  config.learner.exploring_slices = 2
  learner = small_run.make_population(config)
  environment, _, market = learner._world
  state = learner.blank(KEY)
  played_by, played = jax.jit(learner._play)(state, environment, market, KEY)
  assert played.scores.shape == (6, 4)
  steps = config.environment.trading_days
  assert int(played_by.replay.size) == 6 * 2 * steps
  chosen = learner_starts(environment, config)[[0, 3]]
  days = chosen[:, None] + np.arange(steps)
  np.testing.assert_array_equal(
    np.asarray(played_by.replay.storage.s_tm1.day)[: days.size], days.ravel()
  )


@pytest.mark.parametrize('batches', ['common', 'own'])
def test_equal_agents_learn_the_same_only_from_equal_batches(batches):
  config = small_run.make_population_config()
  config.learner.batches = batches
  learner = small_run.make_population(config)
  environment, _, market = learner._world
  state = learner.begin(learner.blank(KEY))
  clones = jax.tree.map(
    lambda x: jnp.broadcast_to(x[:1], x.shape), state.agents
  )
  learnt, metrics = jax.jit(learner._learn)(
    state._replace(agents=clones), environment, market, KEY
  )
  losses = np.asarray(metrics['critic_loss'])
  assert (len(np.unique(losses[:, 0])) == 1) == (batches == 'common')
  critic = jax.tree.leaves(learnt.agents.critic.online_params)
  assert any((x != x[:1]).any() for x in critic) == (batches == 'own')


def learner_starts(environment, config):
  """The days on which the slices of `KEY` start."""
  key_starts, _ = jax.random.split(KEY)
  return np.asarray(
    fitness.common_starts(
      key_starts,
      config.learner.fitness_slices,
      environment.first_day,
      environment.last_day,
    )
  )


def test_first_members_are_mutants_of_one(first_state, config):
  agents = first_state.agents
  small_run.assert_equal_bits(
    agents.critic.online_params,
    jax.tree.map(
      lambda x: np.broadcast_to(x[:1], x.shape), agents.critic.online_params
    ),
  )
  for x in jax.tree.leaves(agents.actor.online_params):
    apart = np.abs(x - x[:1])
    assert (apart[1:].reshape(5, -1).max(1) > 0).all()
    assert apart.max() < 1.0


def test_fitness_is_the_mean_of_the_worst_slices():

  def make_episodes():
    return types.SimpleNamespace(
      final_state=types.SimpleNamespace(
        equity=jnp.array([90.0, 130.0, 110.0, 100.0]),
        num_trades=jnp.array([2, 5, 1, 0]),
        num_wins=jnp.array([1, 4, 1, 0]),
      ),
      timesteps=types.SimpleNamespace(
        reward=jnp.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.5], [0.0, 0.0]]),
        extras=types.SimpleNamespace(
          equity=jnp.array([[95.0, 90], [110, 130], [100, 110], [100, 100]])
        ),
      ),
    )

  environment = types.SimpleNamespace(
    rules=types.SimpleNamespace(initial_cash=100.0)
  )

  def judge(*rules):
    return jax.jit(lambda: slices.judge(environment, make_episodes(), *rules))()

  found = judge('profit', 2, 0.5)
  # -0.1, 0.3, 0.1 and 0 - 0.5: the worst two are -0.5 and -0.1.
  assert found.score == pytest.approx(-0.3)
  assert found.profit == pytest.approx(0.075)
  assert found.reward == pytest.approx(10.5 / 4)
  assert found.trades == pytest.approx(2.0)
  assert found.win_rate == pytest.approx(6 / 8)
  found = judge('reward', 3, 0.0)
  assert found.score == pytest.approx((0 + 0.5 + 3) / 3)


def test_what_the_newborn_inherit(learner, history):
  agents = history[0][0].agents
  genome = inheritance.genome_of(learner.agent, agents, policies_only=False)
  changed = Genome(
    jax.tree.map(lambda x: x + 1, genome.parameters),
    jax.tree.map(lambda x: 2 * x, genome.hyperparameters),
  )
  parent = np.array([2, 0, 3, 1], np.int32)
  origins = [Origin.ELITE, Origin.OFFSPRING, Origin.COPY, Origin.MUTANT]
  mixed = jax.tree.map(
    lambda old, new: np.stack([old[2], new[1], old[3], new[3]]),
    genome,
    changed,
  )
  nobody = np.full(4, -1, np.int32)
  proposal = Proposal(mixed, parent, np.array(origins, np.int32), nobody)
  born = jax.jit(functools.partial(inheritance.offspring, learner.agent))
  found = small_run.on_host(born(agents, proposal, KEY))
  small_run.assert_equal_bits(member(found, 0), member(agents, 2))

  copy = member(found, 2)
  assert not np.array_equal(copy.key, agents.key[3])
  small_run.assert_equal_bits(
    copy._replace(key=0), member(agents, 3)._replace(key=0)
  )
  for k, origin in ((1, 0), (3, 1)):
    child = member(found, k)
    assert not np.array_equal(child.key, agents.key[origin])
    assert float(child.hyperparameters.actor_learning_rate) == pytest.approx(
      2 * float(agents.hyperparameters.actor_learning_rate[k])
    )
    for name in ('actor', 'critic'):
      network = getattr(child, name)
      old = member(getattr(agents, name), origin)
      small_run.assert_equal_bits(
        network.online_params, member(changed.parameters[name], k)
      )
      small_run.assert_equal_bits(network.target_params, network.online_params)
      small_run.assert_equal_bits(network.online_state, old.online_state)
      small_run.assert_equal_bits(network.target_state, old.online_state)
      small_run.assert_equal_bits(network.opt_state, old.opt_state)
  assert len(np.unique(found.key, axis=0)) == 4


def test_learners_beside_a_population_that_only_evolves():
  config = small_run.make_population_config(
    members_learn=False, learners=2, injection_every=2
  )
  config.learner.counterfactuals = 0
  learner = small_run.make_population(config)
  size = config.evolution.population_size
  updates = config.learner.updates_per_generation
  history = generations(learner, small_run.on_host(learner.init(KEY)), 3)
  for number, (state, told) in enumerate(history, 1):
    assert told.updates['critic_loss'].shape == (2, updates)
    assert told.training.score.shape == (size + 2,)
    assert (state.agents.steps[size:] == number * updates).all()
  # Nobody who has learnt is among the members before the second generation,
  # unless it was crowned.
  state, told = history[0]
  crowned = int(state.champion.agent.steps) > 0
  assert ((state.agents.steps[:size] > 0).any()) == crowned


def test_the_fittest_learner_moves_in_when_it_is_due():
  config = small_run.make_population_config(learners=2, injection_every=2)
  config.learner.counterfactuals = 0
  learner = small_run.make_population(config)
  state = small_run.on_host(learner.init(KEY))
  fitness = np.array([5, 4, 3, np.nan, 1, 0, 7, 9], np.float32)

  for generation, due in ((1, False), (2, True)):
    source = learner._breeding._sources(np.int32(generation), fitness)
    assert source.tolist() == [0, 1, 2, 7 if due else 3, 4, 5]
  # It breeds, and its descendants are told as such.
  state = state._replace(generation=np.int32(2))
  after, _ = breed(learner, state, fitness)
  # Member 0 still does what learners do, who begin as it does.
  assert after.standing.founder[:2].tolist() == [7, 1]
  assert after.standing.founder[6:].tolist() == [6, 7]
  small_run.assert_equal_bits(member(after.agents, 0), member(state.agents, 7))


@functools.cache
def of_algorithm(algorithm):
  """A population under another strategy, and its first state."""
  config = small_run.make_population_config(algorithm=algorithm)
  config.learner.counterfactuals = 0
  config.evolution.cross_entropy.initial_std = 0.01
  learner = small_run.make_population(config)
  return learner, small_run.on_host(learner.init(KEY))


def test_cross_entropy_begins_around_one_network():
  _, state = of_algorithm('cross_entropy')
  for name, is_bred in (('actor', True), ('critic', False)):
    online = getattr(state.agents, name).online_params
    for x in map(np.asarray, jax.tree.leaves(online)):
      assert x.std(0).max() < 0.03  # independent networks are 0.5 apart
      different = len(np.unique(x.reshape(len(x), -1), axis=0))
      assert different == (len(x) if is_bred else 1)
    small_run.assert_equal_bits(
      getattr(state.agents, name).target_params, online
    )


@pytest.mark.parametrize('algorithm', ['cross_entropy', 'population_based'])
def test_other_strategies(algorithm):
  history = generations(*of_algorithm(algorithm), 2)
  state, told = history[-1]
  assert np.isfinite(told.training.score).all()
  expected = {
    'cross_entropy': {Origin.SAMPLE},
    'population_based': {Origin.ELITE, Origin.COPY},
  }[algorithm]
  assert set(state.lineage.origin) == {int(o) for o in expected}
  rates = state.agents.hyperparameters.actor_learning_rate
  assert (len(set(rates.tolist())) > 1) == (algorithm == 'population_based')


def test_random_warm_up():
  """Adds as many transitions as a generation, and counts its steps."""
  config = small_run.make_population_config()
  config.learner.update(
    learning_starts=1, fitness_slices=4, fitness_worst=4, exploring_slices=2
  )
  learner = small_run.make_population(config)
  state = learner.init(KEY)
  episodes = config.evolution.population_size * 2
  assert int(state.replay.size) == episodes * config.environment.trading_days
  assert int(state.environment_steps) == learner.steps_per_iteration
  actions = np.asarray(state.replay.storage.a_tm1[: int(state.replay.size)])
  low, high = actions.min((0, 1)), actions.max((0, 1))
  np.testing.assert_allclose(low, (0, 10), atol=1.5)
  np.testing.assert_allclose(high, (2, 50), atol=1.5)


@pytest.mark.parametrize(
  'section, field, value, words',
  [
    ('evolution', 'population_size', 1, 'evolution.population_size: found 1'),
    ('learner', 'fitness_worst', 3, r'learner.fitness_worst: found 3, .*most'),
    ('learner', 'validation_worst', 9, 'learner.validation_worst: found 9'),
    ('learner', 'replay_capacity', 99, 'replay_capacity: found 99, .* 120 t'),
    ('learner', 'fitness', 'luck', "learner.fitness: found 'luck'"),
    ('evolution', 'members_learn', False, 'evolution.learners: found 0'),
    ('evolution', 'block', -1, 'evolution.block: found -1'),
  ],
)
def test_a_bad_setting_is_named(section, field, value, words):
  config = small_run.make_population_config()
  config[section][field] = value
  with pytest.raises(ValueError, match=words):
    small_run.make_population(config)


def test_devices_must_divide_the_agents():
  """Those that share an agent count as one."""
  names = (parallel.POPULATION_AXIS, parallel.BATCH_AXIS)
  mesh = jax.sharding.AbstractMesh((4, 2), names)
  with pytest.raises(
    ValueError, match=r'population_size: found 6, .* of 4, the number of groups'
  ):
    small_run.make_population(small_run.make_population_config(), mesh)
  config = small_run.make_population_config()
  config.evolution.update(population_size=7, learners=1, members_learn=False)
  with pytest.raises(ValueError, match='learners: found 1, expected a mult'):
    small_run.make_population(config, mesh)


def test_warm_up_needs_no_observation_of_the_day():
  """What replay is made of does not depend on the day it is asked for."""
  spec = types.SimpleNamespace(shape=(3, 2))
  empty = experience.empty_transition(spec)
  assert empty.s_tm1.day.dtype == jnp.int32
  assert empty.s_tm1.available.shape == (1,)
  assert empty.a_tm1.shape == (3, 2)


def test_policies_are_bred_with_extractors_of_their_own():
  config = small_run.make_population_config()
  config.networks.shared_extractor = 'all'
  with pytest.raises(ValueError, match=r'shared_extractor: found .all., expec'):
    small_run.make_population(config)

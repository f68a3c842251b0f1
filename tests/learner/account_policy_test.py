"""Policies that observe their account: scans equal day-by-day decisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_account
import small_run

from eigen3.environment import rollout
from eigen3.evaluation import Backtester, Judge
from eigen3.evaluation.training_slices import TrainingSlices
from eigen3.learner import experience
from eigen3.learner.population_state import memory_of
from eigen3.runs.checkpoint import Checkpointer

KEY = jax.random.PRNGKey(0)
EPISODES = 3


@pytest.fixture(scope='module')
def settings():
  config = small_run.make_config(replay_capacity=70)
  return small_account.observed(config).lock()


@pytest.fixture(scope='module')
def observing(settings):
  return small_account.make_learner(settings)


@pytest.fixture(scope='module')
def begun(observing):
  return small_run.on_host(observing.init(KEY))


@pytest.fixture(scope='module')
def played(observing, begun):
  """Plays episodes of the initial policy, without noise."""
  environment = observing._environment
  first, last = int(environment.first_day), int(environment.last_day)

  @jax.jit
  def play(agent, environment, market):
    return rollout.rollout(
      environment,
      lambda days: observing.player.actions(agent, market, days),
      jnp.array([first, first + 17, last], jnp.int32),
    )

  return jax.device_get(play(begun.agent, environment, observing._market))


def test_the_scan_decides_as_the_whole_network_day_by_day(
  observing, begun, played
):
  """Decides daily, with the account as the environment then reports it."""
  environment, spec = observing._environment, observing.player.spec.action

  @jax.jit
  def select(agent, market, *seen):
    observation = experience.observations_of(spec, *seen)
    return observing.agent.act(agent, market, observation)

  reset = jax.jit(lambda environment, day: environment.reset_at(day))
  step = jax.jit(lambda environment, *rest: environment.step(*rest))
  for k in range(EPISODES):
    state, timestep = reset(environment, played.days[k, 0])
    for t in range(environment.num_steps):
      batch = jax.tree.map(
        lambda x: np.asarray(x)[None], (timestep.observation, timestep.account)
      )
      actions = np.asarray(select(begun.agent, observing._market, *batch))
      np.testing.assert_allclose(
        played.actions[k, t], actions[0], rtol=1e-4, atol=1e-4
      )
      state, timestep = step(environment, state, actions[0])
    np.testing.assert_allclose(
      played.timesteps.extras.equity[k, -1], state.equity, rtol=1e-5
    )
  # The account was busy, and it made a difference what was seen of it.
  assert (played.final_state.num_trades > 1).all()
  blind = jax.tree.map(np.zeros_like, batch[1])
  other = select(begun.agent, observing._market, batch[0], blind)
  assert np.abs(np.asarray(other) - actions).max() > 1e-3


def test_what_is_replayed_is_what_was_acted_on(observing, begun, played):
  count = observing._environment.num_steps
  found = jax.jit(experience.transitions_of, static_argnums=1)(played, count)
  select = jax.jit(observing.agent.act)
  np.testing.assert_allclose(
    select(begun.agent, observing._market, found.s_tm1),
    found.a_tm1,
    rtol=1e-4,
    atol=1e-4,
  )
  before, after = (
    jax.tree.map(
      lambda x: np.reshape(x, (EPISODES, count, *x.shape[1:])), s.account
    )
    for s in jax.device_get((found.s_tm1, found.s_t))
  )
  for one, other in zip(before, after, strict=True):
    np.testing.assert_array_equal(one[:, 1:], other[:, :-1])
  assert not before.stocks[:, 0].any()
  assert before.stocks.any(axis=(0, 1, 3)).all()


def test_the_portfolio_reward_sums_to_the_growth(played, settings):
  """Nothing is held at the end, so the cash is all that was earned."""
  assert (played.timesteps.discount[:, -1] == 0).all()
  np.testing.assert_allclose(
    played.timesteps.reward.sum(1),
    100 * np.log(played.final_state.equity / settings.environment.initial_cash),
    atol=1e-4,
  )


def test_exploration_is_the_policy_s_act_and_noise(observing, begun, played):
  """Compares the first day, when the account is the same."""
  days = played.days[0]
  acts = jax.jit(observing.player.actions)
  plans = acts(begun.agent, observing._market, days, KEY)
  noise = np.asarray(plans.encoded[1])
  assert noise.shape == (len(days), 3, 2)
  assert noise.std() == pytest.approx(float(begun.agent.noise_scale), rel=0.3)

  @jax.jit
  def play(environment, days, plans):
    by_step = rollout.by_step(plans, (1, len(days)))
    return rollout.play(environment, days[None], by_step)

  explored = play(observing._environment, days, plans)
  spec = observing.player.spec.action
  to_unit = jax.jit(spec.to_unit)
  expected = np.asarray(to_unit(played.actions[0, 0])) + noise[0]
  expected = jax.jit(spec.clip_unit)(expected)
  np.testing.assert_allclose(
    to_unit(np.asarray(explored.actions)[0, 0]), expected, atol=1e-5
  )
  # Equal calls are one program: what is static in plans compares as equal.
  assert plans.decide == acts(begun.agent, observing._market, days, KEY).decide


@pytest.mark.long
def test_a_backtest_decides_on_plans(observing, begun, settings):
  """As if the decided actions had been given; also without the account."""
  panel, _, _ = small_run.make_market(settings)
  rules = settings.environment.copy_and_resolve_references()
  rules.observe_account = False
  backtester = Backtester(panel, rules, (40, 100))
  days = backtester.days
  plans = observing.greedy_actions(begun.agent, days)
  decided = backtester.run(plans)
  episode = jax.jit(rollout.play)(
    backtester._environments[False],
    jnp.asarray(days)[None],
    rollout.by_step(plans, (1, len(days))),
  )
  given = backtester.run(episode.actions[0])
  np.testing.assert_allclose(decided.equity, given.equity, rtol=1e-6)
  assert decided.summary['trades'] > 3
  # A committee of one, of two alike, and of one with given actions.
  for several in ([plans], [plans, plans], [plans, episode.actions[0]]):
    mean = backtester.run(rollout.mean_of(several))
    np.testing.assert_allclose(mean.equity, given.equity, rtol=1e-4)
  # Whose mean is between its members'.
  idle = np.zeros_like(episode.actions[0])
  assert (
    backtester.run(rollout.mean_of([plans, idle])).summary['trades']
    < (decided.summary['trades'])
  )


@pytest.mark.parametrize('is_seen', [True, False])
def test_other_costs_decide_on_plans(observing, begun, settings, is_seen):
  """Costs are an argument there, also for a policy without the account."""
  panel, _, _ = small_run.make_market(settings)
  config = settings.copy_and_resolve_references()
  config.environment.observe_account = is_seen
  judge = Judge(panel, config, (40, 100))
  plans = observing.greedy_actions(begun.agent, judge.days)
  dear = {'slippage_bp': 100.0}
  found = judge.under(**dear).backtest(plans)
  config.environment.update(dear)
  expected = Judge(panel, config, (40, 100)).backtest(plans)
  np.testing.assert_allclose(found.equity, expected.equity, rtol=1e-5)
  own = judge.backtest(plans).summary
  assert found.summary['costs'] > 2 * own['costs'] > 0
  # A committee, one of whose members decides on plans.
  idle = np.zeros(
    (len(judge.days), *observing.player.spec.action.shape), np.float32
  )
  mean = judge.under(**dear).backtest(rollout.mean_of([plans, idle]))
  assert mean.summary['costs'] < found.summary['costs']


def test_slices_of_training_days_decide_on_plans(observing, begun, settings):
  panel, _, _ = small_run.make_market(settings)
  slices = TrainingSlices(panel, settings.environment, (0, 100), 2)
  profits = slices.profits(observing.greedy_actions(begun.agent, slices.days))
  assert profits.shape == (2,)
  assert (profits != 0).all()


def test_an_iteration_trains_encoder_and_head(observing, begun, settings):
  state, told = observing.iterate(small_run.copied(begun))
  for values in told.updates.values():
    assert np.isfinite(values).all()
  for network in ('actor', 'critic'):
    before, after = (
      getattr(s.agent, network).online_params for s in (begun, state)
    )
    changed = jax.tree.map(
      lambda x, y: np.abs(x - np.asarray(y)).max(), before, after
    )
    assert min(jax.tree.leaves(changed)) > 0
  account = state.replay.storage.s_tm1.account
  assert account.stocks.shape == (70, 3, 5)
  assert np.asarray(account.stocks).any()
  # Day, bits, 3 x 5 and 2 numbers twice; 3 x 2 of an action, and two more; of
  # the state 5 numbers of 9 positions, 4 of an order, and 9 more.
  size = 2 * (4 + 1 + 4 * 15 + 4 * 2) + 4 * 6 + 4 * 2
  size += 4 * (5 * 9 + 4 + 9)
  leaves = jax.tree.leaves(state.replay.storage)
  assert sum(x.nbytes for x in leaves) == 70 * size


def test_a_run_resumes_bit_for_bit(observing, begun, tmp_path):
  unbroken, _ = observing.iterate(small_run.copied(begun))
  checkpointer = Checkpointer(tmp_path, 1, 'abc')
  checkpointer.save(1, unbroken)
  unbroken = small_run.on_host(observing.iterate(unbroken))
  checkpointer.wait()
  _, restored = checkpointer.restore_latest(small_run.copied(begun))
  checkpointer.close()
  resumed = small_run.on_host(observing.iterate(restored))
  small_run.assert_equal_bits(resumed, unbroken)


@pytest.mark.long
def test_a_population_does_not_depend_on_blocks():
  """Every agent decides by its own account, alone or vectorised."""
  found = []
  for block in (0, 1):
    config = small_run.make_population_config(block=block)
    config.learner.replay_capacity = 400
    learner = small_account.make_population(small_account.observed(config))
    state = learner.init(KEY)
    found.append(small_run.on_host(learner.iterate(state)))
  (state, told), (other, other_told) = found
  np.testing.assert_allclose(
    told.training.score, other_told.training.score, rtol=1e-4, atol=1e-6
  )
  np.testing.assert_allclose(
    told.updates['critic_loss'], other_told.updates['critic_loss'], rtol=1e-3
  )
  ring, other_ring = (s.replay.storage for s in (state, other))
  np.testing.assert_allclose(ring.a_tm1, other_ring.a_tm1, rtol=1e-3)
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4),
    ring.s_tm1.account,
    other_ring.s_tm1.account,
  )
  assert np.ptp(told.training.score) > 0
  assert ring.s_tm1.account.stocks.any()
  assert told.attention.sum() == pytest.approx(1, abs=1e-5)
  assert memory_of(state)['transition'] == 2 * 73 + 32


def test_a_reward_in_the_settlement_has_to_be_stored(settings):
  config = settings.copy_and_resolve_references()
  config.learner.store_settlement = False
  with pytest.raises(ValueError, match='store_settlement: found False, expec'):
    small_account.make_learner(config)
  config.agent.gamma = 0.0  # the next day's change is known of all days
  small_account.make_learner(config)

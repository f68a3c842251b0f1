"""Tests of eigen3.learner.ranker."""

import dataclasses

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from eigen3 import data
from eigen3.environment import Market, TradingEnvironment
from eigen3.learner import ranker
from experiments.configs import erl, td3
from experiments.configs import ranker as ranker_config

TRAIN, VALIDATION = (0, 300), (300, 400)
SETTINGS = {
  'learning_rate': 0.05,
  'batch_size': 16,
  'evaluate_every': 5,
  'patience': 4,
  'windows': 16 * 60,
  'champion_by': 'validation_loss',
}


def make_config(**settings):
  """A strong signal on three stocks, and as many windows as 60 updates."""
  config = small_run.make_config()
  config.data.synthetic.update({'num_days': 400, 'signal': 3.0})
  with config.unlocked():
    config.ranker = ranker_config.settings()
  config.ranker.update(SETTINGS | settings)
  return config


def extractor():
  """A column's features are what is seen of it on the last day."""

  def features(window, is_training=False, examples=None):
    del is_training, examples
    return jnp.nan_to_num(window[:, -1])

  return hk.transform_with_state(features)


def make_ranker(config, panel=None):
  if panel is None:
    panel = data.synthetic_market(config.data.synthetic).panel
  observed = config.data.observed_features
  days = config.environment.context_days
  market = Market.fit(panel, observed, TRAIN, days)
  environments = [
    TradingEnvironment(panel, config.environment, split, observed)
    for split in (TRAIN, VALIDATION)
  ]
  return ranker.Ranker(extractor(), *environments, market, config)


def unused(weights):
  raise AssertionError('the loss chooses')


@pytest.fixture(scope='module')
def market():
  return data.synthetic_market(make_config().data.synthetic)


@pytest.fixture(scope='module')
def learner():
  return make_ranker(make_config())


@pytest.fixture(scope='module')
def fitted(learner):
  return learner.train(jax.random.PRNGKey(0), unused)


def test_a_label_is_what_the_environment_pays_for_the_trade(market):
  config = make_config()
  environment = TradingEnvironment(market.panel, config.environment, TRAIN)
  labels = jax.device_get(ranker.labels_of(environment))
  assert labels.days[0] == config.environment.context_days - 1
  # The last trade: filled a day later, and 3 days and 5 of delisting to leave.
  assert labels.days[-1] + 1 + 3 + 5 == TRAIN[1] - 1
  assert labels.known.all()
  rules = environment.rules
  reset, step = jax.jit(environment.reset_at), jax.jit(environment.step)
  for day, stock in ((3, 0), (60, 1), (200, 2), (250, 0)):
    action = np.zeros((3, 2), np.float32)
    action[stock] = rules.coefficient_ceiling, rules.max_sale_target
    state, _ = reset(day)
    _, timestep = step(state, action)
    assert timestep.reward != 0
    np.testing.assert_allclose(
      labels.returns[day - 3, stock], timestep.reward, rtol=1e-5
    )


@pytest.mark.parametrize('timing', [True, False])
def test_a_label_is_what_the_reward_pays_more_than_for_none(market, timing):
  config = make_config()
  with config.environment.unlocked():
    config.environment.update(
      {'reward': 'entry_excess', 'market_timing': timing}
    )
  environment = TradingEnvironment(market.panel, config.environment, TRAIN)
  labels = jax.device_get(ranker.labels_of(environment))
  rules = environment.rules
  reset, step = jax.jit(environment.reset_at), jax.jit(environment.step)
  for day, stock in ((3, 0), (60, 1), (200, 2)):
    state, _ = reset(day)
    _, idle = step(state, np.zeros((3, 2), np.float32))
    # Another array: the step before may still read its own.
    action = np.zeros((3, 2), np.float32)
    action[stock] = rules.coefficient_ceiling, rules.max_sale_target
    _, bought = step(state, action)
    np.testing.assert_allclose(
      labels.returns[day - 3, stock],
      bought.reward - idle.reward,
      rtol=1e-4,
      atol=1e-4,
    )
  # Only with timing does it tell which days are good.
  of_days = labels.returns.mean(1)
  assert of_days.std() > 2 if timing else of_days.std() < 1e-3
  assert abs(of_days.mean()) > 0.01


def test_no_label_knows_of_later_splits(market):
  panel, config = market.panel, make_config()
  ohlc = panel.ohlc.copy()
  ohlc[TRAIN[1] :] *= 2.0
  changed = dataclasses.replace(panel, ohlc=ohlc)
  ours, theirs = (
    ranker.labels_of(TradingEnvironment(p, config.environment, TRAIN))
    for p in (panel, changed)
  )
  small_run.assert_equal_bits(ours, theirs)


def test_what_cannot_be_bought_has_no_label(market):
  ohlc = market.panel.ohlc.copy()
  ohlc[100, 1, 3] = np.nan  # no close on the day
  ohlc[151, 2, 0] = np.nan  # no open to fill the order
  panel = dataclasses.replace(market.panel, ohlc=ohlc)
  environment = TradingEnvironment(panel, make_config().environment, TRAIN)
  labels = ranker.labels_of(environment)
  unknown = np.argwhere(~np.asarray(labels.known))
  assert [(int(labels.days[s]), int(n)) for s, n in unknown] == [
    (100, 0), (150, 1),
  ]  # fmt: skip
  assert np.isfinite(labels.returns).all()


def test_it_finds_the_signal(learner, fitted, market):
  losses = [row['validation_loss'] for row in fitted.rows]
  assert min(losses) < 0.6
  assert min(losses) < losses[0] - 0.1
  days = np.arange(*VALIDATION)
  predicted = learner.predictions(fitted, days)
  assert predicted.shape == (100, 3)
  drift = market.drift[days]
  assert np.corrcoef(predicted.ravel(), drift.ravel())[0, 1] > 0.4
  # In percent of the price, as labels are.
  held = predicted.std() / (100 * 3 * drift.std())
  assert 0.3 < held < 3.0


def test_the_best_of_the_validation_days_is_kept(learner, fitted):
  losses = [row['validation_loss'] for row in fitted.rows]
  best = int(np.argmin(losses))
  assert fitted.best_update == fitted.rows[best]['update'] == 5 * (best + 1)
  assert fitted.updates == fitted.rows[-1]['update'] <= 60
  assert fitted.windows == 16 * fitted.updates
  labels = learner._validation
  error = (
    learner.predictions(fitted, labels.days) - np.asarray(labels.returns)
  ) / learner._scale
  np.testing.assert_allclose(np.mean(error**2), losses[best], rtol=1e-5)


def test_a_seed_is_a_training(learner, fitted):
  again = learner.train(jax.random.PRNGKey(0), unused)
  small_run.assert_equal_bits(again.weights, fitted.weights)
  assert again.rows == fitted.rows
  told = []
  other = learner.train(jax.random.PRNGKey(1), unused, told.append)
  assert other.rows != fitted.rows
  assert told == other.rows


def test_it_stops_when_it_gets_worse():
  learner = make_ranker(
    make_config(learning_rate=3.0, patience=2, windows=16 * 400)
  )
  fitted = learner.train(jax.random.PRNGKey(0), unused)
  assert fitted.updates < 400
  assert fitted.updates == fitted.best_update + 2 * 5


def test_the_profit_chooses_the_weights_and_the_loss_when_to_stop(fitted):
  profits = dict(enumerate((0.1, 0.3, 0.2, 0.3), start=1))
  seen = []

  def profit(weights):
    seen.append(jax.device_get(weights.weights))
    return profits.get(len(seen), 0.0)

  learner = make_ranker(make_config(champion_by='validation_profit'))
  chosen = learner.train(jax.random.PRNGKey(0), profit)
  assert chosen.updates == fitted.updates
  assert len(chosen.rows) == len(seen) > 4
  assert [row.pop('validation_profit') for row in chosen.rows][:4] == [
    0.1, 0.3, 0.2, 0.3,
  ]  # fmt: skip
  assert chosen.rows == fitted.rows
  # The earlier one of two equal ones.
  assert chosen.best_update == 10 != fitted.best_update
  small_run.assert_equal_bits(chosen.weights, seen[1])


def test_it_takes_no_more_than_its_budget():
  config = make_config(windows=16 * 7 + 5, patience=100)
  fitted = make_ranker(config).train(jax.random.PRNGKey(0), unused)
  assert [row['update'] for row in fitted.rows] == [5, 7]
  assert fitted.windows == 16 * 7


def test_weights_decay():
  decayed, free = (
    make_ranker(
      make_config(weight_decay=x, windows=16 * 50, patience=100)
    ).train(jax.random.PRNGKey(0), unused)
    for x in (10.0, 0.0)
  )
  decayed, free = (np.abs(fitted.weights.w).sum() for fitted in (decayed, free))
  assert decayed < 0.5 * free


def test_the_windows_of_an_agent():
  config = td3.get_config('small')
  # 60 iterations of 50 updates, a batch of 32, two critics in each and the
  # actor in every second.
  assert ranker.agent_windows(config) == 3000 * 32 * 2 + 1500 * 32
  config = erl.get_config('small')
  config.learner.generations = 2
  updates = 2 * 32 * 16
  assert ranker.agent_windows(config) == updates * 32 * 2 + updates // 2 * 32
  config.evolution.members_learn = False
  config.evolution.learners = 1
  assert ranker.agent_windows(config) == 64 * 32 * 2 + 32 * 32


@pytest.mark.parametrize(
  'field, found, expected',
  [
    ('learning_rate', 0.0, 'above 0'),
    ('patience', 0, 'at least 1'),
    ('windows', -1, 'at least 0'),
  ],
)
def test_a_setting_out_of_range_is_named(field, found, expected):
  with pytest.raises(ValueError, match='ranker') as error:
    make_ranker(make_config(**{field: found}))
  assert str(error.value) == (
    f'ranker.{field}: found {found}, expected {expected}'
  )


def test_too_few_days_for_a_trade_are_named(market):
  config = make_config()
  config.environment.update({'trading_days': 1, 'settlement_days': 0})
  environment = TradingEnvironment(market.panel, config.environment, (0, 12))
  with pytest.raises(ValueError, match=r'found 9 days .* expected at least 10'):
    ranker.labels_of(environment)

"""Invariants of all markets: no look-ahead, one trace, conserved money."""

import chex
import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation
import random_markets

from eigen3.data import observe
from eigen3.environment import Rules, TradingEnvironment, prices
from eigen3.environment.accounting import EMPTY
from experiments.configs import td3

SETTINGS = [
  {'fill': 'next_open', 'max_entries_per_day': 2},
  {'fill': 'close', 'max_entries_per_day': 2},
]


def _rollout(environment, start, actions):
  state, _ = environment.reset_at(start)

  def body(state, action):
    state, timestep = environment.step(state, action)
    return state, (state, timestep)

  return jax.lax.scan(body, state, actions)[1]


# Compiled once for all environments of the same rules.
_rollouts = quick_compilation.jit(jax.vmap(_rollout, (0, None, 0)))


def _play(panels, config, start=2):
  """Plays an episode in each panel, [B, S, ...], with different actions."""
  environments = [TradingEnvironment(panel, config) for panel in panels]
  batch = jax.tree.map(lambda *leaves: np.stack(leaves), *environments)
  num_steps = environments[0].num_steps
  actions = np.stack(
    [random_markets.actions(seed, num_steps) for seed in range(len(panels))]
  )
  return jax.device_get(_rollouts(batch, np.int32(start), actions))


def _last_closes(panel):
  first, stop = panel.investable
  close = panel.ohlc[:, first:stop, 3].astype(np.float64)
  close[~(close > 0)] = np.nan
  for day in range(1, len(close)):
    gaps = np.isnan(close[day])
    close[day, gaps] = close[day - 1, gaps]
  return close


@pytest.mark.parametrize('settings', SETTINGS, ids=str)
def test_money_is_conserved(settings):
  config = random_markets.config(**settings)
  panels = [random_markets.panel(seed) for seed in range(30)]
  with double_precision.enable_x64(True):
    states, timesteps = _play(panels, config)
  extras = timesteps.extras
  initial = np.full((len(panels), 1), config.initial_cash)
  cash_change = np.diff(np.hstack([initial, extras.cash]))
  np.testing.assert_allclose(
    cash_change, extras.sold - extras.bought - extras.costs, atol=1e-7
  )
  rate = (config.commission_bp + config.slippage_bp) / 1e4
  np.testing.assert_allclose(
    extras.costs, rate * (extras.bought + extras.sold), atol=1e-9
  )
  assert extras.cash.min() >= 0
  for i, panel in enumerate(panels):
    closes = _last_closes(panel)
    for k, day in enumerate(timesteps.observation[i] - 1):
      stock = states.positions.stock[i, k]
      shares = states.positions.shares[i, k][stock != EMPTY]
      marked = shares @ closes[day, stock[stock != EMPTY]]
      assert extras.equity[i, k] == pytest.approx(extras.cash[i, k] + marked)
    realised = extras.closed.net_profit[i][extras.closed.mask[i]].sum()
    stock = states.positions.stock[i, -1]
    open_ = stock != EMPTY
    shares = states.positions.shares[i, -1][open_]
    paid = states.positions.entry_price[i, -1][open_] * (1 + rate)
    last_day = timesteps.observation[i, -1] - 1
    unrealised = shares @ (closes[last_day, stock[open_]] - paid)
    assert extras.equity[i, -1] == pytest.approx(
      config.initial_cash + realised + unrealised
    )


def test_a_slot_is_always_free():
  """Slots that the next day discards are always empty."""
  # The worst case: opens end, so positions wait as long as possible.
  panels = [random_markets.panel(seed) for seed in range(30)]
  for panel in panels[:15]:
    panel.ohlc[8:, :, 0] = np.nan
    panel.ohlc[8:, :, 1] = np.nan
  for settings in SETTINGS:
    config = random_markets.config(
      enforce_cash=False, entry_choice='best_available', **settings
    )
    states, timesteps = _play(panels, config)
    count = config.max_entries_per_day
    stocks = states.positions.stock
    assert (stocks[..., -count:] == EMPTY).all()
    if config.fill == 'next_open':
      # No slot is superfluous: all others are used.
      assert (stocks[..., -2 * count : -count] != EMPTY).any()
    # Hence no position is lost: all that were opened are closed or open.
    opened = timesteps.extras.bought > 0
    assert opened.sum() > 30


@pytest.mark.parametrize(
  'reward, settings', [('eigen2', SETTINGS[0]), ('entry', SETTINGS[1])]
)
def test_no_look_ahead(settings, reward):
  config = random_markets.config(reward=reward, **settings)
  panels = [random_markets.panel(seed) for seed in range(24)]
  start, step = 3, 9
  states, timesteps = _play(panels, config, start)
  changed = [random_markets.panel(seed) for seed in range(24)]
  for panel, other in zip(
    changed,
    [random_markets.panel(seed + 100) for seed in range(24)],
    strict=True,
  ):
    panel.ohlc[start + step + 1 :] = other.ohlc[start + step + 1 :]
    panel.features[start + step + 1 :] = other.features[start + step + 1 :]
  other_states, other_timesteps = _play(changed, config, start)

  def until(tree):
    return jax.tree.map(lambda leaf: leaf[:, : step + 1], tree)

  def after(tree):
    return jax.tree.map(lambda leaf: leaf[:, step + 1 :], tree)

  if reward == 'entry':  # the only one that may look ahead
    assert (timesteps.reward != other_timesteps.reward)[:, : step + 1].any()
    nothing = np.zeros_like(timesteps.reward)
    timesteps = timesteps._replace(reward=nothing)
    other_timesteps = other_timesteps._replace(reward=nothing)
    states = states._replace(cumulative_reward=nothing)
    other_states = other_states._replace(cumulative_reward=nothing)
  chex.assert_trees_all_equal(until(states), until(other_states))
  chex.assert_trees_all_equal(until(timesteps), until(other_timesteps))
  assert (
    after(timesteps.extras.equity) != after(other_timesteps.extras.equity)
  ).any()


def test_one_trace_serves_all_splits_episodes_and_days():
  config = random_markets.config()
  chex.clear_trace_counter()
  step = quick_compilation.jit(
    jax.vmap(chex.assert_max_traces(TradingEnvironment.step, n=1), (None, 0, 0))
  )
  reset = quick_compilation.jit(jax.vmap(TradingEnvironment.reset, (None, 0)))
  actions = np.ones((4, 5, 2), np.float32)
  for days in (None, (0, 40), (10, 48)):
    environment = TradingEnvironment(random_markets.panel(0), config, days)
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    state, _ = reset(environment, keys)
    for _ in range(3):
      state, _ = step(environment, state, actions)


def test_a_vmapped_step_is_the_step():
  config = random_markets.config(max_entries_per_day=2)
  environment = TradingEnvironment(random_markets.panel(3), config)
  starts = np.arange(2, 8, dtype=np.int32)
  actions = np.stack(
    [random_markets.actions(i, environment.num_steps) for i in range(6)]
  )
  batched = quick_compilation.jit(jax.vmap(_rollout, (None, 0, 0)))
  together = jax.device_get(batched(environment, starts, actions))
  one = quick_compilation.jit(_rollout)
  for i in range(3):
    alone = one(environment, starts[i], actions[i])
    chex.assert_trees_all_close(
      alone, jax.tree.map(lambda leaf, i=i: leaf[i], together), rtol=1e-6
    )


def test_spec():
  environment = TradingEnvironment(
    random_markets.panel(0), random_markets.config()
  )
  spec = environment.spec
  assert (spec.context_days, spec.num_columns, spec.num_features) == (3, 6, 9)
  assert (spec.investable, spec.num_investable) == ((1, 6), 5)
  assert spec.coefficient_threshold == 1.0
  assert spec.action.shape == (5, 2)
  assert spec.action.scaled
  assert spec.action.minimum == (0.0, 2.0)
  assert spec.action.maximum == (2.0, 12.0)
  assert environment.num_steps == 24
  raw = random_markets.config(scaled_actions=False)
  raw_spec = TradingEnvironment(random_markets.panel(0), raw).spec
  assert raw_spec.action.maximum == (float('inf'), 12.0)
  assert not raw_spec.action.scaled
  hash(spec)  # static in compiled programs


def test_time_steps_have_the_documented_types():
  environment = TradingEnvironment(
    random_markets.panel(0), random_markets.config()
  )
  reset = quick_compilation.jit(TradingEnvironment.reset)
  state, timestep = reset(environment, jax.random.PRNGKey(0))
  chex.assert_shape(timestep[:4], ())
  assert timestep.observation.dtype == jnp.int32
  assert timestep.reward.dtype == timestep.discount.dtype == jnp.float32
  step = quick_compilation.jit(TradingEnvironment.step)
  next_state, timestep = step(environment, state, np.ones((5, 2), np.float32))
  chex.assert_trees_all_equal_shapes_and_dtypes(state, next_state)
  chex.assert_shape(timestep[:4], ())
  chex.assert_type(timestep[:4], [jnp.int32, float, float, bool])
  assert timestep.observation == state.day + 1


def test_reset_draws_every_possible_day():
  # 40 days from day 5 on; the context reaches back before them.
  config = random_markets.config(context_days=6)
  environment = TradingEnvironment(random_markets.panel(0), config, (5, 40))
  keys = jax.random.split(jax.random.PRNGKey(1), 500)
  reset = quick_compilation.jit(jax.vmap(TradingEnvironment.reset, (None, 0)))
  days = reset(environment, keys)[0].day
  # The observation after 24 steps is day 39 at the latest.
  assert sorted(set(days.tolist())) == list(range(5, 16))
  with pytest.raises(ValueError, match='day: found 16, expected 5 to 15'):
    environment.reset_at(16)


@pytest.mark.parametrize(
  'context, days, found, needed', [(30, None, 48, 54), (3, (40, 48), 8, 25)]
)
def test_a_panel_too_short_is_refused(context, days, found, needed):
  config = random_markets.config(context_days=context)
  message = f'panel too short: found {found} days .* at least {needed}:'
  with pytest.raises(ValueError, match=message) as error:
    TradingEnvironment(random_markets.panel(0), config, days)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'field, value, message',
  [
    ('reward', 'sharpe', 'expected one of eigen2, entry, entry_excess'),
    ('fill', 'tomorrow', "found 'tomorrow', expected one of next_open, close"),
    ('max_holding_days', 0, 'found 0, expected at least 1'),
    ('initial_cash', float('nan'), 'found nan, expected above 0'),
    ('max_sale_target', 1.0, 'found 1.0, expected above min_sale_target, 2.0'),
    ('max_sale_target', 2.0, 'found 2.0, expected above min_sale_target, 2.0'),
    ('coefficient_threshold', 2.1, 'found 2.1, .* coefficient_ceiling, 2.0'),
    ('delisting_return', -1.1, 'found -1.1, expected at least -1'),
    ('max_entries_per_day', 6, 'expected at most 5, the number of inves'),
  ],
)
def test_settings_out_of_range_are_refused(field, value, message):
  config = random_markets.config(**{field: value})
  with pytest.raises(ValueError, match=f'environment.{field}: .*{message}'):
    TradingEnvironment(random_markets.panel(0), config)


def test_a_missing_setting_is_named():
  section = td3.get_config('smoke').environment
  settings = {k: v for k, v in section.items() if k != 'fill'}
  with pytest.raises(ValueError, match='found no value for fill, expected'):
    TradingEnvironment(random_markets.panel(0), settings)


@pytest.mark.parametrize('preset', ['smoke', 'small', 'full', 'smoke+eigen2'])
def test_presets_make_an_environment(preset):
  section = td3.get_config(preset).environment
  shortest = section.context_days + section.trading_days
  shortest += section.settlement_days
  rows = np.full((shortest, 2, 4), 100, np.float32)
  panel = random_markets.MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(shortest),
    columns=('A', 'B'),
    ohlc=rows,
    features=rows,
    investable=(0, 2),
  )
  environment = TradingEnvironment(panel, section)
  assert environment.first_day == environment.last_day


def test_the_prices_and_features_of_a_panel_are_made_once():
  panel = random_markets.panel(0)
  rules = [
    Rules.from_config(random_markets.config(**changes))
    for changes in ({}, {'trading_days': 9}, {'delisting_days': 3})
  ]
  first, same, other = (prices.price_table(panel, each) for each in rules)
  assert first is same is not other
  assert prices.price_table(random_markets.panel(1), rules[0]) is not first
  names = panel.feature_names[:2]
  assert observe(panel, names) is observe(panel, list(names))
  for shared in (first, observe(panel, names)):
    with pytest.raises(ValueError, match='read-only'):
      shared[0] = 0

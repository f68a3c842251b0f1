"""The environment replays the episodes of Eigen2, step for step."""

import json

import jax
import numpy as np
import pytest

from eigen3.data.indicators import FEATURES
from eigen3.data.panel import MarketPanel
from eigen3.data.splits import Normalisation
from eigen3.environment import Entry, Exit, Market, TradingEnvironment
from experiments.configs import td3

FILES = ('eigen2_environment', 'eigen2_environment_short_holding')
OBSERVED = ('close', 'rsi', 'macd_signal', 'trix', 'close_minus_mean')
# Positions of open, high, low, close among Eigen2's features.
OHLC = [0, 2, 3, 1]
ENTRY_EVENTS = {
  Entry.SETTLEMENT: ('blocked', 'settlement_period'),
  Entry.BELOW_THRESHOLD: ('none', 'coefficient_too_low'),
  Entry.NO_DATA: ('blocked', 'stock_data_invalid'),
  Entry.HELD: ('blocked', 'position_already_open'),
  Entry.NO_PRICE: ('blocked', 'invalid_entry_price'),
  Entry.ACCEPTED: ('open', None),
}
EXIT_REASONS = {
  Exit.TARGET: 'target_hit',
  Exit.MAX_HOLDING: 'max_holding_period',
  Exit.DELISTED: 'stock_delisted',
}


def _panel(golden, meta) -> MarketPanel:
  full = golden['full']
  num_days, num_columns, _ = full.shape
  first = meta['first_investable']
  return MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(num_days),
    columns=tuple(f'C{i}' for i in range(num_columns)),
    ohlc=full[..., OHLC],
    features=full,
    investable=(first, first + meta['num_investable']),
    feature_names=FEATURES,
  )


def _config(meta):
  config = td3.get_config('smoke+eigen2').environment
  with config.unlocked():
    for name in (
      'context_days',
      'trading_days',
      'settlement_days',
      'max_holding_days',
      'inaction_penalty',
      'coefficient_threshold',
      'min_sale_target',
      'max_sale_target',
    ):
      config[name] = meta[name]
    config.loss_multiplier = meta['loss_penalty_multiplier']
  return config


@pytest.fixture(scope='module', params=FILES)
def replay(request, shared_dir):
  """Returns a golden file and the environment's replay of its four episodes."""
  folder = shared_dir / 'reference'
  with np.load(folder / f'{request.param}.npz') as archive:
    golden = dict(archive)
  meta = json.loads(bytes(golden['meta']))
  events = json.loads((folder / f'{request.param}_events.json').read_text())
  environment = TradingEnvironment(_panel(golden, meta), _config(meta))
  episodes = [f'ep{i}' for i in range(meta['episodes'])]
  starts = np.array([meta[name]['start'] for name in episodes], np.int32)
  actions = np.stack([golden[f'{name}/actions'] for name in episodes])

  def play(environment, start, actions):
    state, _ = environment.reset_at(start)

    def body(state, action):
      state, timestep = environment.step(state, action)
      return state, (state, timestep)

    return jax.lax.scan(body, state, actions)[1]

  played = jax.jit(jax.vmap(play, (None, 0, 0)))(environment, starts, actions)
  return golden, meta, events['events'], jax.device_get(played)


def test_rewards(replay):
  golden, meta, _, (_, timesteps) = replay
  for i in range(meta['episodes']):
    expected = golden[f'ep{i}/rewards']
    assert np.count_nonzero(expected) > 0
    np.testing.assert_allclose(
      timesteps.reward[i], expected, rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize('name', ['num_trades', 'num_wins', 'num_losses'])
def test_counts(replay, name):
  golden, meta, _, (states, _) = replay
  for i in range(meta['episodes']):
    np.testing.assert_array_equal(
      getattr(states, name)[i], golden[f'ep{i}/{name}']
    )


def test_open_positions(replay):
  golden, meta, _, (_, timesteps) = replay
  for i in range(meta['episodes']):
    np.testing.assert_array_equal(
      timesteps.extras.num_positions[i], golden[f'ep{i}/open_positions']
    )


def test_cumulative_reward_and_summary(replay):
  golden, meta, _, (states, timesteps) = replay
  for i in range(meta['episodes']):
    np.testing.assert_allclose(
      states.cumulative_reward[i],
      golden[f'ep{i}/cumulative_reward'],
      rtol=1e-5,
      atol=1e-4,
    )
    summary = meta[f'ep{i}']
    assert timesteps.reward[i].sum() == pytest.approx(
      summary['total_reward'], rel=1e-5
    )
    idle = states.days_without_positions[i, -1]
    assert idle == summary['days_without_positions']
    opened = timesteps.extras.entries.outcome[i] == Entry.ACCEPTED
    assert opened.sum() == summary['actions_taken']
    assert timesteps.last[i].tolist() == [False] * (
      int(summary['total_steps']) - 1
    ) + [True]


def _entry_event(extras, i, k):
  entries = jax.tree.map(lambda x: x[i, k, 0], extras.entries)
  action, reason = ENTRY_EVENTS[Entry(int(entries.outcome))]
  event = {'action': action}
  if reason:
    event['reason'] = reason
  if entries.stock >= 0:
    event['stock_id'] = int(entries.stock)
  if action == 'open':
    event['coefficient'] = entries.coefficient
    event['sale_target_pct'] = entries.sale_target
  return event


def _close_events(extras, i, k):
  """Returns the day's closing fills, oldest first, as in Eigen2's log."""
  closed = jax.tree.map(lambda x: x[i, k], extras.closed)
  events = []
  for slot in np.flatnonzero(closed.mask)[::-1]:
    entry, exit_price = closed.entry_price[slot], closed.exit_price[slot]
    events.append(
      {
        'action': 'close',
        'stock_id': int(closed.stock[slot]),
        'entry_date': str(closed.entry_day[slot]),
        'entry_price': entry,
        'exit_price': exit_price,
        'days_held': int(closed.exit_day[slot] - closed.entry_day[slot]),
        'gain_pct': 100 * (exit_price / entry - 1),
        'reason': EXIT_REASONS[Exit(int(closed.reason[slot]))],
      }
    )
  return events


def _assert_event(found, expected):
  for name, value in found.items():
    if isinstance(value, (str, int)):
      assert value == expected[name], (name, found, expected)
    else:
      assert value == pytest.approx(expected[name], rel=1e-4, abs=1e-4)


def test_events(replay):
  _, meta, events, (_, timesteps) = replay
  for i in range(meta['episodes']):
    expected = iter(events[i])
    for k in range(timesteps.reward.shape[1]):
      for event in [
        *_close_events(timesteps.extras, i, k),
        _entry_event(timesteps.extras, i, k),
      ]:
        wanted = next(expected)
        assert wanted['day'] == str(timesteps.observation[i, k] - 1)
        assert set(event) <= set(wanted)
        _assert_event(event, wanted)
    assert next(expected, None) is None


def test_account_never_lacks_cash(replay):
  _, _, _, (_, timesteps) = replay
  assert timesteps.extras.cash.min() >= 0
  # Every golden episode that trades changes the account.
  assert np.ptp(timesteps.extras.equity[0]) > 0


def test_observations(replay):
  golden, meta, _, (_, timesteps) = replay
  market = Market.from_panel(
    _panel(golden, meta),
    OBSERVED,
    Normalisation(golden['mean'], golden['std']),
    meta['context_days'],
  )
  windows_of = jax.jit(lambda market, days: market.windows(days))
  for i in range(meta['episodes']):
    start = meta[f'ep{i}']['start']
    days = np.array([start, timesteps.observation[i, 6]], np.int32)
    windows = np.asarray(windows_of(market, days))
    np.testing.assert_allclose(
      windows[0], golden[f'ep{i}/first_observation'], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
      windows[1],
      golden[f'ep{i}/observation_after_7_steps'],
      rtol=1e-4,
      atol=1e-5,
    )

"""Tests of every rule of trading on markets computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation

from eigen3.data.panel import MarketPanel
from eigen3.environment import Entry, Exit, TradingEnvironment
from experiments.configs import td3

NAN = np.nan
NO_ROW = (NAN, NAN, NAN, NAN)
QUIET = (100, 101, 99, 100)  # open, high, low, close


def _panel(*stocks, members=None, markets=()):
  """Returns a panel with investable `stocks`, lists of (o, h, l, c)."""
  ohlc = np.array(stocks, np.float32).swapaxes(0, 1)
  return MarketPanel(
    dates=np.datetime64('2001-01-01') + np.arange(len(ohlc)),
    columns=tuple(f'C{i}' for i in range(len(stocks))),
    ohlc=ohlc,
    features=np.where(np.isnan(ohlc).all(-1, keepdims=True), NAN, ohlc),
    investable=(0, len(stocks)),
    members=members,
    markets=markets,
  )


def _config(**settings):
  """Returns settings: two trading days, holding 2, delisting after 2 days."""
  section = td3.get_config('smoke').environment
  with section.unlocked():
    section.fill = 'next_open'
    section.target_fill = 'limit_or_open'
    section.entry_choice = 'best'
    section.max_entries_per_day = 1
    section.delisting_price = 'last_close'
    section.delisting_return = 0.0
    section.delisting_days = 2
    section.coefficient_threshold = 1.0
    section.coefficient_ceiling = 2.0
    section.full_size_coefficient = 2.0
    section.min_sale_target = 10.0
    section.max_sale_target = 50.0
    section.min_position_value = 1_000.0
    section.enforce_cash = True
    section.reward = 'entry'
    section.context_days = 1
    section.trading_days = 2
    section.max_holding_days = 2
    section.settlement_days = 4
    section.delisting_days = 2
    section.initial_cash = 10_000.0
    section.max_position_fraction = 0.5
    section.commission_bp = 100.0  # 1 %, not negligible
    section.slippage_bp = 0.0
    section.update(settings)
  return section


def _play(stocks, buy=(0, 0), targets=10.0, coefficient=2.0, **settings):
  """Buys stock `buy[0]` on step `buy[1]`, then nothing.

  Returns the environment's extras, rewards and discounts, stacked over steps.
  """
  config = _config(**settings)
  num_steps = config.trading_days + config.settlement_days
  # The observation after the last step is a day of the panel too.
  stocks = [[*rows, *[QUIET] * (num_steps + 1 - len(rows))] for rows in stocks]
  environment = TradingEnvironment(_panel(*stocks), config)
  actions = np.zeros((num_steps, len(stocks), 2), np.float32)
  actions[..., 1] = targets
  for stock, step in [buy] if isinstance(buy, tuple) else buy:
    actions[step, stock, 0] = coefficient
  return _episode(environment, actions)


def _episode(environment, actions):
  return jax.device_get(_rollout(environment, actions))


@quick_compilation.jit
def _rollout(environment, actions):
  state, _ = environment.reset_at(jnp.int32(0))
  return jax.lax.scan(environment.step, state, actions)[1]


def _only_trade(timesteps):
  """Returns the only closed trade as a dictionary."""
  closed = timesteps.extras.closed
  ((step, slot),) = np.argwhere(closed.mask)
  trade = {
    name: getattr(closed, name)[step, slot].item() for name in closed._fields
  }
  assert step == trade['exit_day']
  return trade


def _approx(value):
  return pytest.approx(value, rel=1e-5)


# Orders of 5,000 spend 1 % on costs: 5,000 / 1.01 / 100 = 49.50495 shares.
SHARES = 5000 / 1.01 / 100


def test_an_order_fills_at_the_next_open_and_pays_costs():
  timesteps = _play([[(90, 91, 89, 90), (100, 104, 98, 102)]])
  extras = timesteps.extras
  assert extras.entries.outcome[0, 0] == Entry.ACCEPTED
  assert extras.entries.value[0, 0] == _approx(5000)
  assert extras.num_positions[:2].tolist() == [0, 1]
  assert extras.cash[:2] == _approx([10_000, 5000])
  assert extras.bought[1] == _approx(SHARES * 100)
  assert extras.costs[1] == _approx(SHARES)
  assert extras.equity[:2] == _approx([10_000, 5000 + SHARES * 102])


def test_the_maximum_holding_leaves_at_the_open_after():
  # Bought on day 1, held 2 days at the close of day 3, sold on day 4.
  rows = [QUIET, QUIET, QUIET, QUIET, (103, 104, 98, 99)]
  timesteps = _play([rows])
  trade = _only_trade(timesteps)
  assert trade['reason'] == Exit.MAX_HOLDING
  assert (trade['entry_day'], trade['exit_day']) == (1, 4)
  assert (trade['entry_price'], trade['exit_price']) == (100, 103)
  assert trade['shares'] == _approx(SHARES)
  profit = SHARES * (103 * 0.99 - 100 * 1.01)
  assert trade['net_profit'] == _approx(profit)
  assert timesteps.extras.equity[-1] == _approx(10_000 + profit)
  assert timesteps.extras.cash[-1] == timesteps.extras.equity[-1]
  assert timesteps.extras.num_positions.tolist() == [0, 1, 1, 1, 0, 0]


def test_the_holding_waits_for_an_open():
  rows = [QUIET] * 4 + [(NAN, 101, 99, 100), (104, 105, 99, 100)]
  trade = _only_trade(_play([rows]))
  assert trade['exit_day'] == 5
  assert trade['exit_price'] == 104


def test_a_position_that_cannot_be_sold_is_given_up():
  # Without opens on days 4 and 5 it has missed `delisting_days` days.
  rows = [QUIET] * 4 + [(NAN, 101, 99, 100), (NAN, 101, 99, 98)]
  trade = _only_trade(_play([rows], delisting_return=-0.5))
  assert trade['reason'] == Exit.DELISTED
  assert trade['exit_day'] == 5
  assert trade['exit_price'] == 49


@pytest.mark.parametrize(
  ('markets', 'reason', 'day'),
  [
    ((), Exit.DELISTED, 3),
    ((0, 1, 1), Exit.MAX_HOLDING, 7),  # a holiday of both of its market
    ((1, 1, 0), Exit.DELISTED, 3),  # the other traded on
  ],
)
def test_days_on_which_a_market_is_closed_do_not_count(markets, reason, day):
  rows = [QUIET, QUIET, *[NO_ROW] * 5, *[QUIET] * 4]
  stocks = [[QUIET] * len(rows), rows, rows]
  environment = TradingEnvironment(
    _panel(*stocks, markets=markets), _config(settlement_days=8)
  )
  actions = np.full((environment.num_steps, 3, 2), 10.0, np.float32)
  actions[..., 0] = 0.0
  actions[0, 1, 0] = 2.0
  trade = _only_trade(_episode(environment, actions))
  assert (trade['reason'], trade['exit_day']) == (reason, day)


@pytest.mark.parametrize('most', [1, 2])
def test_an_order_waits_until_its_market_opens(most):
  """Covers a stock's order of Friday beside pairs that trade on weekends."""
  rows = [QUIET, NO_ROW, NO_ROW, (104, 105, 99, 100), *[QUIET] * 6]
  environment = TradingEnvironment(
    _panel([QUIET] * len(rows), rows, rows, markets=(0, 1, 1)),
    _config(trading_days=5, max_entries_per_day=most),
  )
  actions = np.full((environment.num_steps, 3, 2), 10.0, np.float32)
  actions[..., 0] = 0.0
  actions[0, 1, 0] = actions[1, 0, 0] = actions[3, 0, 0] = 2.0
  timesteps = _episode(environment, actions)
  extras = timesteps.extras
  one = Entry.WAITING if most == 1 else Entry.ACCEPTED
  assert extras.entries.outcome[[0, 1], 0].tolist() == [Entry.ACCEPTED, one]
  assert extras.num_positions[:4].tolist() == [0, 0, most - 1, most]
  assert not timesteps.extras.inactive[0]
  closed = extras.closed
  at = closed.mask & (closed.stock == 1)
  assert (closed.entry_day[at], closed.entry_price[at]) == (3, 104)
  assert closed.exit_day[at] == 6  # held for two days, sold at the open
  percent = 100 * (100 * 0.99 / (104 * 1.01) - 1)
  assert timesteps.reward[0] == _approx(percent)


def test_an_order_is_cancelled_where_the_stock_does_not_open_with_its_market():
  rows = [QUIET, NO_ROW, NO_ROW, *[QUIET] * 5]
  late = [*rows[:3], NO_ROW, *rows[4:]]
  environment = TradingEnvironment(
    _panel([QUIET] * len(rows), late, rows, markets=(0, 1, 1)), _config()
  )
  actions = np.full((environment.num_steps, 3, 2), 10.0, np.float32)
  actions[..., 0] = 0.0
  actions[0, 1, 0] = 2.0
  timesteps = _episode(environment, actions)
  assert not timesteps.extras.closed.mask.any()
  assert timesteps.extras.cash.tolist() == [10_000] * environment.num_steps
  assert timesteps.reward[0] == 0


def test_a_market_that_has_ended_has_no_holiday():
  rows = [QUIET, QUIET, *[NO_ROW] * 44]
  environment = TradingEnvironment(
    _panel([QUIET] * len(rows), rows, rows, markets=(0, 1, 1)),
    _config(settlement_days=40, max_holding_days=2),
  )
  actions = np.full((environment.num_steps, 3, 2), 10.0, np.float32)
  actions[..., 0] = 0.0
  actions[0, 1, 0] = 2.0
  trade = _only_trade(_episode(environment, actions))
  # Closed from day 2 to 31; the next two days count.
  assert (trade['reason'], trade['exit_day']) == (Exit.DELISTED, 33)


def test_a_target_is_filled_on_the_entry_day():
  rows = [QUIET, (100, 111, 99, 100)]
  trade = _only_trade(_play([rows]))
  assert trade['reason'] == Exit.TARGET
  assert (trade['entry_day'], trade['exit_day']) == (1, 1)
  assert trade['exit_price'] == _approx(110)


@pytest.mark.parametrize('high, hit', [(150, True), (149.99, False)])
def test_a_high_at_the_target_is_enough(high, hit):
  trade = _only_trade(_play([[QUIET, (100, high, 99, 100)]], targets=50.0))
  assert (trade['reason'] == Exit.TARGET) == hit


@pytest.mark.parametrize(
  'target_fill, price', [('limit', 110), ('limit_or_open', 120)]
)
def test_an_open_above_the_target(target_fill, price):
  rows = [QUIET, QUIET, (120, 125, 100, 101)]
  trade = _only_trade(_play([rows], target_fill=target_fill))
  assert trade['reason'] == Exit.TARGET
  assert trade['exit_day'] == 2
  assert trade['exit_price'] == _approx(price)


def test_a_missing_high_misses_the_target():
  rows = [QUIET, QUIET, (120, NAN, 100, 120)]
  assert _only_trade(_play([rows]))['reason'] == Exit.MAX_HOLDING


@pytest.mark.parametrize('asked, granted', [(3, 10), (20, 20), (70, 50)])
def test_sale_targets_are_clipped(asked, granted):
  timesteps = _play([[QUIET]], targets=asked)
  assert timesteps.extras.entries.sale_target[0, 0] == granted


def test_a_missing_open_cancels_the_order():
  timesteps = _play([[QUIET, (NAN, 120, 99, 100)]])
  extras = timesteps.extras
  assert extras.entries.outcome[0, 0] == Entry.ACCEPTED
  assert not extras.closed.mask.any()
  assert extras.num_positions.max() == 0
  assert (extras.cash == 10_000).all()
  assert timesteps.reward[0] == 0


def test_fill_at_the_close_leaves_at_the_close():
  rows = [QUIET, (100, 150, 99, 120), QUIET, (100, 101, 99, 97)]
  timesteps = _play([rows], buy=(0, 1), fill='close', targets=50.0)
  trade = _only_trade(timesteps)
  # The high of the day itself came before the entry at its close.
  assert trade['reason'] == Exit.MAX_HOLDING
  assert (trade['entry_day'], trade['exit_day']) == (1, 3)
  assert (trade['entry_price'], trade['exit_price']) == (120, 97)
  paid = 5000 / 1.01
  assert timesteps.extras.equity[1] == _approx(10_000 - 0.01 * paid)
  assert timesteps.extras.cash[3] == _approx(5000 + paid / 120 * 97 * 0.99)


@pytest.mark.parametrize(
  'delisting_price, day, price',
  [('entry_price', 3, 100), ('last_close', 4, 96)],
)
def test_no_close_at_the_maximum_holding(delisting_price, day, price):
  rows = [QUIET, QUIET, QUIET, (100, 101, 99, NAN), (95, 97, 94, 96)]
  trade = _only_trade(
    _play([rows], buy=(0, 1), fill='close', delisting_price=delisting_price)
  )
  assert trade['reason'] == Exit.MAX_HOLDING
  assert (trade['exit_day'], trade['exit_price']) == (day, price)


@pytest.mark.parametrize('fill', ['close', 'next_open'])
@pytest.mark.parametrize(
  'delisting_price, price', [('entry_price', 100), ('last_close', 63)]
)
def test_delisting_after_two_days_without_a_row(fill, delisting_price, price):
  rows = [QUIET, (100, 101, 85, 90), NO_ROW, NO_ROW, NO_ROW]
  timesteps = _play(
    [rows], fill=fill, delisting_price=delisting_price, delisting_return=-0.3
  )
  trade = _only_trade(timesteps)
  if (fill, delisting_price) == ('close', 'entry_price'):
    # The maximum holding ends on day 2, without a close.
    assert (trade['reason'], trade['exit_day']) == (Exit.MAX_HOLDING, 2)
  else:
    assert (trade['reason'], trade['exit_day']) == (Exit.DELISTED, 3)
    # Until then it is valued at its last close.
    equity = timesteps.extras.equity
    assert equity[2] == equity[1]
  assert trade['exit_price'] == _approx(price)


def test_what_cannot_be_bought():
  held = [QUIET] * 3
  cases = {
    Entry.NO_PRICE: [QUIET, (100, 101, 99, NAN)],
    Entry.NO_DATA: [NO_ROW, NO_ROW],
    Entry.ACCEPTED: [QUIET, QUIET],
  }
  for outcome, rows in cases.items():
    extras = _play([rows, held], buy=(0, 1)).extras
    assert extras.entries.outcome[1, 0] == outcome
    assert extras.entries.stock[1, 0] == 0
  extras = _play([held], buy=[(0, 0), (0, 1)]).extras
  assert extras.entries.outcome[:3, 0].tolist() == [
    Entry.ACCEPTED,
    Entry.HELD,
    Entry.SETTLEMENT,
  ]


@pytest.mark.parametrize(
  'coefficient, outcome',
  [
    (0.999, Entry.BELOW_THRESHOLD),
    (1.0, Entry.ACCEPTED),
    (NAN, Entry.BELOW_THRESHOLD),
  ],
)
def test_the_threshold(coefficient, outcome):
  extras = _play([[QUIET]], coefficient=coefficient).extras
  assert extras.entries.outcome[0, 0] == outcome


@pytest.mark.parametrize('choice', ['best', 'best_available'])
def test_the_best_that_can_be_bought(choice):
  stocks = [[(100, 101, 99, NAN)], [QUIET], [QUIET]]
  environment = TradingEnvironment(
    _panel(*[[*rows, *[QUIET] * 6] for rows in stocks]),
    _config(entry_choice=choice),
  )
  actions = np.full((6, 3, 2), 10, np.float32)
  actions[..., 0] = [1.9, 1.2, 1.5]
  entries = _episode(environment, actions).extras.entries
  if choice == 'best':
    assert entries.outcome[0, 0] == Entry.NO_PRICE
  else:
    assert entries.outcome[0, 0] == Entry.ACCEPTED
    assert entries.stock[0, 0] == 2
    # On the day after, the gap is closed: the best is available again.
    assert entries.stock[1, 0] == 0


@pytest.mark.parametrize('fill', ['next_open', 'close'])
@pytest.mark.parametrize('choice', ['best', 'best_available'])
def test_only_members_are_bought_and_others_can_be_sold(choice, fill):
  """Stock 0 leaves the universe after the day on which it is bought."""
  members = np.ones((7, 2), bool)
  members[1:, 0] = False
  environment = TradingEnvironment(
    _panel(*[[QUIET] * 7] * 2, members=members),
    _config(entry_choice=choice, fill=fill, max_holding_days=1),
  )
  actions = np.full((6, 2, 2), 10, np.float32)
  actions[..., 0] = [1.9, 1.2]
  actions[1, 1, 0] = 0.0
  extras = _episode(environment, actions).extras
  assert extras.entries.outcome[0, 0] == Entry.ACCEPTED
  assert extras.entries.stock[0, 0] == 0
  assert extras.available[1].tolist() == (
    [True, True] if choice == 'best' else [False, True]
  )
  if choice == 'best':
    outcome = Entry.HELD if fill == 'next_open' else Entry.NOT_MEMBER
    assert extras.entries.outcome[1, 0] == outcome
  else:
    assert extras.entries.outcome[1, 0] == Entry.BELOW_THRESHOLD
  # It is valued and sold like any other.
  ((step, slot),) = np.argwhere(extras.closed.mask)
  assert extras.closed.stock[step, slot] == 0
  assert extras.closed.reason[step, slot] == Exit.MAX_HOLDING
  assert extras.closed.exit_price[step, slot] == 100
  # Without a universe it is bought again.
  free = TradingEnvironment(
    _panel(*[[QUIET] * 7] * 2),
    _config(entry_choice=choice, fill=fill, max_holding_days=1),
  )
  assert _episode(free, actions).extras.closed.mask.sum() >= 1


def test_two_entries_share_the_cash_and_ties_go_to_the_first():
  environment = TradingEnvironment(
    _panel(*[[QUIET] * 7] * 3),
    _config(max_entries_per_day=2, max_position_fraction=0.8),
  )
  actions = np.full((6, 3, 2), 10, np.float32)
  actions[..., 0] = [1.5, 1.8, 1.5]
  extras = _episode(environment, actions).extras
  assert extras.entries.stock[0].tolist() == [1, 0]
  # 0.8 x 1.8 / 2 of the equity, then what is left of the cash.
  assert extras.entries.value[0] == _approx([7200, 2800])
  assert extras.cash[1] == 0
  assert extras.entries.outcome[1].tolist() == [Entry.HELD, Entry.HELD]


def test_positions_are_sized_by_the_coefficient():
  for coefficient, value in ((1.0, 2500), (1.5, 3750), (2.0, 5000), (9, 5000)):
    extras = _play([[QUIET]], coefficient=coefficient).extras
    assert extras.entries.value[0, 0] == _approx(value)


def test_by_default_the_threshold_is_enough_for_the_full_size():
  full = td3.get_config('small').environment.full_size_coefficient
  for coefficient in (1.0, 1.5, 2.0):
    extras = _play(
      [[QUIET]], coefficient=coefficient, full_size_coefficient=full
    ).extras
    assert extras.entries.value[0, 0] == _approx(5000)
  eigen2 = td3.get_config('small+eigen2').environment
  assert eigen2.full_size_coefficient == eigen2.coefficient_ceiling == 2.0


@pytest.mark.parametrize('enforce_cash', [True, False])
def test_without_cash(enforce_cash):
  stocks = [[QUIET, QUIET, QUIET], [QUIET, QUIET, QUIET]]
  timesteps = _play(
    stocks,
    buy=[(0, 0), (1, 1)],
    max_position_fraction=1.0,
    enforce_cash=enforce_cash,
  )
  extras = timesteps.extras
  assert extras.cash[1] == 0
  assert extras.entries.value[1, 0] == 0
  if enforce_cash:
    assert extras.entries.outcome[1, 0] == Entry.TOO_SMALL
    assert extras.num_positions[2] == 1
  else:  # Eigen2 opens the position; the account has no share of it.
    assert extras.entries.outcome[1, 0] == Entry.ACCEPTED
    assert extras.num_positions[2] == 2
    closed = extras.closed
    assert closed.shares[closed.mask & (closed.stock == 1)] == 0


def test_the_eigen2_reward():
  rows = [QUIET, QUIET, QUIET, QUIET, (90, 91, 89, 90)]
  rewards = _play(
    [rows],
    coefficient=1.5,
    reward='eigen2',
    loss_multiplier=3.0,
    inaction_penalty=0.5,
  ).reward
  # Sold on day 4 with 10 % loss; day 5 has no position before or after.
  assert rewards == _approx([0, 0, 0, 0, -1.5 * 10 * 3, -0.5])


def test_the_entry_reward_is_the_net_return_times_the_size():
  rows = [QUIET, QUIET, QUIET, QUIET, (103, 104, 98, 99)]
  rewards = _play([rows], coefficient=1.5).reward
  net = 103 * 0.99 / (100 * 1.01) - 1
  assert rewards == _approx([100 * 0.75 * net, 0, 0, 0, 0, 0])


def test_the_entry_reward_looks_no_further_than_the_split():
  config = _config(settlement_days=1)
  # Days 0 to 3 are the split; an episode has three steps.
  rows = [QUIET, QUIET, QUIET, (100, 101, 99, 98), (200, 200, 200, 200)]
  actions = np.zeros((3, 1, 2), np.float32)
  actions[0, 0] = [2, 50]
  rewards = []
  for price in (200, 20):
    rows[4] = (price,) * 4
    environment = TradingEnvironment(_panel(rows), config, days=(0, 4))
    rewards.append(_episode(environment, actions).reward[0])
  net = 98 * 0.99 / (100 * 1.01) - 1
  assert rewards == _approx([100 * net, 100 * net])


def test_a_flat_end_terminates_and_an_open_position_truncates():
  flat = _play([[QUIET]])
  assert flat.last.tolist() == [False] * 5 + [True]
  assert flat.discount.tolist() == [1] * 5 + [0]
  # Settlement too short for the holding: the position is still open.
  position = _play([[QUIET]], settlement_days=1)
  assert position.extras.num_positions[-1] == 1
  assert position.discount.tolist() == [1, 1, 1]
  # Not even settled: an order waits for an open that never comes.
  order = _play([[QUIET]], buy=(0, 1), settlement_days=0)
  assert order.extras.num_positions[-1] == 0
  assert order.discount.tolist() == [1, 1]

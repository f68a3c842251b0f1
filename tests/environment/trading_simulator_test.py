"""The environment agrees with the slow account on thousands of markets."""

import functools
import itertools

import double_precision
import jax
import numpy as np
import pytest
import quick_compilation
import random_markets
import slow_account

from eigen3.environment import Entry, Exit, TradingEnvironment
from eigen3.environment.rewards import NAMED

CHOICES = {
  'fill': ('next_open', 'close'),
  'delisting_price': ('last_close', 'entry_price'),
  'target_fill': ('limit_or_open', 'limit'),
  'entry_choice': ('best', 'best_available'),
  'enforce_cash': (True, False),
  'max_entries_per_day': (1, 2),
}
ALL = [
  dict(zip(CHOICES, values, strict=True))
  for values in itertools.product(*CHOICES.values())
]
# Eight rows with all four combinations of any two settings.
SOME = [
  dict(
    zip(
      CHOICES,
      (options[i] for options, i in zip(CHOICES.values(), row, strict=True)),
      strict=True,
    )
  )
  for row in (
    (0, 0, 0, 0, 0, 0),
    (0, 0, 1, 0, 1, 1),
    (0, 1, 0, 1, 0, 1),
    (0, 1, 1, 1, 1, 0),
    (1, 0, 0, 1, 1, 0),
    (1, 0, 1, 1, 0, 1),
    (1, 1, 0, 0, 1, 1),
    (1, 1, 1, 0, 0, 0),
  )
]
# Late starts let the end of the split cut trades short.
STOP = random_markets.NUM_DAYS - 4


def _play(environment, start, actions):
  """Returns later states and time steps of an episode; both rewards."""
  state, _ = environment.reset_at(start)

  def body(state, action):
    after, timestep = environment.step(state, action)
    of_eigen2 = NAMED['eigen2'].of_step
    other = of_eigen2(environment, state, after, timestep.extras)
    return after, (after, timestep, other)

  return jax.lax.scan(body, state, actions)[1]


def _episode(config, seed, num_markets=1):
  """Returns a panel, an episode's first day, actions and slow account."""
  panel = random_markets.panel(seed, num_markets)
  num_steps = config.trading_days + config.settlement_days
  first, last = config.context_days - 1, STOP - 1 - num_steps
  start = first + seed % (last - first + 1)
  actions = random_markets.actions(seed, num_steps)
  account = slow_account.SlowAccount(panel, config, STOP)
  days = account.play(start, actions.astype(np.float64))
  return panel, start, actions, days


def _assert_all_same(tolerance, config, seeds, jit=jax.jit, num_markets=1):
  """Plays an episode of each seed with both accounts, and compares them."""
  panels, starts, actions, all_days = zip(
    *(_episode(config, seed, num_markets) for seed in seeds), strict=True
  )
  environments = [
    TradingEnvironment(panel, config, (1, STOP)) for panel in panels
  ]
  batch = jax.tree.map(lambda *leaves: np.stack(leaves), *environments)
  played = jax.device_get(
    jit(jax.vmap(_play))(batch, np.array(starts, np.int32), np.stack(actions))
  )
  for i, days in enumerate(all_days):
    _assert_same(tolerance, days, jax.tree.map(lambda x, i=i: x[i], played))


def _assert_same_closed(tolerance, closed, k, day):
  slots = np.flatnonzero(closed.mask[k])
  found = sorted(slots, key=lambda slot: closed.stock[k, slot])
  expected = sorted(day.closed, key=lambda trade: trade.stock)
  assert len(found) == len(expected)
  for slot, trade in zip(found, expected, strict=True):
    fields = {name: getattr(closed, name)[k, slot] for name in closed._fields}
    assert Exit(fields['reason']).name == trade.reason
    for name in ('stock', 'entry_day', 'exit_day'):
      assert fields[name] == getattr(trade, name), name
    names = ('entry_price', 'exit_price', 'shares', 'coefficient')
    np.testing.assert_allclose(
      [fields[name] for name in names],
      [getattr(trade, name) for name in names],
      rtol=tolerance,
      atol=tolerance,
      err_msg=str(names),
    )
    np.testing.assert_allclose(
      fields['net_profit'], trade.net_profit, atol=1e4 * tolerance
    )


def _assert_same(tolerance, days, played):
  states, timesteps, eigen2 = played
  extras = timesteps.extras
  close = functools.partial(
    np.testing.assert_allclose, rtol=tolerance, atol=1e4 * tolerance
  )
  for k, day in enumerate(days):
    assert extras.num_positions[k] == day.num_positions
    assert extras.inactive[k] == day.inactive
    assert extras.available[k].tolist() == day.available
    for j, (outcome, stock) in enumerate(day.outcomes):
      assert Entry(extras.entries.outcome[k, j]).name == outcome
      looked_at = Entry[outcome] > Entry.BELOW_THRESHOLD
      assert extras.entries.stock[k, j] == (stock if looked_at else -1)
    _assert_same_closed(tolerance, extras.closed, k, day)
    last = k == len(days) - 1
    assert timesteps.last[k] == last
    assert timesteps.discount[k] == (0 if last and day.flat else 1)
  # As many on each day: outcomes are the same.
  close(
    extras.entries.value[extras.entries.outcome == Entry.ACCEPTED],
    [trade.value for day in days for trade in day.accepted],
  )
  for name in ('cash', 'equity', 'bought', 'sold'):
    close(getattr(extras, name), [getattr(day, name) for day in days])
  percent = 1e2 * tolerance
  close(timesteps.reward, [day.entry_reward for day in days], atol=percent)
  close(eigen2, [day.eigen2_reward for day in days], atol=percent)
  closed = [trade for day in days for trade in day.closed]
  won = [trade.exit_price >= trade.entry_price for trade in closed]
  assert states.num_trades[-1] == len(closed)
  assert states.num_wins[-1] == sum(won)
  assert states.num_losses[-1] == len(closed) - sum(won)
  assert states.days_without_positions[-1] == sum(d.inactive for d in days)
  close(states.cumulative_reward[-1], sum(timesteps.reward), atol=percent)
  assert extras.cash.min() >= 0


def _name(settings):
  return '-'.join(str(value) for value in settings.values())


@pytest.mark.parametrize('settings', SOME, ids=_name)
def test_matches_the_slow_account(settings):
  config = random_markets.config(**settings)
  # Two of them with the usual compilation.
  default = settings['entry_choice'] == 'best' and settings['enforce_cash']
  jit = jax.jit if default else quick_compilation.jit
  _assert_all_same(2e-5, config, range(60), jit)


@pytest.mark.parametrize('settings', [SOME[0], SOME[2], SOME[4]], ids=_name)
def test_matches_the_slow_account_in_two_markets(settings):
  """Each has its own holidays, longer than the time to a delisting."""
  config = random_markets.config(**settings)
  jit = quick_compilation.jit
  _assert_all_same(2e-5, config, range(40), jit, num_markets=2)


@pytest.mark.long
@pytest.mark.parametrize('index', range(len(ALL)))
def test_matches_the_slow_account_exactly(index):
  """In float64 comparisons must agree without rounding differences."""
  settings = ALL[index] | {
    'delisting_days': 1 + index % 3,
    'delisting_return': (0.0, -0.3)[index % 2],
    'max_holding_days': (4, 3, 1)[index % 3],
  }
  seeds = range(1000 * (index + 1), 1000 * (index + 1) + 80)
  with double_precision.enable_x64(True):
    config = random_markets.config(**settings)
    _assert_all_same(1e-10, config, seeds, quick_compilation.jit)


def test_random_markets_reach_every_rule():
  """Every outcome and exit occurs; otherwise the comparison proves nothing."""
  outcomes, reasons, others = set(), set(), set()
  for settings in SOME:
    config = random_markets.config(**settings)
    for seed in range(30):
      *_, days = _episode(config, seed, num_markets=1 + seed % 2)
      trades = [trade for day in days for trade in day.accepted]
      outcomes |= {outcome for day in days for outcome, _ in day.outcomes}
      reasons |= {(settings['fill'], trade.reason) for trade in trades}
      others |= {'cancelled' for trade in trades if trade.cancelled}
      others |= {
        'waited' for trade in trades if trade.entry_day > trade.decided + 1
      }
      others |= {
        'gap' for trade in trades if trade.exit_price > trade.target_price
      }
      others |= {
        'unfinished' for trade in trades if trade.entry_day >= trade.exit_day
      }
      others |= {'no cash' for day in days if day.cash < 1e-6}
      others |= {'flat' if days[-1].flat else 'open'}
  assert outcomes == {outcome.name for outcome in Entry}
  assert reasons >= {
    (fill, reason)
    for fill in CHOICES['fill']
    for reason in ('TARGET', 'MAX_HOLDING', 'DELISTED')
  }
  assert others >= {'cancelled', 'waited', 'gap', 'unfinished', 'flat', 'open'}

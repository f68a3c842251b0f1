"""Tests of the yardsticks of the market `patience`."""

import ast
import dataclasses
import functools

import numpy as np
import pytest
from slow_patience import SlowMarket, worth_of_a_slot

from eigen3 import data
from eigen3.data import synthetic_patience as process
from eigen3.environment import Rules
from eigen3.evaluation import Judge, patience, statistics
from experiments.configs import ladder, td3

DAYS, SPLIT_DAYS = 600, 251
MARKETS = 20
NAMES = ('informed', *patience.NAMES)


@functools.cache
def market_of(seed, days=DAYS):
  """Returns the settings of the rung, and its market with fewer days."""
  config = td3.get_config('small')
  for change in ladder.get_config('small').cells.patience_bandit.changes:
    field, _, value = change.partition('=')
    config.update_from_flattened_dict({field: ast.literal_eval(value)})
  config.data.synthetic.update(
    {'market': 'patience', 'seed': seed, 'num_days': days}
  )
  return config, data.synthetic_market(config.data.synthetic)


def slow_market(seed):
  config, market = market_of(seed)
  # The last day of a split is only observed.
  start, stop = DAYS - SPLIT_DAYS, DAYS - 1
  return SlowMarket(market, config.environment, start, stop)


def slow_results(slow):
  """Returns equity and trades by name."""
  observed, informed = slow.known(False), slow.known(True)
  return {
    'informed': slow.play_above(informed, 0.0),
    'greedy': slow.play_above(observed, 0.0),
    'hurdle': slow.play_above(observed, slow.chosen_hurdle(observed)),
    'hurdle_informed': slow.play_above(informed, slow.chosen_hurdle(informed)),
    'patient': slow.play_patiently(observed),
    'patient_informed': slow.play_patiently(informed),
  }


@functools.cache
def slow_profits():
  """Returns profits [MARKETS] by name, and those of constant hurdles."""
  profits = {name: [] for name in NAMES}
  constants = {x: [] for x in (0.007, 0.01, 0.013, 0.04)}
  for seed in range(MARKETS):
    slow = slow_market(seed)
    for name, (equity, _) in slow_results(slow).items():
      profits[name].append(equity[-1] / 1e6 - 1)
    observed = slow.known(False)
    for hurdle, found in constants.items():
      equity, _ = slow.play_above(observed, hurdle)
      found.append(equity[-1] / 1e6 - 1)
  return (
    {name: np.array(found) for name, found in profits.items()},
    {hurdle: np.array(found) for hurdle, found in constants.items()},
  )


def make_judge(seed, panel=None, **rules):
  config, market = market_of(seed)
  settings = config.to_dict()
  settings['environment'].update(rules)
  settings['evaluation']['random_entries'] = 1
  return Judge(
    panel or market.panel,
    settings,
    (DAYS - SPLIT_DAYS, DAYS),
    market.drift,
    dips=market.dips,
  )


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_the_environment_plays_them_as_plain_loops_do(seed):
  _, market = market_of(seed)
  first, _ = market.panel.investable
  dates = market.panel.dates
  controls = make_judge(seed).controls
  for name, (equity, trades) in slow_results(slow_market(seed)).items():
    (found,) = controls[name]
    np.testing.assert_allclose(found.equity, equity, rtol=2e-5, err_msg=name)
    ordered = found.trades.sort_values('entry_date')
    expected = [
      (market.panel.columns[first + stock], dates[entry], dates[leave])
      for stock, entry, leave in trades
    ]
    columns = ordered[['ticker', 'entry_date', 'exit_date']].to_numpy()
    assert [tuple(row) for row in columns] == expected, name
    assert (ordered['reason'] == 'max_holding').all()
    assert len(trades) > 10


def test_patience_earns_a_third_more_than_the_best_constant_hurdle():
  profits, constants = slow_profits()
  for end in ('', '_informed'):
    patient, hurdle = profits[f'patient{end}'], profits[f'hurdle{end}']
    more = statistics.mean_interval(patient - 4 / 3 * hurdle)
    assert more.low > 0.0, end
  # Nor does a constant chosen by its profit on these days.
  best = max(constants.values(), key=np.mean)
  more = statistics.mean_interval(profits['patient'] - 4 / 3 * best)
  assert more.low > 0.0
  assert profits['hurdle'].mean() > 1.05 * profits['greedy'].mean()
  assert profits['hurdle_informed'].mean() > profits['informed'].mean()
  assert profits['greedy'].mean() > 0.2


def test_most_of_it_can_be_seen():
  profits, _ = slow_profits()
  share = profits['patient'].sum() / profits['patient_informed'].sum()
  assert 0.9 < share < 1.05


def rules_of(**changes):
  config, _ = market_of(0)
  return Rules.from_config({**config.environment.to_dict(), **changes})


def test_value_iteration_agrees_with_plain_loops():
  rules = rules_of()
  table = patience.hurdles(rules, 1.0, 40)
  assert table.shape == (40, process.NUM_PHASES, 64)
  for day, worth in enumerate(worth_of_a_slot(6, rules.cost_rate, 40)):
    for (phase, (first, second)), value in worth.items():
      found = table[day, phase, first + 8 * second]
      assert found == pytest.approx(value, abs=1e-12)
  assert np.isinf(table[:, :, 1 + 8 * 3]).all()  # no slot is free


def test_cash_is_worth_what_is_to_come():
  table = patience.hurdles(rules_of(), 1.0, 100)
  quiet, near, deep = 0, process.WARNING_DAYS, process.WARNING_DAYS + 1
  both, other_held = 0, 8 * 7
  shallow = patience.net_of(rules_of(), np.array(process.SHALLOW))
  small = patience.growth_of(rules_of(), shallow)
  # In quiet times most shallow dips are worth buying; before a deep one none.
  assert small[0] < table[0, quiet, both] < small.mean()
  assert table[0, near, other_held] > 2 * small[1]
  assert table[0, deep, other_held] > small[1]
  # A slot is worth more while the other is in use.
  assert table[0, near, other_held] > 1.1 * table[0, near, both]
  assert table[0, quiet, other_held] > 1.1 * table[0, quiet, both]
  # Cash is worth less shortly before the end of trading, and then nothing.
  assert table[-3, near, other_held] > small[1]
  last_dip = 0.9 * small.mean()  # by hand; it comes on nine of ten days
  assert table[-2, quiet, other_held] == pytest.approx(last_dip, rel=0.01)
  assert (table[-1][:, [both, other_held]] == 0.0).all()


def test_sizes_by_bayes_rule():
  falls = np.zeros((1, 16))
  falls[0, :3] = 0.01, 0.05, -0.01
  found = patience.expected_sizes(falls, 1.0)[0]
  # By hand: a fall of 1 % has the likelihood 0.77 if there is a dip, else
  # 0.0039; 0.9 of 16 stocks dip, so it is one with 92 %, and of 1 % on average.
  assert found[0] == pytest.approx(0.00922, abs=2e-5)
  assert found[1] == 0.05
  assert found[2] < 1e-6
  assert 0.0 < found[3] < 1e-3
  half = patience.expected_sizes(falls / 2, 0.5)[0]
  assert half[1] == 0.025


def test_the_observing_see_only_the_past():
  """Later prices do not change earlier purchases."""
  panel, last = market_of(0)[1].panel, DAYS - 100
  rng = np.random.default_rng(0)
  ohlc = panel.ohlc.copy()
  ohlc[last:] *= np.exp(rng.normal(0.0, 0.05, ohlc[last:].shape))
  other = dataclasses.replace(panel, ohlc=ohlc)
  before, after = make_judge(0).controls, make_judge(0, other).controls
  for name in ('greedy', 'hurdle', 'patient'):
    early = [
      trades[trades['entry_date'] < panel.dates[last]]
      .sort_values('entry_date')[['ticker', 'entry_date', 'shares']]
      .values.tolist()
      for trades in (before[name][0].trades, after[name][0].trades)
    ]
    # Positions open at the end have rows in both.
    assert early[0] == early[1]
    assert 10 < len(early[0]) < len(before[name][0].trades)


def test_smaller_positions_have_no_patient_yardstick():
  found = make_judge(0, max_position_fraction=0.3).controls
  assert {*patience.NAMES} - found.keys() == {'patient', 'patient_informed'}


def test_costs_are_theirs_too():
  judge = make_judge(0)
  dear = judge.under(slippage_bp=90.0).controls
  # Shallow dips are no longer worth buying.
  assert dear['greedy'][0].summary['trades'] < 20
  for name in ('patient', 'patient_informed'):
    (found,) = judge.controls[name]
    assert dear[name][0].summary['profit'] < 0.8 * found.summary['profit']


def test_other_fills_and_whole_positions_are_understood():
  rules = {'fill': 'close', 'max_position_fraction': 1.0}
  found = make_judge(1, **rules).controls
  patient = found['patient_informed'][0]
  assert patient.summary['profit'] > found['informed'][0].summary['profit']
  entries = patient.trades['entry_date'].sort_values().to_numpy()
  # A position of all cash is sold and bought again at a close six days later.
  assert np.busday_count(
    entries[:-1].astype('M8[D]'), entries[1:].astype('M8[D]')
  ).min() == 6  # fmt: skip

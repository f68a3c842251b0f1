"""The same policies under other rules: what they cost, and when they fill.

Given actions stay what they were; the account follows them as far as it can
pay. Plans, of policies that see their account, stay what they were as to the
market, and are decided on anew with the account that the rules leave.
"""

from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any, NamedTuple

from eigen3.evaluation.judge import Judge, mean_summary
from eigen3.reporting.run_page.subject import Champion

# Costs of each fill in all, basis points.
COSTS = (0.0, 5.0, 10.0, 25.0)
# An order that waits for the open needs two more days until it is sold.
_MORE_DAYS = 2


class Replay(NamedTuple):
  """How everybody fares under some rules.

  Attributes:
    rules: in words.
    is_own: whether they are those of the run.
    numbers: a backtest's summary by policy, of many backtests their mean; the
      champions together are 'agent'.
  """

  rules: str
  is_own: bool
  numbers: dict[str, dict[str, float]]


def cost_ladder(
  champions: Sequence[Champion], judge: Judge, rules: Mapping[str, Any]
) -> list[Replay]:
  """Everybody's numbers by what a fill costs, and with the run's costs doubled.

  Args:
    champions: who are played.
    judge: of the days, under the run's own rules.
    rules: these, the `environment` section.
  """
  own = rules['commission_bp'] + rules['slippage_bp']
  rungs = {cost: f'{cost:g} bp' for cost in COSTS}
  rungs[2.0 * own] = f'{2.0 * own:g} bp, doubled'
  rungs[own] = f'{own:g} bp, as the run'
  changes = {
    words: {'commission_bp': 0.0, 'slippage_bp': cost} if cost != own else {}
    for cost, words in sorted(rungs.items())
  }
  return _replays(champions, judge, changes)


def fill_timings(
  champions: Sequence[Champion], judge: Judge, rules: Mapping[str, Any]
) -> list[Replay]:
  """Everybody's numbers where orders fill at the close or the next open."""
  changes: dict[str, dict[str, Any]] = {}
  for fill in ('close', 'next_open'):
    changes[fill.replace('_', ' ')] = {}
    if fill != rules['fill']:
      changes[fill.replace('_', ' ')] = {
        'fill': fill,
        'settlement_days': max(
          rules['settlement_days'], rules['max_holding_days'] + _MORE_DAYS
        ),
      }
  return _replays(champions, judge, changes)


def _replays(
  champions: Sequence[Champion],
  judge: Judge,
  changes: Mapping[str, Mapping[str, Any]],
) -> list[Replay]:
  def replay(item: tuple[str, Mapping[str, Any]]) -> Replay:
    words, changed = item
    other = judge.under(**changed) if changed else judge
    results = {
      'agent': [champion.play(other) for champion in champions],
      **other.controls,
    }
    numbers = {name: mean_summary(tests) for name, tests in results.items()}
    return Replay(words, not changed, numbers)

  # Most of the time is compilation, one program for each set of rules.
  with futures.ThreadPoolExecutor() as pool:
    return list(pool.map(replay, changes.items()))

"""Replays: backtests of the same policies under other costs and fill times.

The actions of agents that do not observe their account stay the same; their
orders are filled as far as the cash suffices. Agents that observe their account
see the same market, but decide anew, because the other rules change the
account.
"""

from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any, NamedTuple

from eigen3.evaluation.judge import Judge, mean_summary
from eigen3.reporting.run_page.subject import Champion

# Total costs of each fill, basis points.
COSTS = (0.0, 5.0, 10.0, 25.0)
# Settlement days needed beyond the maximum holding, for fills at the next open.
_MORE_DAYS = 2


class Replay(NamedTuple):
  """Results of all policies under one set of rules.

  Attributes:
    rules: description of the rules.
    is_own: whether the rules are those of the run.
    numbers: summary of each policy's backtest, keyed by the policy's name; the
      mean if there are several backtests. 'agent' is the mean of all champions.
  """

  rules: str
  is_own: bool
  numbers: dict[str, dict[str, float]]


def cost_ladder(
  champions: Sequence[Champion], judge: Judge, rules: Mapping[str, Any]
) -> list[Replay]:
  """Returns results at `COSTS`, at the run's own costs and at twice its own.

  Args:
    champions: the champions to replay.
    judge: evaluates policies on the days of the page under the run's own rules.
    rules: the `environment` section of the run's settings.
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
  """Returns results with orders filled at the close and at the next open.

  Where the fill time differs from the run's, settlement is extended if it is
  too short. Arguments are those of `cost_ladder`.
  """
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

  # Threads help because rules that differ in more than costs are compiled anew.
  with futures.ThreadPoolExecutor() as pool:
    return list(pool.map(replay, changes.items()))

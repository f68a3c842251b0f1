"""Sentences that explain the numbers on a run's page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from eigen3.evaluation.bootstrap import PairedDifference
from eigen3.evaluation.population import Development, Gain
from eigen3.evaluation.sharpe import Deflated
from eigen3.reporting import drawing
from eigen3.reporting.run_page import wording
from eigen3.reporting.run_page.tables import Headline

_SURE = 0.05  # p below which a difference is significant
_UNSURE = 'not significantly different from'
_NAMES = {'informed': 'the informed policy', 'ranker': 'the ranker'}
# The lowest retest correlation at which fitness is not mostly luck.
_TELLS_APART = 0.3
_FEWEST_GENERATIONS = 6
# Policies are alike if their distance falls below this share of their distance
# in the first generation.
_ALIKE = 0.1
_ORIGINS = {'offspring': 'offspring', 'mutant': 'mutants'}


def verdict(
  headline: Headline,
  differences: Mapping[str, PairedDifference],
  has_traded: bool,
  is_held_out: bool,
) -> str:
  """States the agent's profit, and how it compares with the controls'.

  Args:
    headline: of the agent, or of the agents of all seeds together.
    differences: the agent's excess return over each control, keyed by control.
    has_traded: whether anything was bought.
    is_held_out: whether the days are held-out rather than validation days.
  """
  days = 'held-out' if is_held_out else 'validation'
  many = headline.size > 1
  who = f'{headline.size} agents' if many else 'agent'
  if not has_traded:
    return f'The {who} bought nothing on the {days} days.'
  earned = wording.written(headline.profit.value, '+.1%')
  interval = wording.interval(headline.profit, '+.1%')
  known = '; '.join(
    [
      *(['interquartile mean'] if many else []),
      *([f'95 % interval {interval}'] if interval else []),
    ]
  )
  known = f' ({known})' if known else ''
  return (
    f'On the {days} days the {who} earned {earned} after costs{known}'
    f'{_compared(differences)}.'
  )


def skill(deflated: Deflated) -> str:
  """States the deflated Sharpe ratio; '' if it is unknown."""
  if not math.isfinite(deflated.probability):
    return ''
  return (
    f'After {deflated.trials:,} trials on the validation days the deflated '
    'Sharpe ratio is '
    f'{wording.written(deflated.probability, ".0%")}: the probability of any '
    'skill.'
  )


def exits(trades: pd.DataFrame, rules: Mapping[str, Any]) -> str:
  """States how many exits had each reason; '' if there is no trade.

  Args:
    trades: of a backtest.
    rules: the `environment` section of the run's settings.
  """
  if not len(trades):
    return ''
  counts = trades['reason'].value_counts()
  target, held, delisted = (
    int(counts.get(name, 0)) for name in ('target', 'max_holding', 'delisted')
  )
  days = rules['max_holding_days']
  lowest, highest = rules['min_sale_target'], rules['max_sale_target']
  text = (
    f'Of {len(trades):,} trades {_count(target)} sold at the target (a gain '
    f'of {lowest:g} to {highest:g} %), {_count(held)} sold after the maximum '
    f'holding of {days} days, and {_count(delisted)} sold as delisted.'
  )
  if target:
    return text
  best = wording.written(float(trades['return_percent'].max()) / 100.0, '+.1%')
  return (
    f'{text} The best trade ended {best} from its purchase: targets were too '
    'far to matter.'
  )


def trade_returns(trades: pd.DataFrame) -> str:
  """States the mean, median and range of trades' returns, before costs."""
  returns = trades['return_percent'] / 100.0
  mean, median, worst, best = (
    wording.written(float(x), '+.1%')
    for x in (returns.mean(), returns.median(), returns.min(), returns.max())
  )
  return (
    f'Returns of trades, before costs: mean {mean}, median {median}, from '
    f'{worst} to {best}.'
  )


def population(found: Development, form: str) -> str:
  """States whether a population improved, and why or why not.

  Args:
    found: the development of the population.
    form: format specification of scores, such as '+.1%'.
  """
  first, last = (wording.written(x, form) for x in (found.first, found.last))
  scores = (
    f'the mean validation of its members was {first} in the first third of '
    f'{found.generations} generations and {last} in the last'
  )
  change = found.last - found.first
  if found.generations < _FEWEST_GENERATIONS or not math.isfinite(found.error):
    return (
      f'Whether it improved cannot be judged after {found.generations} '
      f'generations. {_facts(found)}'
    )
  if abs(change) <= 2.0 * found.error:
    return (
      'The population neither improved nor got worse by more than chance: '
      f'{scores}. {_why_not(found)} {_facts(found)}'
    )
  if change < 0:
    return f'The population got worse: {scores}. {_why_not(found)} ' + _facts(
      found
    )
  return f'The population improved: {scores}. {_why(found)} {_facts(found)}'


def _compared(differences: Mapping[str, PairedDifference]) -> str:
  groups: dict[str, list[str]] = {}
  for name, found in differences.items():
    if not math.isfinite(found.p):
      continue
    kind = _UNSURE
    if found.p < _SURE:
      kind = 'more than' if found.mean > 0 else 'less than'
    groups.setdefault(kind, []).append(_NAMES.get(name, drawing.shown(name)))
  if not groups:
    return '; these days are too few to compare it with the controls'
  parts = [
    f'{kind} {listed(groups[kind])}'
    for kind in ('more than', 'less than', _UNSURE)
    if kind in groups
  ]
  return f': {listed(parts, "; ")}'


def listed(words: Sequence[str], comma: str = ', ') -> str:
  """Joins words with `comma`; if it is ', ', ' and ' joins the last two."""
  if comma != ', ' or len(words) < 2:
    return comma.join(words)
  return f'{", ".join(words[:-1])} and {words[-1]}'


def _count(number: int) -> str:
  if number == 1:
    return '1 was'
  return f'{number:,} were' if number else 'none were'


def _why(found: Development) -> str:
  if _is_known(found.retest) and found.retest < _TELLS_APART:
    return (
      'Fitness is mostly luck, so the gain comes from the gradient steps of '
      'all members rather than from selection.'
    )
  if any(_sign(gain) > 0 for gain in found.gains.values()):
    return (
      'Newborn members surpass their better parent, and selection keeps them.'
    )
  if any(_sign(gain) < 0 for gain in found.gains.values()):
    return (
      'Newborn members fall short of their better parent, so the gain comes '
      'from those that stay and go on learning.'
    )
  return ''


def _why_not(found: Development) -> str:
  if _is_known(found.retest) and found.retest < _TELLS_APART:
    return (
      'Fitness is mostly luck, so selection has little to work with: more '
      'fitness slices would help.'
    )
  if found.distance[1] < _ALIKE * found.distance[0]:
    return 'The policies have become alike, so there is little to choose from.'
  if found.gains and all(_sign(gain) < 0 for gain in found.gains.values()):
    return 'Newborn members fall short of their better parent.'
  if _is_known(found.retest):
    return (
      'Selection can distinguish members on the training days, but those it '
      'chooses are no better on the validation days.'
    )
  return ''


def _facts(found: Development) -> str:
  parts = []
  if _is_known(found.retest):
    parts.append(
      f'a repeat of the fitness is expected to correlate by '
      f'{wording.written(found.retest, ".2f")}'
    )
  for name, gain in found.gains.items():
    sign = _sign(gain)
    words = {1: 'better than', 0: _UNSURE, -1: 'worse than'}[sign]
    parts.append(
      f'{_ORIGINS[name]} are {words} their better parent '
      f'({wording.written(gain.mean, "+.2f")} deviations)'
    )
  if found.alone_since is not None:
    parts.append(
      'all members descend from one first agent since generation '
      f'{found.alone_since}'
    )
  elif found.founders is not None:
    first, last = found.founders
    parts.append(f'members descend from {last} of {first} first agents')
  text = '; '.join(parts)
  return f'{text[:1].upper()}{text[1:]}.' if text else ''


def _sign(gain: Gain) -> int:
  """Returns the sign of a gain if it is significant, else 0."""
  if not abs(gain.mean) > 2.0 * gain.error:
    return 0
  return 1 if gain.mean > 0 else -1


def _is_known(value: float) -> bool:
  return math.isfinite(value)

"""What is asked of a cell, and whether it is met."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

Told = Mapping[str, Any]
_SHARES = {
  'share_of_momentum': 'momentum',
  'share_of_momentum_by_account': 'momentum',
  'share_of_patient': 'patient',
}
_WORDS = {True: 'met', False: 'not met', None: 'not known'}


def _share_of(
  control: str, field: str, told: Told, goals: ml_collections.ConfigDict
) -> tuple[bool | None, str]:
  """Enough of what a control earns; the interval over seeds is only stated."""
  share, words = told['shares'][control], f'{goals[field]:.0%} of {control}'
  if share['value'] is None:
    return None, words
  ends = f'{share["low"]:.0%} to {share["high"]:.0%}'
  found = f'{words} ({share["value"]:.0%}; seeds: {ends})'
  return share['value'] >= goals[field], found


def _above_random(told: Told, goals: ml_collections.ConfigDict):
  """More than random entry with the same exits, and not by chance.

  The p-value is of other days for these very seeds, the interval over seeds of
  other markets of the kind: both have to agree.
  """
  found = told['against']['random_entry']
  p, seeds = found['p'], found.get('seeds')
  words = f'above random, p < {goals.p:g}'
  if p is None or not _is_known(seeds):
    return None, words
  is_met = found['mean'] > 0.0 and p < goals.p and seeds['low'] > 0.0
  return is_met, f'{words} (days: p {p:.4f}; seeds: {_interval(seeds)} a year)'


def _no_edge(told: Told, goals: ml_collections.ConfigDict):
  """The interval over seeds of the difference to random entry contains 0.

  The wider the interval, the easier it does, so it also has to be narrow. It
  shows that no edge larger than about
  that was seen. It does not show that there is none, and not that the policy
  trades as random entry does: random entry pays costs on every trade, and a
  policy that rests pays none and lies above it without any skill.
  """
  seeds = told['against']['random_entry'].get('seeds')
  words = f'as random, half-width at most {goals.half_width:.0%}'
  if not _is_known(seeds):
    return None, words
  half = (seeds['high'] - seeds['low']) / 2
  is_met = seeds['low'] <= 0.0 <= seeds['high'] and half <= goals.half_width
  return is_met, (
    f'{words} (seeds: {_interval(seeds)} a year, half-width {half:.1%})'
  )


GOALS: Mapping[str, Callable] = {
  name: functools.partial(_share_of, control, name)
  for name, control in _SHARES.items()
} | {
  'above_random': _above_random,
  'no_edge': _no_edge,
}


def judge(
  name: str, told: Told, goals: ml_collections.ConfigDict
) -> dict[str, Any]:
  """Whether a cell meets its goal.

  Args:
    name: of the goal; '' is none.
    told: see `pooled.pool`, and `missing`, the seeds without a finished run.
    goals: the section of the ladder's config.

  Returns:
    Nothing, or `met` and `words` for a table. `met` is None where it cannot be
    told: the numbers do not say, or a seed is missing, for what the surviving
    seeds say depends on which did not survive.
  """
  if not name:
    return {}
  found, words = GOALS[name](told, goals)
  is_met = None if found is None else bool(found)
  if told['missing']:
    seeds = told['seeds']
    verdict = f'open: {seeds} of {seeds + len(told["missing"])} seeds'
    return {'met': None, 'words': f'{words}: {verdict}'}
  return {'met': is_met, 'words': f'{words}: {_WORDS[is_met]}'}


def _is_known(interval: Mapping[str, float] | None) -> bool:
  return interval is not None and interval['low'] is not None


def _interval(found: Mapping[str, float]) -> str:
  return f'{found["low"]:+.1%} to {found["high"]:+.1%}'

"""Judges whether the cells of a ladder meet their goals."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

Summary = Mapping[str, Any]
_SHARES = {
  'share_of_momentum': 'momentum',
  'share_of_momentum_by_account': 'momentum',
  'share_of_patient': 'patient',
}
_WORDS = {True: 'met', False: 'not met', None: 'not known'}


def _share_of(
  control: str, field: str, summary: Summary, goals: ml_collections.ConfigDict
) -> tuple[bool | None, str]:
  """Requires the profit to be at least a given share of a control's profit.

  The least share is `goals[field]`. The share's interval over seeds is shown,
  but need not lie above the least share.

  Args:
    control: the control's name.
    field: the goal's name.
    summary: see `judge`.
    goals: see `judge`.

  Returns:
    Whether the goal is met, None if the share is unknown; and words for a
    table.
  """
  share, words = summary['shares'][control], f'{goals[field]:.0%} of {control}'
  if share['value'] is None:
    return None, words
  ends = f'{share["low"]:.0%} to {share["high"]:.0%}'
  found = f'{words} ({share["value"]:.0%}; seeds: {ends})'
  return share['value'] >= goals[field], found


def _above_random(summary: Summary, goals: ml_collections.ConfigDict):
  """Requires that returns significantly exceed those of random entry.

  The mean excess must be positive, its p-value below `goals.p`, and its
  interval over seeds above 0. The p-value is from a bootstrap over days, and
  holds only for the markets of these seeds; the interval generalises to other
  markets of this kind. Arguments and result are as in `_share_of`.
  """
  found = summary['against']['random_entry']
  p, seeds = found['p'], found.get('seeds')
  words = f'above random, p < {goals.p:g}'
  if p is None or not _is_known(seeds):
    return None, words
  is_met = found['mean'] > 0.0 and p < goals.p and seeds['low'] > 0.0
  return is_met, f'{words} (days: p {p:.4f}; seeds: {_interval(seeds)} a year)'


def _no_edge(summary: Summary, goals: ml_collections.ConfigDict):
  """Requires that the interval of the excess over random entry contains 0.

  The interval is over seeds. A wide interval easily contains 0, so its
  half-width is limited, too. If the goal is met, a true excess larger than
  about the interval's width is unlikely; a smaller one may exist. Failing the
  goal does not prove skill: a policy that never trades pays no costs, and may
  therefore exceed random entry. Arguments and result are as in `_share_of`.
  """
  seeds = summary['against']['random_entry'].get('seeds')
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
  name: str, summary: Summary, goals: ml_collections.ConfigDict
) -> dict[str, Any]:
  """Returns whether a cell meets its goal.

  Args:
    name: the goal's name; '' means no goal.
    summary: the cell's result of `summary_of` in `experiments/jobs/results.py`.
    goals: the section `goals` of the ladder's config.

  Returns:
    An empty dict without a goal, else `met` and, for a table, `words`. `met` is
    None if a number that the goal needs is unknown, or if a seed's run is
    missing, because the seeds of finished runs may be a biased sample.
  """
  if not name:
    return {}
  found, words = GOALS[name](summary, goals)
  is_met = None if found is None else bool(found)
  if summary['missing']:
    seeds = summary['seeds']
    verdict = f'open: {seeds} of {seeds + len(summary["missing"])} seeds'
    return {'met': None, 'words': f'{words}: {verdict}'}
  return {'met': is_met, 'words': f'{words}: {_WORDS[is_met]}'}


def _is_known(interval: Mapping[str, float] | None) -> bool:
  return interval is not None and interval['low'] is not None


def _interval(found: Mapping[str, float]) -> str:
  return f'{found["low"]:+.1%} to {found["high"]:+.1%}'

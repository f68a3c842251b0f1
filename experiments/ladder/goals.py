"""What is asked of a cell, and whether it is met."""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

Told = Mapping[str, Any]


def _share_of_momentum(told: Told, goals: ml_collections.ConfigDict):
  """Enough of what account-aware momentum earns."""
  share, least = told['shares']['momentum']['value'], goals.share_of_momentum
  is_known = share is not None
  words = f'{least:.0%} of momentum'
  return (is_known and share >= least), words


def _above_random(told: Told, goals: ml_collections.ConfigDict):
  """More than random entry with the same exits, and not by chance."""
  found = told['against']['random_entry']
  is_known = found['p'] is not None
  is_met = is_known and found['mean'] > 0.0 and found['p'] < goals.p
  return is_met, f'above random, p < {goals.p:g}'


def _no_edge(told: Told, goals: ml_collections.ConfigDict):
  """No more and no less than random entry, as far as can be told."""
  del goals
  found = told['against']['random_entry']
  is_known = found['low'] is not None
  return (is_known and found['low'] <= 0.0 <= found['high']), 'as random'


GOALS: Mapping[str, Callable] = {
  'share_of_momentum': _share_of_momentum,
  'above_random': _above_random,
  'no_edge': _no_edge,
}


def judge(
  name: str, told: Told, goals: ml_collections.ConfigDict
) -> dict[str, Any]:
  """Whether a cell meets its goal.

  Args:
    name: of the goal; '' is none.
    told: see `pooled.pool`.
    goals: the section of the ladder's config.

  Returns:
    Nothing, or `met` and `words` for a table.
  """
  if not name:
    return {}
  is_met, words = GOALS[name](told, goals)
  return {
    'met': bool(is_met), 'words': f'{words}: {"met" if is_met else "not met"}',
  }  # fmt: skip

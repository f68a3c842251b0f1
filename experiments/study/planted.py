"""Judges whether the study finds planted signals, and no others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from eigen3.evaluation import metrics, regression
from experiments.study.joined import Joined

# Limit of a one-sided test at 5 %, in units of the spread of t between copies.
_LIMIT = 1.645


def copy_name(ic: float, trial: int) -> str:
  """Returns the name of a resampled copy of the panel.

  The names of the copy's cells begin with this name.

  Args:
    ic: rank IC of the planted signal; 0 if none is planted.
    trial: the copy's number; copies with and without a signal are numbered
      separately.
  """
  return f'{"planted" if ic else "nothing"}{trial}'


def judge(
  joined: Mapping[str, Mapping[str, Joined]], names: list[str], ic: float
) -> dict[str, Any]:
  """Counts the copies in which each program finds a signal.

  A signal is found if t, the mean daily rank IC over its standard error, is
  above a limit. Standard errors are too small because outcomes overlap, so t
  exceeds 1.645 too often. The limit is therefore 1.645 times the root mean
  square of t over the copies without a signal, but at least 1.645. For a copy
  without a signal, the limit is computed from all other copies without one.

  Args:
    joined: results by copy and program; copies are named by `copy_name`.
    names: the programs' names.
    ic: rank IC of the planted signal, above 0.

  Returns:
    A dict for each program that has results, by name. It holds `planted` and
    `nothing`, for copies with and without a signal, each with `found`, the
    number of copies in which a signal is found, `trials`, the number of copies
    with results, and the lists `ic` (mean daily rank IC) and `t` (0 if
    undefined), with an entry for each of these copies; and `limit`, the limit
    of t for copies with a signal, None without results of any other copy.
  """
  return {
    name: _judge(joined, name, ic)
    for name in names
    if any(name in programs for programs in joined.values())
  }


def _judge(
  joined: Mapping[str, Mapping[str, Joined]], name: str, ic: float
) -> dict[str, Any]:
  kinds: dict[str, list[regression.DailyMean]] = {'planted': [], 'nothing': []}
  for copy, programs in joined.items():
    if name in programs:
      one = programs[name]
      horizon = one.measures[0]['horizon']
      kind = 'planted' if copy.startswith(copy_name(ic, 0)[:-1]) else 'nothing'
      kinds[kind].append(regression.daily_mean(one.daily['ic'], horizon))
  # t is undefined if scores never rank the stocks; then no signal is found.
  t = {
    kind: np.nan_to_num([found.t for found in means])
    for kind, means in kinds.items()
  }
  without = t['nothing']
  limit = _limit_of(without)
  limits = {
    'planted': np.full(len(t['planted']), limit),
    'nothing': np.array(
      [_limit_of(np.delete(without, i)) for i in range(len(without))]
    ),
  }
  return metrics.for_json({'limit': limit}) | {
    kind: {
      'found': int((t[kind] > limits[kind]).sum()),
      'trials': len(means),
      'ic': [
        round(found.mean, 5) if np.isfinite(found.mean) else None
        for found in means
      ],
      't': [round(float(x), 3) for x in t[kind]],
    }
    for kind, means in kinds.items()
  }


def _limit_of(t: np.ndarray) -> float:
  """Returns the limit above which t shows a signal; see `judge`.

  Args:
    t: the t of each copy without a signal; if there are none, the limit is NaN.
  """
  if not len(t):
    return float('nan')
  # In a few copies t may spread less by chance, but its true spread is above 1.
  return _LIMIT * max(1.0, float(np.sqrt(np.mean(t**2))))

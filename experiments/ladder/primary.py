"""Tests the primary comparisons that a committed file named before the runs."""

import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from eigen3.evaluation import paired, pooled, statistics
from eigen3.evaluation.pooled import Outcome
from eigen3.settings import (
  SEEDS,
  SHARE,
  SWITCH,
  TEXT,
  Expected,
  check,
  number,
  one_of,
  require,
  several,
)
from experiments.configs import primary
from experiments.jobs import naming, record
from experiments.jobs.program import Outcomes

FILE = pathlib.Path(primary.__file__)
_MEASURES = {
  'year': lambda outcome: outcome.year * outcome.returns.mean(),
  'profit': lambda outcome: outcome.profit,
}
_MOST_SEEDS = 16  # all patterns of signs are enumerated
_COMPARISON = {
  'ours': several(TEXT, 'one or more names of cells', least=1),
  'theirs': several(TEXT, 'one or more names of cells', least=1),
  'measure': one_of(*_MEASURES),
  'alternative': one_of(*paired.ALTERNATIVES),
  'margin': number(lambda x: -1 < x < 1, 'above -1 and below 1'),
  'as_many_solved': SWITCH,
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the section `primary`; raises a ValueError that names the field."""
  section = config.primary
  check('primary', section, {'level': SHARE, 'seeds': _seeds(config)})
  for name, comparison in section.comparisons.items():
    field = f'primary.comparisons.{name}'
    check(field, comparison, _COMPARISON)
    for cell in (*comparison.ours, *comparison.theirs):
      require(
        cell in config.cells and config.cells[cell].seeds == 'primary',
        field,
        cell,
        "the name of a cell whose seeds are 'primary'",
      )
    markets = [
      [config.cells[cell].market for cell in comparison[side]]
      for side in ('ours', 'theirs')
    ]
    require(
      markets[0] == markets[1],
      f'{field}.theirs: markets of these cells',
      markets[1],
      f'those of ours, in the same order, {markets[0]}',
    )


def judge(
  config: ml_collections.ConfigDict, outcomes: Outcomes
) -> dict[str, dict[str, Any]]:
  """Tests all comparisons, with their p-values corrected together.

  Args:
    config: the ladder's settings.
    outcomes: results of finished runs, keyed by the cell's name, then by seed.

  Returns:
    A dict for each comparison, keyed by its name and ready for JSON: the
    comparison's settings; `missing`, the seeds without a finished run, keyed by
    the cell's name, for incomplete cells only; and `met`, see `_is_met`, but
    None while undecided. If no run is missing, also `differences` [R, K], the
    comparison's `measure` for `ours` less that for `theirs`, for R seeds and K
    pairs of cells; `mean`, the differences' mean over seeds and pairs, with
    Student's interval over seeds; `iqm`, their interquartile mean, and
    `improvement`, the probability that `ours` is better, both with stratified
    bootstrap intervals; `detectable`, the smallest distance from the margin
    that a t-test would detect at the level of Holm's first step; `p`, the
    p-value of the sign-flip test, and `corrected`, its corrected value; and
    `solved`, the `pooled.solved` of each cell, keyed by 'ours' and 'theirs',
    then by the cell's name.

  Raises:
    ValueError: if a measured value is not finite.
  """
  section = config.primary
  judged: dict[str, dict[str, Any]] = {}
  for name, comparison in section.comparisons.items():
    cells = (*comparison.ours, *comparison.theirs)
    lacking = {x: record.missing(section.seeds, outcomes[x]) for x in cells}
    lacking = {cell: seeds for cell, seeds in lacking.items() if seeds}
    judged[name] = {
      **json.loads(comparison.to_json()),
      'missing': lacking,
      'met': None,
    }
    if not lacking:
      judged[name] |= _compared(config, comparison, outcomes)
  p_values = paired.corrected([found.get('p') for found in judged.values()])
  for found, corrected in zip(judged.values(), p_values, strict=True):
    if corrected is not None:
      found['corrected'] = corrected
      # Until all p-values are known, the corrected ones may become smaller.
      found['met'] = _is_met(found, section.level) or (
        None if None in p_values else False
      )
  return judged


def named(
  config: ml_collections.ConfigDict, commits: Collection[str]
) -> dict[str, Any]:
  """Returns the commit that named the comparisons, and whether runs came later.

  Args:
    config: the ladder's settings.
    commits: commits of the code of all compared runs, as in their records.

  Returns:
    The result of `naming.named` for experiments/configs/primary.py.
  """
  expected = primary.get_section(config.preset).to_json(sort_keys=True)
  is_its_own = config.primary.to_json(sort_keys=True) == expected
  return naming.named(FILE, is_its_own, commits)


def _seeds(config: ml_collections.ConfigDict) -> Expected:
  """Returns the condition on primary seeds.

  There must be 2 to 16 distinct seeds, none of them in `config.seeds`.
  """
  return Expected(
    lambda x: (
      SEEDS.meets(x)
      and 2 <= len(x) <= _MOST_SEEDS
      and not {*x} & {*config.seeds}
    ),
    f'2 to {_MOST_SEEDS} different whole numbers of at least 0, none of them '
    f'in seeds, {config.seeds}',
  )


def _compared(
  config: ml_collections.ConfigDict,
  comparison: ml_collections.ConfigDict,
  outcomes: Outcomes,
) -> dict[str, Any]:
  """Returns statistics of `ours` less `theirs`; see `judge`."""
  section = config.primary

  def runs(cell: str) -> list[Outcome]:
    return [outcomes[cell][seed] for seed in section.seeds]

  def measured(cells: Sequence[str]) -> np.ndarray:
    measure = _MEASURES[comparison.measure]
    return np.array([[measure(x) for x in runs(cell)] for cell in cells]).T

  differences = measured(comparison.ours) - measured(comparison.theirs)
  means = differences.mean(axis=1)
  asks = {'alternative': comparison.alternative}
  level = section.level / len(section.comparisons)
  draws = {'seed': config.seed, 'repeats': config.draws}
  return {
    'differences': differences.tolist(),
    'mean': statistics.mean_interval(means)._asdict(),
    'iqm': statistics.interquartile_mean(differences, **draws)._asdict(),
    'improvement': paired.improvement(differences, **draws)._asdict(),
    'detectable': paired.detectable(means, level, **asks),
    'p': paired.sign_flip_p(means, comparison.margin, **asks),
    'solved': {
      side: {cell: pooled.solved(runs(cell)) for cell in comparison[side]}
      for side in ('ours', 'theirs')
    },
  }


def _is_met(found: Mapping[str, Any], level: float) -> bool:
  """Returns whether `ours` less `theirs` is significantly above the margin.

  The corrected p-value must be below `level`, and the lower end of the mean's
  interval above the margin. With `as_many_solved`, `ours` must also solve at
  least as many markets as `theirs`.
  """
  if found['corrected'] >= level or found['mean']['low'] <= found['margin']:
    return False
  return not found['as_many_solved'] or (
    _count(found['solved']['ours']) >= _count(found['solved']['theirs'])
  )


def _count(solved: Mapping[str, Any]) -> int:
  return sum(found['count'] for found in solved.values() if found)

"""The ladder's primary comparisons, specified before their runs are made.

Their p-values are corrected together, by Holm's method; whatever else the
ladder shows is exploratory. The page of results names the last commit that
changed the code of this file, and says whether all runs of the comparisons were
made with that commit or a later one. So change this file before these runs,
commit it alone, and leave its code unchanged afterwards.

No setting was chosen on the markets of the primary seeds. Settings are chosen
on other seeds and on validation days.
"""

import ml_collections
from ml_collections import config_dict


def get_section(preset: str) -> ml_collections.ConfigDict:
  """Returns the section `primary` of the ladder's settings, unlocked."""
  section = config_dict.ConfigDict()
  section.seeds = (*range(100, 110),) if preset == 'small' else (100, 101)
  section.level = 0.05  # of Holm's corrected p-values
  comparisons = section.comparisons = config_dict.ConfigDict()
  # Learning that looks ahead earns more than the bandit of the same compute.
  comparisons.foresight = _comparison(('patience',), ('patience_bandit',))
  # The agent is no worse than the supervised ranker.
  comparisons.ranker = _comparison(
    ('leading',), ('leading_ranker',), margin=-0.04, as_many_solved=True
  )
  return section


def _comparison(
  ours: tuple[str, ...],
  theirs: tuple[str, ...],
  measure: str = 'year',
  alternative: str = 'two-sided',
  margin: float = 0.0,
  as_many_solved: bool = False,
) -> config_dict.ConfigDict:
  """Returns a comparison of cells on the primary seeds.

  Args:
    ours: names of cells, each on a different kind of market; for each seed, the
      mean over these cells counts.
    theirs: names of as many cells, on the same markets in the same order.
    measure: 'year', the mean of the daily returns times the days of a year, or
      'profit', divided by the initial cash; both on the held-out days.
    alternative: 'two-sided' or 'greater'; see `eigen3.evaluation.paired`.
    margin: in units of the measure. Ours less theirs must exceed it: the lower
      end of the mean difference's 95 % interval must be above it, and the
      corrected p-value of the null hypothesis that the mean difference equals
      it must be below `level`.
    as_many_solved: whether ours must also solve at least as many markets as
      theirs.
  """
  comparison = config_dict.ConfigDict()
  comparison.ours = ours
  comparison.theirs = theirs
  comparison.measure = measure
  comparison.alternative = alternative
  comparison.margin = margin
  comparison.as_many_solved = as_many_solved
  return comparison

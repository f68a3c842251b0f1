"""Statistical comparison of two configurations on the same markets.

Each seed makes a market of its own, on which both configurations are trained.
Results differ more between markets of a kind than between configurations. So
the tests take differences: for each market, the first configuration's result
less the second's. Conclusions generalise to other markets of the same kinds.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from eigen3.evaluation import statistics
from eigen3.evaluation.statistics import Estimate

ALTERNATIVES = ('greater', 'two-sided')


def sign_flip_p(
  differences: np.ndarray, margin: float = 0.0, alternative: str = 'two-sided'
) -> float:
  """Returns the p-value of a sign-flip test of the mean difference.

  Under the null hypothesis the mean difference is `margin`, and differences are
  symmetric around it, so each difference less `margin` could as well have the
  opposite sign. p is the share of the 2 ** R patterns of signs whose mean is at
  least as extreme as the observed one; all are enumerated (Fisher, 1935). With
  ten differences the smallest p is 2 / 1,024 two-sided, and half of that
  one-sided.

  Args:
    differences: float [R], independent, one for each of R markets.
    margin: the mean difference under the null hypothesis. With a negative
      margin and 'greater', the test is of non-inferiority: whether the first
      configuration is at worst less than |margin| below the second.
    alternative: 'greater', or 'two-sided', twice the smaller tail.
  """
  result = stats.permutation_test(
    (np.asarray(differences, np.float64) - margin,),
    np.mean,
    permutation_type='samples',
    n_resamples=np.inf,
    alternative=alternative,
  )
  return float(result.pvalue)


def corrected(p: Sequence[float | None]) -> list[float | None]:
  """Corrects the p-values of a family of comparisons by Holm's method (1979).

  Controls the family-wise error rate: at any level, the probability of
  rejecting at least one true null hypothesis is at most that level, whatever
  the dependence between the comparisons.

  Args:
    p: p-value of each comparison, None if it is not known yet. None stays None,
      but counts as 1, so that the other corrected values can only fall once it
      is known.
  """
  from statsmodels.stats import multitest  # takes a second to import

  known = [1.0 if value is None else value for value in p]
  found = multitest.multipletests(known, method='holm')[1]
  return [
    None if value is None else float(holm)
    for value, holm in zip(p, found, strict=True)
  ]


def improvement(
  differences: np.ndarray, seed: int, repeats: int = statistics.DRAWS
) -> Estimate:
  """Estimates the probability that the first configuration is better.

  Agarwal et al. (2021): the mean over markets of P(X > Y), for results X of the
  first and Y of the second configuration; a tie counts one half. With one run
  of each per market, this is the share of markets on which the first is better.

  Args:
    differences: float [R, K], of R markets of each of K kinds.
    seed: random seed of the draws.
    repeats: number of draws of markets, see `statistics.stratified`.

  Raises:
    ValueError: `differences` is not [R, K], is empty, or has NaN.
  """
  wins = 0.5 * (1.0 + np.sign(differences))
  return statistics.stratified(
    wins, lambda x: x.mean(axis=-1), seed, repeats=repeats
  )


def detectable(
  differences: np.ndarray,
  level: float = 0.05,
  power: float = statistics.POWER,
  alternative: str = 'two-sided',
) -> float:
  """Computes the smallest distance from the margin that a t-test would detect.

  If the true mean is this far from the margin (see `sign_flip_p`), a t-test
  at `level` on R differences with the observed standard deviation rejects the
  null hypothesis with probability `power`. (In a two-sided test, the
  probability of the other tail, at most `level` / 2, is ignored.)

  Args:
    differences: float [R], independent, R at least 2.
    level: significance level of the test.
    power: the probability of detecting this distance.
    alternative: see `sign_flip_p`.

  Returns:
    The distance to the margin, not negative, in the units of `differences`.
  """
  size = len(differences)
  error = float(np.std(differences, ddof=1)) / np.sqrt(size)
  tail = level / 2 if alternative == 'two-sided' else level
  return statistics.detectable(error, size - 1, tail, power)

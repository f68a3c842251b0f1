"""Tests whether any of many policies beats a benchmark, and which are the best.

The best of many policies looks good by chance; both tests correct for this
selection. Both are computed by the package arch, with the stationary bootstrap
over days. The losses that arch compares are negative daily returns in
`confidence_set`, and in `superior_ability` negative excess returns over the
benchmark, divided by their standard deviation.
"""

import numpy as np

from eigen3.evaluation.bootstrap import FEWEST_DAYS, block_length
from eigen3.evaluation.sharpe import has_spread
from eigen3.evaluation.statistics import described


def superior_ability(
  returns: np.ndarray,
  benchmark: np.ndarray,
  seed: int,
  repeats: int = 10_000,
  block: int | None = None,
) -> float:
  """Computes the p-value of the hypothesis that no policy beats the benchmark.

  The test is that of Hansen (2005), "A test for superior predictive ability",
  Journal of Business & Economic Statistics 23(4), with the consistent p-value.
  Each policy's daily differences from the benchmark are divided by their
  standard deviation, so policies of low and high volatility have the same
  weight. (arch itself uses variances only to decide which poor policies still
  count.) Policies whose difference is constant are left out.

  Args:
    returns: daily returns of M policies on S days, float [S, M].
    benchmark: the benchmark's daily returns on the same days, float [S].
    seed: seed of the draws.
    repeats: number of draws.
    block: mean block length in days; by default the longest `block_length` of
      the policies' differences from the benchmark.

  Returns:
    The p-value: 1 if no remaining policy has a higher mean return than the
    benchmark, NaN for fewer than `FEWEST_DAYS` days.

  Raises:
    ValueError: shapes do not fit, there are no returns, or one is not finite.
  """
  returns = _checked(returns)
  benchmark = np.asarray(benchmark, np.float64)
  if benchmark.shape != returns.shape[:1] or not np.isfinite(benchmark).all():
    raise ValueError(
      f'benchmark: found {described(benchmark)}, expected finite returns of '
      f'shape {returns.shape[:1]}, one for each day of the policies'
    )
  if len(returns) < FEWEST_DAYS:
    return float('nan')
  better = returns - benchmark[:, None]
  better = better[:, [has_spread(column) for column in better.T]]
  if not better.mean(axis=0).max(initial=0.0) > 0.0:
    return 1.0  # Hansen's statistic is never below 0
  from arch import bootstrap  # takes a second to import

  test = bootstrap.SPA(
    np.zeros(len(better)),
    -better / better.std(axis=0),
    block_size=block_length(better) if block is None else block,
    reps=repeats,
    seed=seed,
  )
  test.compute()
  return float(test.pvalues['consistent'])


def confidence_set(
  returns: np.ndarray,
  seed: int,
  repeats: int = 2_000,
  block: int | None = None,
) -> np.ndarray:
  """Computes each policy's p-value of the hypothesis that it is the best.

  The best policy is the one with the highest expected return. The test is that
  of Hansen, Lunde & Nason (2011), "The model confidence set", Econometrica
  79(2), with the range statistic: the policies with a p-value above 0.05
  include the best with a confidence of 95 %.

  Args:
    returns: daily returns of M policies on S days, float [S, M].
    seed: seed of the draws.
    repeats: number of draws; repeats x M x M numbers are kept in memory.
    block: mean block length in days; by default the longest `block_length` of a
      policy.

  Returns:
    p-values, float [M], 1 for the highest mean return; equal for policies with
    identical returns. NaN for fewer than `FEWEST_DAYS` days.

  Raises:
    ValueError: the shape does not fit, there are no returns, or one is not
      finite.
  """
  returns = _checked(returns)
  if len(returns) < FEWEST_DAYS:
    return np.full(returns.shape[1], np.nan)
  distinct, place = np.unique(returns, axis=1, return_inverse=True)
  if distinct.shape[1] == 1:
    return np.ones(returns.shape[1])
  from arch import bootstrap

  test = bootstrap.MCS(
    -distinct,
    size=0.05,  # level of the test; p-values do not depend on it
    reps=repeats,
    block_size=block_length(distinct) if block is None else block,
    seed=seed,
  )
  test.compute()
  return test.pvalues['Pvalue'].sort_index().to_numpy()[place]


def _checked(returns: np.ndarray) -> np.ndarray:
  returns = np.asarray(returns, np.float64)
  if returns.ndim != 2 or not returns.size or not np.isfinite(returns).all():
    raise ValueError(
      f'returns: found {described(returns)}, expected finite returns of shape '
      '(days, policies), with at least one of each'
    )
  return returns

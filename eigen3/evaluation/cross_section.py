"""Measures how well scores order the stocks of each day by their outcomes.

All functions take arrays [S, N] of S days and N stocks. A value is missing if
it is NaN or if `known` is False. Each day is treated separately, so that no
function can look ahead.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from eigen3.evaluation import regression
from eigen3.evaluation.regression import DailyMean

# With fewer stocks a day is left out.
FEWEST_STOCKS = 10
TOP = 0.1  # the share of stocks that count as the best
_ROUNDING = 1e-12


class Quality(NamedTuple):
  """How well scores order stocks, before and after adjusting for factors.

  Attributes:
    ic: mean daily rank IC, see `rank_ic`.
    top: mean excess of the top decile over all stocks, in the unit of the
      outcomes, see `top_excess`.
    adjusted_ic: `ic` of the residuals of scores and outcomes, after a
      regression on the factors.
    adjusted_top: `top` of these residuals.
  """

  ic: DailyMean
  top: DailyMean
  adjusted_ic: DailyMean
  adjusted_top: DailyMean


class Daily(NamedTuple):
  """The measures of `Quality` on each of S days; NaN where undefined.

  Attributes:
    ic: float64 [S].
    top: float64 [S].
    adjusted_ic: float64 [S].
    adjusted_top: float64 [S].
  """

  ic: np.ndarray
  top: np.ndarray
  adjusted_ic: np.ndarray
  adjusted_top: np.ndarray


def quality(
  scores: np.ndarray,
  outcomes: np.ndarray,
  known: np.ndarray,
  factors: np.ndarray,
  horizon: int,
) -> Quality:
  """Returns the means over days of the measures of `daily`.

  Args:
    scores: float [S, N], see `daily`.
    outcomes: float [S, N], see `daily`.
    known: bool [S, N], see `daily`.
    factors: float [S, N, K], see `daily`.
    horizon: number of days that an outcome covers, for the standard errors.
  """
  found = daily(scores, outcomes, known, factors)
  return Quality(*(regression.daily_mean(x, horizon) for x in found))


def daily(
  scores: np.ndarray,
  outcomes: np.ndarray,
  known: np.ndarray,
  factors: np.ndarray,
) -> Daily:
  """Measures scores by the outcomes of trades, day by day.

  The adjusted measures compare residuals: the scores' ranks and the outcomes
  themselves are each regressed on the factors' ranks.

  Args:
    scores: float [S, N]; higher is better.
    outcomes: float [S, N], realised.
    known: bool [S, N], stocks that could be bought and whose outcome is known.
    factors: float [S, N, K], K factors that are known when the scores are; a
      stock that lacks any of them is left out of the adjusted measures.
  """
  ranked = np.stack(
    [ranks(factors[..., k], known) for k in range(factors.shape[2])], axis=2
  )
  left_scores = residuals(ranks(scores, known), ranked, known)
  left_outcomes = residuals(outcomes, ranked, known)
  return Daily(
    rank_ic(scores, outcomes, known),
    top_excess(scores, outcomes, known),
    rank_ic(left_scores, left_outcomes, known),
    top_excess(left_scores, left_outcomes, known),
  )


def ranks(values: np.ndarray, known: np.ndarray) -> np.ndarray:
  """Ranks values within each day; ties get their mean rank.

  Ranks are scaled to lie between -0.5 and 0.5; the largest value ranks highest.

  Args:
    values: float [S, N].
    known: bool [S, N], which to rank; NaN values are never ranked.

  Returns:
    float64 [S, N], with a mean of 0 on each day; NaN where not ranked.
  """
  table = _table(values, known)
  count = table.notna().sum(axis=1).to_numpy()[:, None]
  return (table.rank(axis=1).to_numpy() - 0.5) / np.maximum(count, 1) - 0.5


def rank_ic(
  scores: np.ndarray, outcomes: np.ndarray, known: np.ndarray
) -> np.ndarray:
  """Computes the daily rank information coefficient, Spearman's correlation.

  Args:
    scores: float [S, N].
    outcomes: float [S, N].
    known: bool [S, N]; a NaN score or outcome also counts as not known.

  Returns:
    float64 [S]; NaN on days with fewer than `FEWEST_STOCKS` known stocks, or
    on which all scores or all outcomes are equal.
  """
  known = known & np.isfinite(scores) & np.isfinite(outcomes)
  ours = np.nan_to_num(ranks(scores, known))
  theirs = np.nan_to_num(ranks(outcomes, known))
  spread = np.sqrt((ours**2).sum(axis=1) * (theirs**2).sum(axis=1))
  is_told = (known.sum(axis=1) >= FEWEST_STOCKS) & (spread > 0.0)
  spread[~is_told] = np.nan
  return (ours * theirs).sum(axis=1) / spread


def top_excess(
  scores: np.ndarray,
  outcomes: np.ndarray,
  known: np.ndarray,
  share: float = TOP,
) -> np.ndarray:
  """Returns the mean outcome of the best-scored stocks less that of all stocks.

  Stocks that tie for the last places among the best count in part, so that
  scores which are all equal have an excess of 0.

  Args:
    scores: float [S, N].
    outcomes: float [S, N].
    known: bool [S, N]; a NaN score or outcome also counts as not known.
    share: share of the day's known stocks that count as the best; their number
      is rounded, and at least 1.

  Returns:
    float64 [S], in the unit of the outcomes; NaN on days with fewer than
    `FEWEST_STOCKS` known stocks.
  """
  known = known & np.isfinite(scores) & np.isfinite(outcomes)
  table = _table(scores, known)
  count = known.sum(axis=1).astype(float)
  count[count < FEWEST_STOCKS] = np.nan
  best = np.maximum(np.round(share * count), 1.0)[:, None]
  first, last = (
    table.rank(axis=1, ascending=False, method=method).to_numpy()
    for method in ('min', 'max')
  )
  weights = np.clip((best - first + 1.0) / (last - first + 1.0), 0.0, 1.0)
  values = np.where(known, outcomes, 0.0)
  top = (np.nan_to_num(weights) * values).sum(axis=1) / best[:, 0]
  return top - values.sum(axis=1) / count


def residuals(
  values: np.ndarray, factors: np.ndarray, known: np.ndarray
) -> np.ndarray:
  """Returns the residuals of a regression of values on factors, day by day.

  Each day has a least-squares regression of its own, over its known stocks, on
  a constant and the factors.

  Args:
    values: float [S, N].
    factors: float [S, N, K], of K factors.
    known: bool [S, N]; a NaN value or factor also counts as not known.

  Returns:
    float64 [S, N]; NaN where not known, and on days with no more known stocks
    than there are coefficients.
  """
  known = known & np.isfinite(values) & np.isfinite(factors).all(axis=2)
  known &= (known.sum(axis=1) > factors.shape[2] + 1)[:, None]
  ones = np.ones((*values.shape, 1))
  design = np.concatenate([ones, factors], axis=2)
  design = np.where(known[..., None], design, 0.0)
  target = np.where(known, values, 0.0).astype(np.float64)
  transposed = design.transpose(0, 2, 1)
  gram = np.linalg.pinv(transposed @ design, hermitian=True)
  coefficients = gram @ (transposed @ target[..., None])
  left = target - (design @ coefficients)[..., 0]
  # Rounding errors of values that the factors explain have no meaningful order.
  left[np.abs(left) <= _ROUNDING * np.abs(target).max(initial=0.0)] = 0.0
  return np.where(known, left, np.nan)


def _table(values: np.ndarray, known: np.ndarray) -> pd.DataFrame:
  """Returns the values as a table, a row per day; NaN where not known."""
  return pd.DataFrame(np.where(known & np.isfinite(values), values, np.nan))

"""The probability of backtest overfitting when choosing among policies."""

import itertools
from typing import NamedTuple

import numpy as np

# A standard deviation below this share of the largest return is rounding error.
_ROUNDING = 1e-7


class Overfitting(NamedTuple):
  """How policies chosen on one half of the days perform on the other half.

  The days are split into two halves in K ways. The chosen policy of a split is
  the one with the highest Sharpe ratio on the half used for choosing.

  Attributes:
    probability: the probability of overfitting (PBO), which is the share of
      splits whose chosen policy was no better than the median on the other
      half.
    loss: the share of splits whose chosen policy had a negative mean return on
      the other half.
    logits: float [K], logit of the chosen policy's relative rank on the other
      half; 0 is the median, negative is worse.
    in_sample: float [K], daily Sharpe ratio of the chosen policy on the half
      used for choosing.
    out_of_sample: float [K], its daily Sharpe ratio on the other half.
  """

  probability: float
  loss: float
  logits: np.ndarray
  in_sample: np.ndarray
  out_of_sample: np.ndarray


def backtest_overfitting(returns: np.ndarray, blocks: int = 16) -> Overfitting:
  """Estimates overfitting by combinatorially symmetric cross-validation.

  Bailey, Borwein, Lopez de Prado & Zhu (2015), "The probability of backtest
  overfitting", Journal of Computational Finance. The days are cut into blocks
  of equal length; surplus days at the beginning are left out. On every choice
  of half of the blocks, the policy with the highest Sharpe ratio is selected
  and then evaluated on the other half. A policy with constant returns has a
  Sharpe ratio of 0. Equal Sharpe ratios share their mean rank.

  For policies without skill, the mean probability over many markets is about
  one half. On one market it varies widely, because the splits share their days.

  Args:
    returns: daily returns of M policies on the same days, float [S, M].
    blocks: an even number; K is the number of ways to choose half of them,
      12,870 for 16. K x M numbers are held in memory several times.

  Returns:
    The probability of overfitting and of a loss, and the values behind them.

  Raises:
    ValueError: `blocks` is not an even number above 0, there are too few days
      or policies, or a return is not finite.
  """
  returns = np.asarray(returns, np.float64)
  _check(returns, blocks)
  days = len(returns) // blocks
  sharpe = _of_halves(returns[len(returns) - days * blocks :], blocks)
  # In the order of combinations, the n-th from the end is the n-th's
  # complement.
  other = sharpe[::-1]
  split = np.arange(len(sharpe))
  best = sharpe.argmax(axis=1)
  judged = other[split, best]
  below = (other < judged[:, None]).sum(axis=1)
  equal = (other == judged[:, None]).sum(axis=1)
  rank = below + (equal + 1) / 2
  logits = np.log(rank / (returns.shape[1] + 1 - rank))
  return Overfitting(
    probability=float(np.mean(logits <= 0.0)),
    loss=float(np.mean(judged < 0.0)),
    logits=logits,
    in_sample=sharpe[split, best],
    out_of_sample=judged,
  )


def _check(returns: np.ndarray, blocks: int) -> None:
  if blocks < 2 or blocks % 2:
    raise ValueError(f'blocks: found {blocks}, expected an even number above 0')
  if returns.ndim != 2 or returns.shape[1] < 2 or len(returns) < 2 * blocks:
    raise ValueError(
      f'returns: found shape {returns.shape}, expected (days, policies) with '
      f'at least {2 * blocks} days (2 per block) and at least 2 policies'
    )
  bad = int((~np.isfinite(returns)).sum())
  if bad:
    entries = 'entry' if bad == 1 else 'entries'
    raise ValueError(
      f'returns: found {bad} NaN or infinite {entries}, expected finite numbers'
    )


def _of_halves(returns: np.ndarray, blocks: int) -> np.ndarray:
  """Returns daily Sharpe ratios [K, M] on all choices of half of the blocks."""
  size = len(returns) // 2
  centre = returns.mean(axis=0)
  parts = (returns - centre).reshape(blocks, -1, returns.shape[1])
  chosen = np.array(list(itertools.combinations(range(blocks), blocks // 2)))
  halves = np.zeros((len(chosen), blocks))
  np.put_along_axis(halves, chosen, 1.0, axis=1)
  mean = halves @ parts.sum(axis=1) / size
  square = halves @ (parts**2).sum(axis=1)
  variance = np.maximum(square - size * mean**2, 0.0) / (size - 1)
  mean, deviation = mean + centre, np.sqrt(variance)
  moves = deviation > _ROUNDING * np.abs(returns).max(axis=0)
  return np.divide(mean, deviation, out=np.zeros_like(mean), where=moves)

"""Explains an account's returns by those of simple portfolios."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation import cross_section, regression, statistics
from eigen3.evaluation.characteristics import (
  buyable,
  characteristics,
  daily_returns,
  market_returns,
)

# Share of buyable stocks at each end of the ranking.
SHARE = 0.2
PORTFOLIOS = ('volatility', 'reversal', 'momentum')


class Attribution(NamedTuple):
  """An account's daily returns as a sum of portfolios and a rest.

  Attributes:
    alpha: mean return a year that the portfolios do not explain.
    error: its standard error.
    t: alpha over its error.
    detectable: the smallest true alpha that would have been detected.
    betas: exposure to each portfolio, by name.
    contributions: exposure times the portfolio's mean return, a year; with
      alpha they sum to the account's mean return.
    r_squared: share of the variance that the portfolios explain.
  """

  alpha: float
  error: float
  t: float
  detectable: float
  betas: dict[str, float]
  contributions: dict[str, float]
  r_squared: float


def portfolios(panel: MarketPanel) -> dict[str, np.ndarray]:
  """Computes daily returns of portfolios that are formed at every close.

  The market is the mean of all stocks that can be bought. The others are long
  the fifth with the largest characteristic and short the fifth with the
  smallest, at equal weights. Weights are known at the close before the return.

  Returns:
    By name ('market' and `PORTFOLIOS`) float64 [T], before costs; 0 on days on
    which a portfolio cannot be formed.
  """
  known, following = buyable(panel)[:-1], daily_returns(panel)[1:]
  found = {'market': market_returns(panel)}
  for name in PORTFOLIOS:
    scores = getattr(characteristics(panel), name)[:-1]
    best = cross_section.top_excess(scores, following, known, SHARE)
    worst = cross_section.top_excess(-scores, following, known, SHARE)
    found[name] = np.nan_to_num(np.concatenate([[0.0], best - worst]))
  return found


def attribute(
  returns: np.ndarray, held: Mapping[str, np.ndarray], year: int
) -> Attribution:
  """Regresses an account's daily returns on those of portfolios.

  Args:
    returns: of the account, float [S].
    held: returns of portfolios on the same days, by name, float [S].
    year: number of days in a year, such as 252.

  Raises:
    ValueError: a portfolio has other days.
  """
  returns = np.asarray(returns, np.float64)
  for name, of_portfolio in held.items():
    if of_portfolio.shape != returns.shape:
      raise ValueError(
        f'{name}: found returns of shape {of_portfolio.shape}, expected '
        f'{returns.shape}, one for each day of the account'
      )
  regressors = np.stack([*held.values()], axis=1)
  fit = regression.least_squares(returns, regressors)
  alpha, error = (float(year * x[0]) for x in (fit.coefficients, fit.errors))
  betas = dict(zip(held, map(float, fit.coefficients[1:]), strict=True))
  return Attribution(
    alpha=alpha,
    error=error,
    t=alpha / error if error > 0.0 else np.nan,
    detectable=statistics.detectable(error, len(returns) - len(held) - 1),
    betas=betas,
    contributions={
      name: float(year * beta * held[name].mean())
      for name, beta in betas.items()
    },
    r_squared=fit.r_squared,
  )

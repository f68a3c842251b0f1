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
  """How far the returns of portfolios explain those of an account.

  Attributes:
    alpha: mean return per year that the portfolios do not explain.
    error: standard error of alpha.
    t: alpha divided by its error; NaN if the error is 0.
    detectable: the smallest true alpha that a two-sided test at 5 % would have
      detected with a probability of 80 %.
    betas: exposure to each portfolio, by name.
    contributions: exposure times the portfolio's mean return per year, by name;
      with alpha they sum to the account's mean return per year.
    r_squared: share of the variance that the portfolios explain; NaN if the
      account's returns are all equal.
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

  The market portfolio holds all stocks that are `buyable` at the close. Each of
  `PORTFOLIOS` is named after a characteristic: of the buyable stocks for which
  it is known, the portfolio is long the quintile with the largest values and
  short the quintile with the smallest. Weights are equal. They use only what is
  known at the close, except that stocks without a return on the next day are
  left out.

  Returns:
    float64 [T] by name ('market' and `PORTFOLIOS`), before costs; 0 on the
    first day and where a portfolio could not be formed at the close before.
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
    returns: daily returns of the account, float [S].
    held: daily returns of the portfolios on the same days, by name, float [S].
    year: number of days in a year, such as 252.

  Raises:
    ValueError: the number of days differs between account and portfolios.
  """
  returns = np.asarray(returns, np.float64)
  for name, of_portfolio in held.items():
    if of_portfolio.shape != returns.shape:
      raise ValueError(
        f'portfolio {name}: found returns of shape {of_portfolio.shape}, '
        f'expected {returns.shape}, one for each day of the account'
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

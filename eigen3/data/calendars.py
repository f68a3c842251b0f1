"""What days tell of the market they are of."""

import numpy as np

from eigen3.types import TRADING_DAYS_A_YEAR

# Of weeks and months, and how far days may be from them.
_OTHERS = (1, 4, 12, 26, 52, 104, 156)
_NEAR = 0.05
_FEWEST = 20
_EVERY_DAY = 365


def periods_a_year(dates: np.ndarray) -> int:
  """How many of such days are a year, at least 1.

  252 for a market that closes on weekends, whatever its holidays, and for fewer
  than 20 days, which do not say; 365 for one that never closes.

  Args:
    dates: datetime64[D] [T], increasing.
  """
  if len(dates) < _FEWEST:
    return TRADING_DAYS_A_YEAR
  apart = np.diff(dates).astype(int)
  if np.median(apart) == 1:
    # As many different days of the week as have a tenth of all.
    share = np.bincount(dates.astype(int) % 7, minlength=7) / len(dates)
    return _EVERY_DAY if (share >= 0.1).all() else TRADING_DAYS_A_YEAR
  # A gap or a slip is no period.
  found = 365.25 / apart[apart <= 4 * np.median(apart)].mean()
  nearest = min(_OTHERS, key=lambda periods: abs(np.log(found / periods)))
  is_near = abs(np.log(found / nearest)) <= _NEAR
  return nearest if is_near else max(1, round(found))

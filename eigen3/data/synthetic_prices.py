"""Prices of the embedded markets, from what moves them.

Each day has two parts, before and after its open. Deviations and moves are of
the logarithm of a price.
"""

import numpy as np

# Standard deviations of a day's return, as fractions of the price.
MARKET_NOISE = 0.006
STOCK_NOISE = 0.0137
RANGE = 0.006  # of high and low beyond open and close
OVERNIGHT = 0.25  # share of a day's drift and variance before the open
_SHARE = np.array([OVERNIGHT, 1.0 - OVERNIGHT])[:, None]


def moves_of(expected, noise: np.ndarray, deviation: float) -> np.ndarray:
  """The moves of a day's two parts, [T, 2, N].

  Each is a fair game around its share of the expected return: the mean of
  exp(x) is taken out.

  Args:
    expected: [T, N], a day's expected return.
    noise: [T, 2, N], each part on the scale of a day.
    deviation: of a day's noise.
  """
  moves = _SHARE * (np.asarray(expected)[:, None] - 0.5 * deviation**2)
  return moves + np.sqrt(_SHARE) * noise


def of_a_day(noise: np.ndarray) -> np.ndarray:
  """What the noise of a day's parts adds up to, [T, 2, N] to [T, N]."""
  return (np.sqrt(_SHARE) * noise).sum(axis=1)


def bars(rng: np.random.Generator, moves: np.ndarray) -> np.ndarray:
  """Open, high, low and close [T, N, 4] of prices that begin anywhere."""
  start = np.log(rng.uniform(20.0, 200.0, moves.shape[2]))
  return bars_from(rng, start, moves)


def bars_from(rng: np.random.Generator, start, moves: np.ndarray) -> np.ndarray:
  """The same from the logarithm of the price before the first day."""
  halves = moves.reshape(2 * len(moves), moves.shape[2])
  path = start + np.cumsum(halves, axis=0)
  path = path.reshape(moves.shape)
  opening, close = path[:, 0], path[:, 1]
  above, below = np.abs(rng.normal(0.0, RANGE, (2, *close.shape)))
  high = np.maximum(opening, close) + above
  low = np.minimum(opening, close) - below
  return np.exp(np.stack([opening, high, low, close], axis=-1))


def walks(rng: np.random.Generator, num_days: int, num: int) -> np.ndarray:
  """Prices [T, num, 4] that nothing predicts and that predict nothing."""
  noise = STOCK_NOISE * rng.standard_normal((num_days, 2, num))
  expected = np.zeros((num_days, num))
  return bars(rng, moves_of(expected, noise, STOCK_NOISE))

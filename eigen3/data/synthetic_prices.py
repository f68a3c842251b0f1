"""Makes prices of the embedded markets from drifts and noise.

Each day has two parts: from the previous close to the open, and from the open
to the close. Moves are changes of the log price; deviations are standard
deviations of moves.
"""

import numpy as np

# Standard deviations of a day's moves.
MARKET_NOISE = 0.006
STOCK_NOISE = 0.0137
RANGE = 0.006  # of the distance of high and low from open and close
OVERNIGHT = 0.25  # share of a day's drift and variance before the open
_SHARE = np.array([OVERNIGHT, 1.0 - OVERNIGHT])[:, None]


def moves_of(expected, noise: np.ndarray, deviation: float) -> np.ndarray:
  """Returns the moves of each day's two parts, [T, 2, N].

  The noise leaves the expected return unchanged, because the mean of exp(noise)
  is divided out.

  Args:
    expected: [T, N], each day's expected return.
    noise: [T, 2, N]; each part has the variance of a whole day's noise, and is
      scaled down here.
    deviation: standard deviation of a whole day's noise.
  """
  moves = _SHARE * (np.asarray(expected)[:, None] - 0.5 * deviation**2)
  return moves + np.sqrt(_SHARE) * noise


def of_a_day(noise: np.ndarray) -> np.ndarray:
  """Sums the noise of each day's two parts, scaled as in `moves_of`; [T, N]."""
  return (np.sqrt(_SHARE) * noise).sum(axis=1)


def bars(rng: np.random.Generator, moves: np.ndarray) -> np.ndarray:
  """Returns open, high, low, close [T, N, 4], starting at random prices.

  The log price changes by `moves`, [T, 2, N]. The distances of high and low
  from open and close are random, too.
  """
  start = np.log(rng.uniform(20.0, 200.0, moves.shape[2]))
  return bars_from(rng, start, moves)


def bars_from(rng: np.random.Generator, start, moves: np.ndarray) -> np.ndarray:
  """Returns prices like `bars`, starting at log prices `start`, [N] or []."""
  halves = moves.reshape(2 * len(moves), moves.shape[2])
  path = start + np.cumsum(halves, axis=0)
  path = path.reshape(moves.shape)
  opening, close = path[:, 0], path[:, 1]
  above, below = np.abs(rng.normal(0.0, RANGE, (2, *close.shape)))
  high = np.maximum(opening, close) + above
  low = np.minimum(opening, close) - below
  return np.exp(np.stack([opening, high, low, close], axis=-1))


def walks(rng: np.random.Generator, num_days: int, num: int) -> np.ndarray:
  """Draws the prices of independent random walks, [T, num, 4]."""
  noise = STOCK_NOISE * rng.standard_normal((num_days, 2, num))
  expected = np.zeros((num_days, num))
  return bars(rng, moves_of(expected, noise, STOCK_NOISE))

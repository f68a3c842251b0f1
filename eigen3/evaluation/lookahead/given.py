"""Checks that features stored in a panel are not those of later days."""

import numpy as np

from eigen3.data import FEATURES, MarketPanel, eigen2_features

_FURTHEST = 5  # days
_LEAST = 20  # the fewest cells to judge a column by
_TOLERANCE = 1e-3  # of the value; prices of a panel are rounded to float32


def check_given_features(panel: MarketPanel) -> None:
  """Refuses a panel whose features are indicators of later days.

  A panel alone does not show how its features were made. But features with
  Eigen2's names can be compared with indicators of the panel's own prices: a
  column that agrees with those of a few days later, and not with those of its
  own days, was shifted. Other features, and other kinds of look-ahead, pass.

  Args:
    panel: only the later half of its days is checked, where indicators no
      longer depend on their first values.

  Raises:
    ValueError: a feature was shifted; the error names the feature, the column
      and the number of days.
  """
  half = panel.num_days // 2
  indicators = eigen2_features(panel.ohlc)[half:]
  for place, name in enumerate(panel.feature_names):
    if name not in FEATURES:
      continue
    given = panel.features[half:, :, place]
    made = indicators[..., FEATURES.index(name)]
    today = _agreement(given, made)
    for days in range(1, _FURTHEST + 1):
      later = _agreement(given[:-days], made[days:])
      (shifted,) = np.nonzero((later > 0.5) & (today < 0.5))
      if shifted.size:
        raise ValueError(
          f'look-ahead: feature {name} of {panel.columns[shifted[0]]}: found '
          f'on most days the value of {days} day{"s"[: days > 1]} later, '
          'expected that of the same day'
        )


def _agreement(given: np.ndarray, made: np.ndarray) -> np.ndarray:
  """Returns the share of a column's cells that agree, float [C].

  Only cells known in both arrays count; the share is 0 if there are fewer than
  `_LEAST` of them.
  """
  known = np.isfinite(given) & np.isfinite(made)
  count = known.sum(axis=0)
  close = known & np.isclose(given, made, rtol=_TOLERANCE, atol=0.0)
  share = close.sum(axis=0) / np.maximum(count, 1)
  return np.where(count >= _LEAST, share, 0.0)

"""Whether the features that a panel came with are those of later days."""

import numpy as np

from eigen3.data import FEATURES, MarketPanel, eigen2_features

_FURTHEST = 5  # days
_LEAST = 20  # cells by which a column is judged
_TOLERANCE = 1e-3  # of the value; prices of a panel are rounded to float32


def check_given_features(panel: MarketPanel) -> None:
  """Refuses a panel whose features are indicators of later days.

  Nothing that begins with a panel can tell how its features were made. But
  those of Eigen2's names are compared with what the panel's own prices give: a
  column that agrees with itself a few days later, and not on its own days,
  was shifted. Other features, and other ways of looking ahead, pass.

  Args:
    panel: only the later half of its days is looked at, where indicators have
      forgotten where they began.

  Raises:
    ValueError: naming the feature, the column and the days.
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
          f'look-ahead: feature {name} of {panel.columns[shifted[0]]} is on '
          f'most days what its prices give {days} day{"s"[: days > 1]} later'
        )


def _agreement(given: np.ndarray, made: np.ndarray) -> np.ndarray:
  """The share of known cells [T, C] that are the same; [C]."""
  known = np.isfinite(given) & np.isfinite(made)
  count = known.sum(axis=0)
  close = known & np.isclose(given, made, rtol=_TOLERANCE, atol=0.0)
  share = close.sum(axis=0) / np.maximum(count, 1)
  return np.where(count >= _LEAST, share, 0.0)

"""The market on the device, observed as windows of days."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from eigen3.data import calendars
from eigen3.data.calendars import OwnDays
from eigen3.data.observed import observe
from eigen3.data.panel import MarketPanel
from eigen3.data.splits import Normalisation, fit_normalisation
from eigen3.types import Array


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=('features', 'own'),
  meta_fields=('context_days',),
)
@dataclasses.dataclass(frozen=True)
class Market:
  """Normalised features of all days, resident on the device; a pytree.

  Pass it to jitted functions as an argument: closed over, it would become a
  constant of the compiled program.

  Attributes:
    features: float32 [T, C, F], NaN if missing. A column's feature without
      normalisation statistics is NaN on all days.
    context_days: D, the days of a window; static.
    own: the days on which each column's own market is open; None if there is
      only one market.
  """

  features: Array
  context_days: int
  own: OwnDays | None = None

  @classmethod
  def fit(
    cls,
    panel: MarketPanel,
    observed_features: tuple[str, ...],
    days: tuple[int, int],
    context_days: int,
  ) -> 'Market':
    """Builds a market, normalised with statistics of the training days.

    Args:
      panel: T days, C columns.
      observed_features: see `from_panel`.
      days: (start, stop) of the training days.
      context_days: D, the days of a window.

    Raises:
      ValueError: a feature's name is unknown, the panel lacks what the feature
        is computed from, or the training days are too few or not in the panel.
    """
    observed = observe(panel, observed_features)
    normalisation = fit_normalisation(observed, days)
    return cls.from_panel(panel, observed_features, normalisation, context_days)

  @classmethod
  def from_panel(
    cls,
    panel: MarketPanel,
    observed_features: tuple[str, ...],
    normalisation: Normalisation,
    context_days: int,
  ) -> 'Market':
    """Builds a market from a panel and given normalisation statistics.

    Args:
      panel: T days, C columns.
      observed_features: names of the F features, in the order of axis F; see
        `eigen3.data.observe`.
      normalisation: mean and standard deviation of the features on the training
        days, each [C, F].
      context_days: D, the days of a window.

    Raises:
      ValueError: the normalisation's shapes are not [C, F], a feature's name is
        unknown, or the panel lacks what the feature is computed from.
    """
    observed = observe(panel, observed_features)
    expected = observed.shape[1:]
    for name in ('mean', 'std'):
      found = np.shape(getattr(normalisation, name))
      if found != expected:
        raise ValueError(
          f'normalisation.{name}: found shape {found}, expected {expected}, '
          'the numbers of columns and of observed features'
        )
    mean, std = np.float64(normalisation.mean), np.float64(normalisation.std)
    features = (observed - mean) / std
    own = calendars.own_days(
      np.isfinite(panel.ohlc[..., 3]), panel.markets, int(context_days)
    )
    return cls(
      jnp.asarray(features, jnp.float32),
      int(context_days),
      jax.tree.map(jnp.asarray, own),
    )

  @property
  def num_days(self) -> int:
    """Returns T, the number of days."""
    return self.features.shape[0]

  def window(self, day: Array) -> Array:
    """Returns the observation at the close of `day`.

    Args:
      day: int32 [], at least D - 1.

    Returns:
      [D, C, F], the last D days up to and including `day`. If there are several
      markets, each column has the last D days of its own market, so weekends on
      which only currencies trade leave no gaps in stocks. If a market has had
      fewer than D days so far, its columns begin with NaN.
    """
    if self.own is None:
      first = day - (self.context_days - 1)
      return jax.lax.dynamic_slice_in_dim(
        self.features, first, self.context_days
      )
    days = self.own.last(day, self.context_days)
    cells = self.features.at[days, jnp.arange(days.shape[1])]
    return cells.get(mode='fill', fill_value=jnp.nan)

  def windows(self, days: Array) -> Array:
    """Returns the windows of `days`, int32 [B], as [B, D, C, F]."""
    chex.assert_rank(days, 1)
    return jax.vmap(self.window)(days)

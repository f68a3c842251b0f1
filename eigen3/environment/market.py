"""The market on the device: what agents see of it, a window of days."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from eigen3.data.observed import observe
from eigen3.data.panel import MarketPanel
from eigen3.data.splits import Normalisation, fit_normalisation
from eigen3.types import Array


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=('features',),
  meta_fields=('context_days',),
)
@dataclasses.dataclass(frozen=True)
class Market:
  """Normalised features of all days, resident on the device; a pytree.

  Pass it to jitted functions as an argument: closed over, it would become a
  constant of the compiled program.

  Attributes:
    features: float32 [T, C, F], NaN where missing, and for all days of
      what the normalisation could not measure.
    context_days: D, the days of a window; static.
  """

  features: Array
  context_days: int

  @classmethod
  def fit(
    cls,
    panel: MarketPanel,
    observed_features: tuple[str, ...],
    days: tuple[int, int],
    context_days: int,
  ) -> 'Market':
    """As `from_panel`, normalised by days of the panel itself.

    Args:
      panel: T days, C columns.
      observed_features: see `from_panel`.
      days: (start, stop) of the training days.
      context_days: D.

    Raises:
      ValueError: a name is unknown, or the days are too few to measure by.
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
    """The market that networks see of `panel`.

    Args:
      panel: T days, C columns.
      observed_features: names, in the order in which they are observed; see
        `data.observe`.
      normalisation: of these, measured on training days only, [C, F].
      context_days: D.

    Raises:
      ValueError: the normalisation does not fit the panel, or a name is
        unknown.
    """
    observed = observe(panel, observed_features)
    expected = observed.shape[1:]
    for name in ('mean', 'std'):
      found = np.shape(getattr(normalisation, name))
      if found != expected:
        raise ValueError(
          f'normalisation.{name}: found shape {found}, expected {expected}'
        )
    mean, std = np.float64(normalisation.mean), np.float64(normalisation.std)
    features = (observed - mean) / std
    return cls(jnp.asarray(features, jnp.float32), int(context_days))

  @property
  def num_days(self) -> int:
    """T."""
    return self.features.shape[0]

  def window(self, day: Array) -> Array:
    """What is known at the close of `day`.

    Args:
      day: int32 [], at least D - 1.

    Returns:
      [D, C, F], the days day - D + 1 to day, both included.
    """
    first = day - (self.context_days - 1)
    return jax.lax.dynamic_slice_in_dim(self.features, first, self.context_days)

  def windows(self, days: Array) -> Array:
    """The windows of many days, int32 [B] to [B, D, C, F]."""
    chex.assert_rank(days, 1)
    return jax.vmap(self.window)(days)

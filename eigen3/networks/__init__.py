"""Neural networks as pure functions; start with `make_networks`."""

from eigen3.networks.attention import column_mean
from eigen3.networks.factory import (
  Divided,
  Networks,
  Shared,
  check_settings,
  make_networks,
)

__all__ = [
  'Divided',
  'Networks',
  'Shared',
  'check_settings',
  'column_mean',
  'make_networks',
]

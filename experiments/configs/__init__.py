"""Settings of all programs; defaults are defined only in this package."""

from typing import Any

import ml_collections


def flatten(
  config: ml_collections.ConfigDict, prefix: str = ''
) -> dict[str, Any]:
  """Returns a config's values, keyed by `prefix` plus their dotted names."""
  flat: dict[str, Any] = {}
  for name, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      flat.update(flatten(value, f'{prefix}{name}.'))
    else:
      flat[prefix + name] = value
  return flat

"""Settings of all programs; defaults are defined only here."""

from typing import Any

import ml_collections


def flatten(
  config: ml_collections.ConfigDict, prefix: str = ''
) -> dict[str, Any]:
  """Returns the values of a config, keyed by their dotted names."""
  flat: dict[str, Any] = {}
  for name, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      flat.update(flatten(value, f'{prefix}{name}.'))
    else:
      flat[prefix + name] = value
  return flat

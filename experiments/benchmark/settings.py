"""Builds the config and spec of a benchmark case from `Case.arguments`."""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from eigen3.environment import Rules
from eigen3.types import EnvironmentSpec
from experiments.configs import td3


def config_of(
  settings: Mapping[str, Any],
  get_config: Callable[[str], ml_collections.ConfigDict] = td3.get_config,
) -> ml_collections.ConfigDict:
  """Returns a preset's config with some fields changed.

  Args:
    settings: must have `preset`, the name of a preset. May have config fields,
      keyed by full name, such as 'networks.lstm_dropout', and `days` and
      `columns`, the window's D and C. Other entries are ignored; they are for
      the case's builder.
    get_config: maps the name of a preset to its config.

  Returns:
    The config, locked.
  """
  config = get_config(settings['preset'])
  if 'days' in settings:
    config.environment.context_days = settings['days']
  if 'columns' in settings:
    synthetic, columns = config.data.synthetic, settings['columns']
    # Context columns come first; at least one column is a stock.
    first = min(synthetic.num_context, columns - 1)
    synthetic.num_stocks = min(synthetic.num_stocks, columns - first)
    synthetic.num_context, synthetic.num_columns = first, columns
  for name, value in settings.items():
    if '.' in name:
      config.update_from_flattened_dict({name: value})
  return config


def spec_of(config: ml_collections.ConfigDict) -> EnvironmentSpec:
  """Returns the spec of the environment on a config's embedded market."""
  synthetic = config.data.synthetic
  first = synthetic.num_context
  return Rules.from_config(config.environment).spec(
    synthetic.num_columns,
    len(config.data.observed_features),
    (first, first + synthetic.num_stocks),
  )


def networks_of(
  settings: Mapping[str, Any],
) -> tuple[ml_collections.ConfigDict, EnvironmentSpec]:
  """Returns the `networks` section of a case's config, and the case's spec.

  Args:
    settings: see `config_of`.
  """
  config = config_of(settings)
  return config.networks, spec_of(config)

"""The config of a case, from the plain values that a case carries."""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from experiments.configs import td3


def config_of(
  settings: Mapping[str, Any],
  get_config: Callable[[str], ml_collections.ConfigDict] = td3.get_config,
) -> ml_collections.ConfigDict:
  """A preset with overrides.

  Args:
    settings: `preset`; fields by their full name, such as
      'networks.lstm_dropout'; and `days` and `columns` of the window, D and
      C, which change the networks' spec. Others are the builder's own.
    get_config: from the name of a preset to its config.

  Returns:
    The config, locked.
  """
  config = get_config(settings['preset'])
  if 'days' in settings:
    config.environment.context_days = settings['days']
  if 'columns' in settings:
    spec = config.networks.spec
    spec.num_columns = settings['columns']
    # Where there are fewer columns than stocks, all are stocks.
    first, stop = spec.investable
    if stop > settings['columns']:
      spec.investable = (
        min(first, settings['columns'] - 1),
        settings['columns'],
      )
  for name, value in settings.items():
    if '.' in name:
      config.update_from_flattened_dict({name: value})
  return config

"""Makes the environments that `eigen3.interop.gymnasium` registers."""

from collections.abc import Mapping
from typing import Any

from eigen3.interop.gymnasium import TradingEnv
from experiments import wiring
from experiments.configs import td3

# Held-out days are left to programs that record when they are opened.
_SPLITS = ('train', 'validation')


def make(
  preset: str = 'small',
  panel: str = '',
  split: str = 'train',
  observation: str = 'flat',
  settings: Mapping[str, Any] | None = None,
) -> TradingEnv:
  """Makes an environment for Gymnasium from a preset's settings.

  Args:
    preset: a preset of `experiments/configs/td3.py`.
    panel: path of a file made by `experiments.prepare_data`; '' for the
      preset's embedded market.
    split: the days of the episodes, 'train' or 'validation'. For both, features
      are normalised by the training days.
    observation: 'flat' or 'dict', see `TradingEnv`.
    settings: changes to the preset, by full name, such as
      {'environment.reward': 'portfolio'}.

  Raises:
    ValueError: an argument, a setting or the panel's file is invalid, or the
      panel is too short.
  """
  if split not in _SPLITS:
    raise ValueError(
      f"split: found '{split}', expected {' or '.join(map(repr, _SPLITS))}"
    )
  config = td3.get_config(preset)
  config.data.panel = panel
  try:
    config.update_from_flattened_dict(dict(settings or {}))
  except (AttributeError, KeyError, TypeError) as error:
    words = str(error.args[0]).partition('. Other fields')[0]
    raise ValueError(
      'settings: found an unknown or ill-typed setting '
      f'({" ".join(words.split())}), expected full names of settings, such as '
      "environment.reward, each with a value of the setting's type"
    ) from error
  prices, environment, market = wiring.build_environment(config, split)
  names = prices.columns[slice(*prices.investable)]
  return TradingEnv(environment, market, prices.dates, names, observation)

"""Draws parameters and inputs, the same for all compared implementations.

Parameters have the names of Eigen2's PyTorch state dicts, which
`eigen3.interop.eigen2`, `haiku_reference` and `torch_reference` can load.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from eigen3.types import EnvironmentSpec

_KERNEL = 3  # days that the convolution's kernel spans
StateDict = dict[str, np.ndarray]


def extractor(
  config: ml_collections.ConfigDict, spec: EnvironmentSpec, seed: int = 0
) -> StateDict:
  """Draws all parameters of the feature extractor.

  The running statistics of the batch norm have their initial values.
  """
  draw = _Draw(seed)
  channels, hidden = config.convolution_channels, config.hidden
  features = spec.num_features
  draw.uniform(
    'conv1.weight', (channels, features, _KERNEL), features * _KERNEL
  )
  draw.uniform('conv1.bias', (channels,), features * _KERNEL)
  # Not ones and zeros, which would hide a permutation.
  draw.put('bn1.weight', draw.random.uniform(0.8, 1.2, channels))
  draw.put('bn1.bias', draw.random.uniform(-0.2, 0.2, channels))
  draw.put('bn1.running_mean', np.zeros(channels))
  draw.put('bn1.running_var', np.ones(channels))
  for layer, inputs in enumerate((channels, 2 * hidden)):
    for suffix in (f'l{layer}', f'l{layer}_reverse'):
      for name, width in (('weight_ih', (inputs,)), ('weight_hh', (hidden,))):
        draw.uniform(f'lstm.{name}_{suffix}', (4 * hidden, *width), hidden)
      for name in ('bias_ih', 'bias_hh'):
        draw.uniform(f'lstm.{name}_{suffix}', (4 * hidden,), hidden)
  return draw.entries


def actor(
  config: ml_collections.ConfigDict, spec: EnvironmentSpec, seed: int = 0
) -> StateDict:
  """Draws the actor's parameters, including those of its extractor."""
  draw = _Draw(seed + 1)
  width, sizes = 2 * config.hidden, config.actor
  _features_of(draw, config, spec, seed)
  draw.put('attention.query', draw.random.normal(size=(1, 1, width)))
  _attention(draw, width)
  inner, outer = sizes.investable_sizes
  joined = outer + sizes.context_size
  for name, inputs, outputs in (
    ('investable_fc.0', width, inner),
    ('investable_fc.3', inner, outer),
    ('context_fc.0', width, sizes.context_size),
    ('coefficient_head.0', joined, sizes.head_size),
    ('coefficient_head.3', sizes.head_size, 1),
    ('sale_target_head.0', joined, sizes.head_size),
    ('sale_target_head.3', sizes.head_size, 1),
  ):
    draw.linear(name, inputs, outputs)
  return draw.entries


def critic(
  config: ml_collections.ConfigDict, spec: EnvironmentSpec, seed: int = 0
) -> StateDict:
  """Draws a critic's parameters, including those of its extractor.

  The critic has pooling 'mean' and two hidden layers.
  """
  draw = _Draw(seed + 2)
  width = 2 * config.hidden
  _features_of(draw, config, spec, seed)
  if config.critic.self_attention:
    _attention(draw, width)
  inputs = width + 2 * spec.num_investable
  for number, outputs in zip((0, 3, 6), (*config.critic.sizes, 1), strict=True):
    draw.linear(f'critic_fc.{number}', inputs, outputs)
    inputs = outputs
  return draw.entries


def window(
  batch: int, days: int, columns: int, features: int, seed: int = 3
) -> np.ndarray:
  """Draws standard normal features, none missing, float32 [B, D, C, F]."""
  random = np.random.default_rng(seed)
  return random.normal(size=(batch, days, columns, features)).astype(np.float32)


def case_window(
  spec: EnvironmentSpec, settings: Mapping[str, Any]
) -> np.ndarray:
  """Draws the windows of a case, float32 [B, D, C, F].

  Args:
    spec: gives D, C and F.
    settings: the case's settings; `batch` is B, by default 1.
  """
  return window(
    settings.get('batch', 1),
    spec.context_days,
    spec.num_columns,
    spec.num_features,
  )


def action(batch: int, num_stocks: int, seed: int = 4) -> np.ndarray:
  """Draws actions, float32 [B, N, 2]: coefficients and sale targets in %."""
  random = np.random.default_rng(seed)
  uniform = random.uniform((0.0, 10.0), (2.0, 50.0), (batch, num_stocks, 2))
  return uniform.astype(np.float32)


class _Draw:
  """Draws the entries of a state dict and collects them."""

  def __init__(self, seed: int):
    self.random = np.random.default_rng(seed)
    self.entries: StateDict = {}

  def put(self, name: str, values: np.ndarray) -> None:
    """Stores given values as float32."""
    self.entries[name] = np.asarray(values, np.float32)

  def uniform(self, name: str, shape: tuple[int, ...], fan_in: int) -> None:
    """Stores uniform draws between -b and b, where b is 1 / sqrt(fan_in).

    Most of PyTorch's layers are initialised like this.
    """
    bound = fan_in**-0.5
    self.put(name, self.random.uniform(-bound, bound, shape))

  def linear(self, name: str, inputs: int, outputs: int) -> None:
    """Draws and stores the weight and bias of a linear layer."""
    self.uniform(f'{name}.weight', (outputs, inputs), inputs)
    self.uniform(f'{name}.bias', (outputs,), inputs)


def _features_of(
  draw: _Draw,
  config: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  seed: int,
) -> None:
  for name, values in extractor(config, spec, seed).items():
    draw.put(f'feature_extractor.{name}', values)


def _attention(draw: _Draw, width: int) -> None:
  """Stores parameters of PyTorch's multi-head attention and a layer norm."""
  inner = 'attention.attention'
  draw.uniform(f'{inner}.in_proj_weight', (3 * width, width), width)
  draw.uniform(f'{inner}.in_proj_bias', (3 * width,), width)
  draw.linear(f'{inner}.out_proj', width, width)
  draw.put('attention.norm.weight', np.ones(width))
  draw.put('attention.norm.bias', np.zeros(width))

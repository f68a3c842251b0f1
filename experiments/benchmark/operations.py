"""Useful floating point operations of the networks, counted by hand.

A multiplication and the addition of its result are two. Only what the result
depends on counts: the second layer's reverse direction runs `pooled_days`
steps, and what an implementation computes again, or in vain, is its own
affair. Elementwise work is left out.
"""

import ml_collections

from eigen3.types import EnvironmentSpec

_KERNEL = 3  # days a convolution sees
# Forward, the gradient of the input and the gradient of the weights.
FORWARD_BACKWARD = 3


def lstm(
  rows: int, days: int, inputs: int, hidden: int, pooled_days: int = 3
) -> int:
  """A forward pass of the two-layer bidirectional LSTM.

  Args:
    rows: sequences.
    days: steps, D.
    inputs: channels of a step.
    hidden: H, of one direction.
    pooled_days: last steps whose mean is used.
  """
  gates = 4 * hidden
  layer_1 = 2 * (inputs + hidden)
  layer_2_forward = 2 * hidden + hidden
  every_day = 2 * rows * days * gates * (layer_1 + layer_2_forward)
  layer_2_reverse = 2 * pooled_days * rows * 3 * hidden * gates
  return every_day + layer_2_reverse


def product(rows: int, inner: int, columns: int) -> int:
  """A matrix product [rows, inner] x [inner, columns]."""
  return 2 * rows * inner * columns


def extractor(
  config: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  batch: int,
  backward: bool,
) -> int:
  """The feature extractor on [batch, D, C, F].

  Args:
    config: the `networks` section.
    spec: gives D, C and F.
    batch: B.
    backward: whether gradients of all parameters are computed, too; the
      window needs none.
  """
  days, channels = spec.context_days, config.convolution_channels
  rows = batch * spec.num_columns
  convolution = product(rows * days, _KERNEL * spec.num_features, channels)
  recurrent = lstm(rows, days, channels, config.hidden, config.pooled_days)
  if not backward:
    return convolution + recurrent
  return 2 * convolution + FORWARD_BACKWARD * recurrent


def critic(
  config: ml_collections.ConfigDict, spec: EnvironmentSpec, batch: int = 1
) -> int:
  """Forward and backward of the critic with mean pooling.

  Args:
    config: the `networks` section.
    spec: gives all other sizes.
    batch: B.
  """
  columns, width = spec.num_columns, 2 * config.hidden
  forward = 0
  if config.critic.self_attention:
    forward += 4 * product(batch * columns, width, width)
    forward += 2 * batch * product(columns, width, columns)
  inputs = width + 2 * spec.num_investable
  for size in (*config.critic.sizes, 1):
    forward += product(batch, inputs, size)
    inputs = size
  features = extractor(config, spec, batch, True)
  return features + FORWARD_BACKWARD * forward


def actor(
  config: ml_collections.ConfigDict, spec: EnvironmentSpec, batch: int = 1
) -> int:
  """Forward of the actor; arguments as for `critic`."""
  columns, width = spec.num_columns, 2 * config.hidden
  stocks = batch * spec.num_investable
  # One query looks at all columns: two of the four projections are large.
  count = 2 * product(batch * columns, width, width)
  count += 2 * product(batch, width, width)
  count += 2 * batch * product(1, width, columns)
  inner, outer = config.actor.investable_sizes
  count += product(stocks, width, inner) + product(stocks, inner, outer)
  count += product(batch, width, config.actor.context_size)
  joined = outer + config.actor.context_size
  head = config.actor.head_size
  count += 2 * (product(stocks, joined, head) + product(stocks, head, 1))
  return count + extractor(config, spec, batch, False)

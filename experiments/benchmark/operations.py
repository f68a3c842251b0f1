"""Useful floating point operations: of the networks by hand, of any program.

A multiplication and the addition of its result are two. Only what the result
depends on counts: the second layer's reverse direction runs `pooled_days`
steps, and what an implementation computes again, or in vain, is its own
affair. Elementwise work is left out.
"""

import math
from collections.abc import Iterator
from typing import Any

import ml_collections
from jax.extend.core import ClosedJaxpr, Jaxpr

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


def of_program(jaxpr: Jaxpr, taken: float = 1.0) -> float:
  """Operations of all matrix products of a traced program.

  XLA's own count takes the body of a loop once. Here a loop of known length
  counts as often as it runs; one of unknown length, of which the programs
  have none with products, counts once. What a program computes again counts
  again.

  Args:
    jaxpr: of a program that is not spread over devices.
    taken: how often another branch than the first of a switch is, as a share;
      of several the dearest counts.
  """
  total = 0.0
  equation: Any  # JAX does not say what has a shape
  for equation in jaxpr.eqns:
    name, parameters = equation.primitive.name, equation.params
    if name == 'dot_general':
      (contracted, _), _ = parameters['dimension_numbers']
      left, result = equation.invars[0].aval, equation.outvars[0].aval
      inner = math.prod(left.shape[axis] for axis in contracted)
      total += product(math.prod(result.shape), inner, 1)
      continue
    parts = [of_program(each, taken) for each in _inside(parameters)]
    if name == 'cond':
      total += (1 - taken) * parts[0] + taken * max(parts[1:])
    else:
      total += parameters.get('length', 1) * sum(parts)
  return total


def _inside(parameters: dict[str, Any]) -> Iterator[Jaxpr]:
  """The programs within an operation, such as the body of a loop."""
  for value in parameters.values():
    for each in value if isinstance(value, (tuple, list)) else (value,):
      if isinstance(each, ClosedJaxpr):
        yield each.jaxpr
      elif isinstance(each, Jaxpr):
        yield each

"""Counts floating point operations of networks and of programs.

A multiplication and an addition count as two. Elementwise operations are not
counted. For networks, only operations that the result depends on count: the
LSTM's second layer needs only `pooled_days` steps of its reverse direction, and
rematerialisation does not count.
"""

import math
from collections.abc import Iterator
from typing import Any

import ml_collections
from jax.extend.core import ClosedJaxpr, Jaxpr

from eigen3.types import EnvironmentSpec

_KERNEL = 3  # days that the convolution's kernel spans
# The forward pass, the gradient of the input and the gradient of the weights
# need equally many operations.
FORWARD_BACKWARD = 3


def lstm(
  rows: int, days: int, inputs: int, hidden: int, pooled_days: int = 3
) -> int:
  """Counts operations of a forward pass of the two-layer bidirectional LSTM.

  Args:
    rows: number of sequences.
    days: number of steps, D.
    inputs: number of input channels per step.
    hidden: H, hidden units of one direction.
    pooled_days: number of last steps whose outputs are averaged.
  """
  gates = 4 * hidden
  layer_1 = 2 * (inputs + hidden)
  layer_2_forward = 2 * hidden + hidden
  every_day = 2 * rows * days * gates * (layer_1 + layer_2_forward)
  layer_2_reverse = 2 * pooled_days * rows * 3 * hidden * gates
  return every_day + layer_2_reverse


def product(rows: int, inner: int, columns: int) -> int:
  """Counts operations of a matrix product [rows, inner] x [inner, columns]."""
  return 2 * rows * inner * columns


def extractor(
  config: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  batch: int,
  backward: bool,
) -> int:
  """Counts operations of the feature extractor on windows [B, D, C, F].

  Args:
    config: the `networks` section.
    spec: gives D, C and F.
    batch: B, the number of windows.
    backward: whether to include the backward pass, for the gradients of all
      parameters but not of the windows.
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
  """Counts operations of one critic with pooling 'mean', forward and backward.

  Args:
    config: the `networks` section.
    spec: gives D, C, F and N.
    batch: B, the number of windows.
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
  """Counts operations of the actor's forward pass; for Args see `critic`."""
  columns, width = spec.num_columns, 2 * config.hidden
  stocks = batch * spec.num_investable
  # One query attends to all columns: two of the four projections are large.
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
  """Counts the operations of all matrix products of a traced program.

  XLA's own count includes the body of a loop once. Here the body of a loop of
  known length counts once per iteration. The body of a loop of unknown length
  counts once, but no such loop in our programs has matrix products.
  Rematerialised products count again.

  Args:
    jaxpr: a program that is not sharded.
    taken: assumed share of executions in which a `cond` or `switch` takes a
      branch other than its first; of these branches, the most expensive one
      counts.
  """
  total = 0.0
  equation: Any  # JAX's types do not say which have a shape
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
  """Yields the programs in an operation's parameters, such as a loop's body."""
  for value in parameters.values():
    for each in value if isinstance(value, (tuple, list)) else (value,):
      if isinstance(each, ClosedJaxpr):
        yield each.jaxpr
      elif isinstance(each, Jaxpr):
        yield each

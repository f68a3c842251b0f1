"""A two-layer bidirectional LSTM that computes only the days that are used.

The result is the mean of the outputs of the last few days. The second layer's
reverse direction starts at the last day, so it runs over those few days only;
values and gradients equal those of a run over all days. The backward pass of
both layers is written by hand.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from eigen3.networks import (
  layers,
  lstm_direction,
  lstm_together,
  persistent,
)
from eigen3.networks.lstm_direction import (
  Direction,
  DirectionWeights,
  Input,
  Plan,
  Span,
)
from eigen3.types import Array


class Weights(NamedTuple):
  """Weights of both directions of both layers.

  The input size I of `DirectionWeights` is 2H in the second layer.
  """

  layer_1_forward: DirectionWeights
  layer_1_reverse: DirectionWeights
  layer_2_forward: DirectionWeights
  layer_2_reverse: DirectionWeights


def pooled_lstm(
  plan: Plan, weights: Weights, x: Array, keys: Array | None
) -> Array:
  """Returns a bidirectional LSTM's outputs, averaged over the pooled days.

  The pooled days are the last `plan.pooled_days` of the D days.

  Source: Hochreiter and Schmidhuber (1997), as in PyTorch's nn.LSTM with two
  layers; Eigen2 pools 3 days.

  Args:
    plan: static settings.
    weights: parameters of both directions of both layers.
    x: [D, I, rows], time first; each row is a sequence.
    keys: uint32 [rows, 2], a PRNG key per row for the dropout between the
      layers; None for no dropout.

  Returns:
    [rows, 2H] in the output dtype of `plan.policy`, forward direction first.

  Raises:
    ValueError: if D is below `plan.pooled_days`.
  """
  if x.shape[0] < plan.pooled_days:
    raise ValueError(
      f'networks.pooled_days: found {plan.pooled_days}, expected at most '
      f'{x.shape[0]}, the number of days in the window'
    )
  if not plan.dropout_rate:
    keys = None
  return _core(plan, weights, plan.policy.cast_to_compute(x), keys).T


def _at_precision(function: Callable) -> Callable:
  """Wraps a function to compute products at the plan's precision.

  JAX traces the passes of a custom derivative outside the caller's context, so
  each of them has to set the precision.
  """

  @functools.wraps(function)
  def wrapped(plan: Plan, *arguments):
    with layers.at_precision(plan.precision):
      return function(plan, *arguments)

  return wrapped


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
@_at_precision
def _core(plan: Plan, weights: Weights, x: Array, keys: Array | None) -> Array:
  """Computes `pooled_lstm` as [2H, rows], for x in the compute dtype."""
  if plan.loops:
    return persistent.pooled(plan, weights, x, keys)
  if plan.together:
    return _pool(plan, lstm_together.outputs(plan, weights, x, keys))
  first, second = _layers(plan, weights, x)
  outputs = tuple(
    lstm_direction.outputs(d, x.shape[0]) for d in first(Input((x,)))
  )
  inputs = Input(outputs, keys, plan.dropout_rate)
  return _pool(
    plan, [lstm_direction.outputs(d, plan.pooled_days) for d in second(inputs)]
  )


@_at_precision
def _core_forward(plan: Plan, weights: Weights, x: Array, keys: Array | None):
  """Computes `_core`, and also returns what the backward pass needs."""
  if plan.loops:
    pooled, kept = persistent.forward(plan, weights, x, keys)
    return pooled, (weights, x, keys, kept)
  if plan.together:
    last, kept = lstm_together.forward(plan, weights, x, keys)
    return _pool(plan, last), (weights, x, keys, kept)
  first, second = _layers(plan, weights, x)
  traces = tuple(map(lstm_direction.trace, first(Input((x,)))))
  inputs = Input(tuple(t.hidden for t in traces), keys, plan.dropout_rate)
  traces += tuple(map(lstm_direction.trace, second(inputs)))
  pooled = _pool(plan, [t.hidden[-plan.pooled_days :] for t in traces[2:]])
  return pooled, (weights, x, keys, traces)


@_at_precision
def _core_backward(plan: Plan, residuals, d_pooled: Array):
  """Returns the gradients of weights and x; None for the keys."""
  weights, x, keys, traces = residuals
  if plan.loops:
    found, whole = persistent.backward(plan, weights, x, keys, traces, d_pooled)
    return Weights(*found), whole, None
  d_halves = jnp.split(d_pooled / plan.pooled_days, 2)
  if plan.together:
    d_all, d_input = lstm_together.backward(
      plan, weights, x, keys, traces, d_halves
    )
    return Weights(*d_all), d_input, None
  first, second = _layers(plan, weights, x)
  inputs = Input(tuple(t.hidden for t in traces[:2]), keys, plan.dropout_rate)
  pooled_from = x.shape[0] - plan.pooled_days

  def pooled(half: int, day: Array) -> Array:
    return jnp.where(day >= pooled_from, d_halves[half], 0)

  (d_forward, d_inputs), (d_reverse, d_last) = (
    lstm_direction.backpropagate(
      direction, trace, functools.partial(pooled, half)
    )
    for half, (direction, trace) in enumerate(
      zip(second(inputs), traces[2:], strict=True)
    )
  )
  # Both directions of the second layer read the last days.
  d_inputs = jax.lax.dynamic_update_slice(
    d_inputs, d_inputs[pooled_from:] + d_last, (pooled_from, 0, 0)
  )

  def hidden(half: int, day: Array) -> Array:
    size = inputs.size // 2
    return inputs.keep(day, half) * jax.lax.dynamic_slice(
      d_inputs, (day, half * size, 0), (1, size, d_inputs.shape[-1])
    ).squeeze(0)

  d_first, d_x = zip(
    *(
      lstm_direction.backpropagate(
        direction, trace, functools.partial(hidden, half)
      )
      for half, (direction, trace) in enumerate(
        zip(first(Input((x,))), traces[:2], strict=True)
      )
    ),
    strict=True,
  )
  d_weights = Weights(d_first[0], d_first[1], d_forward, d_reverse)
  return d_weights, d_x[0] + d_x[1], None


_core.defvjp(_core_forward, _core_backward)


def _layers(plan: Plan, weights: Weights, x: Array):
  """Returns, for each layer, a function from its `Input` to its directions."""
  days = x.shape[0]
  whole, back = (
    Span(0, days, False),
    Span(0, days, True),
  )
  # The second layer's reverse outputs on earlier days are never read.
  short = Span(days - plan.pooled_days, days, True)

  def layer(k, spans):
    def directions(
      inputs: Input,
    ) -> list[Direction]:
      return [
        Direction(plan, w, inputs, span, plan.save_gates[k])
        for w, span in zip(weights[2 * k : 2 * k + 2], spans, strict=True)
      ]

    return directions

  return layer(0, (whole, back)), layer(1, (whole, short))


def _pool(plan: Plan, outputs: list[Array]) -> Array:
  """Averages two directions' outputs [days, H, rows] over days: [2H, rows]."""
  both = jnp.concatenate(outputs, 1)
  return both.mean(0, dtype=plan.policy.output_dtype)

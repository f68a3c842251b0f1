"""How agents look at the market and act on it, the same in every learner."""

import jax
import jax.numpy as jnp

from eigen3.environment import Market
from eigen3.learner.rollout import Observation
from eigen3.types import ActionSpec, Array, PRNGKey, Transition


def observe(market: Market, observation: Observation) -> Array:
  """The market windows behind observed days, [B] to [B, D, C, F]."""
  return market.windows(observation.day)


def observations_of(spec: ActionSpec, days: Array) -> Observation:
  """What a policy is asked for on `days` [M], with everything available."""
  everything = jnp.ones((*days.shape, spec.shape[0]), bool)
  return Observation(days.astype(jnp.int32), jnp.packbits(everything, -1))


def empty_transition(spec: ActionSpec) -> Transition:
  """A transition as replay stores it, of no particular day."""
  observation = observations_of(spec, jnp.int32(0))
  return Transition(
    s_tm1=observation,
    a_tm1=jnp.zeros(spec.shape, jnp.float32),
    r_t=jnp.float32(0),
    discount_t=jnp.float32(0),
    s_t=observation,
  )


def random_actions(spec: ActionSpec, key: PRNGKey, count: int) -> Array:
  """Actions [count, N, 2] drawn uniformly from the box of a scaled spec."""
  unit = jax.random.uniform(key, (count, *spec.shape), minval=-1.0)
  return spec.from_unit(unit)


def constrain(
  spec: ActionSpec, observation: Observation, unit_actions: Array
) -> Array:
  """Coefficients of stocks that can't be bought are as good as the lowest.

  Args:
    spec: of the actions.
    observation: [B].
    unit_actions: [B, N, 2].

  Returns:
    [B, N, 2].
  """
  lowest = spec.to_unit(jnp.asarray(spec.minimum))[0]
  available = jnp.unpackbits(
    observation.available, axis=-1, count=spec.shape[0]
  )
  coefficients = jnp.where(available > 0, unit_actions[..., 0], lowest)
  return unit_actions.at[..., 0].set(coefficients)

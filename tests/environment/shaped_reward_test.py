"""The shaped reward is the plain one plus a difference of potentials."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation
import random_markets

from eigen3.environment import TradingEnvironment
from eigen3.environment.rewards import NAMED

DISCOUNT = 0.9
MODES = [
  {'fill': 'next_open', 'max_entries_per_day': 1},
  {'fill': 'next_open', 'max_entries_per_day': 2, 'entry_choice': 'best'},
  {'fill': 'close', 'target_fill': 'limit', 'delisting_price': 'entry_price'},
  {'fill': 'close', 'max_entries_per_day': 2},
]
# With two markets, in which orders wait.
CASES = [*((mode, 1) for mode in MODES), (MODES[0], 2), (MODES[1], 2)]
SEEDS = range(6)
portfolio = NAMED['portfolio'].of_step


def _settings(mode):
  return random_markets.config(
    **{
      'reward': 'shaped_portfolio',
      'entry_choice': 'best_available',
      'portfolio_scale': 100.0,
      **mode,
    }
  )


def _play(environment, start, actions):
  """Returns shaped and plain rewards, and potentials before each step."""
  idle = jnp.zeros_like(actions[0])

  def step(state, action):
    after, timestep = environment.step(state, action)
    plain = portfolio(environment, state, after, timestep.extras)
    return after, (timestep, plain)

  def potential(state):
    count = environment.rules.oldest_age + environment.rules.closed_days + 1
    alone = jnp.broadcast_to(idle, (count, *idle.shape))
    _, (_, plain) = jax.lax.scan(step, state, alone)
    return DISCOUNT ** np.arange(count) @ plain

  def both(state, action):
    after, (timestep, plain) = step(state, action)
    told = timestep.reward, plain, potential(state), potential(after)
    return after, (*told, timestep.extras.entries.accepted.any())

  state, _ = environment.reset_at(start)
  return jax.lax.scan(both, state, actions)[1]


@pytest.mark.parametrize(('mode', 'num_markets'), CASES)
def test_it_is_the_plain_reward_and_a_difference_of_potentials(
  mode, num_markets
):
  settings = _settings(mode)
  num_steps = settings.trading_days + settings.settlement_days
  start = settings.context_days - 1
  environments = [
    TradingEnvironment(
      random_markets.panel(seed, num_markets), settings, discount=DISCOUNT
    )
    for seed in SEEDS
  ]
  batch = jax.tree.map(lambda *leaves: np.stack(leaves), *environments)
  actions = [random_markets.actions(seed, num_steps) for seed in SEEDS]
  play = quick_compilation.jit(jax.vmap(_play, in_axes=(0, None, 0)))
  shaped, plain, before, after, ordered = jax.device_get(
    play(batch, np.int32(start), np.stack(actions))
  )
  assert ordered.sum() > 20
  np.testing.assert_allclose(
    shaped, plain + DISCOUNT * after - before, atol=2e-3
  )
  np.testing.assert_array_equal(shaped[~ordered], 0)
  # Only orders are rewarded, not positions held before.
  assert np.std(plain[~ordered]) > 0.1
  assert np.std(shaped[ordered]) > 0.1

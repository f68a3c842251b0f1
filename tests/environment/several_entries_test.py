"""Several entries a day: critics' weights match the slow account's orders."""

import jax
import numpy as np
import pytest
import random_markets
import slow_account

from eigen3.networks.critic import slot_weights

SEEDS = range(12)
_weights = jax.jit(slot_weights, static_argnums=(1, 2, 3))


def _days(seed, entries):
  """Returns the critics' coefficients and the stocks bought on entry days."""
  config = random_markets.config(
    entry_choice='best_available',
    max_entries_per_day=entries,
    enforce_cash=False,  # The third order is as good as the first.
  )
  num_steps = config.trading_days + config.settlement_days
  actions = random_markets.actions(seed, num_steps).astype(np.float64)
  account = slow_account.SlowAccount(
    random_markets.panel(seed), config, random_markets.NUM_DAYS
  )
  played = account.play(config.context_days, actions)
  for day, action in zip(played, actions, strict=True):
    if np.ptp(action[:, 0]) > 0:  # A critic is indifferent among equals.
      coefficients = np.where(day.available, action[:, 0], 0.0)
      yield coefficients, [trade.stock for trade in day.accepted]


@pytest.mark.parametrize('entries', [1, 2, 3, 5])
def test_near_an_argmax_they_are_the_stocks_that_are_bought(entries):
  seen, bought = zip(
    *(day for seed in SEEDS for day in _days(seed, entries)), strict=True
  )
  expected = np.zeros((len(seen), 6))
  for row, stocks in zip(expected, bought, strict=True):
    row[stocks] = 1
    row[-1] = entries - len(stocks)
  weights = np.asarray(_weights(np.float32(seen), 1.0, 0.001, entries))
  # Two coefficients may be as close as the temperature, but hardly ever.
  off = np.abs(weights - expected).max(1) > 0.01
  assert off.mean() < 0.02
  # Days with no entry and with (nearly) all entries occur.
  assert {len(stocks) for stocks in bought} >= {*range(min(entries, 3) + 1)}


@pytest.mark.parametrize('entries', [2, 3])
def test_at_the_usual_temperature_they_are_not_those_of_one_entry(entries):
  """Weights of one entry, times `entries`, would buy one stock repeatedly."""
  seen, bought = zip(
    *(day for seed in SEEDS for day in _days(seed, entries)), strict=True
  )
  is_bought = np.array([np.isin(np.arange(5), stocks) for stocks in bought])
  coefficients = np.float32(seen)
  ours = np.asarray(_weights(coefficients, 1.0, 0.125, entries))[:, :-1]
  naive = entries * np.asarray(_weights(coefficients, 1.0, 0.125, 1))[:, :-1]
  errors = [np.abs(x - is_bought).mean() for x in (ours, naive)]
  assert errors[0] < 0.02 < 0.07 < errors[1]
  assert ours.max() < 1 < entries - 0.01 < naive.max()

"""Policies that observe their account do not look ahead; leaks are found."""

import dataclasses
import functools

import gappy_market
import jax
import jax.numpy as jnp
import pytest

from eigen3.environment import TradingEnvironment, prices
from eigen3.environment.rollout import EncodedPolicy
from eigen3.evaluation import lookahead
from eigen3.evaluation.lookahead import LookAheadError, Parts

LAST = 90


def decide(_, encoded, account):
  """Prefers stocks that rose, and held ones less, the older the less."""
  weight, age, gain = jnp.moveaxis(account.stocks[..., :3], -1, 0)
  coefficient = 1 + encoded[..., 0] - weight - age + gain
  coefficient += account.whole[..., :1] - account.whole[..., 1:]
  return jnp.stack([jnp.clip(coefficient, 0, 2), 5 + encoded[..., 1]], -1)


def policy(market, days, later=0):
  """Returns a policy that encodes windows of `later` days later."""
  first, stop = gappy_market.INVESTABLE
  seen = market.windows(days + later)[:, -1, first:stop, :2]
  return EncodedPolicy(decide, (), jnp.tanh(jnp.nan_to_num(seen)))


def prove(policy, **parts):
  return lookahead.prove(
    gappy_market.panel(),
    gappy_market.config(observe_account=True, reward='portfolio'),
    policy,
    [LAST],
    acting_days=60,
    parts=Parts(**parts),
  )


def find_leak(*arguments, **parts):
  with pytest.raises(LookAheadError) as raised:
    prove(*arguments, **parts)
  return raised.value.leak


def test_nothing_looks_ahead():
  found = prove(policy)
  for kind in ('account', 'rewards', 'actions', "policy's account"):
    assert min(found[kind]) > 50, kind


def test_an_encoded_policy_that_looks_ahead_is_found():
  leak = find_leak(functools.partial(policy, later=1))
  assert (leak.name, leak.day) == ('actions.encoded', LAST)


@jax.tree_util.register_pytree_node_class
class Clairvoyant(TradingEnvironment):
  """Shows the account at the close of tomorrow."""

  def _account(self, state):
    tomorrow = prices.quote(self.prices, state.day + 1, 0).last_close
    account = super()._account(state)
    return account._replace(whole=account.whole * tomorrow)


def test_an_account_of_the_next_day_is_found():
  leak = find_leak(None, environment=Clairvoyant)
  assert (leak.name, leak.day) == ('account.observed[1].whole', LAST)


@jax.tree_util.register_pytree_node_class
class EarlyReward(TradingEnvironment):
  """Pays the change of the day after next."""

  @property
  def reward(self):
    ours = super().reward

    def early(environment, state, next_state, extras):
      late = next_state._replace(day=next_state.day + 1)
      return ours.of_step(environment, state, late, extras)

    return dataclasses.replace(ours, of_step=early)


def test_a_reward_of_a_later_day_is_found():
  leak = find_leak(None, environment=EarlyReward)
  assert leak.name == 'rewards.account'
  assert leak.day >= LAST - 1

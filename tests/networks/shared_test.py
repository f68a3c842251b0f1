"""One extractor for several networks, and several accounts for a window."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_networks import SPEC, draw_variables

from eigen3 import networks
from eigen3.types import Account

SEEING = dataclasses.replace(SPEC, observes_account=True)


@pytest.fixture
def window(make_window):
  return make_window()


@pytest.fixture
def action():
  return np.random.default_rng(2).uniform(-1, 1, (3, 8, 2)).astype('f4')


def _accounts(*lead):
  rng = np.random.default_rng(4)
  return Account(
    rng.uniform(size=(*lead, 8, 5)).astype(np.float32),
    rng.uniform(size=(*lead, 2)).astype(np.float32),
  )


def test_critics_with_one_extractor_have_one(config, window, action):
  """Heads are unchanged, and each critic reads the same features."""
  config.critic.ensemble = 2
  apart = networks.make_networks(config, SPEC).double_critic
  config.shared_extractor = 'critics'
  together = networks.make_networks(config, SPEC).double_critic
  one, two = (
    jax.eval_shape(x.init, jax.random.PRNGKey(0), window, action)[0]
    for x in (apart, together)
  )
  heads = {name for name in one if 'feature_extractor' not in name}
  extractor = {name for name in two if 'feature_extractor' in name}
  assert heads == two.keys() - extractor
  assert len(extractor) == (len(one) - len(heads)) // 2
  params, state = draw_variables(together, window, action)
  # With equal heads, equal values.
  for name in list(params):
    if 'critic_2' in name:
      params[name] = params[name.replace('critic_2', 'critic_1')]
  q, _ = jax.jit(together.apply)(params, state, None, window, action)
  np.testing.assert_array_equal(q[:, 0], q[:, 1])
  assert np.ptp(q[:, 0]) > 1e-4


@pytest.mark.parametrize('seen', [False, True])
def test_parts_of_all_are_the_whole(config, window, action, seen):
  config.shared_extractor = 'all'
  spec = SEEING if seen else SPEC
  made = networks.make_networks(config, spec)
  x = (window, _accounts(3)) if seen else window
  extractor = draw_variables(made.shared.extractor, x)
  encoded, _ = jax.jit(made.shared.extractor.apply)(*extractor, None, x)
  actor = draw_variables(made.shared.actor, encoded, seed=1)
  critics = draw_variables(made.shared.double_critic, encoded, action, seed=2)
  critic = tuple({**a, **b} for a, b in zip(extractor, critics, strict=True))
  joined = tuple(
    made.shared.join(a, c) for a, c in zip(actor, critic, strict=True)
  )

  @jax.jit
  def both(x, encoded):
    (actions, _), state = made.shared.actor.apply(*actor, None, encoded)
    (whole, _), _ = made.actor.apply(*joined, None, x)
    return actions, whole, state

  actions, whole, state = both(x, encoded)
  np.testing.assert_allclose(actions, whole, rtol=1e-6)
  assert np.ptp(whole) > 1e-3
  assert jax.tree.structure(state) == jax.tree.structure(actor[1])
  for number in range(2):
    parts = made.shared.split(joined[number], critic[number])
    for found, expected in zip(
      parts, (actor[number], critic[number]), strict=True
    ):
      assert found.keys() == expected.keys()
      jax.tree.map(np.testing.assert_array_equal, found, dict(expected))


def test_several_accounts_of_a_window_are_as_one_by_one(config, window, action):
  made = networks.make_networks(config, SEEING)
  accounts = _accounts(3, 2)
  first = jax.tree.map(lambda x: x[:, 0], accounts)
  actions = np.stack([action, -action], axis=1)
  actor = draw_variables(made.actor, (window, first))
  critic = draw_variables(made.double_critic, (window, first), action)

  @jax.jit
  def of(accounts, actions):
    x = (window, accounts)
    (acts, _), _ = made.actor.apply(*actor, None, x)
    return acts, made.double_critic.apply(*critic, None, x, actions)[0]

  found = of(accounts, actions)
  assert found[0].shape == (3, 2, 8, 2)
  assert found[1].shape == (3, 2, 2)
  for number in range(2):
    one = jax.tree.map(lambda x, i=number: x[:, i], accounts)
    expected = of(one, actions[:, number])
    for several, alone in zip(found, expected, strict=True):
      np.testing.assert_allclose(
        several[:, number], alone, rtol=1e-5, atol=1e-5
      )
  assert np.abs(found[0][:, 0] - found[0][:, 1]).max() > 1e-3

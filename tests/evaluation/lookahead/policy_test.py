"""Policies do not look ahead; leaks are found."""

import functools

import gappy_market
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.environment import TradingEnvironment
from eigen3.evaluation import lookahead
from eigen3.evaluation.lookahead import LookAheadError
from eigen3.networks import make_networks

LAST = 90
ACTING_DAYS = 24


def make_actor(**networks):
  """Returns a small actor with random parameters and state."""
  config = gappy_market.config()
  with config.unlocked():
    config.networks.hidden = 3
    config.networks.num_heads = 2
    config.networks.convolution_channels = 4
    config.networks.update(networks)
  spec = TradingEnvironment(
    gappy_market.panel(),
    config.environment,
    observed_features=config.data.observed_features,
  ).spec
  actor = make_networks(config.networks, spec).actor
  window = np.zeros(
    (1, spec.context_days, spec.num_columns, spec.num_features), np.float32
  )
  # Not by `init`, because compiling it takes longer than a proof.
  rng = np.random.default_rng(0)

  def draw(low, high, shapes):
    return jax.tree.map(
      lambda x: rng.uniform(low, high, x.shape).astype(x.dtype), shapes
    )

  params, state = jax.eval_shape(actor.init, jax.random.PRNGKey(0), window)
  return actor, (draw(-0.5, 0.5, params), draw(0.5, 1.5, state))


@pytest.fixture(scope='module')
def small_actor():
  return make_actor()


def make_policy(actor, parameters, is_training=False, later=0):
  """Returns the actor's policy, applied to windows of `later` days later."""

  @jax.jit
  def policy(market, days):
    (actions, _), _ = actor.apply(
      *parameters,
      jax.random.PRNGKey(1),
      market.windows(days + later),
      is_training=is_training,
    )
    return actions

  return policy


prove = functools.partial(
  lookahead.prove, gappy_market.panel(), gappy_market.config()
)


def find_leak(policy):
  with pytest.raises(LookAheadError) as raised:
    prove(policy, [LAST], acting_days=ACTING_DAYS)
  return raised.value.leak


def prove_actor(actor):
  found = prove(make_policy(*actor), acting_days=ACTING_DAYS)
  for kind in ('actions', "policy's account"):
    assert min(found[kind]) > 100, kind


def test_actions_do_not_look_ahead(small_actor):
  prove_actor(small_actor)


@pytest.mark.long
@pytest.mark.parametrize(
  'networks',
  [
    {'compute_dtype': 'bfloat16'},
    {'evaluation_block': 5},
    {'lstm_hoist': 'always'},
    {'lstm_hoist': 'never'},
    {'lstm_directions': 'together'},
    {'pooled_days': 1},
    {'pooled_days': 4},
    {'remat': True},
  ],
  ids=str,
)
def test_actions_of_other_networks_do_not_look_ahead(networks):
  prove_actor(make_actor(**networks))


def test_a_window_that_ends_a_day_late_is_found(small_actor):
  leak = find_leak(make_policy(*small_actor, later=1))
  assert (leak.name, leak.day) == ('actions', LAST)


def test_a_policy_that_is_normalised_by_its_batch_is_found(small_actor):
  """Days of a batch share statistics, so the first depends on the last."""
  leak = find_leak(make_policy(*small_actor, is_training=True))
  assert leak.name == 'actions'
  assert leak.day == LAST + 1 - 3 * ACTING_DAYS // 4


def test_the_account_is_played_by_the_policy():
  """With one that never buys, fewer values depend on the future."""

  def changed(coefficient):
    def policy(market, days):
      return jnp.full((len(days), 5, 2), coefficient)

    found = prove(policy, [LAST], acting_days=gappy_market.NUM_DAYS)
    assert found['actions'].changed == 0
    return found["policy's account"].changed

  assert 0 < changed(0.0) < changed(2.0)

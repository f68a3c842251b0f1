"""One shared extractor: which loss trains it, and which networks use it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from eigen3.agent import replay
from eigen3.environment import rollout
from eigen3.learner import experience
from eigen3.learner.acting import Player
from eigen3.learner.experience import counterfactuals
from eigen3.networks import make_networks
from experiments.configs import td3


def _config():
  config = td3.get_config('smoke+rl')
  small_run._shrink(config)
  config.networks.update(
    shared_extractor='all', hidden=2, convolution_channels=2, num_heads=1
  )
  config.networks.actor.update(
    investable_sizes=(4, 3), context_size=3, head_size=3
  )
  config.networks.critic.update(sizes=(4, 3), dueling=True, linear_path=True)
  config.agent.update(policy_delay=1, batch_size=6)
  config.learner.counterfactuals = 2
  return config


class Built(NamedTuple):
  """A player, its state and a batch to learn from."""

  player: Any
  environment: Any
  market: Any
  state: Any
  batch: Any
  update: Any


@pytest.fixture(scope='module')
def built():
  config = _config()
  _, environment, market = small_run.make_market(config)
  networks = make_networks(config.networks, environment.spec)
  player = Player.make(networks, environment, config)

  @jax.jit
  def begin(key, environment, market):
    state = player.first_state(key, environment, market)
    ring = player.empty_replay(environment, 100)
    days = jnp.int32([5, 9])

    def policy(days):
      return player.actions(state, market, days, key)

    episodes = rollout.rollout(environment, policy, days, keep_states=True)
    moves = experience.transitions_of(episodes, environment.num_steps)
    ring = replay.add(ring, moves)
    batch = counterfactuals.sample(environment, ring, key, 6, 2)
    return state, batch

  state, batch = begin(jax.random.PRNGKey(2), environment, market)
  update = jax.jit(player.agent.update)
  return Built(player, environment, market, state, batch, update)


def _changed(before, after):
  return {
    name
    for name in before
    if not all(
      np.array_equal(a, b)
      for a, b in zip(before[name].values(), after[name].values(), strict=True)
    )
  }


def test_only_the_critics_train_the_extractor(built):
  at_rest = built.state.hyperparameters._replace(
    critic_learning_rate=jnp.zeros(())
  )
  state = built.state._replace(hyperparameters=at_rest)
  after, metrics = built.update(state, built.batch, built.market)
  assert np.isfinite(metrics['critic_loss'])
  assert metrics['actor_gradient_norm'] > 0
  assert _changed(state.actor.online_params, after.actor.online_params)
  assert not _changed(state.critic.online_params, after.critic.online_params)
  assert not any('extractor' in name for name in state.actor.online_params)


def test_the_policy_acts_by_the_critics_extractor(built):
  player, _, market, state, batch, update = built
  after, _ = update(state, batch, market)
  changed = _changed(state.critic.online_params, after.critic.online_params)
  assert any(name.startswith('feature_extractor') for name in changed)
  policy = player.agent.policy(after)
  own = {k.removeprefix('actor/'): v for k, v in policy.params.items()}
  for name in changed:
    if name.startswith('feature_extractor'):
      jax.tree.map(
        np.testing.assert_array_equal,
        own[name],
        after.critic.online_params[name],
      )
  # Put into a state, it is that state's policy, and acts as it did.
  put = player.agent.with_policy(state, policy)
  small_run.assert_equal_bits(
    small_run.on_host(player.agent.policy(put)), small_run.on_host(policy)
  )
  act = jax.jit(player.agent.act)
  actions = act(after, market, batch.s_tm1)
  np.testing.assert_array_equal(act(put, market, batch.s_tm1), actions)
  assert np.abs(actions - act(state, market, batch.s_tm1)).max() > 0


def test_orders_are_valued_one_by_one(built):
  player, environment, market, state, *_ = built
  days = jnp.int32([6, 7, 20])
  values = jax.jit(player.order_values)(state, environment, market, days)
  assert values.shape == (3, 3)
  spec = environment.spec.action
  _, account = experience.first_observation(environment)
  seen = jax.tree.map(lambda x: jnp.broadcast_to(x, (3, *x.shape)), account)
  observations = experience.observations_of(spec, days, seen)
  idle = jnp.broadcast_to(jnp.asarray(spec.minimum), (3, 1, *spec.shape))
  one = idle.at[:, :, 1].set(jnp.asarray(spec.maximum))
  value = jax.jit(functools.partial(player.agent.value, state, market))
  expected = value(observations, one) - value(observations, idle)
  np.testing.assert_allclose(values[:, 1], expected[:, 0], atol=1e-6)
  assert np.ptp(values, axis=1).min() > 0


def test_an_algorithm_that_cannot_share_says_so():
  config = _config()
  _, environment, _ = small_run.make_market(config)
  networks = make_networks(config.networks, environment.spec)
  config.agent.algorithm = 'shared_extractor_test.without'
  with pytest.raises(ValueError, match=r'extractor: found .all., expect'):
    Player.make(networks, environment, config)


def without(actor, double_critic, observe, action_spec, config, constrain):
  """Makes an agent that cannot share, or one that would."""

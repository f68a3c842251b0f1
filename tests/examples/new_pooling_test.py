"""A critic's pooling of one's own: this file, nothing in the package."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3 import agent, networks
from eigen3.environment import Rules
from eigen3.networks import layers
from eigen3.networks.critic import Pooling
from eigen3.types import Transition
from experiments.configs import td3

KEY = jax.random.PRNGKey(0)
NUM_DAYS = 6


class BestStock(Pooling):
  """A linear score of every stock and its action, and of these the largest."""

  def __call__(self, features, action, is_training, examples, account=None):
    """Features [B, C, 2H] and action [B, M, N, 2] to values [B, M, 1]."""
    del is_training, examples, account  # no dropout
    first, stop = self.spec.investable
    stocks = features[:, None, first:stop]
    stocks = jnp.broadcast_to(stocks, (*action.shape[:3], stocks.shape[-1]))
    x = layers.beside(stocks, action)
    scores = layers.Linear(1, self.policy, 'score')(x)
    return jnp.max(scores, axis=2)


PATH = f'{__name__}.BestStock'  # the setting, such as my_poolings.BestStock


def settings():
  config = td3.get_config('smoke')
  config.networks.critic.pooling = PATH
  config.networks.lstm_dropout = 0.0
  # D=8, C=4, F=5, N=2 (columns 1 and 2).
  spec = Rules.from_config(config.environment).spec(4, 5, (1, 3))
  return config, spec


def test_values_by_hand():
  config, spec = settings()
  policy = layers.precision_policy('float32')
  head = hk.transform(
    lambda *x: BestStock(config.networks, spec, policy)(*x, False, None)
  )
  # One feature a column; only the second and third can be bought.
  features = jnp.array([[[9.0], [1.0], [2.0], [9.0]]])
  action = jnp.array([[[[0.5, 0.0], [-1.0, 0.0]], [[0.0, 1.0], [1.0, 0.5]]]])
  params = head.init(KEY, features, action)
  assert params['best_stock/score']['w'].shape == (3, 1)
  params = {
    'best_stock/score': {
      'w': jnp.array([[1.0], [2.0], [-4.0]]),
      'b': jnp.array([0.25]),
    }
  }
  # Scores, less 0.25, of the first action: 1 + 2 * 0.5 = 2 and 2 - 2 = 0; of
  # the second: 1 - 4 = -3 and 2 + 2 - 4 * 0.5 = 2.
  np.testing.assert_allclose(
    head.apply(params, None, features, action), [[[2.25], [2.25]]]
  )
  # The largest one leads to its own stock.
  slope = jax.grad(lambda a: head.apply(params, None, features, a).sum())
  np.testing.assert_allclose(
    slope(action), [[[[2, -4], [0, 0]], [[0, 0], [2, -4]]]]
  )


def test_an_update_by_hand():
  """Of two critics that say 1 and -3 whatever they see."""
  config, spec = settings()
  config.agent.update(critic_learning_rate=0.01, policy_delay=2)
  built = networks.make_networks(config.networks, spec)
  learner = agent.make_agent(
    built.actor,
    built.double_critic,
    lambda windows, days: windows[days],
    spec.action,
    config.agent,
  )
  rng = np.random.default_rng(0)
  windows = rng.normal(size=(NUM_DAYS, 8, 4, 5)).astype(np.float32)
  days = np.arange(NUM_DAYS)
  state = jax.jit(learner.init)(KEY, windows, days)
  names = [f'double_critic/critic_{k}/best_stock/score' for k in (1, 2)]
  params = dict(state.critic.online_params)
  for name, value in zip(names, (1.0, -3.0), strict=True):
    params[name] = {
      'w': np.zeros_like(params[name]['w']),
      'b': np.array([value], np.float32),
    }
  state = state._replace(critic=state.critic._replace(online_params=params))
  batch = Transition(
    s_tm1=days,
    a_tm1=jax.jit(learner.act)(state, windows, days),
    r_t=np.full(NUM_DAYS, 0.5, np.float32),
    discount_t=np.ones(NUM_DAYS, np.float32),
    s_t=days,
  )
  state, metrics = jax.jit(learner.update)(state, batch, windows)
  # Errors -0.5 and 3.5; the discount is 0.
  assert metrics['critic_loss'] == pytest.approx(0.5 * 0.5**2 + 0.5 * 3.5**2)
  assert metrics['q'] == pytest.approx(-1.0)
  # Adam's first step is the learning rate, towards the reward.
  after = [float(state.critic.online_params[name]['b'][0]) for name in names]
  assert after == pytest.approx([0.99, -2.99], rel=1e-5)


@pytest.mark.parametrize('path', [f'{__name__}.PATH', 'no_such.Pooling', 'max'])
def test_what_is_no_pooling_is_refused(path):
  config, spec = settings()
  config.networks.critic.pooling = path
  with pytest.raises(ValueError, match=r'networks\.critic\.pooling') as error:
    networks.make_networks(config.networks, spec)
  assert str(error.value).startswith(
    f"networks.critic.pooling: found '{path}', expected one of slot, mean, or "
    'the path of a Pooling'
  )

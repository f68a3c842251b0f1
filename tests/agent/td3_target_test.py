"""What the critics of eigen3.agent.td3 are taught, read off example by example.

The critic here is q_k = table[k, day] + sum(probe[k] * action). Every example
of a batch has its own day, so that the gradient of the online table tells its
target: -(target - table) / B. The target network's probe says which part of
the smoothed action the target shows.
"""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_agent

from eigen3.agent import make_td3, td3
from eigen3.types import Transition

SIZE = 16
SHAPE = tiny_agent.SPEC.shape
KEY = jax.random.PRNGKey(11)
NOISE = 0.3
# The next state of an example is as many days later as there are examples.
CONTEXT = np.arange(2 * SIZE, dtype=np.int32)[:, None]


def _observe(context, days):
  return context[days]


def _critic(count):
  def critic(x, unit_actions, is_training):
    del is_training
    table = hk.get_parameter('table', (count, 2 * SIZE), init=jnp.zeros)
    probe = hk.get_parameter('probe', (count, *SHAPE), init=jnp.zeros)
    q = table[:, x[:, 0]].T
    return q + jnp.einsum('bna,kna->bk', unit_actions, probe)

  return hk.transform_with_state(critic)


def _actor(x, is_training):
  """Always the middle of the box, which is 0 in unit space."""
  del is_training
  unit = hk.get_parameter('unit', SHAPE, init=jnp.zeros)
  unit = jnp.broadcast_to(unit, (x.shape[0], *SHAPE))
  return tiny_agent.SPEC.from_unit(unit), None


def _batch(**changes):
  days = np.arange(SIZE, dtype=np.int32)
  batch = Transition(
    s_tm1=days,
    a_tm1=np.ones((SIZE, *SHAPE), np.float32),
    r_t=np.zeros(SIZE, np.float32),
    discount_t=np.ones(SIZE, np.float32),
    s_t=days + SIZE,
  )
  return batch._replace(**changes)


@functools.cache
def _build(count, accumulation_steps, gamma, noise, clip):
  """(state, jitted update) of `count` critics, all parameters 0."""
  init, _, update = make_td3(
    hk.transform_with_state(_actor),
    _critic(count),
    _observe,
    tiny_agent.SPEC,
    tiny_agent.make_config(
      gamma=gamma,
      gradient_clip=0.0,
      weight_decay=0.0,
      policy_delay=1000,
      target_noise=noise,
      target_noise_clip=clip,
      batch_size=SIZE,
      accumulation_steps=accumulation_steps,
    ),
  )
  return jax.jit(init)(KEY, CONTEXT, np.arange(3)), jax.jit(update)


@jax.jit
def _gradient(network):
  """What the first update fed to Adam, from its first moment."""
  _, unravel = jax.flatten_util.ravel_pytree(network.online_params)
  return unravel(optax.tree.get(network.opt_state, 'mu') / 0.1)


def _targets(
  probe,
  batch=None,
  table=0.0,
  unit=0.0,
  *,
  accumulation_steps=1,
  gamma=1.0,
  noise=NOISE,
  clip=100.0,
  **own,
):
  """The targets [B] of one update whose target critics have `probe`."""
  count = len(probe)
  state, update = _build(count, accumulation_steps, gamma, noise, clip)
  table = np.zeros((count, 2 * SIZE), np.float32) + np.float32(table)
  critic = {'~': {'table': table, 'probe': np.float32(probe)}}
  actor = {'~': {'unit': np.full(SHAPE, unit, np.float32)}}
  state = state._replace(
    hyperparameters=state.hyperparameters._replace(**own),
    critic=state.critic._replace(target_params=critic),
    actor=state.actor._replace(target_params=actor),
  )
  new, _ = update(state, batch or _batch(), CONTEXT)
  gradient = np.asarray(_gradient(new.critic)['~']['table'])
  # All critics are taught the same.
  np.testing.assert_array_equal(gradient, gradient[:1].repeat(count, 0))
  return -gradient[0, :SIZE] * SIZE


def _one_hot(place, count=1):
  probe = np.zeros((count, *SHAPE))
  probe[:, *place] = 1.0
  return probe


def _smoothed_actions(count=1, **changes):
  """The smoothed target actions [B, N, 2], entry by entry."""
  actions = np.zeros((SIZE, *SHAPE))
  for place in np.ndindex(*SHAPE):
    actions[(slice(None), *place)] = _targets(_one_hot(place, count), **changes)
  return actions


def test_smoothing_noise_has_the_shape_of_the_batched_action():
  actions = _smoothed_actions()
  # One draw for the whole batch, or for all stocks, would repeat itself.
  assert len(np.unique(actions)) == actions.size
  draws = tiny_agent.target_noise_draws(_first_key(), (SIZE, *SHAPE))
  np.testing.assert_allclose(actions, NOISE * np.asarray(draws), atol=1e-5)


def test_all_critics_see_the_same_smoothing_noise():
  one = _smoothed_actions()
  # The lower of two equal critics is lower than one only if the draws differ.
  np.testing.assert_allclose(_smoothed_actions(count=2), one, atol=1e-6)
  # The lower of u and -u is -|u| for one draw u, for two draws it is not.
  place = 1, 0
  probe = np.concatenate([_one_hot(place), -_one_hot(place)])
  np.testing.assert_allclose(_targets(probe), -np.abs(one[:, 1, 0]), atol=1e-6)


def test_smoothing_noise_is_clipped_and_so_is_the_smoothed_action():
  noise = NOISE * np.asarray(
    tiny_agent.target_noise_draws(_first_key(), (SIZE, *SHAPE))
  )
  clipped = np.clip(noise, -0.2, 0.2)
  assert 0.2 < np.mean(clipped != noise) < 0.9
  np.testing.assert_allclose(_smoothed_actions(clip=0.2), clipped, atol=1e-5)
  at_edge = np.clip(0.9 + clipped, -1.0, 1.0)
  assert 0.2 < np.mean(at_edge == 1.0) < 0.9
  np.testing.assert_allclose(
    _smoothed_actions(clip=0.2, unit=0.9), at_edge, atol=1e-5
  )


def test_no_smoothing_noise():
  np.testing.assert_allclose(
    _smoothed_actions(noise=0.0, unit=0.25), 0.25, atol=1e-6
  )


def test_discount_and_smoothing_of_an_agent_s_own():
  place = 1, 0
  expected = 0.75 * _smoothed_actions()[:, 1, 0]
  half = {'smoothing': np.float32(NOISE), 'discount_rate': np.float32(0.25)}
  found = _targets(_one_hot(place), noise=0.05, gamma=0.5, **half)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  # A factor can take it beyond a discount of 0, where it ends.
  none = {'discount_rate': np.float32(1.5)}
  np.testing.assert_array_equal(_targets(_one_hot(place), **none), 0)


@pytest.mark.parametrize(
  'settings, names',
  [
    ({'gamma': 0.0}, {'exploration'}),
    ({'gamma': 0.9}, {'exploration', 'discount_rate', 'smoothing'}),
    ({'gamma': 1.0, 'target_noise': 0.0}, {'exploration'}),
  ],
)
def test_what_can_be_an_agent_s_own_is_what_matters(settings, names):
  agent = td3.make_agent(
    hk.transform_with_state(_actor),
    _critic(1),
    _observe,
    tiny_agent.SPEC,
    tiny_agent.make_config(**settings),
    lambda observations, unit_actions: unit_actions,
  )
  assert set(agent.more) == names
  assert all(value > 0 for value in agent.more.values())


def test_every_micro_batch_has_its_own_noise():
  actions = _smoothed_actions(accumulation_steps=4)
  assert len(np.unique(actions)) == actions.size


def test_termination_is_not_truncation():
  # Hand-computed: 1.5 + 0.5 * discount * (4 + 2 * 0.25), four critics' lowest.
  batch = _batch(
    r_t=np.full(SIZE, 1.5, np.float32),
    discount_t=np.arange(SIZE, dtype=np.float32) % 2,  # even days terminate
  )
  targets = _targets(
    2.0 * _one_hot((0, 1), count=4),
    batch,
    table=np.array([7.0, 4.0, 5.0, 6.0])[:, None],
    unit=0.25,
    gamma=0.5,
    noise=0.0,
  )
  np.testing.assert_allclose(targets[0::2], 1.5, atol=1e-5)
  np.testing.assert_allclose(targets[1::2], 1.5 + 0.5 * 4.5, atol=1e-5)


def test_a_truncated_step_bootstraps_from_its_own_next_state():
  table = np.arange(2.0 * SIZE)
  targets = _targets(np.zeros((1, *SHAPE)), table=table, noise=0.0)
  np.testing.assert_allclose(targets, np.arange(SIZE) + SIZE, atol=1e-4)


@pytest.mark.parametrize('accumulation_steps', [1, 4])
def test_a_target_reaches_only_its_own_example(accumulation_steps):
  rewards = np.random.default_rng(0).normal(size=SIZE)
  targets = _targets(
    np.zeros((2, *SHAPE)),
    _batch(r_t=np.float32(rewards)),
    accumulation_steps=accumulation_steps,
  )
  np.testing.assert_allclose(targets, rewards, atol=1e-5)


def _first_key():
  """The key that `init` leaves for the first update."""
  return np.asarray(jax.random.split(KEY, 3))[0]

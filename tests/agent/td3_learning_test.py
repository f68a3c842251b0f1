"""Problems with known answers that eigen3.agent.td3 must solve."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import tiny_agent

from eigen3.agent import make_td3, replay
from eigen3.types import ActionSpec, Transition

SPEC = ActionSpec(shape=(2, 1), minimum=(0.0,), maximum=(4.0,))
NUM_STATES = 64
BATCH = 32


def _actor(x, is_training):
  del is_training
  unit = hk.nets.MLP([16, 2], name='policy')(x)
  return SPEC.from_unit(jnp.tanh(unit).reshape(-1, *SPEC.shape)), None


def _critic(x, unit_actions, is_training):
  del is_training
  inputs = jnp.concatenate([x, unit_actions[..., 0]], axis=-1)
  values = [hk.nets.MLP([64, 64, 1], name=f'value_{k}')(inputs) for k in (0, 1)]
  return jnp.concatenate(values, axis=-1)


def _optimum(context):
  """The best action [S, 2, 1] in environment units, inside the box."""
  best = jnp.stack(
    [2.0 + jnp.tanh(context[:, 0]), 2.0 - jnp.sin(context[:, 1])], axis=-1
  )
  return best[..., None]


def _regret(actions, best):
  return jnp.sum((actions - best) ** 2, axis=(1, 2))


def _solve(key, iterations=600):
  """Trains on its own noisy actions; first regret, losses and regrets."""
  config = tiny_agent.make_config(
    actor_learning_rate=3e-3,
    critic_learning_rate=5e-3,
    exploration_noise=0.5,
    exploration_noise_decay=0.997,
    exploration_noise_min=0.3,
    gradient_clip=0.0,
    batch_size=BATCH,
  )
  init, select_action, update = make_td3(
    hk.transform_with_state(_actor),
    hk.transform_with_state(_critic),
    tiny_agent.observe,
    SPEC,
    config,
  )
  key_context, key_init, key_train = jax.random.split(key, 3)
  context = jax.random.normal(key_context, (NUM_STATES, 2))
  best, states = _optimum(context), jnp.arange(NUM_STATES)

  def regret(agent):
    actions = select_action(agent, context, states)
    return jnp.mean(_regret(actions, best))

  def iterate(carry, key):
    agent, ring = carry
    key_state, key_action, key_sample = jax.random.split(key, 3)
    seen = jax.random.randint(key_state, (BATCH,), 0, NUM_STATES)
    actions = select_action(agent, context, seen, key_action)
    rewards = -_regret(actions, best[seen])
    batch = Transition(seen, actions, rewards, jnp.ones(BATCH), seen)
    ring = replay.add(ring, batch)
    batch = replay.sample(ring, key_sample, BATCH)
    agent, metrics = update(agent, batch, context)
    return (agent, ring), (metrics['critic_loss'], regret(agent))

  agent = init(key_init, context, states)
  example = Transition(
    jnp.int32(0), jnp.zeros(SPEC.shape), *jnp.zeros(2), jnp.int32(0)
  )
  ring = replay.init(example, 2048)
  before = regret(agent)
  keys = jax.random.split(key_train, iterations)
  _, (loss, curve) = jax.lax.scan(iterate, (agent, ring), keys)
  return before, loss, curve


def test_the_loss_falls_and_the_policy_finds_the_optimum():
  keys = jax.random.split(jax.random.PRNGKey(0))  # two seeds at once
  results = jax.jit(jax.vmap(_solve))(keys)
  for before, loss, curve in zip(*jax.device_get(results), strict=True):
    assert np.mean(loss[-50:]) < 0.1 * np.mean(loss[:50])
    assert before > 0.5
    # What is left is a tenth of the box's half width in every entry.
    assert np.mean(curve[-50:]) < 0.05 * before, (before, curve[::50])


def test_values_are_the_discounted_sum_of_rewards():
  """A reward of 1 for ever is worth 1 / (1 - 0.5), at a termination 1."""
  init, _, update = tiny_agent.make_agent(
    centred=False,
    gamma=0.5,
    tau=0.1,
    critic_learning_rate=0.02,
    policy_delay=1,
  )
  context = tiny_agent.make_context()

  def train(discount):
    batch = tiny_agent.make_batch(
      size=256, r_t=jnp.ones(256), discount_t=jnp.full(256, discount)
    )
    state = init(jax.random.PRNGKey(0), context, batch.s_tm1)
    return jax.lax.scan(
      lambda s, _: update(s, batch, context), state, length=1000
    )[1]

  metrics = jax.jit(jax.vmap(train))(jnp.array([1.0, 0.0]))
  np.testing.assert_allclose(metrics['q'][:, -1], [2.0, 1.0], atol=0.03)


def test_with_a_penalty_a_policy_that_buys_nothing_returns_sooner():
  """Orders lose at first, and gain later; see `SlotHead` for the value."""
  spec = ActionSpec(shape=(1, 1), minimum=(0.0,), maximum=(2.0,))

  def chance(coefficient):
    return jax.nn.sigmoid((coefficient - 1.0) / 0.125)

  def actor(x, is_training):
    del is_training
    raw = hk.Linear(1)(jnp.ones((len(x), 1)))
    return 2.0 * jax.nn.sigmoid(raw)[..., None], None

  def critic(x, unit, is_training):
    del x, is_training
    worth = hk.get_parameter('worth', (2,), init=jnp.zeros)
    return chance(spec.from_unit(unit)[..., 0]) * worth

  def final(penalty):
    """Returns the coefficients after either half of the training."""
    config = tiny_agent.make_config(
      invert_gradients=True,
      action_penalty=penalty,
      actor_learning_rate=0.01,
      critic_learning_rate=0.03,
    )
    init, select_action, update = make_td3(
      hk.transform_with_state(actor),
      hk.transform_with_state(critic),
      tiny_agent.observe,
      spec,
      config,
    )
    states, context = jnp.arange(BATCH), tiny_agent.make_context()
    actions = jnp.linspace(0.0, 2.0, BATCH)[:, None, None]

    def learn(agent, worth, updates):
      rewards = worth * chance(actions[:, 0, 0])
      batch = Transition(states, actions, rewards, jnp.ones(BATCH), states)
      agent = jax.lax.scan(
        lambda agent, _: (update(agent, batch, context)[0], None),
        agent,
        length=updates,
      )[0]
      return agent, select_action(agent, context, states[:1])[0, 0, 0]

    agent = init(jax.random.PRNGKey(0), context, states)
    agent, before = learn(agent, -1.0, 1000)
    return before, learn(agent, 1.0, 100)[1]

  train = jax.jit(final, static_argnums=0)
  (low, still), (near, back) = train(0.0), train(0.1)
  assert low < 0.1 < near < 0.5
  assert still < 0.8  # of 1.0, the threshold
  assert back > 1.3

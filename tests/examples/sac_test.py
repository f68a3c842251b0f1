"""SAC, an algorithm from outside the package: sac.py and sac_networks.py."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sac
import sac_networks

from eigen3 import agent
from eigen3.types import ActionSpec, Transition
from experiments.configs import control
from experiments.control import learning, report

KEY = jax.random.PRNGKey(0)
SPEC = ActionSpec(shape=(2,), minimum=(0.0, 10.0), maximum=(2.0, 50.0))
PENDULUM = 'Pendulum-v1'


def make_config(**changes):
  """The agent section of the control tasks, with SAC."""
  config = control.get_config().agent
  config.update(algorithm='sac', gamma=0.0, batch_size=32)
  config.update(changes)
  return config


def make_agent(spec=SPEC, hidden=(16,), **changes):
  return agent.make_agent(
    *sac_networks.make_networks(hidden, spec),
    lambda observations, rows: observations[rows],
    spec,
    make_config(**changes),
  )


def test_log_prob_by_hand():
  # At the mean, 0: a standard normal's density, and tanh has slope 1.
  zero = jnp.zeros(1)
  standard = -0.5 * np.log(2 * np.pi)  # -0.9189
  log_prob = sac.squashed_log_prob(zero, zero, zero)
  assert log_prob == pytest.approx(standard, rel=1e-6)
  # A deviation above the mean, 0.5 + 2 = 2.5, in one entry; the slope there is
  # 1 - tanh(2.5)^2 = 0.026592. The other entry: tanh(-1), slope 0.419974.
  log_prob = sac.squashed_log_prob(
    jnp.array([2.5, -1.0]),
    jnp.array([0.5, -1.0]),
    jnp.array([np.log(2.0), 0.0], jnp.float32),
  )
  expected = standard - 0.5 - np.log(2.0) - np.log(0.026592)
  expected += standard - np.log(0.419974)
  assert log_prob == pytest.approx(expected, rel=1e-4)


def test_log_prob_is_a_density():
  """It integrates to 1 over actions in (-1, 1)."""
  actions = np.linspace(-1, 1, 20_001)[1:-1, None]
  raw = jnp.arctanh(jnp.asarray(actions, jnp.float32))
  log_prob = jax.vmap(sac.squashed_log_prob, in_axes=(0, None, None))(
    raw, jnp.array([0.3]), jnp.array([-0.5])
  )
  assert np.exp(log_prob).sum() * 1e-4 == pytest.approx(1.0, abs=1e-3)


def test_log_prob_stays_finite():
  """Where tanh rounds to 1, and so does its gradient."""
  arguments = jnp.array([30.0]), jnp.array([0.0]), jnp.array([0.0])
  value, slope = jax.value_and_grad(sac.squashed_log_prob)(*arguments)
  # log slope: log(4) - 60; the normal: -0.9189 - 450.
  assert value == pytest.approx(-0.9189 - 450 - (np.log(4) - 60), rel=1e-4)
  assert slope[0] == pytest.approx(-30 + 2, rel=1e-4)


def test_critic_loss_by_hand():
  arguments = (
    jnp.array([1.0, 4.0]),
    jnp.array(2.0),
    jnp.array(0.5),
    jnp.array([6.0, 3.0]),
    jnp.array(-1.5),
    jnp.array(0.2),
  )
  # Target 2 + 0.5 * (3 + 0.2 * 1.5) = 3.65; errors 2.65 and -0.35.
  loss, gradients = jax.value_and_grad(sac.soft_critic_loss, (0, 3, 4, 5))(
    *arguments
  )
  assert loss == pytest.approx(0.5 * 2.65**2 + 0.5 * 0.35**2)
  np.testing.assert_allclose(gradients[0], [-2.65, 0.35], rtol=1e-6)
  for gradient in gradients[1:]:  # The target is a constant.
    np.testing.assert_array_equal(gradient, 0.0)


def test_policy_loss_by_hand():
  arguments = jnp.array(-1.5), jnp.array([6.0, 3.0]), jnp.array(0.2)
  loss, slopes = jax.value_and_grad(sac.soft_policy_loss, (0, 1))(*arguments)
  assert loss == pytest.approx(0.2 * -1.5 - 3.0)
  assert slopes[0] == pytest.approx(0.2)
  np.testing.assert_array_equal(slopes[1], [0.0, -1.0])


@pytest.mark.parametrize(
  'log_prob, slope',
  [
    (0.5, 0.75),  # entropy -0.5, above -2: the temperature falls
    (3.0, -0.5),  # entropy -3, below: it rises
  ],
)
def test_temperature_loss_by_hand(log_prob, slope):
  # The temperature is 0.5: the loss is -0.5 * (log_prob - 2).
  arguments = jnp.log(0.5), jnp.array(log_prob), -2.0
  loss, found = jax.value_and_grad(sac.temperature_loss)(*arguments)
  assert loss == pytest.approx(slope)
  assert found == pytest.approx(slope)


def test_losses_are_per_example():
  scalar, pair = jnp.zeros(()), jnp.zeros(2)
  with pytest.raises(AssertionError):
    sac.squashed_log_prob(pair, scalar, pair)
  with pytest.raises(AssertionError):
    sac.soft_critic_loss(pair, scalar, scalar, pair, pair, scalar)
  with pytest.raises(AssertionError):
    sac.soft_policy_loss(scalar, scalar, scalar)


LOG_DEVIATION = -8.0  # next to none: tanh is straight, and entropy very low


def constant(network, values):
  """The network with all parameters 0 but some layers' biases."""
  params = jax.tree.map(jnp.zeros_like, network.online_params)
  for name, value in values.items():
    params[name]['b'] = jnp.array(value)
  return network._replace(
    online_params=params, target_params=jax.tree.map(jnp.copy, params)
  )


def constant_state(learner, observations):
  """Its Gaussians have mean 0, and its critics say 1 and -3."""
  state = learner.init(KEY, observations, jnp.arange(len(observations)))
  gaussian = [0.0, 0.0, LOG_DEVIATION, LOG_DEVIATION]
  critics = {'critic_1_out': [1.0], 'critic_2_out': [-3.0]}
  return state._replace(
    actor=constant(state.actor, {'actor_out': gaussian}),
    critic=constant(state.critic, critics),
  )


def drawn_log_prob(key):
  """Log densities [4] of what an update draws by a key, tanh being straight."""
  key_noise, _ = jax.random.split(key)
  z = np.asarray(jax.random.normal(key_noise, (4, 2)))
  return (-0.5 * z**2 - 0.5 * np.log(2 * np.pi) - LOG_DEVIATION).sum(1)


def test_an_update_by_hand():
  learner = make_agent(gamma=0.5, tau=0.25, critic_learning_rate=0.01)
  observations, rows = jnp.ones((4, 3)), jnp.arange(4)
  state = constant_state(learner, observations)
  middle = jnp.array([1.0, 30.0])  # of the box
  drawn = learner.act(state, observations, rows, KEY)
  np.testing.assert_allclose(
    learner.act(state, observations, rows), [middle] * 4
  )
  assert 0 < abs(drawn - middle).max() < 0.1
  discount = np.array([1.0, 1.0, 0.0, 0.0])
  batch = Transition(rows, drawn, jnp.ones(4), jnp.array(discount), rows)
  after, metrics = jax.jit(learner.update)(state, batch, observations)

  _, key_critic, key_actor = jax.random.split(state.key, 3)
  key_action, _ = jax.random.split(key_critic)
  # The temperature is 1, the lowest critic's value -3.
  targets = 1 + 0.5 * discount * (-3 - drawn_log_prob(key_action))
  errors = targets[:, None] - np.array([1.0, -3.0])
  assert metrics['critic_loss'] == pytest.approx(
    (0.5 * errors**2).sum(1).mean(), rel=1e-4
  )
  assert metrics['q'] == pytest.approx(-1.0)
  log_prob = drawn_log_prob(key_actor).mean()
  assert metrics['entropy'] == pytest.approx(-log_prob, rel=1e-4)
  # The critic moved before by its learning rate, to -3.01.
  assert metrics['actor_loss'] == pytest.approx(log_prob + 3.01, rel=1e-4)
  # Entropy is below its target -2: Adam's first step raises the temperature.
  assert after.log_temperature == pytest.approx(1e-3, rel=1e-4)
  assert int(learner.num_updates(after)) == 1
  # Targets follow by a quarter of the step.
  target = after.critic.target_params
  assert float(target['critic_1_out']['b'][0]) == pytest.approx(0.9975)
  assert float(target['critic_2_out']['b'][0]) == pytest.approx(-3.0025)


def test_it_finds_the_best_actions():
  """Of a bandit: the reward falls with the distance to an action in the box."""
  learner = make_agent(actor_learning_rate=1e-2, critic_learning_rate=1e-2)
  observations = jax.random.normal(jax.random.PRNGKey(1), (64, 2))
  best = jnp.tanh(observations) * 0.6  # in unit space
  rows = jnp.arange(64)

  def regret(actions, rows):
    return jnp.sum((SPEC.to_unit(actions) - best[rows]) ** 2, axis=1)

  def iterate(state, key):
    key_rows, key_act = jax.random.split(key)
    seen = jax.random.randint(key_rows, (32,), 0, 64)
    actions = learner.act(state, observations, seen, key_act)
    batch = Transition(
      seen, actions, -10 * regret(actions, seen), jnp.ones(32), seen
    )
    return learner.update(state, batch, observations)

  state = learner.init(KEY, observations, rows)
  before = regret(learner.act(state, observations, rows), rows).mean()
  state, metrics = jax.jit(lambda s, k: jax.lax.scan(iterate, s, k))(
    state, jax.random.split(KEY, 1500)
  )
  after = regret(learner.act(state, observations, rows), rows).mean()
  assert after < 0.1 * before, (before, after)
  # The temperature holds the entropy at minus the number of entries.
  assert metrics['entropy'][-100:].mean() == pytest.approx(-2.0, abs=0.3)
  told = learner.report(state, metrics)
  assert tuple(told) == learner.reported
  assert np.isfinite(list(told.values())).all()
  assert told['updates'] == 1500


def test_several_actions_of_a_state():
  """Critics that say the sum of an action's entries, and its double."""

  def critic(observations, unit_actions, is_training):
    del observations, is_training
    scale = hk.get_parameter('scale', (2,), init=hk.initializers.Constant(1))
    total = unit_actions.sum(-1, keepdims=True)
    return total * scale * jnp.array([1.0, 2.0])

  learner = agent.make_agent(
    sac_networks.make_actor((4,), SPEC),
    hk.transform_with_state(critic),
    lambda observations, rows: observations[rows],
    SPEC,
    make_config(),
  )
  unit = jnp.array([[[0.5, 0.5], [0.25, -0.25]]])  # sums 1 and 0
  batch = Transition(
    s_tm1=jnp.arange(1),
    a_tm1=SPEC.from_unit(unit),
    r_t=jnp.array([[3.0, 1.0]]),
    discount_t=jnp.ones(1),
    s_t=jnp.arange(1),
  )
  observations = np.ones((1, 3), np.float32)
  state = jax.jit(learner.init)(KEY, observations, np.arange(1))
  _, metrics = jax.jit(learner.update)(state, batch, observations)
  # Errors 2 and 1 of the first action, twice 1 of the other.
  assert metrics['critic_loss'] == pytest.approx((2.5 + 1.0) / 2, rel=1e-5)
  assert metrics['q'] == pytest.approx(1.5)  # of what was done first


def test_a_population_of_it_is_born():
  """Children have their genes, and new targets where nothing is kept."""
  learner = make_agent()
  observations = np.ones((1, 3), np.float32)
  parents = jax.jit(
    jax.vmap(lambda k: learner.init(k, observations, np.arange(1)))
  )(jax.random.split(KEY, 2))
  genes = learner.genes(parents)
  assert genes.hyperparameters == {}
  genes = jax.tree.map(lambda x: x + 1, genes)
  keys = jax.random.split(jax.random.PRNGKey(1), 2)
  whole = dict.fromkeys(('actor', 'critic'), np.array([True, False]))
  offspring = jax.jit(learner.offspring)(parents, genes, whole, keys)
  jax.tree.map(
    np.testing.assert_array_equal,
    offspring.actor.online_params,
    genes.parameters['actor'],
  )
  moved = jax.tree.map(
    lambda x, y: (x - y).reshape(2, -1).mean(1),
    offspring.critic.target_params,
    parents.critic.target_params,
  )
  for leaf in jax.tree.leaves(moved):
    np.testing.assert_allclose(leaf, [0.0, 1.0], atol=1e-6)


def test_it_is_chosen_by_its_name_or_path():
  assert make_agent(algorithm=f'{sac.__name__}.make_agent').reported == (
    make_agent().reported
  )
  with pytest.raises(ValueError, match=r"agent\.algorithm: found 'sarsa', exp"):
    make_agent(algorithm='sarsa')
  raw = ActionSpec((1,), (0.0,), (float('inf'),), scaled=False)
  with pytest.raises(ValueError, match='action_spec: found'):
    make_agent(raw)


@pytest.mark.long
def test_the_pendulum_is_learnt():
  """The settings of TD3, and the goal."""
  config, goal = control.get_config(), report.KNOWN[PENDULUM].goal
  config.agent.algorithm = 'sac'
  best = -np.inf
  for evaluation in learning.learn(
    PENDULUM, config, 0, sac_networks.make_networks
  ):
    best = max(best, evaluation.returns.mean())
    if best >= goal:
      break
  assert best >= goal, f'{best} by step {evaluation.step}'

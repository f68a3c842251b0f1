"""Tests of experiments.control: the agent on public tasks."""

import json
import re

import forks
import gymnasium
import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from experiments.configs import control
from experiments.control import learning, networks, report
from experiments.control.task import Task

PENDULUM = 'Pendulum-v1'  # 200 steps an episode, torque from -2 to 2


class Steady(gymnasium.Env):
  """Rewards each step with 1; observes the number of the step."""

  observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
  action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

  def __init__(self, ends):
    self._ends = ends

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    self._steps = 0
    return self._observation(), {}

  def step(self, action):
    self._steps += 1
    return self._observation(), 1.0, self._ends, False, {}

  def _observation(self):
    return np.array([self._steps], np.float32)


class Unbounded(Steady):
  action_space = gymnasium.spaces.Box(-1.0, np.inf, (1,))


gymnasium.register(
  'Truncated-v0', Steady, max_episode_steps=5, kwargs={'ends': False}
)
gymnasium.register('Terminated-v0', Steady, kwargs={'ends': True})
gymnasium.register('Unbounded-v0', Unbounded, kwargs={'ends': True})


def make_config(**changes):
  """Settings of 200 steps, which take a second."""
  config = control.get_config()
  config.update(
    num_steps=200,
    random_steps=50,
    replay_capacity=300,
    hidden=(16,),
    evaluate_every=100,
    evaluation_episodes=2,
    last_rounds=2,
  )
  config.agent.batch_size = 32
  config.update_from_flattened_dict(changes)
  return config


def test_a_task_is_gymnasium_s():
  seed = 3
  task, raw = Task(PENDULUM, seed), gymnasium.make(PENDULUM)
  assert task.observation_size == 3
  assert task.action_spec.shape == (1,)
  assert task.action_spec.minimum == (-2.0,)
  assert task.action_spec.maximum == (2.0,)
  expected, _ = raw.reset(seed=seed)
  np.testing.assert_array_equal(task.reset(), expected)
  rng = np.random.default_rng(0)
  for number in range(1, 201):
    action = rng.uniform(-2, 2, 1).astype(np.float32)
    step = task.step(action)
    expected, reward, terminated, truncated, _ = raw.step(action)
    np.testing.assert_array_equal(step.observation, expected)
    assert step.observation.dtype == np.float32
    assert step.reward == reward
    # The limit on time is no termination.
    assert step.discount == 1.0
    assert step.last == truncated == (number == 200)
    assert not terminated
  # A later episode goes on with the generator, and begins elsewhere.
  expected, _ = raw.reset()
  np.testing.assert_array_equal(task.reset(), expected)
  assert not np.array_equal(expected, gymnasium.make(PENDULUM).reset(seed=3)[0])


def test_a_termination_has_no_discount():
  """A car that pushes in its direction of motion climbs the mountain."""
  task = Task('MountainCarContinuous-v0', 0)
  observation, steps = task.reset(), 0
  last = False
  while not last:
    push = 1.0 if observation[1] >= 0 else -1.0
    observation, _, discount, last = task.step(np.array([push], np.float32))
    steps += 1
    assert discount == (0.0 if last else 1.0)
  assert steps < 999  # the limit


@pytest.mark.parametrize(
  'name, words',
  [
    ('NoSuchTask-v0', "found 'NoSuchTask-v0', expected a Gymnasium task"),
    ('CartPole-v1', "'CartPole-v1' with actions in Discrete"),
    ('FrozenLake-v1', "'FrozenLake-v1' with observations in Discrete"),
    (
      'Unbounded-v0',
      "--env: found 'Unbounded-v0' with actions in Box(-1.0, inf, (1,), "
      'float32), expected a Box with finite bounds',
    ),
  ],
)
def test_other_tasks_are_refused(name, words):
  with pytest.raises(ValueError, match=re.escape(words)):
    Task(name, 0)


def test_actions_fill_the_box_of_the_task():
  spec = Task(PENDULUM, 0).action_spec
  actor = networks.make_actor((4,), spec)
  observations = 1e3 * jax.random.normal(jax.random.PRNGKey(0), (64, 3))
  params, state = actor.init(
    jax.random.PRNGKey(1), observations, is_training=False
  )
  (actions, _), _ = actor.apply(
    params, state, None, observations, is_training=False
  )
  assert actions.shape == (64, 1)
  assert float(actions.min()) == -2.0
  assert float(actions.max()) == 2.0
  np.testing.assert_allclose(
    spec.to_unit(jnp.array([[-2.0], [0.0], [1.0]])), [[-1.0], [0.0], [0.5]]
  )


def test_critics_share_nothing():
  critic = networks.make_double_critic((4, 5))
  s, a = jnp.ones((2, 3)), jnp.ones((2, 1))
  params, state = critic.init(jax.random.PRNGKey(0), s, a, is_training=False)
  assert set(params) == {
    f'critic_{k}_{end}' for k in (1, 2) for end in ('1', '2', 'out')
  }
  assert params['critic_1_1']['w'].shape == (4, 4)

  def values(params):
    return critic.apply(params, state, None, s, a, is_training=False)[0]

  before = values(params)
  params['critic_2_out']['b'] += 1.0
  np.testing.assert_allclose(values(params) - before, [[0, 1]] * 2, atol=1e-6)


def test_replay_holds_what_happened():
  """In episodes of 5 steps the last observation is 5, not the next 0."""
  config = make_config(num_steps=60, evaluate_every=60)
  (evaluation,) = learning.learn('Truncated-v0', config, seed=0)
  ring = evaluation.state.replay
  assert int(ring.size) == 60
  stored = jax.tree.map(lambda x: np.asarray(x)[:60], ring.storage)
  np.testing.assert_array_equal(stored.s_tm1[:, 0], np.arange(60) % 5)
  np.testing.assert_array_equal(stored.s_t[:, 0], np.arange(60) % 5 + 1)
  np.testing.assert_array_equal(stored.discount_t, np.ones(60))
  np.testing.assert_array_equal(stored.r_t, np.ones(60))
  assert len(np.unique(stored.a_tm1)) == 60
  assert abs(stored.a_tm1).max() <= 1
  np.testing.assert_array_equal(evaluation.returns, [5.0] * 4)
  assert int(evaluation.state.agent.steps) == 60 - 50 + 1


@pytest.mark.long
@pytest.mark.parametrize(
  'name, value',
  [
    ('Truncated-v0', 2.0),  # 1 + 1/2 + 1/4 + ...
    ('Terminated-v0', 1.0),
  ],
)
def test_values_go_on_after_a_truncation_only(name, value):
  config = make_config(num_steps=400, evaluate_every=400)
  config.agent.update(gamma=0.5, tau=0.1, critic_learning_rate=5e-3)
  (evaluation,) = learning.learn(name, config, seed=0)
  assert evaluation.metrics['q'] == pytest.approx(value, abs=0.1)


def test_equal_seeds_are_bit_equal():
  def run(seed):
    # The state of an evaluation lives until the next one is asked for.
    return [
      (step, returns, metrics, jax.device_get(state))
      for step, returns, metrics, state in learning.learn(
        PENDULUM, make_config(), seed
      )
    ]

  one, same = run(0), run(0)
  assert [found[0] for found in one] == [100, 200]
  assert [len(found[1]) for found in one] == [2, 4]
  jax.tree.map(np.testing.assert_array_equal, one, same)


@pytest.mark.long
def test_a_run_explains_itself(tmp_path):
  def run(*arguments):
    return forks.run(
      '-m', 'experiments.control',
      f'--workdir={tmp_path}/run', '--config.num_steps=120',
      '--config.random_steps=100', '--config.evaluate_every=60',
      '--config.evaluation_episodes=2', '--config.hidden=(8,)',
      '--config.replay_capacity=120', *arguments,
    )  # fmt: skip

  found = run('--seed=0,7')
  assert found.returncode == 0, found.stderr
  summary = json.loads((tmp_path / 'run' / 'summary.json').read_text())
  assert summary['env'] == PENDULUM
  assert set(summary['seeds']) == {'0', '7'}
  assert set(summary['seeds']['7']['curve']) == {'60', '120'}
  assert summary['seeds']['0']['curve'] != summary['seeds']['7']['curve']
  assert summary['seeds']['7']['episodes'] == 20
  assert {'gymnasium', 'jax'} <= set(summary['versions'])
  assert summary['flags']['config']['seed'] == [0, 7]
  rows = pd.read_csv(tmp_path / 'run' / 'metrics.csv')
  assert rows[['seed', 'step']].to_numpy().tolist() == [
    [0, 60], [0, 120], [7, 60], [7, 120],
  ]  # fmt: skip
  assert rows['critic_loss'].isna().tolist() == [True, False] * 2
  assert matplotlib.image.imread(tmp_path / 'run' / 'report.png').std() > 0.05
  assert 'seed 7: mean return -' in found.stdout


@pytest.mark.parametrize(
  'text', ['1,1', '-1', 'one', '', '0.5', f'0,{2**32}', f'{2**64}']
)
def test_wrong_seeds_are_refused(text):
  with pytest.raises(ValueError, match=f"--seed: found '{text}', expected"):
    learning.seeds_of(text.split(','))


def test_a_summary_by_hand():
  """Of five seeds only the middle three count."""
  last = [-100.0, -150.0, -160.0, -170.0, -900.0]
  curves = pd.DataFrame(
    [
      {'seed': s, 'step': t, 'episodes': 10, 'mean_return': r, 'deviation': 9.0}
      for s, value in enumerate(last)
      for t, r in ((1000, -1200.0), (2000, value - 45.0), (3000, value))
    ]
  )
  summary = report.measure(PENDULUM, curves)
  assert summary['interquartile_mean']['value'] == pytest.approx(-160.0)
  reached = [found['reached_goal_at'] for found in summary['seeds'].values()]
  assert reached == [2000, 2000, 3000, 3000, None]
  assert summary['seeds']['4']['mean_return'] == -900.0
  text = report.table(summary)
  assert 'seed 4: mean return -900.0, deviation 9.0, over 10 episodes' in text
  assert text.splitlines()[4].endswith('; -200 or more never')
  assert report.measure('Other-v0', curves)['known'] is None


@pytest.mark.long
def test_the_pendulum_is_learnt():
  """The usual settings; see experiments/results for five seeds."""
  goal = report.KNOWN[PENDULUM].goal
  best = -np.inf
  for evaluation in learning.learn(PENDULUM, control.get_config(), seed=0):
    best = max(best, evaluation.returns.mean())
    if best >= goal:
      break
  assert best >= goal, f'{best} by step {evaluation.step}'

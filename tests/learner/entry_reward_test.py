"""The entry reward looks ahead by design, and only learning uses it.

Two runs that differ in nothing but the reward are compared: whatever is the
same in both does not depend on it.
"""

import jax
import numpy as np
import pytest
import small_run

from eigen3.environment import rollout


@pytest.fixture(scope='module')
def other_learner(config):
  """The other tests' learner, under Eigen2's reward."""
  assert config.environment.reward == 'entry'
  other = small_run.make_config(replay_capacity=config.learner.replay_capacity)
  other.environment.reward = 'eigen2'
  return small_run.make_learner(other.lock())


@pytest.fixture(scope='module')
def other_first_state(other_learner):
  return small_run.on_host(other_learner.init(jax.random.PRNGKey(0)))


def different(one, other):
  """Paths of the leaves whose bits differ."""
  assert jax.tree.structure(one) == jax.tree.structure(other)
  return [
    jax.tree_util.keystr(path)
    for (path, a), b in zip(
      jax.tree_util.tree_leaves_with_path(one),
      jax.tree.leaves(other),
      strict=True,
    )
    if a.tobytes() != b.tobytes()
  ]


def test_of_what_is_remembered_only_the_reward_differs(
  first_state, other_first_state
):
  """Returns observations and actions of the warm-up, and the rest of a run."""
  assert first_state.replay.size > 30
  assert different(first_state, other_first_state) == ['.replay.storage.r_t']


def test_of_an_episode_only_the_reward_and_its_sum_differ(
  learner, other_learner, first_state
):
  days = np.arange(5, 5 + learner._environment.num_steps, dtype=np.int32)
  actions = np.asarray(learner.greedy_actions(first_state.agent, days))
  # So that the account is busy.
  actions = actions * np.float32([2, 1])
  play = jax.jit(rollout.play)
  episodes = [
    small_run.on_host(play(one._environment, days[None], actions[None]))
    for one in (learner, other_learner)
  ]
  assert episodes[0].timesteps.extras.closed.mask.sum() > 3
  assert different(*episodes) == [
    '.timesteps.reward',
    '.final_state.cumulative_reward',
  ]


def test_what_is_learnt_from_it_differs(
  learner, first_state, other_first_state
):
  """The same measure detects a dependence: one learner, two replays."""
  replays = (first_state.replay, other_first_state.replay)
  states = [
    small_run.on_host(
      learner.iterate(small_run.copied(first_state._replace(replay=replay)))[0]
    )
    for replay in replays
  ]
  paths = different(*states)
  assert any('.agent.critic.online_params' in path for path in paths)

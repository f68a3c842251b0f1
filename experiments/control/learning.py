"""Trains an agent on a task that runs on the host, not in JAX.

After each step of the task, `learn` updates the agent and chooses the next
action; the first actions are random, without updates.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import settings
from eigen3.agent import make_agent, replay
from eigen3.learner.guards import NonFiniteError
from eigen3.types import ActionSpec, Array, PRNGKey, Transition
from experiments.control import networks
from experiments.control.task import Task


class LearnerState(NamedTuple):
  """The learner's state between two steps of the task.

  Attributes:
    agent: the agent's state, such as networks and optimisers.
    replay: the transitions stored so far.
    key: random key, consumed by the next update.
  """

  agent: Any
  replay: replay.ReplayState
  key: PRNGKey


class Evaluation(NamedTuple):
  """An evaluation of the policy, without exploration noise.

  Attributes:
    step: number of steps of the task so far, including the random ones.
    returns: undiscounted sums of rewards of E whole episodes, float64 [E].
    metrics: metrics of the last update; empty before the first update.
    state: the learner's state after these steps; unusable once training goes
      on, because the next step donates the state's buffers.
  """

  step: int
  returns: np.ndarray
  metrics: Mapping[str, float]
  state: LearnerState


_EXPECTED = {
  'num_steps': settings.AT_LEAST_ONE,
  'random_steps': settings.AT_LEAST_ONE,
  'replay_capacity': settings.AT_LEAST_ONE,
  'hidden': settings.sizes(),
  'evaluate_every': settings.AT_LEAST_ONE,
  'evaluation_episodes': settings.AT_LEAST_ONE,
  'last_rounds': settings.AT_LEAST_ONE,
}


class Learner:
  """One agent's jitted pure functions.

  `remember` and `advance` donate the buffers of the state they are given.

  Attributes:
    init: `(key) -> LearnerState`, an untrained agent and an empty replay.
    remember: `(state, transition) -> state`, stores a transition.
    advance: `(state, transition, observation) -> (state, action, metrics)`;
      see `_pure_advance`.
    greedy_actions: `(LearnerState.agent, observations [B, O]) -> actions
      [B, A]`, without noise.
  """

  def __init__(
    self,
    action_spec: ActionSpec,
    observation_size: int,
    config: ml_collections.ConfigDict,
    make_networks: networks.Maker = networks.make_networks,
  ):
    """Makes the functions for actions [A] and observations [O].

    `action_spec.shape` is (A,), and `observation_size` is O; for the other
    arguments see `learn`.

    Raises:
      ValueError: if a setting is invalid.
    """
    settings.check('config', config, _EXPECTED)
    self._config = config
    vector = jnp.zeros(observation_size)
    self._nothing = Transition(
      vector,
      jnp.zeros(action_spec.shape),
      jnp.float32(0),
      jnp.float32(0),
      vector,
    )
    self._agent = make_agent(
      *make_networks(config.hidden, action_spec),
      lambda unused_context, observations: observations,
      action_spec,
      config.agent,
    )
    self.init = jax.jit(self._pure_init)
    self.remember = jax.jit(self._pure_remember, donate_argnums=0)
    self.advance = jax.jit(self._pure_advance, donate_argnums=0)
    self.greedy_actions = jax.jit(
      lambda agent, observations: self._agent.act(agent, None, observations)
    )

  def _pure_init(self, key: PRNGKey) -> LearnerState:
    key, key_agent = jax.random.split(key)
    return LearnerState(
      self._agent.init(key_agent, None, self._nothing.s_tm1[None]),
      replay.init(self._nothing, self._config.replay_capacity),
      key,
    )

  def _pure_remember(
    self, state: LearnerState, transition: Transition
  ) -> LearnerState:
    """Adds one transition, without a batch axis, to the replay."""
    batch = jax.tree.map(lambda x: jnp.asarray(x)[None], transition)
    return state._replace(replay=replay.add(state.replay, batch))

  def _pure_advance(
    self, state: LearnerState, transition: Transition, observation: Array
  ) -> tuple[LearnerState, Array, dict[str, Array]]:
    """Stores a transition, updates the agent and chooses the next action.

    Returns:
      The new state, the action [A] for `observation` [O] with exploration
      noise, and the update's metrics by name.
    """
    key, key_sample, key_act = jax.random.split(state.key, 3)
    state = self._pure_remember(state, transition)
    batch = replay.sample(
      state.replay, key_sample, self._config.agent.batch_size
    )
    agent, metrics = self._agent.update(state.agent, batch, None)
    actions = self._agent.act(agent, None, observation[None], key_act)
    return state._replace(agent=agent, key=key), actions[0], metrics


def learn(
  name: str,
  config: ml_collections.ConfigDict,
  seed: int,
  make_networks: networks.Maker = networks.make_networks,
) -> Iterator[Evaluation]:
  """Trains one agent, and evaluates it regularly.

  Args:
    name: name of the task, see `Task`.
    config: all settings.
    seed: seed of all randomness in training and evaluations.
    make_networks: makes the actor and the critics that `agent.algorithm`
      needs.

  Yields:
    An evaluation of `evaluation_episodes` episodes after every
    `evaluate_every` steps, and of `last_rounds` times as many episodes after
    the last step.

  Raises:
    ValueError: if the task or a setting is invalid.
    NonFiniteError: if a return, or a metric of the last update, is not finite
      at an evaluation.
  """
  rng = np.random.default_rng(seed)
  first, *others = rng.integers(2**31, size=1 + config.evaluation_episodes)
  task = Task(name, int(first))
  judges = [Task(name, int(other)) for other in others]
  spec = task.action_spec
  learner = Learner(spec, task.observation_size, config, make_networks)
  state = learner.init(jax.random.PRNGKey(seed))
  observation = task.reset()
  metrics: Mapping[str, Array] = {}
  action = rng.uniform(spec.minimum, spec.maximum).astype(np.float32)
  for number in range(1, config.num_steps + 1):
    step = task.step(np.asarray(action))
    transition = _transition(observation, action, step)
    observation = task.reset() if step.last else step.observation
    if number < config.random_steps:
      state = learner.remember(state, transition)
      action = rng.uniform(spec.minimum, spec.maximum).astype(np.float32)
    else:
      state, action, metrics = learner.advance(state, transition, observation)
    is_last = number == config.num_steps
    if is_last or number % config.evaluate_every == 0:
      rounds = config.last_rounds if is_last else 1
      returns = [_play(learner, state.agent, judges) for _ in range(rounds)]
      yield _evaluation(number, np.concatenate(returns), metrics, state)


def seeds_of(texts: Sequence[str]) -> tuple[int, ...]:
  """Converts the values of --seed to whole numbers.

  Raises:
    ValueError: if a seed is not a whole number from 0 to 2**32 - 1, a seed is
      repeated, or there is no seed.
  """
  try:
    seeds = tuple(map(int, texts))
  except ValueError:
    seeds = ()
  settings.require(
    settings.SEEDS.meets(seeds),
    '--seed',
    ','.join(texts),
    settings.SEEDS.words,
  )
  return seeds


def _transition(observation, action, step) -> Transition:
  return Transition(
    s_tm1=observation,
    a_tm1=action,
    r_t=step.reward,
    discount_t=step.discount,
    s_t=step.observation,
  )


def _play(learner: Learner, agent: Any, tasks: Sequence[Task]) -> np.ndarray:
  """Plays an episode in each of E tasks; returns sums of rewards, float64 [E].

  Actions have no exploration noise.
  """
  observations = np.stack([task.reset() for task in tasks])
  returns = np.zeros(len(tasks))
  playing = np.ones(len(tasks), bool)
  while playing.any():
    actions = np.asarray(learner.greedy_actions(agent, observations))
    for index in map(int, np.flatnonzero(playing)):
      step = tasks[index].step(actions[index])
      observations[index] = step.observation
      returns[index] += step.reward
      playing[index] = not step.last
  return returns


def _evaluation(
  step: int,
  returns: np.ndarray,
  metrics: Mapping[str, Array],
  state: LearnerState,
) -> Evaluation:
  found = {name: float(value) for name, value in metrics.items()}
  for name, value in (found | {'return': float(returns.sum())}).items():
    if not math.isfinite(value):
      raise NonFiniteError(
        f'{name}: found {value} after step {step}, expected a finite number'
      )
  return Evaluation(step, returns, found, state)

"""The log of a single agent's run, and the choice of the champion."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import parallel
from eigen3.learner import guards
from eigen3.learner.loop import Remark
from eigen3.learner.single_agent import (
  Champion,
  Iteration,
  LearnerState,
  SingleAgent,
)
from eigen3.runs.logs import SCORE, MetricsLog, Sink

# Maps an agent's state to its scores on the validation days, keyed by name.
Evaluate: TypeAlias = Callable[[Any], Mapping[str, float]]


class AgentRecord:
  """Logs each iteration, validates regularly, and updates the champion."""

  def __init__(
    self,
    learner: SingleAgent,
    evaluate: Evaluate,
    workdir: os.PathLike | str,
    config: ml_collections.ConfigDict,
    sinks: Sequence[Sink] = (),
    champion_by: str = SCORE,
  ):
    """Binds the record to a run, without writing anything.

    Args:
      learner: trains the agent.
      evaluate: returns an agent's scores on the validation days.
      workdir: the run's folder.
      config: the section `learner`.
      sinks: further destinations of the metrics, see `MetricsLog`.
      champion_by: name of the score that chooses the champion, or 'iteration'
        for the latest policy that was validated.
    """
    self._learner = learner
    self._evaluate = evaluate
    self._workdir = workdir
    self._config = config
    self._sinks = sinks
    self._champion_by = champion_by

  def begin(self, state: LearnerState, last: int) -> LearnerState:
    """Opens the log; see `loop.Record`.

    Validates the agent of a new run and logs its scores as iteration 0. In a
    resumed run, the agent is evaluated only to get the names of the scores.
    """
    if last >= 0:
      self._open(last, self._evaluate(state.agent))
      return state
    state, scores = self._validate(state)
    self._open(last, scores)
    self._log.write({'iteration': 0, **scores})
    return state

  def add(
    self, number: int, seconds: float, state: LearnerState, outcome: Iteration
  ) -> tuple[LearnerState, Remark]:
    """Checks and logs an iteration; validates if due. See `loop.Record`."""
    when = f'iteration {number}'
    agent = self._learner.agent
    guards.check_updates(outcome.updates, agent.reported, when)
    guards.check_agent(agent.trained(state.agent), when)
    row = {
      'iteration': number,
      'environment_steps': int(state.environment_steps),
      **agent.report(state.agent, outcome.updates),
      **{f'episode_{name}': float(x) for name, x in outcome.episodes.items()},
    }
    title = None
    every, last = self._config.evaluate_every, self._config.iterations
    if number % every == 0 or number == last:
      state, scores = self._validate(state)
      row.update(scores)
      title = f'validation profit {scores[SCORE]:+.2%}'
    self._log.write({**row, 'seconds': round(seconds, 3)})
    rates = (
      f'{self._learner.steps_per_iteration / seconds:,.0f} steps/s, '
      f'{self._config.updates_per_iteration / seconds:,.1f} updates/s'
    )
    return state, Remark(None, title, rates)

  def close(self) -> None:
    """Closes the log and all sinks."""
    self._log.close()

  def _open(self, last: int, scores: Mapping[str, float]) -> None:
    fields = (
      *('iteration', 'seconds', 'environment_steps'),
      *self._learner.agent.reported,
      *('episode_reward', 'episode_profit', 'episode_trades'),
      *scores,
    )
    self._log = MetricsLog(self._workdir, fields, last, self._sinks)

  def _validate(
    self, state: LearnerState
  ) -> tuple[LearnerState, Mapping[str, float]]:
    """Returns the state and the agent's scores; may replace the champion.

    The agent's policy becomes the champion if its score `champion_by` is higher
    than the champion's.
    """
    scores = self._evaluate(state.agent)
    score = {**scores, 'iteration': int(state.iteration)}[self._champion_by]
    if score > float(state.champion.score):
      # Copies: the next iteration donates the agent's own buffers.
      policy = self._learner.agent.policy(state.agent)
      champion = Champion(
        params=jax.tree.map(jnp.copy, policy.params),
        state=jax.tree.map(jnp.copy, policy.state),
        score=parallel.place_like(
          np.asarray(score, np.float32), state.champion.score
        ),
        iteration=jnp.copy(state.iteration),
      )
      state = state._replace(champion=champion)
    return state, scores

"""The training loop around an iteration: evaluate, log, save, resume, stop."""

import os
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import tqdm

from eigen3 import parallel
from eigen3.agent import td3
from eigen3.learner import guards, single_agent
from eigen3.runs.checkpoint import Checkpointer
from eigen3.runs.logs import SCORE, MetricsLog

# Scores of an agent on the validation days, by name.
Evaluate = Callable[[td3.TrainingState], Mapping[str, float]]

TRAINING_FIELDS = (
  'iteration',
  'seconds',
  'environment_steps',
  'updates',
  'critic_loss',
  'critic_gradient_norm',
  'q',
  'actor_loss',
  'actor_gradient_norm',
  'noise_scale',
  'episode_reward',
  'episode_profit',
  'episode_trades',
)


def train(
  learner: single_agent.SingleAgent,
  evaluate: Evaluate,
  checkpointer: Checkpointer,
  workdir: os.PathLike | str,
  config: ml_collections.ConfigDict,
  resume: bool = False,
) -> tuple[single_agent.LearnerState, bool]:
  """Trains until the iterations are done or an interrupt asks to stop.

  Args:
    learner: of one agent.
    evaluate: scores on the validation days; its `validation_profit` chooses
      the champion.
    checkpointer: of this run.
    workdir: for the metrics.
    config: all settings; `seed` and `learner` are read.
    resume: go on from the latest readable checkpoint.

  Returns:
    The final state, and whether all iterations are done.

  Raises:
    NonFiniteError: a loss, gradient or parameter is not finite; the state
      that holds it is not saved.
  """
  state = learner.blank(jax.random.PRNGKey(config.seed))
  restored = checkpointer.restore_latest(state) if resume else None
  if restored is not None:
    state = restored[1]
  # A fresh agent has taken no step here, nor has one that was imported.
  begins = not int(state.environment_steps)
  scores: Mapping[str, float] = {}
  if begins:
    state, scores = _validate(evaluate, learner.begin(state))
  first = int(state.iteration)
  fields = (*TRAINING_FIELDS, *(scores or evaluate(state.agent)))
  log = MetricsLog(workdir, fields, last=-1 if begins else first)
  if begins:
    log.write({'iteration': 0, **scores})
  if restored is None:
    checkpointer.save(0, state)
  loop = _Loop(learner, evaluate, checkpointer, log, config.learner)
  with guards.Stop() as stop:
    try:
      return loop.run(state, first, stop)
    finally:
      checkpointer.wait()
      log.close()


class _Loop:
  """The iterations from a given state on."""

  def __init__(self, learner, evaluate, checkpointer, log, config):
    self._learner = learner
    self._evaluate = evaluate
    self._checkpointer = checkpointer
    self._log = log
    self._config = config

  def run(self, state, first: int, stop: guards.Stop):
    total = self._config.iterations
    bar = tqdm.tqdm(
      total=total, initial=first, unit='iteration', desc='training',
      dynamic_ncols=True, disable=not parallel.is_first_process(),
    )  # fmt: skip
    with bar:
      for iteration in range(first + 1, total + 1):
        start = time.monotonic()
        state, told = self._learner.iterate(state)
        row = self._read(iteration, state, told)
        seconds = time.monotonic() - start
        if self._due(iteration, self._config.evaluate_every):
          state, scores = _validate(self._evaluate, state)
          row.update(scores)
          bar.set_description(f'validation profit {scores[SCORE]:+.2%}')
        self._log.write({**row, 'seconds': round(seconds, 3)})
        last = iteration == total
        stopping = parallel.agree(stop.requested) and not last
        if stopping or self._due(iteration, self._config.checkpoint_every):
          self._checkpointer.save(iteration, state)
        bar.set_postfix_str(
          f'{self._learner.steps_per_iteration / seconds:,.0f} steps/s, '
          f'{self._config.updates_per_iteration / seconds:,.1f} updates/s'
        )
        bar.update()
        if stopping:
          return state, False
    return state, True

  def _due(self, iteration: int, every: int) -> bool:
    return iteration % every == 0 or iteration == self._config.iterations

  def _read(self, iteration: int, state, told) -> dict[str, float]:
    """Metrics of an iteration on the host, checked to be finite."""
    told = jax.device_get(told)
    updates, when = told.updates, f'iteration {iteration}'
    guards.check_updates(updates, TRAINING_FIELDS, when)
    guards.check_agent(state.agent, when)
    actor_updates = max(float(np.sum(updates['actor_updates'])), 1.0)

    def mean(name: str) -> float:
      return float(np.mean(updates[name]))

    def mean_of_actor(name: str) -> float:
      return float(np.sum(updates[name])) / actor_updates

    return {
      'iteration': iteration,
      'environment_steps': int(state.environment_steps),
      'updates': int(state.agent.steps),
      'critic_loss': mean('critic_loss'),
      'critic_gradient_norm': mean('critic_gradient_norm'),
      'q': mean('q'),
      'actor_loss': mean_of_actor('actor_loss'),
      'actor_gradient_norm': mean_of_actor('actor_gradient_norm'),
      'noise_scale': float(state.agent.noise_scale),
      'episode_reward': float(told.episodes['reward']),
      'episode_profit': float(told.episodes['profit']),
      'episode_trades': float(told.episodes['trades']),
    }


def _validate(evaluate: Evaluate, state):
  """Scores the agent, and crowns it where none validated better."""
  scores = evaluate(state.agent)
  score = scores[SCORE]
  if score > float(state.champion.score):
    champion = single_agent.Champion(
      # Copies: the agent's own buffers are given up by the next iteration.
      params=jax.tree.map(jnp.copy, state.agent.actor.online_params),
      state=jax.tree.map(jnp.copy, state.agent.actor.online_state),
      score=parallel.place_like(
        np.asarray(score, np.float32), state.champion.score
      ),
      iteration=jnp.copy(state.iteration),
    )
    state = state._replace(champion=champion)
  return state, scores

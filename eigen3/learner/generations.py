"""The loop around a generation: score, log, save, resume, stop."""

import os
import pathlib
import time
from collections.abc import Mapping, Sequence

import jax
import ml_collections
import numpy as np
import tqdm

from eigen3 import parallel
from eigen3.evolution import Origin
from eigen3.learner import guards
from eigen3.learner.loop import Evaluate
from eigen3.learner.population import Population
from eigen3.learner.population_state import Generation, PopulationState
from eigen3.runs.checkpoint import Checkpointer
from eigen3.runs.logs import (
  DAILY_SHARPE,
  IMPORTANCE,
  MEMBERS,
  CsvLog,
  MetricsLog,
)

GENERATION_FIELDS = (
  'generation',
  'seconds',
  'environment_steps',
  'updates',
  'critic_loss',
  'critic_gradient_norm',
  'q',
  'actor_loss',
  'actor_gradient_norm',
  'noise_scale',
  'replay_size',
  'replay_capacity',
  'fitness_best',
  'fitness_mean',
  'fitness_median',
  'fitness_worst',
  'fitness_deviation',
  'validation_best',
  'validation_mean',
  'champion_score',
  'champion_generation',
  'spread',
)

# What is told of every agent, from the training and the validation slices.
MEMBER_FIELDS = (
  'generation',
  'member',
  'origin',
  'parent',
  'fitness',
  'profit',
  'reward',
  'trades',
  'win_rate',
  'validation',
  'validation_profit',
  'validation_trades',
  'validation_win_rate',
  DAILY_SHARPE,
)


def train(
  learner: Population,
  evaluate: Evaluate,
  checkpointer: Checkpointer,
  workdir: os.PathLike | str,
  config: ml_collections.ConfigDict,
  columns: Sequence[str],
  resume: bool = False,
) -> tuple[PopulationState, bool]:
  """Trains until the generations are done or an interrupt asks to stop.

  Args:
    learner: of a population.
    evaluate: scores the champion for the log; the champion itself is chosen by
      the validation slices.
    checkpointer: of this run.
    workdir: for what is logged.
    config: all settings; `seed` and `learner` are read.
    columns: names of the market's C columns.
    resume: go on from the latest readable checkpoint.

  Returns:
    The final state, and whether all generations are done.

  Raises:
    NonFiniteError: a loss, gradient or parameter is not finite; the state
      that holds it is not saved.
  """
  state = learner.init(jax.random.PRNGKey(config.seed))
  restored = checkpointer.restore_latest(state) if resume else None
  if restored is not None:
    state = restored[1]
  first = int(state.generation)
  logs = _Logs(workdir, learner, state, columns, evaluate, first)
  if restored is None:
    checkpointer.save(0, state)
  loop = _Loop(learner, checkpointer, logs, config.learner)
  with guards.Stop('generation') as stop:
    try:
      return loop.run(state, first, stop)
    finally:
      checkpointer.wait()
      logs.close()


class _Loop:
  """The generations from a given state on."""

  def __init__(self, learner, checkpointer, logs, config):
    self._learner = learner
    self._checkpointer = checkpointer
    self._logs = logs
    self._config = config

  def run(self, state, first: int, stop: guards.Stop):
    total = self._config.generations
    bar = tqdm.tqdm(
      total=total, initial=first, unit='generation', desc='training',
      dynamic_ncols=True, disable=not parallel.is_first_process(),
    )  # fmt: skip
    with bar:
      for generation in range(first + 1, total + 1):
        start = time.monotonic()
        state, told = self._learner.iterate(state)
        told = jax.device_get(told)
        seconds = time.monotonic() - start
        self._logs.write(generation, seconds, state, told)
        stopping = parallel.agree(stop.requested) and generation < total
        due = generation % self._config.checkpoint_every == 0
        if stopping or due or generation == total:
          best = float(np.max(told.validation.score))
          self._checkpointer.save(generation, state, best)
        bar.set_description(f'champion {self._score(state)}')
        steps = self._learner.steps_per_generation / seconds
        bar.set_postfix_str(f'{steps:,.0f} steps/s')
        bar.update()
        if stopping:
          return state, False
    return state, True

  def _score(self, state: PopulationState) -> str:
    """The champion's, in the unit of what fitness counts."""
    form = '+.2%' if self._config.fitness == 'profit' else '+.4g'
    return format(float(state.champion.score), form)


class _Logs:
  """All that a run of generations records."""

  def __init__(self, workdir, learner, state, columns, evaluate, last: int):
    workdir = pathlib.Path(workdir)
    self._learner = learner
    self._evaluate = evaluate
    self._columns = tuple(columns)
    self._scored = (
      int(state.champion.generation),
      evaluate(learner.champion(state)),
    )
    strategy = tuple(learner.report(state))
    hyper = tuple(f'hyper_{name}' for name in _hyperparameters(state))
    self._metrics = MetricsLog(
      workdir, (*GENERATION_FIELDS, *strategy, *self._scored[1]), last
    )
    self._members = CsvLog(workdir / MEMBERS, (*MEMBER_FIELDS, *hyper), last)
    self._importance = CsvLog(
      workdir / IMPORTANCE, ('generation', *self._columns), last
    )

  def write(
    self, generation: int, seconds: float, state, told: Generation
  ) -> None:
    """One generation, checked to be finite."""
    when = f'generation {generation}'
    guards.check_updates(told.updates, GENERATION_FIELDS, when)
    guards.check_agent(state.agents, when)
    self._metrics.write(
      {
        'generation': generation,
        'seconds': round(seconds, 3),
        **_numbers(state, told),
        **{name: float(x) for name, x in told.strategy.items()},
        **self._scores(state),
      }
    )
    self._members.write(self._rows(generation, told))
    importance = np.asarray(state.importance.mean).tolist()
    self._importance.write(
      [
        {
          'generation': generation,
          **dict(zip(self._columns, importance, strict=True)),
        }
      ]
    )

  def close(self) -> None:
    """Closes all files."""
    self._metrics.close()
    self._members.close()
    self._importance.close()

  def _scores(self, state: PopulationState) -> Mapping[str, float]:
    """Of the champion; asked for where it is another than before."""
    crowned = int(state.champion.generation)
    if crowned != self._scored[0]:
      champion = self._learner.champion(state)
      self._scored = crowned, self._evaluate(champion)
    return self._scored[1]

  def _rows(self, generation: int, told: Generation) -> list[dict]:
    """What is told of each agent; learners come after the members."""
    members = self._learner.num_members
    rows = []
    for k in range(self._learner.num_agents):
      evolves = k < members
      training = jax.tree.map(lambda x, k=k: float(x[k]), told.training)
      validation = jax.tree.map(lambda x, k=k: float(x[k]), told.validation)
      origin = Origin(int(told.lineage.origin[k])) if evolves else None
      rows.append(
        {
          'generation': generation,
          'member': k,
          'origin': origin.name.lower() if origin is not None else 'learner',
          'parent': int(told.lineage.parent[k]) if evolves else -1,
          'fitness': training.score,
          'profit': training.profit,
          'reward': training.reward,
          'trades': training.trades,
          'win_rate': training.win_rate,
          'validation': validation.score,
          'validation_profit': validation.profit,
          'validation_trades': validation.trades,
          'validation_win_rate': validation.win_rate,
          DAILY_SHARPE: validation.daily_sharpe,
          **{
            f'hyper_{name}': float(values[k])
            for name, values in told.hyperparameters.items()
          },
        }
      )
    return rows


def _hyperparameters(state: PopulationState) -> tuple[str, ...]:
  return type(state.agents.hyperparameters)._fields


def _numbers(state: PopulationState, told: Generation) -> dict[str, float]:
  """A generation in one row, without what evolution and the judge say."""
  updates, fitness = told.updates, told.training.score
  actor_updates = max(float(np.sum(updates['actor_updates'])), 1.0)
  numbers = {
    name: float(np.mean(updates[name]))
    for name in ('critic_loss', 'critic_gradient_norm', 'q')
  }
  for name in ('actor_loss', 'actor_gradient_norm'):
    numbers[name] = float(np.sum(updates[name])) / actor_updates
  return numbers | {
    'environment_steps': int(state.environment_steps),
    'updates': int(np.max(state.agents.steps)),
    'noise_scale': float(np.mean(state.agents.noise_scale)),
    'replay_size': int(state.replay.size),
    'replay_capacity': len(state.replay.storage.r_t),
    'fitness_best': float(np.max(fitness)),
    'fitness_mean': float(np.mean(fitness)),
    'fitness_median': float(np.median(fitness)),
    'fitness_worst': float(np.min(fitness)),
    'fitness_deviation': float(np.std(fitness)),
    'validation_best': float(np.max(told.validation.score)),
    'validation_mean': float(np.mean(told.validation.score)),
    'champion_score': float(state.champion.score),
    'champion_generation': int(state.champion.generation),
    'spread': float(told.spread),
  }

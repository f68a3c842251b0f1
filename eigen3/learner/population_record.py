"""The logs of a population's run."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from eigen3.agent import replay
from eigen3.evolution import Origin
from eigen3.learner import guards
from eigen3.learner.agent_record import Evaluate
from eigen3.learner.loop import Remark
from eigen3.learner.population import Population
from eigen3.learner.population_state import Generation, PopulationState
from eigen3.runs.logs import (
  DAILY_SHARPE,
  IMPORTANCE,
  MEMBERS,
  CsvLog,
  MetricsLog,
  Sink,
  are_profits,
)

# Columns of the metrics log about the whole population; they follow those that
# `Agent.reported` names.
_OF_ALL = (
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
  # How well slices distinguish agents, and the effects of evolution.
  'retest_correlation',
  'fitness_between',
  'fitness_within',
  'fitness_error',
  'distance_median',
  'distance_nearest',
  'redundant',
  'founders',
  'champion_founder',
  'offspring_gain',
  'mutant_gain',
)

# Columns of the log of agents: ancestry, and training and validation results.
MEMBER_FIELDS = (
  'generation',
  'member',
  'origin',
  'parent',
  'mate',
  'founder',
  'fitness',
  'fitness_error',
  'score',
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


class PopulationRecord:
  """Logs each generation: metrics, agents' results, importance of columns."""

  def __init__(
    self,
    learner: Population,
    evaluate: Evaluate,
    workdir: os.PathLike | str,
    config: ml_collections.ConfigDict,
    columns: Sequence[str],
    sinks: Sequence[Sink] = (),
  ):
    """Binds the record to a run, without writing anything.

    Args:
      learner: trains the population.
      evaluate: scores the champion for the log only; champions are chosen by
        `Generation.validation`.
      workdir: the run's folder.
      config: the section `learner`.
      columns: names of the market's C columns.
      sinks: further destinations of the metrics, see `MetricsLog`.
    """
    self._learner = learner
    self._evaluate = evaluate
    self._workdir = pathlib.Path(workdir)
    self._config = config
    self._columns = tuple(columns)
    self._sinks = sinks

  def begin(self, state: PopulationState, last: int) -> PopulationState:
    """Evaluates the champion and opens the logs; see `loop.Record`."""
    self._scored = (
      int(state.champion.generation),
      self._evaluate(self._learner.champion(state)),
    )
    agent = self._learner.agent
    fields = (
      *('generation', 'seconds', 'environment_steps'),
      *agent.reported,
      *_OF_ALL,
      *self._learner.report(state),
      *self._scored[1],
    )
    hyper = [f'hyper_{x}' for x in agent.genes(state.agents).hyperparameters]
    self._metrics = MetricsLog(self._workdir, fields, last, self._sinks)
    self._members = CsvLog(
      self._workdir / MEMBERS, (*MEMBER_FIELDS, *hyper), last
    )
    self._importance = CsvLog(
      self._workdir / IMPORTANCE, ('generation', *self._columns), last
    )
    return state

  def add(
    self,
    number: int,
    seconds: float,
    state: PopulationState,
    outcome: Generation,
  ) -> tuple[PopulationState, Remark]:
    """Checks and logs a generation; see `loop.Record`."""
    when = f'generation {number}'
    agent = self._learner.agent
    guards.check_updates(outcome.updates, agent.reported, when)
    guards.check_agent(agent.trained(state.agents), when)
    self._metrics.write(
      {
        'generation': number,
        'seconds': round(seconds, 3),
        'environment_steps': int(state.environment_steps),
        **agent.report(state.agents, outcome.updates),
        **_of_all(state, outcome),
        **{name: float(x) for name, x in outcome.strategy.items()},
        **self._scores(state),
      }
    )
    self._members.write(self._rows(number, outcome))
    shares = np.asarray(state.importance.mean).tolist()
    named = dict(zip(self._columns, shares, strict=True))
    self._importance.write([{'generation': number, **named}])
    return state, Remark(
      score=float(np.max(outcome.validation.score)),
      title=champion_title(float(state.champion.score), self._config),
      rates=f'{self._learner.steps_per_iteration / seconds:,.0f} steps/s',
    )

  def close(self) -> None:
    """Closes all files."""
    self._metrics.close()
    self._members.close()
    self._importance.close()

  def _scores(self, state: PopulationState) -> Mapping[str, float]:
    """Returns the champion's scores; evaluates only a new champion."""
    generation = int(state.champion.generation)
    if generation != self._scored[0]:
      champion = self._learner.champion(state)
      self._scored = generation, self._evaluate(champion)
    return self._scored[1]

  def _rows(self, generation: int, outcome: Generation) -> list[dict]:
    """Returns a row for each agent; learners come after the members."""
    members = self._learner.num_members
    rows = []
    for k in range(self._learner.num_agents):
      evolves = k < members
      training = jax.tree.map(lambda x, k=k: float(x[k]), outcome.training)
      validation = jax.tree.map(lambda x, k=k: float(x[k]), outcome.validation)
      origin = Origin(int(outcome.lineage.origin[k])) if evolves else None
      rows.append(
        {
          'generation': generation,
          'member': k,
          'origin': origin.name.lower() if origin is not None else 'learner',
          'parent': int(outcome.lineage.parent[k]) if evolves else -1,
          **_ancestry(outcome, k, evolves),
          'fitness': float(outcome.fitness.value[k]),
          **_known({'fitness_error': outcome.fitness.error[k]}),
          'score': training.score,
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
            for name, values in outcome.hyperparameters.items()
          },
        }
      )
    return rows


def _ancestry(outcome: Generation, k: int, evolves: bool) -> dict[str, int]:
  """Returns agent `k`'s mate (-1 if it has none) and founder, see `Standing`.

  The result is empty if the outcome has no standing. `evolves` is False for a
  learner, which has no mate.
  """
  if outcome.standing is None:
    return {}
  mate = int(outcome.standing.mate[k]) if evolves else -1
  return {'mate': mate, 'founder': int(outcome.standing.founder[k])}


def _known(numbers: Mapping[str, Any]) -> dict[str, float]:
  """Returns the finite numbers; the log shows the rest as empty cells."""
  found = {name: float(x) for name, x in numbers.items()}
  return {name: x for name, x in found.items() if np.isfinite(x)}


def _of_evolution(outcome: Generation) -> dict[str, float]:
  """Returns those metrics of selection and breeding that are known."""
  reliability = outcome.fitness.reliability
  found = _known(
    {
      'retest_correlation': reliability.retest_correlation,
      'fitness_between': reliability.between,
      'fitness_within': reliability.within,
      'fitness_error': np.mean(outcome.fitness.error),
    }
  )
  if outcome.diversity is not None:
    found['distance_median'] = float(outcome.diversity.median)
    found['distance_nearest'] = float(outcome.diversity.nearest)
    found['redundant'] = int(outcome.diversity.replaced)
  if outcome.standing is not None:
    members = len(outcome.lineage.parent)
    founders = outcome.standing.founder[:members]
    found['founders'] = len(np.unique(founders))
    found['champion_founder'] = int(outcome.standing.champion_founder)
    gains = {
      'offspring_gain': gain_over_parents(outcome, Origin.OFFSPRING),
      'mutant_gain': gain_over_parents(outcome, Origin.MUTANT),
    }
    found |= _known(gains)
  return found


def champion_title(score: float, config: ml_collections.ConfigDict) -> str:
  """Returns a progress bar's text, which shows the champion's score.

  Args:
    score: the champion's validation score, a profit (shown in %) or a sum of
      rewards.
    config: the section `learner`.
  """
  _, is_profit = are_profits(config)
  return f'champion {score:{"+.2%" if is_profit else "+.4g"}}'


def gain_over_parents(outcome: Generation, origin: Origin) -> float:
  """Compares newborn members with their better parent on the same slices.

  Only parents that stayed as elites count; a newborn member without such a
  parent is excluded. The better of two parents is the one with the higher
  fitness in the generation before, so that luck on these slices does not affect
  the choice.

  Args:
    outcome: outcome of a generation in which all agents played the same slices.
    origin: the origin of the newborn members to compare, OFFSPRING or MUTANT.

  Returns:
    The mean, over newborn members, of the member's score less that of its
    better parent, divided by the standard deviation of all members' scores; NaN
    if there is no newborn member to compare, or all members have the same
    score.
  """
  assert outcome.standing is not None
  origins, parents = outcome.lineage.origin, outcome.lineage.parent
  scores = outcome.training.score[: len(parents)]
  # Elites are in the order of their earlier estimates, best first.
  place = {int(parents[k]): k for k in np.flatnonzero(origins == Origin.ELITE)}
  gains = []
  for k in np.flatnonzero(origins == origin):
    both = int(parents[k]), int(outcome.standing.mate[k])
    known = [place[one] for one in both if one in place]
    if known:
      gains.append(float(scores[k] - scores[min(known)]))
  deviation = float(np.std(scores))
  return float(np.mean(gains)) / deviation if gains and deviation else np.nan


def _of_all(state: PopulationState, outcome: Generation) -> dict[str, float]:
  fitness = outcome.fitness.value
  return {
    'replay_size': int(state.replay.size),
    'replay_capacity': replay.capacity_of(state.replay),
    'fitness_best': float(np.max(fitness)),
    'fitness_mean': float(np.mean(fitness)),
    'fitness_median': float(np.median(fitness)),
    'fitness_worst': float(np.min(fitness)),
    'fitness_deviation': float(np.std(fitness)),
    'validation_best': float(np.max(outcome.validation.score)),
    'validation_mean': float(np.mean(outcome.validation.score)),
    'champion_score': float(state.champion.score),
    'champion_generation': int(state.champion.generation),
    'spread': float(outcome.spread),
    **_of_evolution(outcome),
  }

r"""Trains and evolves a population and reports its results.

eigen3 erl --config=small --workdir=runs/first_erl [--config.seed=1] \
  [--resume]"""

from experiments import mains

if __name__ == '__main__':
  mains.start('erl')  # reads flags before slow imports

import pathlib
from collections.abc import Sequence

import numpy as np

from eigen3.evaluation import importance
from eigen3.files import write_json
from eigen3.learner.agent_record import Evaluate
from eigen3.learner.population_record import PopulationRecord
from eigen3.learner.population_state import PopulationState, memory_of
from eigen3.reporting import tables
from eigen3.reporting.importance_picture import draw_importance
from eigen3.reporting.population_picture import draw_population
from eigen3.runs import logs
from experiments import training, wiring


def record(
  experiment: wiring.Experiment, evaluate: Evaluate, workdir, config, sinks
) -> PopulationRecord:
  """Makes the record that logs the training of the experiment's population."""
  return PopulationRecord(
    experiment.learner,
    evaluate,
    workdir,
    config.learner,
    experiment.panel.columns,
    sinks,
  )


def facts(
  experiment: wiring.Experiment, state: PopulationState
) -> dict[str, float]:
  """Returns the fields of summary.json that describe the training."""
  updates = experiment.learner.agent.num_updates(state.agents)
  return {
    'champion_generation': int(state.champion.generation),
    'champion_score': float(state.champion.score),
    'environment_steps': int(state.environment_steps),
    'updates': int(np.max(updates)),
    'replay_size': int(state.replay.size),
    **{f'bytes_of_{name}': size for name, size in memory_of(state).items()},
  }


def conclude(
  experiment: wiring.Experiment,
  state: PopulationState,
  config,
  workdir: pathlib.Path,
  remark: str,
) -> Sequence[str]:
  """Reports the population, and its attention to the market's columns.

  Returns:
    The names of the written files, and of the logs of members and importance.
  """
  members = logs.read(workdir / logs.MEMBERS)
  metrics = logs.read(workdir / logs.METRICS)
  for name in ('mutation_rate', 'mutation_std'):
    if name not in metrics:  # not every strategy mutates
      metrics[name] = np.nan
  history = logs.read(workdir / logs.IMPORTANCE)
  columns = experiment.panel.columns
  title = f'preset {config.preset}, seed {config.seed}'
  last = int(state.generation)
  looked_at = (
    np.asarray(state.importance.mean),
    np.asarray(state.importance.below),
    columns,
    config.learner.importance_persistent,
  )
  write_json(workdir / 'importance.json', importance.describe(*looked_at))
  draw_population(
    workdir / 'population.png',
    members,
    metrics,
    f'Population, {title}',
    remark,
    profits=logs.are_profits(config.learner),
  )
  draw_importance(
    workdir / 'importance.png',
    np.asarray(state.importance.mean),
    history[list(columns)].to_numpy(),
    columns,
    f'Importance of columns by attention, {title}',
  )
  print(f'Generation {last}, the five best by validation:')
  print(tables.best_members(members, last))
  print('Importance of columns, by attention:')
  print(tables.columns_by_importance(*looked_at))
  return (
    logs.MEMBERS,
    logs.IMPORTANCE,
    'importance.json',
    'population.png',
    'importance.png',
  )


PROGRAM = training.Program(
  'ERL', wiring.build_population, record, facts, conclude
)


def main(argv: Sequence[str]) -> int:
  """Trains or resumes, then reports; returns the exit status."""
  return training.main(argv, PROGRAM)

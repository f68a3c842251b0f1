"""Trains and breeds a population and reports what its champion earned.

python -m experiments.erl --config=experiments/configs/erl.py:small \
  --workdir=runs/first_erl [--config.seed=1] [--resume]
"""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from eigen3.evaluation import (
  importance_picture,
  importance_report,
  population_report,
)
from eigen3.files import write_json
from eigen3.learner.agent_record import Evaluate
from eigen3.learner.population_record import (
  IMPORTANCE,
  MEMBERS,
  PopulationRecord,
)
from eigen3.learner.population_state import PopulationState, memory_of
from experiments import mains, training, wiring

_DEFAULT_CONFIG = f'{pathlib.Path(__file__).parent}/configs/erl.py:small'


def record(
  experiment: wiring.Experiment, evaluate: Evaluate, workdir, config
) -> PopulationRecord:
  """What is written of the experiment's population while it trains."""
  return PopulationRecord(
    experiment.learner,
    evaluate,
    workdir,
    config.learner,
    experiment.panel.columns,
  )


def facts(
  experiment: wiring.Experiment, state: PopulationState
) -> dict[str, float]:
  """What summary.json says of the training."""
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
  """Tells of the population and of what its agents looked at."""
  members = pd.read_csv(workdir / MEMBERS)
  metrics = pd.read_csv(workdir / 'metrics.csv')
  for name in ('mutation_rate', 'mutation_std'):
    if name not in metrics:  # not every strategy mutates
      metrics[name] = np.nan
  history = pd.read_csv(workdir / IMPORTANCE)
  columns = experiment.panel.columns
  title = f'preset {config.preset}, seed {config.seed}'
  last = int(state.generation)
  described = importance_report.describe(
    np.asarray(state.importance.mean),
    np.asarray(state.importance.below),
    columns,
    config.learner.importance_persistent,
  )
  write_json(workdir / 'importance.json', described)
  population_report.write_picture(
    workdir / 'population.png',
    members,
    metrics,
    f'Population, {title}',
    remark,
    unit='share of initial cash'
    if config.learner.fitness == 'profit'
    else 'sum of rewards',
  )
  importance_picture.write_importance_picture(
    workdir / 'importance.png',
    np.asarray(state.importance.mean),
    history[list(columns)].to_numpy(),
    columns,
    f'Importance of columns by attention, {title}',
  )
  print(f'Generation {last}, the five that validated best:')
  print(population_report.top_table(members, last))
  print('Importance of columns, by attention:')
  print(
    importance_report.importance_table(
      np.asarray(state.importance.mean),
      np.asarray(state.importance.below),
      columns,
      config.learner.importance_persistent,
    )
  )
  return (
    MEMBERS,
    IMPORTANCE,
    'importance.json',
    'population.png',
    'importance.png',
  )


PROGRAM = training.Program(
  'ERL', wiring.build_population, record, facts, conclude
)

if __name__ == '__main__':
  mains.run(
    functools.partial(training.main, program=PROGRAM),
    default_config=_DEFAULT_CONFIG,
  )

"""Trains one agent by TD3 and reports what it earned on held-out days.

python -m experiments.td3 --config=experiments/configs/td3.py:small \
  --workdir=runs/first [--config.seed=1] [--resume]
"""

import functools
import pathlib

from eigen3.learner.agent_record import AgentRecord, Evaluate
from eigen3.learner.single_agent import LearnerState
from experiments import mains, training, wiring

_DEFAULT_CONFIG = f'{pathlib.Path(__file__).parent}/configs/td3.py:small'


def record(
  experiment: wiring.Experiment, evaluate: Evaluate, workdir, config, sinks
) -> AgentRecord:
  """What is written of the experiment's agent while it trains."""
  return AgentRecord(
    experiment.learner, evaluate, workdir, config.learner, sinks
  )


def facts(
  experiment: wiring.Experiment, state: LearnerState
) -> dict[str, float]:
  """What summary.json says of the training."""
  return {
    'champion_iteration': int(state.champion.iteration),
    'champion_validation_profit': float(state.champion.score),
    'environment_steps': int(state.environment_steps),
    'updates': int(experiment.learner.agent.num_updates(state.agent)),
  }


PROGRAM = training.Program('TD3', wiring.build, record, facts)

if __name__ == '__main__':
  mains.run(
    functools.partial(training.main, program=PROGRAM),
    default_config=_DEFAULT_CONFIG,
  )

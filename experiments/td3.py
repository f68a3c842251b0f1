"""Trains one agent by TD3 and reports what it earned on held-out days.

python -m experiments.td3 --config=experiments/configs/td3.py:small \
  --workdir=runs/first [--config.seed=1] [--resume]
"""

import functools
import pathlib

from eigen3.learner import loop
from eigen3.learner.single_agent import LearnerState
from experiments import mains, training, wiring

_DEFAULT_CONFIG = f'{pathlib.Path(__file__).parent}/configs/td3.py:small'


def train(
  experiment: wiring.Experiment, evaluate, checkpointer, workdir, config, resume
) -> tuple[LearnerState, bool]:
  """Trains the experiment's agent; see `loop.train`."""
  return loop.train(
    experiment.learner, evaluate, checkpointer, workdir, config, resume
  )


def progress(state: LearnerState, config) -> str:
  """How far a run is, in words."""
  return f'iteration {int(state.iteration)} of {config.learner.iterations}'


def facts(state: LearnerState) -> dict[str, float]:
  """What summary.json says of the training."""
  return {
    'champion_iteration': int(state.champion.iteration),
    'champion_validation_profit': float(state.champion.score),
    'environment_steps': int(state.environment_steps),
    'updates': int(state.agent.steps),
  }


PROGRAM = training.Program('TD3', wiring.build, train, progress, facts)

if __name__ == '__main__':
  mains.run(
    functools.partial(training.main, program=PROGRAM),
    default_config=_DEFAULT_CONFIG,
  )

"""Trains one agent by TD3 and reports what it earned.

eigen3 td3 --config=small --workdir=runs/first [--config.seed=1] [--resume]"""

from experiments import mains

if __name__ == '__main__':
  mains.start('td3')  # reads flags before what is slow is imported

from collections.abc import Sequence

from eigen3.learner.agent_record import AgentRecord, Evaluate
from eigen3.learner.single_agent import LearnerState
from experiments import training, wiring


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


def main(argv: Sequence[str]) -> int:
  """Trains or resumes, then reports; the exit status says how it ended."""
  return training.main(argv, PROGRAM)

"""Trains one agent with TD3 and reports its results.

eigen3 td3 --config=small --workdir=runs/first [--config.seed=1] [--resume]"""

from experiments import mains

if __name__ == '__main__':
  mains.start('td3')  # reads flags before slow imports

from collections.abc import Sequence

from eigen3.learner.agent_record import AgentRecord, Evaluate
from eigen3.learner.single_agent import LearnerState
from experiments import training, wiring


def record(
  experiment: wiring.Experiment, evaluate: Evaluate, workdir, config, sinks
) -> AgentRecord:
  """Returns the record that logs the agent's training."""
  return AgentRecord(
    experiment.learner,
    evaluate,
    workdir,
    config.learner,
    sinks,
    config.evaluation.champion_by,
  )


def facts(
  experiment: wiring.Experiment, state: LearnerState
) -> dict[str, float]:
  """Returns the fields of summary.json that describe the training."""
  return {
    'champion_iteration': int(state.champion.iteration),
    'champion_score': float(state.champion.score),
    'environment_steps': int(state.environment_steps),
    'updates': int(experiment.learner.agent.num_updates(state.agent)),
  }


PROGRAM = training.Program('TD3', wiring.build, record, facts)


def main(argv: Sequence[str]) -> int:
  """Trains or resumes, then reports; returns the exit status."""
  return training.main(argv, PROGRAM)

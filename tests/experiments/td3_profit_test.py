"""The default settings' profit on the embedded market, in minutes."""

import numpy as np
import pytest

from eigen3.evaluation import mean_summary
from eigen3.learner import loop
from eigen3.learner.agent_record import AgentRecord
from eigen3.runs.checkpoint import Checkpointer
from experiments import wiring
from experiments.configs import td3

ITERATIONS = 60


@pytest.mark.long
def test_the_preset_small_learns_to_trade(tmp_path):
  """On days that were used neither for training nor for selection."""
  config = td3.get_config('small')
  config.learner.iterations = ITERATIONS
  experiment = wiring.build(config)
  learner, judge = experiment.learner, experiment.validation

  def evaluate(agent):
    actions = learner.greedy_actions(agent, judge.days)
    return judge.scores(actions, 'validation')

  checkpointer = Checkpointer(
    tmp_path / 'checkpoints', 1, experiment.panel.fingerprint
  )
  try:
    record = AgentRecord(learner, evaluate, tmp_path, config.learner)
    state, done = loop.train(learner, record, checkpointer, config)
  finally:
    checkpointer.close()
  assert done
  holdout = experiment.holdout
  actions = learner.greedy_actions(learner.champion(state), holdout.days)
  profit = holdout.backtest(actions).summary['profit']
  controls = {
    name: mean_summary(backtests)['profit']
    for name, backtests in holdout.controls.items()
  }
  random = [b.summary['profit'] for b in holdout.controls['random_entry']]
  told = f'{profit:+.2%} against {controls}'
  # The yardstick is one: what can be seen has worth.
  assert controls['momentum'] > max(0, controls['random_entry']), told
  assert profit > np.percentile(random, 95), told
  assert profit > 0.5 * controls['momentum'] > 0, told

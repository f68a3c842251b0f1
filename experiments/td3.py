"""Trains one agent by TD3 and reports what it earned on held-out days.

  python -m experiments.td3 --config=experiments/configs/td3.py:small \
    --workdir=runs/first [--config.seed=1] [--resume]
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import flags, logging
from ml_collections import config_flags

from eigen3 import data, evaluation
from eigen3.agent import td3
from eigen3.data import MarketPanel, Splits
from eigen3.environment import Market, TradingEnvironment
from eigen3.evaluation import report
from eigen3.learner import loop, run_directory
from eigen3.learner.checkpoint import Checkpointer
from eigen3.learner.single_agent import SingleAgent
from eigen3.networks import make_networks
from experiments import mains

CONFIG = config_flags.DEFINE_config_file(
  'config',
  'experiments/configs/td3.py:small',
  'Settings, and after a colon their preset.',
)
WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Folder of the run; must not hold one yet.', required=True
)
RESUME = flags.DEFINE_bool('resume', False, 'Go on with the run in the folder.')


class Experiment(NamedTuple):
  """The parts of a run, wired together."""

  panel: MarketPanel
  splits: Splits
  drift: np.ndarray | None
  market: Market
  learner: SingleAgent


class SplitEvaluation(NamedTuple):
  """How policies are judged on one split."""

  backtester: evaluation.Backtester
  controls: dict[str, list[evaluation.Backtest]]


def build(config) -> Experiment:
  """Data, environment, networks and learner of `config`."""
  panel, drift = load_panel(config.data)
  splits = data.split_days(panel.num_days, config.data)
  market = Market.from_panel(
    panel,
    config.data.observed_features,
    data.fit_normalisation(panel.features, splits.train),
    config.environment.context_days,
  )
  environment = TradingEnvironment(
    panel, config.environment, splits.train, len(config.data.observed_features)
  )
  networks = make_networks(config.networks, environment.spec)
  learner = SingleAgent(
    networks.actor, networks.double_critic, environment, market, config
  )
  return Experiment(panel, splits, drift, market, learner)


def load_panel(config) -> tuple[MarketPanel, np.ndarray | None]:
  """The panel of a file, or the embedded market and its hidden drift."""
  if config.panel:
    return MarketPanel.load(config.panel), None
  embedded = data.synthetic_market(config.synthetic)
  return embedded.panel, embedded.drift


def judge(experiment: Experiment, config, days) -> SplitEvaluation:
  """The backtester and the controls' results on one split."""
  backtester = evaluation.Backtester(
    experiment.panel, config.environment.to_dict(), days
  )
  controls = evaluation.Controls(
    experiment.panel,
    backtester,
    config.environment.to_dict(),
    config.evaluation.to_dict(),
    config.seed,
    experiment.drift,
  )
  return SplitEvaluation(backtester, controls.run())


def evaluate_with(experiment: Experiment, judged: SplitEvaluation):
  """Scores an agent, beside what the controls made of the same days."""
  controls = {
    f'validation_{name}': report.mean_summary(backtests)['profit']
    for name, backtests in judged.controls.items()
  }

  def evaluate(agent: td3.TrainingState) -> Mapping[str, float]:
    backtest = judged.backtester.run(
      experiment.learner.greedy_actions(agent, judged.backtester.days)
    )
    scores = {
      f'validation_{name}': value for name, value in backtest.summary.items()
    }
    return {**scores, **controls}

  return evaluate


def conclude(experiment: Experiment, config, state, workdir, validation):
  """Plays the champion on the held-out days and writes the report."""
  learner = experiment.learner
  holdout = judge(experiment, config, experiment.splits.holdout)
  champion = learner.champion(state)
  results = {
    'agent': [
      holdout.backtester.run(
        learner.greedy_actions(champion, holdout.backtester.days)
      )
    ],
    **holdout.controls,
  }
  remark = f'data: {experiment.panel.survivorship}'
  report.write_trades(workdir / 'trades.csv', results['agent'][0].trades)
  run_directory.write_json(
    workdir / 'summary.json',
    {
      'champion_iteration': int(state.champion.iteration),
      'champion_validation_profit': float(state.champion.score),
      'data_hash': experiment.panel.fingerprint,
      'environment_steps': int(state.environment_steps),
      'holdout': {
        name: report.mean_summary(backtests)
        for name, backtests in results.items()
      },
      'preset': config.preset,
      'seed': config.seed,
      'survivorship': experiment.panel.survivorship,
      'updates': int(state.agent.steps),
      'validation': {
        name: report.mean_summary(backtests)
        for name, backtests in validation.controls.items()
      },
    },
  )
  report.write_picture(
    workdir / 'report.png',
    pd.read_csv(workdir / 'metrics.csv'),
    validation.controls,
    results,
    f'TD3, preset {config.preset}, seed {config.seed}',
    remark,
  )
  dates = results['agent'][0].dates
  print(f'\nHeld-out days {dates[0]} to {dates[-1]}, net of costs:')
  print(report.table(results))
  print(remark)
  print(f'written: {workdir}/summary.json, trades.csv, report.png, metrics.csv')


def main(argv: Sequence[str]) -> int:
  """Trains, resumes or refuses; the exit status says which."""
  if len(argv) > 1:
    raise ValueError(f"arguments: found '{argv[1]}', expected only --flags")
  config, workdir = CONFIG.value, pathlib.Path(WORKDIR.value)
  if RESUME.value:
    run_directory.check_same(workdir, config)
  else:
    run_directory.check_new(workdir)
  experiment = build(config)
  validation = judge(experiment, config, experiment.splits.validation)
  if not RESUME.value:
    run_directory.create(
      workdir,
      config,
      {
        'hash': experiment.panel.fingerprint,
        'source_hash': experiment.panel.source_hash,
        'survivorship': experiment.panel.survivorship,
      },
    )
  print('Validation days, controls:')
  print(report.table(validation.controls))
  checkpointer = Checkpointer(
    workdir / 'checkpoints',
    config.learner.keep_checkpoints,
    experiment.panel.fingerprint,
  )
  try:
    state, done = loop.train(
      experiment.learner,
      evaluate_with(experiment, validation),
      checkpointer,
      workdir,
      config,
      RESUME.value,
    )
  finally:
    checkpointer.close()
  if not done:
    logging.warning(
      'stopped after iteration %d; add --resume to go on',
      int(state.iteration),
    )
    return 130
  conclude(experiment, config, state, workdir, validation)
  return 0


if __name__ == '__main__':
  mains.run(main)

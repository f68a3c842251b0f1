"""Trains one agent by TD3 and reports what it earned on held-out days.

python -m experiments.td3 --config=experiments/configs/td3.py:small \
  --workdir=runs/first [--config.seed=1] [--resume]
"""

import json
import pathlib
from collections.abc import Mapping, Sequence

import ml_collections
import pandas as pd
from absl import flags, logging
from ml_collections import config_flags

from eigen3.agent import td3
from eigen3.evaluation import report
from eigen3.learner import loop, run_directory
from eigen3.learner.checkpoint import Checkpointer
from eigen3.learner.single_agent import LearnerState
from experiments import mains, wiring

_DEFAULT_CONFIG = f'{pathlib.Path(__file__).parent}/configs/td3.py:small'
_CONFIG = config_flags.DEFINE_config_file(
  'config',
  None,
  'Settings, and after a colon their preset; by default the preset small.',
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Folder of the run; must not hold one yet.', required=True
)
_RESUME = flags.DEFINE_bool(
  'resume', False, 'Go on with the run in the folder.'
)

_STOPPED = 130  # exit status after an interrupt, as a shell has it


def main(argv: Sequence[str]) -> int:
  """Trains or resumes, then reports; the exit status says how it ended."""
  if len(argv) > 1:
    raise ValueError(f"arguments: found '{argv[1]}', expected only --flags")
  config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
  with config.unlocked():
    del config.networks.spec  # the panel decides; it is for notebooks
  if _RESUME.value:
    run_directory.check_same(workdir, config)
  else:
    run_directory.check_new(workdir)
  experiment = wiring.build(config)
  if not _RESUME.value:
    run_directory.create(workdir, config, _about_data(experiment))
  print('Controls on the validation days:')
  print(report.table(experiment.validation.controls))
  state, done = _train(experiment, config, workdir)
  if not done:
    logging.warning(
      'stopped after iteration %d of %d; add --resume to go on',
      int(state.iteration),
      config.learner.iterations,
    )
    return _STOPPED
  _conclude(experiment, config, workdir, state)
  return 0


def _train(
  experiment: wiring.Experiment,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> tuple[LearnerState, bool]:
  judge = experiment.validation

  def evaluate(agent: td3.TrainingState) -> Mapping[str, float]:
    actions = experiment.learner.greedy_actions(agent, judge.days)
    return judge.scores(actions, 'validation')

  checkpointer = Checkpointer(
    workdir / 'checkpoints',
    config.learner.keep_checkpoints,
    experiment.panel.fingerprint,
  )
  try:
    return loop.train(
      experiment.learner,
      evaluate,
      checkpointer,
      workdir,
      config,
      _RESUME.value,
    )
  finally:
    checkpointer.close()


def _conclude(
  experiment: wiring.Experiment,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  state: LearnerState,
) -> None:
  """Plays the champion on the held-out days and writes the report."""
  judge, learner = experiment.holdout, experiment.learner
  agent = judge.backtest(
    learner.greedy_actions(learner.champion(state), judge.days)
  )
  validation, holdout = experiment.validation.controls, judge.controls
  holdout = {'agent': [agent], **holdout}
  panel = experiment.panel
  remark = '; '.join(filter(None, (panel.notes, panel.survivorship)))
  summary = {
    **report.summary(validation, holdout),
    'champion_iteration': int(state.champion.iteration),
    'champion_validation_profit': float(state.champion.score),
    'data': _about_data(experiment),
    'environment_steps': int(state.environment_steps),
    'holdout_openings': _holdout_openings(workdir) + 1,
    'preset': config.preset,
    'seed': config.seed,
    'updates': int(state.agent.steps),
  }
  run_directory.write_json(workdir / 'summary.json', summary)
  report.write_trades(workdir / 'trades.csv', agent.trades)
  report.write_picture(
    workdir / 'report.png',
    pd.read_csv(workdir / 'metrics.csv'),
    validation,
    holdout,
    f'TD3, preset {config.preset}, seed {config.seed}',
    remark,
  )
  print(f'Held-out days {agent.dates[0]} to {agent.dates[-1]}, net of costs:')
  print(report.table(holdout))
  print(remark)
  if summary['holdout_openings'] > 1:
    print(
      f'these days were opened {summary["holdout_openings"]} times: the last '
      'result is no longer of unseen days'
    )
  print(f'written: {workdir}/summary.json, trades.csv, report.png')


def _holdout_openings(workdir: pathlib.Path) -> int:
  """How often this run was judged on the held-out days before."""
  path = workdir / 'summary.json'
  if not path.exists():
    return 0
  return json.loads(path.read_text(encoding='utf-8'))['holdout_openings']


def _about_data(experiment: wiring.Experiment) -> dict[str, str]:
  return {
    'hash': experiment.panel.fingerprint,
    'source_hash': experiment.panel.source_hash,
    'survivorship': experiment.panel.survivorship,
  }


if __name__ == '__main__':
  mains.run(main, default_config=_DEFAULT_CONFIG)

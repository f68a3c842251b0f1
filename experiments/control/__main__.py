"""Trains TD3 on a public control task and tells how far it came.

python -m experiments.control --env=Pendulum-v1 --seed=0,1,2,3,4 \
  --workdir=runs/pendulum [--config.num_steps=10000]

The agent and its replay are those that trade; networks, observations and the
task are others. Every seed is a run of its own, one after another.
"""

import pathlib
from collections.abc import Sequence
from importlib.metadata import version

import pandas as pd
from absl import flags

from eigen3.files import write_json, write_table
from eigen3.runs import run_directory
from experiments import mains, path_flags
from experiments.benchmark import record
from experiments.control import learning, report

_CONFIG = mains.define_config(
  'Settings; by default experiments/configs/control.py.'
)
_ENV = flags.DEFINE_string('env', 'Pendulum-v1', 'Name of a task of Gymnasium.')
_SEED = flags.DEFINE_list('seed', ['0'], 'Seeds, each at least 0.')
_WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the result; must not hold one yet.', required=True
)
_DEFAULT_CONFIG = f'{pathlib.Path(__file__).parent.parent}/configs/control.py'


def main(argv: Sequence[str]) -> None:
  """Trains with each seed, then reports."""
  config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
  with config.unlocked():
    config.env, config.seed = _ENV.value, learning.seeds_of(_SEED.value)
  run_directory.check_new(workdir)
  described = record.surroundings({'config': config.to_dict()})
  rows: list[dict[str, float]] = []
  for seed in config.seed:
    for evaluation in learning.learn(config.env, config, seed):
      if not rows:  # task and settings were found good
        run_directory.create(workdir, config, {})
        described['versions']['gymnasium'] = version('gymnasium')
      rows.append(_row(seed, evaluation))
      write_table(workdir / 'metrics.csv', pd.DataFrame(rows))
      print(
        f'seed {seed}, step {evaluation.step:,}: mean return '
        f'{evaluation.returns.mean():.1f}',
        flush=True,
      )
  summary = report.measure(config.env, pd.DataFrame(rows))
  write_json(workdir / 'summary.json', summary | described)
  report.draw_curves(workdir / 'report.png', summary, f'TD3 on {config.env}')
  print(report.table(summary))
  print(f'written: {workdir}/metrics.csv, summary.json, report.png')


def _row(seed: int, evaluation: learning.Evaluation) -> dict[str, float]:
  returns = evaluation.returns
  return {
    'seed': seed,
    'step': evaluation.step,
    'episodes': len(returns),
    'mean_return': returns.mean(),
    'deviation': returns.std(),
    'lowest': returns.min(),
    'highest': returns.max(),
    **evaluation.metrics,
  }


if __name__ == '__main__':
  mains.run(main, default_config=_DEFAULT_CONFIG)

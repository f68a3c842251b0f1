r"""Trains TD3 on a public control task and reports the returns.

eigen3 control --env=Pendulum-v1 --seed=0,1,2,3,4 --workdir=runs/pendulum \
  [--config.num_steps=10000]

Agent and replay have the same code as for trading; networks, observations and
task differ. The seeds are used one after another, each to train a new agent.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('control')  # reads flags before slow imports

import pathlib
from collections.abc import Sequence
from importlib.metadata import version

import pandas as pd

from eigen3.files import write_json, write_table
from eigen3.runs import run_directory
from experiments.benchmark import record
from experiments.control import learning, report
from experiments.options import control as options


def main(argv: Sequence[str]) -> None:
  """Trains with each seed, then reports."""
  config, workdir = options.CONFIG.value, pathlib.Path(options.WORKDIR.value)
  with config.unlocked():
    config.env, config.seed = (
      options.ENV.value,
      learning.seeds_of(options.SEED.value),
    )
  run_directory.check_new(workdir, resumes=False)
  described = record.surroundings({'config': config.to_dict()})
  rows: list[dict[str, float]] = []
  for seed in config.seed:
    for evaluation in learning.learn(config.env, config, seed):
      if not rows:  # task and settings are valid
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

"""Trains the supervised ranker and reports its results.

eigen3 ranker --config=small --workdir=runs/ranker [--config.seed=1]

The ranker is a control for reinforcement learning: by default a feature
extractor like the agent's with a linear head, trained to predict the return of
a trade. By default it trains on at most as many windows as the agent's networks
would if each had an extractor of its own; each window has labels for all
stocks. The preset small takes a minute or two. The ranker cannot be resumed:
start an interrupted run again in a new folder.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('ranker')  # reads flags before slow imports

import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np
import pandas as pd

from eigen3.evaluation import Results, ranking, summary
from eigen3.files import write_json, write_table
from eigen3.learner.ranker import agent_windows
from eigen3.reporting import tables
from eigen3.runs import ledger, lock, logs, run_directory
from experiments import backend, measuring, panels, seeds, wiring
from experiments.options import ranker as options


def main(argv: Sequence[str]) -> None:
  """Trains, evaluates and reports with each seed, one after another."""
  for seed, workdir in seeds.runs(options.WORKDIR.value):
    _begin(workdir, seed)


def _begin(workdir: pathlib.Path, seed: int | None) -> None:
  """Trains, evaluates and reports with one seed; None is the settings' seed."""
  config = options.CONFIG.value.copy_and_resolve_references()
  # The folder may hold the ledger of an earlier start. It allows only the same
  # policy to open the held-out days again.
  kept = (ledger.FILE,)
  run_directory.check_new(workdir, kept, resumes=False)
  seeds.settle(config, seed)
  panels.settle(config.data)
  experiment = wiring.build_ranker(config)
  run_directory.make_folder(workdir)
  with lock.locked(workdir):
    way = panels.way_to(config.data, workdir)
    about = wiring.about_data(experiment)
    machine = wiring.about_machine(experiment)
    run_directory.create(workdir, config, about | way, kept, machine)
    print(wiring.sizes_line(experiment))
    in_use = {**experiment.sizes, 'ranker.batch_size': config.ranker.batch_size}
    with backend.advising_on_memory(in_use):
      _run(experiment, config, workdir)


def _run(
  experiment: wiring.Experiment,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
) -> None:
  """Trains, evaluates and reports; `workdir` must exist and be locked."""
  fitted, policy = wiring.fit_ranker(experiment, config)
  write_table(workdir / logs.METRICS, pd.DataFrame(fitted.rows))
  judges, opened = {'validation': experiment.validation}, 0
  if options.HOLDOUT.value != 'no':
    digest = wiring.ranker_digest(fitted, policy)
    opened = ledger.open_holdout(
      {workdir: [digest]},
      'experiments.ranker',
      again=options.HOLDOUT.value == 'again',
    )
    judges['holdout'] = experiment.holdout
  results: dict[str, Results] = {
    split: {ranking.NAME: [policy.backtest(judge)], **judge.controls}
    for split, judge in judges.items()
  }
  last = results[list(results)[-1]]
  if config.evaluation.measures and 'holdout' in results:
    scores = policy.scores(experiment.holdout.days)
    played = last[ranking.NAME][0]
    measuring.write_measures(experiment, config, workdir, scores, played)
  write_table(workdir / 'daily.csv', summary.daily_returns(results))
  write_table(workdir / 'trades.csv', last[ranking.NAME][0].trades)
  budget = config.ranker.windows or agent_windows(config)
  threshold = policy.threshold if np.isfinite(policy.threshold) else None
  write_json(
    workdir / 'summary.json',
    {
      **{split: summary.means(found) for split, found in results.items()},
      'updates': fitted.updates,
      'best_update': fitted.best_update,
      'windows_trained': fitted.windows,
      'windows_of_the_agent': agent_windows(config),
      'threshold_percent': threshold,
      'data': wiring.about_data(experiment),
      'holdout_openings': opened,
      'preset': config.preset,
      'seed': config.seed,
    },
  )
  buys = 'the best of every day'
  if threshold is not None:
    buys = f'if the predicted return is above {threshold:+.2f} % net of costs'
  print(
    f'trained on {fitted.windows:,} windows of at most {budget:,}, the best '
    f'after update {fitted.best_update} of {fitted.updates}; buys {buys}'
  )
  print(tables.policies(last))
  print(
    '; '.join(
      filter(None, (experiment.panel.survivorship, ledger.remark(opened)))
    )
  )
  print(f'written: {workdir}/summary.json, metrics.csv, daily.csv, trades.csv')

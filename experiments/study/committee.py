r"""Judges the mean action of runs that differ only in their seed.

python -m experiments.study.committee --runs=RUN,RUN,RUN --workdir=FOLDER

The runs must have saved their actions on the held-out days: they must have been
trained with --config.evaluation.measures=True.
"""

import pathlib
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from eigen3.environment import rollout
from eigen3.evaluation import summary
from eigen3.evaluation.comparison import COMMITTEE
from eigen3.files import write_json, write_table
from eigen3.runs import checkpoint, ledger, lock, run_directory
from eigen3.settings import require
from experiments import mains, measuring, path_flags, saved_runs, wiring

_RUNS = path_flags.DEFINE_paths('runs', None, 'Folders of runs.', required=True)
_WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the results.', required=True
)


def main(argv: Sequence[str]) -> None:
  """Averages the runs' actions, plays the mean, and writes the results."""
  runs = [pathlib.Path(path) for path in _RUNS.value]
  workdir = pathlib.Path(_WORKDIR.value)
  kept = (ledger.FILE,)
  run_directory.check_new(workdir, kept, resumes=False)
  config = saved_runs.settings_of(runs[0])
  first, *others = map(
    saved_runs.without_seed, map(saved_runs.settings_of, runs)
  )
  for run, settings in zip(runs[1:], others, strict=True):
    expected = f'a run whose settings, except the seed, are those of {runs[0]}'
    require(settings == first, '--runs', str(run), expected)
  experiment = wiring.without_learner(config)
  for run in runs:
    run_directory.check_data(run, wiring.about_data(experiment), '--runs')
  acts = np.asarray(rollout.mean_of([_actions(run) for run in runs]))
  about = wiring.about_data(experiment)
  run_directory.make_folder(workdir)
  with lock.locked(workdir):
    run_directory.create(workdir, config, about, kept)
    opened = ledger.open_holdout(
      {workdir: [checkpoint.digest(acts)]}, 'experiments.study.committee'
    )
    judge = experiment.holdout
    played = judge.backtest(jnp.asarray(acts))
    results = {'holdout': {COMMITTEE: [played], **judge.controls}}
    write_table(workdir / 'daily.csv', summary.daily_returns(results))
    write_table(workdir / 'trades.csv', played.trades)
    measuring.write_measures(experiment, config, workdir, acts[..., 0], played)
    means = summary.means(results['holdout'])
    done = {'holdout': means, 'validation': {}, 'holdout_openings': opened}
    write_json(workdir / 'summary.json', done)


def _actions(run: pathlib.Path) -> np.ndarray:
  path = run / measuring.ACTIONS
  require(
    path.is_file(),
    '--runs',
    str(run),
    f'a run with {measuring.ACTIONS} (train it with '
    '--config.evaluation.measures=True)',
  )
  return np.load(path)


if __name__ == '__main__':
  mains.run(main)

"""Makes the page of a run, or of runs with different seeds.

eigen3 report --run=runs/td3_small_seed0
eigen3 report --run='runs/td3_small_seed*' --out=seeds.html

The program opens no held-out days: the page is about the held-out days if all
champions were judged on them before, else about the validation days.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('report')  # reads flags before slow imports

import json
import pathlib
from collections.abc import Sequence

import numpy as np

from eigen3.evaluation import metrics, sharpe
from eigen3.reporting import run_page
from eigen3.runs import ledger, run_directory, trials
from experiments import run_titles, saved_runs
from experiments.options import report as options
from experiments.options import run_panel
from experiments.saved_runs import SavedRun


def main(argv: Sequence[str]) -> None:
  """Loads runs, evaluates their champions and writes the page."""
  paths = saved_runs.find(options.RUN.value)
  if options.OUT.value is None and len(paths) > 1:
    raise ValueError(
      f'--out: found no path for a page of {len(paths)} runs, expected the '
      'path of an HTML file to write'
    )
  searched = saved_runs.find(options.SEARCHED.value)
  runs = saved_runs.load(paths, run_panel.RUN_PANEL.value)
  _check_alike(runs)
  out = pathlib.Path(options.OUT.value or runs[0].workdir / 'report.html')
  out.parent.mkdir(parents=True, exist_ok=True)
  occasion = _occasion(runs)
  ratios = trials.read([*(run.workdir for run in runs), *searched])
  champions = [_champion(run, occasion.judge, ratios) for run in runs]
  workdirs = [run.workdir for run in runs]
  run_page.write(
    out,
    run_titles.title(workdirs),
    champions,
    occasion,
    run_titles.changes(workdirs[0]),
  )
  days = 'held-out' if occasion.is_held_out else 'validation'
  print(f'written: {out}, about the {days} days')


def _check_alike(runs: Sequence[SavedRun]) -> None:
  """Raises a ValueError unless the runs' settings differ in the seed alone.

  Two runs with the same seed are also an error.
  """
  first, seeds = runs[0], [run.config.seed for run in runs]
  for run in runs[1:]:
    # Runs that differ only in the seed share their experiment.
    if run.experiment is not first.experiment:
      before = json.loads(first.config.to_json())
      found = run_directory.differences(before, run.config)
      name = next(name for name in found if name != 'seed')
      raise ValueError(
        f'--run: found {name}={found[name][1]!r} in {run.name}, expected '
        f'{found[name][0]!r} as in {first.name}, because the runs may differ '
        'only in their seed'
      )
  if len(set(seeds)) < len(seeds):
    raise ValueError(f'--run: found the seeds {seeds}, expected each once')


def _occasion(runs: Sequence[SavedRun]) -> run_page.Occasion:
  """Describes the days that the page is about.

  These are the held-out days if all champions were judged on them before, else
  the validation days.
  """
  experiment = runs[0].experiment
  closed = [
    run.name
    for run in runs
    if not ledger.was_judged(run.workdir, ledger.policy_digest(run.policy))
  ]
  opened = max(len(ledger.openings(run.workdir)) for run in runs)
  panel = experiment.panel
  remarks = panel.notes, panel.survivorship, ledger.remark(opened)
  return run_page.Occasion(
    is_held_out=not closed,
    judge=experiment.validation if closed else experiment.holdout,
    panel=panel,
    remark='; '.join(filter(None, remarks)),
    why_not=f'The champion of {closed[0]} was never judged on the held-out '
    'days.' if closed else '',
  )  # fmt: skip


def _champion(run: SavedRun, judge, ratios: np.ndarray) -> run_page.Champion:
  learner = run.experiment.learner
  validation = run.experiment.validation
  actions = learner.greedy_actions(run.agent, validation.days)
  validated = metrics.daily_returns(validation.backtest(actions))
  if judge is not validation:
    actions = learner.greedy_actions(run.agent, judge.days)
  return run_page.Champion(
    workdir=run.workdir,
    backtest=judge.backtest(actions),
    play=lambda other: other.backtest(actions),
    deflated=sharpe.deflate(ratios, sharpe.track_record(validated)),
    attention=learner.attention(run.agent, judge.days),
  )

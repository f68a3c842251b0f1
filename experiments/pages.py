"""What a run's record is worth, in numbers and as a page."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from eigen3.environment.rollout import Acts
from eigen3.evaluation import Results, metrics, page, sharpe, trials
from experiments.wiring import Experiment


def numbers(
  workdir: pathlib.Path, results: Mapping[str, Results]
) -> dict[str, Any]:
  """For summary.json: all numbers of the champion, and the trials before it.

  Args:
    workdir: of the run.
    results: the champion and the controls by split.
  """
  found = {}
  for split, judged in results.items():
    market = metrics.daily_returns(judged['buy_and_hold'][0])
    found[split] = metrics.for_json(metrics.measure(judged['agent'][0], market))
  deflated = trials.deflate([workdir], sharpe.track_record(_validated(results)))
  return {'metrics': found, 'trials': metrics.for_json(deflated._asdict())}


def write(
  experiment: Experiment,
  workdir: pathlib.Path,
  title: str,
  results: Mapping[str, Results],
  acts: Acts,
  remark: str,
) -> None:
  """Writes report.html, about the last days that the champion was judged on.

  Args:
    experiment: of the run.
    workdir: of the run.
    title: of the page.
    results: the champion and the controls by split.
    acts: of the champion on the days of the last split.
    remark: what every reader must know of the data.
  """
  split, last = list(results.items())[-1]
  is_held_out = split == 'holdout'
  occasion = page.Occasion(
    is_held_out=is_held_out,
    judge=experiment.holdout if is_held_out else experiment.validation,
    panel=experiment.panel,
    remark=remark,
    why_not='' if is_held_out else 'The held-out days stayed closed.',
  )
  champion = page.Champion(
    workdir=workdir,
    backtest=last['agent'][0],
    play=lambda judge: judge.backtest(acts),
    validation=_validated(results),
  )
  page.write(workdir / 'report.html', title, [champion], occasion)


def _validated(results: Mapping[str, Results]) -> np.ndarray:
  """The champion's daily returns on the validation days."""
  return metrics.daily_returns(results['validation']['agent'][0])

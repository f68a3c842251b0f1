"""Measures a run's policy; saves measures and actions in the run's folder."""

import pathlib
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation import cross_section, measures
from eigen3.evaluation.backtest import Backtest
from eigen3.files import atomic_path, write_json
from eigen3.learner import ranker
from experiments import wiring

ACTIONS = 'actions.npy'  # a file in the run's folder


def outcomes(
  config: ml_collections.ConfigDict,
  panel: MarketPanel,
  split: tuple[int, int],
  days: np.ndarray,
) -> np.ndarray:
  """Returns the outcomes of trades that are decided on days of a split.

  Args:
    config: all settings.
    panel: the market.
    split: (start, stop). The last days of the split, as many as the longest
      possible trade takes, have no outcomes, even of trades that would close in
      time.
    days: S consecutive days of the split, int [S]; they include every day that
      has outcomes.

  Returns:
    float32 [S, N], `returns` as in `ranker.Labels`, but NaN where a trade could
    not be made or has no outcome.

  Raises:
    ValueError: if no day has outcomes, because the split is too short.
  """
  labels = ranker.labels_of(wiring.make_environment(config, panel, split))
  found = np.full((len(days), panel.num_investable), np.nan, np.float32)
  known = np.asarray(labels.known)
  place = np.asarray(labels.days) - days[0]
  found[place] = np.where(known, np.asarray(labels.returns), np.nan)
  return found


def validation_ic(
  experiment: wiring.Experiment, config: ml_collections.ConfigDict
) -> Callable[[Any], float]:
  """Returns a function that maps actions on the validation days to a rank IC.

  The function returns the mean of the daily rank ICs of the coefficients, or 0
  if no day has a rank IC.

  Raises:
    ValueError: if there are too few validation days, see `outcomes`.
  """
  judge = experiment.validation
  known = outcomes(
    config, experiment.panel, experiment.splits.validation, judge.days
  )

  def mean_ic(actions: Any) -> float:
    daily = cross_section.rank_ic(actions[..., 0], known, judge.buyable)
    daily = daily[np.isfinite(daily)]  # none, if no day has a rank IC
    return float(daily.mean()) if len(daily) else 0.0

  return mean_ic


def write_measures(
  experiment: wiring.Experiment,
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  scores: np.ndarray,
  backtest: Backtest,
) -> None:
  """Measures a policy on the held-out days, and writes the run's measures.

  Args:
    experiment: the run's experiment.
    config: all settings.
    workdir: the run's folder.
    scores: float [S, N], by which the policy ranks the stocks on each of the S
      days `experiment.holdout.days`; higher is better.
    backtest: the policy's backtest on the held-out days.

  Raises:
    ValueError: if there are too few held-out days, see `outcomes`.
  """
  panel, judge = experiment.panel, experiment.holdout
  known = outcomes(config, panel, experiment.splits.holdout, judge.days)
  rules = config.environment.to_dict()
  found = measures.measure(
    panel, judge, scores, known, backtest, rules, config.seed
  )
  write_json(workdir / measures.FILE, found)


def write_actions(workdir: pathlib.Path, actions: np.ndarray) -> None:
  """Saves a policy's actions on the held-out days in the run's folder.

  A committee averages them with those of other runs.
  """
  with atomic_path(workdir / ACTIONS) as path, path.open('wb') as file:
    np.save(file, actions)

"""Compares policies on the same days, and combines them in a committee."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from eigen3.environment import rollout
from eigen3.environment.rollout import Actions
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Judge, Results, mean_summary
from eigen3.evaluation.training_slices import TrainingSlices

COMMITTEE = 'committee'


class Policy(NamedTuple):
  """A policy to be compared.

  Attributes:
    name: name in tables.
    actions: maps days, int [S], to the policy's actions on them.
    digest: hash of everything that determines the actions.
  """

  name: str
  actions: Callable[[np.ndarray], Actions]
  digest: str


class Comparison(NamedTuple):
  """The results of compared policies.

  Attributes:
    validation: backtests by name, first of the policies from best to worst,
      then of any committee, then of the controls.
    training: for each policy and any committee, by name, its profits on K
      training slices, divided by the initial cash, float [K].
    holdout: like `validation`, in the same order; None if the policies were not
      evaluated on the held-out days.
  """

  validation: Results
  training: Mapping[str, np.ndarray]
  holdout: Results | None = None


def committee(policies: Sequence[Policy]) -> Policy:
  """Returns a committee, which acts by the mean of the policies' actions."""

  def actions(days: np.ndarray) -> Actions:
    return rollout.mean_of([p.actions(days) for p in policies])

  digest = hashlib.sha256('\n'.join(p.digest for p in policies).encode())
  return Policy(COMMITTEE, actions, digest.hexdigest())


def ranked(
  policies: Sequence[Policy], judge: Judge, by: str
) -> tuple[list[Policy], Results]:
  """Returns policies and their backtests, the best first.

  Args:
    policies: the policies to rank; equally good ones keep their order.
    judge: evaluates on the days to rank by, which must not be held-out days.
    by: a metric of a backtest's summary; higher is better.
  """
  results = judged(policies, judge)
  order = sorted(policies, key=lambda p: -results[p.name][0].summary[by])
  return order, {p.name: results[p.name] for p in order}


def judged(
  policies: Sequence[Policy], judge: Judge
) -> dict[str, list[Backtest]]:
  """Returns each policy's backtest by name, as a list of one."""
  return {p.name: [judge.backtest(p.actions(judge.days))] for p in policies}


def training_profits(
  policies: Sequence[Policy], slices: TrainingSlices
) -> dict[str, np.ndarray]:
  """Returns each policy's profits on K training slices, float [K], by name."""
  return {p.name: slices.profits(p.actions(slices.days)) for p in policies}


def rows(comparison: Comparison) -> pd.DataFrame:
  """Returns a table of metrics: a row for each split and policy or control.

  The controls have no row for the training days. The other rows for these days
  have only one metric, the mean profit over the training slices.
  """
  found = []
  for split in ('validation', 'holdout'):
    results = getattr(comparison, split) or {}
    for name, backtests in results.items():
      found.append({'split': split, 'name': name, **mean_summary(backtests)})
  for name, profits in comparison.training.items():
    found.append(
      {'split': 'training', 'name': name, 'profit': float(profits.mean())}
    )
  return pd.DataFrame(found)

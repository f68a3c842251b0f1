"""Folders of runs that have ended, as they are left, without a run."""

import json

import numpy as np
import pandas as pd

from eigen3.files import write_json, write_table
from experiments.jobs import archive

CONTROLS = ('random_entry', 'buy_and_hold', 'momentum', 'informed')


def outcome(cell, folder, seed):
  """What the finished run of a cell came to, by its record."""
  return archive.outcome_of(json.loads(json.dumps(cell.record(folder, seed))))


def write_measures(folder, seed=0, ic=0.0, edge=0.002):
  """Measures of the held-out days of `write_run`, of a mean IC."""
  rng = np.random.default_rng(seed)
  returns = pd.read_csv(folder / 'daily.csv')['random_entry'][40:]
  daily = {
    'ic': rng.normal(ic, 0.05, 60), 'adjusted_ic': rng.normal(ic, 0.05, 60),
    'top': rng.normal(ic, 0.5, 60), 'adjusted_top': rng.normal(ic, 0.5, 60),
    'matched_entry': returns.to_numpy(),
    'market': rng.normal(0, 0.01, 60), 'volatility': rng.normal(0, 0.01, 60),
    'reversal': rng.normal(0, 0.01, 60), 'momentum': rng.normal(0, 0.01, 60),
  }  # fmt: skip
  lists = {name: values.tolist() for name, values in daily.items()}
  lists['ic'][-1] = lists['adjusted_top'][-1] = None  # outcomes of later days
  write_json(
    folder / 'measures.json',
    {
      'daily': lists, 'horizon': 2, 'stocks': 30.0, 'turnover': 5.0,
      'exposure': 0.5, 'capacity': {'account': 2e6, 'fills': 9},
    },
  )  # fmt: skip


def write_run(
  folder,
  policy='agent',
  seed=0,
  edge=0.002,
  commit='',
  year=None,
  first='2024-01-01',
):
  """What a finished run leaves, with an edge over random entry a day."""
  rng = np.random.default_rng(seed)
  days = 100
  daily = {name: rng.normal(0.0005, 0.01, days) for name in CONTROLS}
  daily[policy] = daily['random_entry'] + edge + rng.normal(0, 0.001, days)
  frame = pd.DataFrame(
    {
      'split': ['validation'] * 40 + ['holdout'] * 60,
      'date': np.datetime64(first) + np.arange(days),
      **daily,
    }
  )
  folder.mkdir(parents=True)
  write_table(folder / 'daily.csv', frame)
  pd.DataFrame({'iteration': [0, 1], 'seconds': [None, 2.5]}).to_csv(
    folder / 'metrics.csv', index=False
  )
  profits = {
    name: {'profit': float(np.prod(1 + x[40:]) - 1)}
    for name, x in daily.items()
  }
  about = {
    'commit': commit,
    'data': {} if year is None else {'days_a_year': year},
  }
  write_json(folder / 'run.json', about)
  write_json(
    folder / 'summary.json',
    {'holdout': profits, 'validation': {}, 'updates': 7},
  )

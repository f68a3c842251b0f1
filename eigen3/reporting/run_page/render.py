"""Puts a page together: one file that asks the network for nothing."""

import json
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from eigen3.reporting import drawing, pages
from eigen3.reporting.run_page import pictures, replays, tables, wording
from eigen3.reporting.run_page.subject import Champion, Occasion
from eigen3.runs import ledger, logs, run_directory

_TEMPLATE = pathlib.Path(__file__).parent / 'page.html'
_MOST_TICKERS = 4  # whose trades are drawn


def write(
  path: os.PathLike | str,
  title: str,
  champions: Sequence[Champion],
  occasion: Occasion,
) -> None:
  """Writes the page of one run, or of runs that differ by their seed alone.

  Args:
    path: of an HTML file.
    title: of the page.
    champions: of the runs. What is shown of a single one is shown of the one
      whose profit is in the middle.
    occasion: the days that they were judged on.

  Raises:
    ValueError: a file of a run is damaged.
  """
  content = {'title': title} | _content(champions, occasion)
  filters: dict[str, Callable[..., Any]] = {
    'written': wording.written,
    'interval': wording.interval,
    'largest': wording.largest,
    'shade': wording.shade,
    'shown': drawing.shown,
  }
  pages.write(path, _TEMPLATE, content, filters)


def _content(
  champions: Sequence[Champion], occasion: Occasion
) -> dict[str, Any]:
  """What the template shows."""
  runs = [_run(champion) for champion in champions]
  agents = _agents(champions, runs)
  controls = dict(occasion.judge.controls)
  seed = min(run['config']['seed'] for run in runs)
  # Of what is shown once: the lower median.
  by_profit = sorted(
    range(len(runs)), key=lambda k: champions[k].backtest.summary['profit']
  )
  middle = by_profit[(len(runs) - 1) // 2]
  one = champions[middle].backtest
  rules = runs[middle]['config']['environment']
  played = champions, occasion.judge, rules
  return {
    'occasion': occasion,
    'dates': [str(day) for day in one.dates[[0, -1]]],
    'runs': runs,
    'middle': runs[middle],
    'headlines': tables.headlines(agents, controls, seed),
    'differences': tables.differences(agents, controls, seed),
    'numbers': tables.all_numbers(agents, controls),
    'rows': wording.NUMBERS,
    'colours': pictures.colours([*agents]),
    'equity': pictures.equity(agents, controls),
    'drawdown': pictures.drawdown(agents, controls),
    'months': tables.months(one),
    'trades': [
      pictures.trades(occasion.panel, one, ticker)
      for ticker in pictures.most_traded(one.trades, _MOST_TICKERS)
    ],
    'attention': _attention(champions[middle].workdir),
    'replays': {
      'What a fill costs': replays.cost_ladder(*played),
      'When orders fill': replays.fill_timings(*played),
    },
    # Runs that are older than the setting saw nothing.
    'sees_account': rules.get('observe_account', False),
    'replayed': {name: wording.NUMBERS[name] for name in wording.REPLAYED},
    'year': math.sqrt(occasion.panel.periods_a_year),
  }


def _run(champion: Champion) -> dict[str, Any]:
  """What a run's folder says of it, and what its champion's record is worth."""
  config = dict(run_directory.read_config(champion.workdir))
  return {
    'name': champion.workdir.name,
    'config': config,
    'settings': json.dumps(config, indent=2),
    'deflated': champion.deflated,
    'about': run_directory.read_about(champion.workdir),
    'openings': ledger.openings(champion.workdir),
  }


def _agents(champions, runs) -> dict[str, list]:
  """Backtests by what the run is called on the page."""
  if len(champions) == 1:
    return {'agent': [champions[0].backtest]}
  return {
    f'seed {run["config"]["seed"]}': [champion.backtest]
    for champion, run in zip(champions, runs, strict=True)
  }


def _attention(workdir: pathlib.Path) -> str:
  """The last record of attention as a picture; '' where there is none."""
  path = workdir / logs.IMPORTANCE
  if not path.exists():
    return ''
  table = pd.read_csv(path)
  if table.empty:
    return ''
  shares = table.drop(columns='generation').to_numpy(float)[-1]
  return pictures.attention(dict(zip(table.columns[1:], shares, strict=True)))

"""Renders the page of runs as one file that loads nothing from the network."""

import json
import math
import os
import pathlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import eigen3
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Results
from eigen3.reporting import drawing, pages
from eigen3.reporting.run_page import (
  learning,
  pictures,
  population,
  replays,
  sentences,
  tables,
  wording,
)
from eigen3.reporting.run_page.subject import Champion, Occasion
from eigen3.runs import ledger, logs, run_directory

_TEMPLATE = pathlib.Path(__file__).parent / 'page.html'
_MOST_TICKERS = 5  # whose trades are drawn


def write(
  path: os.PathLike | str,
  title: str,
  champions: Sequence[Champion],
  occasion: Occasion,
  changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
  """Writes the page of one run, or of runs that differ only in their seed.

  Args:
    path: of an HTML file.
    title: of the page.
    champions: one per run. Parts about a single champion show the one with
      the median profit (the lower median of an even number of champions).
    occasion: the days on which the champions were evaluated.
    changes: settings that differ from the preset: maps the full name to (value
      in the preset, value in the run).

  Raises:
    OSError: if a file cannot be read or written.
    ValueError: if a folder holds no run, or a file of a run is damaged.
  """
  content = {'title': title, 'changes': changes or {}}
  content |= _content(champions, occasion)
  filters: dict[str, Callable[..., Any]] = {
    'written': wording.written,
    'interval': wording.interval,
    'shade': wording.shade,
    'shown': drawing.shown,
  }
  pages.write(path, _TEMPLATE, content, filters)


def _content(
  champions: Sequence[Champion], occasion: Occasion
) -> dict[str, Any]:
  """Returns the template's variables."""
  runs = [_run(champion) for champion in champions]
  agents = _agents(champions, runs)
  controls = dict(occasion.judge.controls)
  seed = min(run['config']['seed'] for run in runs)
  # Parts about a single champion show the one with the lower median profit.
  by_profit = sorted(
    range(len(runs)), key=lambda k: champions[k].backtest.summary['profit']
  )
  middle = by_profit[(len(runs) - 1) // 2]
  champion, run = champions[middle], runs[middle]
  rules = run['config']['environment']
  played = champions, occasion.judge, rules
  headlines = tables.headlines(agents, controls, seed)
  differences = tables.differences(agents, controls, seed)
  colours = pictures.colours([*agents])
  return {
    'occasion': occasion,
    'dates': [str(day) for day in champion.backtest.dates[[0, -1]]],
    'runs': runs,
    'middle': run,
    'verdict': _verdict(champions, headlines[0], differences, occasion),
    'headlines': headlines,
    'differences': differences,
    'numbers': tables.all_numbers(agents, controls),
    'rows': wording.NUMBERS,
    'colours': colours,
    'equity': pictures.equity(agents, controls),
    'drawdown': pictures.drawdown(agents, controls),
    **_months(champion.backtest, controls),
    'trades': _trades(champion.backtest, occasion, rules),
    'learning': learning.pictures(
      {name: one['metrics'] for name, one in zip(agents, runs, strict=True)},
      colours,
      population.is_shown if run['is_population'] else lambda column: False,
    ),
    'population': population.section(
      champion.workdir, run['metrics'], run['config']
    ),
    'attention': _attention(champion, occasion),
    'replays': {
      'What a fill costs': replays.cost_ladder(*played),
      'When orders fill': replays.fill_timings(*played),
    },
    # Runs older than the setting did not observe the account.
    'sees_account': rules.get('observe_account', False),
    'replayed': {name: wording.NUMBERS[name] for name in wording.REPLAYED},
    'year': math.sqrt(occasion.panel.periods_a_year),
    'data': _data(occasion, run['config']['data']),
    'version': eigen3.__version__,
  }


def _verdict(champions, headline, differences, occasion: Occasion) -> str:
  """Returns the summary of the page in one or two sentences."""
  has_traded = any(len(champion.backtest.trades) for champion in champions)
  parts = [
    sentences.verdict(headline, differences, has_traded, occasion.is_held_out)
  ]
  if len(champions) == 1 and has_traded:
    parts.append(sentences.skill(champions[0].deflated))
  return ' '.join(filter(None, parts))


def _months(backtest: Backtest, controls: Results) -> dict[str, Any]:
  """Returns all policies' monthly returns, and the largest absolute return."""
  found = {
    'agent': tables.months(backtest),
    **{name: tables.months(*tests) for name, tests in controls.items()},
  }
  largest = wording.largest(year for years in found.values() for year in years)
  return {'months': found, 'largest': largest}


def _trades(
  backtest: Backtest, occasion: Occasion, rules: Mapping[str, Any]
) -> dict[str, Any] | None:
  """Returns text and pictures about a policy's trades; None without trades."""
  trades = backtest.trades
  if trades.empty:
    return None
  random = occasion.judge.controls['random_entry']
  colour = pictures.colours(['agent'])['agent']
  tickers = pictures.most_traded(trades, _MOST_TICKERS)
  return {
    'exits': sentences.exits(trades, rules),
    'returns': sentences.trade_returns(trades),
    'distribution': pictures.trade_returns(trades, random, colour),
    'on_prices': [
      pictures.trades(occasion.panel, backtest, ticker) for ticker in tickers
    ],
  }


def _data(occasion: Occasion, config: Mapping[str, Any]) -> dict[str, Any]:
  """Describes the run's panel: its source, days and columns."""
  panel = occasion.panel
  first, stop = panel.investable
  market = config.get('synthetic', {})
  source = config.get('panel') or (
    f"embedded market '{market.get('market')}', seed {market.get('seed')}"
  )
  return {
    'source': source,
    'days': f'{panel.dates[0]} to {panel.dates[-1]}, {panel.num_days:,} days',
    'tickers': [*panel.columns[first:stop]],
    'context': [*panel.columns[:first], *panel.columns[stop:]],
  }


def _run(champion: Champion) -> dict[str, Any]:
  """Returns a run's records, and its champion's deflated Sharpe ratio."""
  config = dict(run_directory.read_config(champion.workdir))
  about = run_directory.read_about(champion.workdir)
  program = 'erl' if 'evolution' in config else 'td3'
  return {
    'name': champion.workdir.name,
    'config': config,
    'settings': json.dumps(config, indent=2),
    'deflated': champion.deflated,
    'about': about,
    'command': shlex.join(['eigen3', program, *about['command']]),
    'openings': ledger.openings(champion.workdir),
    'metrics': _metrics(champion.workdir),
    'is_population': 'evolution' in config,
  }


def _agents(champions, runs) -> dict[str, list]:
  """Returns each champion's backtest, keyed by the agent's name on the page."""
  if len(champions) == 1:
    return {'agent': [champions[0].backtest]}
  return {
    f'seed {run["config"]["seed"]}': [champion.backtest]
    for champion, run in zip(champions, runs, strict=True)
  }


def _attention(champion: Champion, occasion: Occasion) -> str:
  """Returns a picture of the champion's attention; '' if it is unknown."""
  if champion.attention is None:
    return ''
  # Rounded, because the last digits may differ between machines.
  shares = np.round(champion.attention, 5).tolist()
  columns = occasion.panel.columns
  return pictures.attention(dict(zip(columns, shares, strict=True)))


def _metrics(workdir: pathlib.Path) -> pd.DataFrame:
  """Returns the run's metrics; an empty table if nothing was recorded.

  Raises:
    ValueError: if the file is damaged.
  """
  path = workdir / logs.METRICS
  if not path.exists():  # as in an imported run
    return pd.DataFrame({'iteration': []})
  return logs.read(path)

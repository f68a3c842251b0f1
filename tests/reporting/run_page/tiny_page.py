"""Runs on a market of a few weeks, and their page."""

import json

import fake_population
import numpy as np
import tiny_market

from eigen3.data import MarketPanel
from eigen3.evaluation import Judge, metrics, sharpe
from eigen3.reporting import run_page
from eigen3.runs import trials

DAYS = 60
RULES = tiny_market.config()
CONFIG = {
  'preset': 'smoke',
  'environment': RULES.to_dict(),
  'evaluation': {'momentum_days': 2, 'random_entries': 3},
  'seed': 0,
  'data': {
    'panel': 'prices/tiny.parquet',
    'validation_days': DAYS,
    'holdout_days': 9,
    'embargo_days': 0,
  },
}


def make_panel(columns=('INDEX', 'A', 'B')):
  rng = np.random.default_rng(0)
  close = 100.0 * np.cumprod(1 + rng.normal(0, 0.02, (DAYS, 2)), axis=0)
  panel = tiny_market.panel(close)
  return MarketPanel(
    dates=panel.dates,
    columns=columns,
    ohlc=panel.ohlc,
    features=panel.features,
    investable=panel.investable,
    survivors_only=False,
  )


def make_occasion(panel, **changes):
  occasion = run_page.Occasion(
    is_held_out=True,
    judge=Judge(panel, CONFIG, (0, DAYS)),
    panel=panel,
    remark='survivors only: returns are too high',
    why_not='',
  )
  return occasion._replace(**changes)


def make_champion(folder, judge, seed=0):
  """Makes a run of one agent, whose champion acts at random."""
  folder.mkdir()
  (folder / 'config.json').write_text(json.dumps({**CONFIG, 'seed': seed}))
  about = {
    'command': ['--config=a.py', f'--config.seed={seed}'],
    'commit': 'c0ffee',
    'data': {'hash': 'da7a', 'source_hash': '', 'survivorship': 'survivors'},
    'python': '3.11.7',
    'seed': seed,
    'versions': {'jax': '0.10.2'},
  }
  (folder / 'run.json').write_text(json.dumps(about))
  (folder / 'metrics.csv').write_text(
    'iteration,validation_profit,validation_sharpe\n0,0.0,0.0\n1,,\n2,0.1,1.6\n'
  )
  rng = np.random.default_rng(seed)
  actions = np.full((len(judge.days), 2, 2), 20.0, np.float32)
  actions[..., 0] = rng.uniform(0.0, 2.0, actions.shape[:2])
  backtest = judge.backtest(actions)
  return run_page.Champion(
    workdir=folder,
    backtest=backtest,
    play=lambda other: other.backtest(actions),
    deflated=deflated_of(backtest, [folder]),
    attention=np.array([0.25, 0.5, 0.25]),
  )


def make_population(folder):
  """Turns the run in a folder into a run of a population."""
  members, generations = fake_population.with_selection(
    *fake_population.fake_run(8)
  )
  generations = generations.assign(
    critic_loss=1.0,
    validation_mean=0.01 * generations['generation'],
    validation_profit=0.02,
    validation_sharpe=0.5,
  )
  members['validation_daily_sharpe'] = 0.01
  members.to_csv(folder / 'members.csv', index=False)
  generations.to_csv(folder / 'metrics.csv', index=False)
  path = folder / 'config.json'
  config = json.loads(path.read_text())
  config |= {'evolution': {}, 'learner': {'fitness': 'profit'}}
  path.write_text(json.dumps(config))
  (folder / 'importance.csv').write_text(
    'generation,INDEX,A,B\n1,0.25,0.5,0.25\n2,0.125,0.5,0.375\n'
  )


def deflated_of(backtest, folders):
  """Returns a champion's Sharpe ratio deflated by the trials of these runs."""
  record = sharpe.track_record(metrics.daily_returns(backtest))
  return sharpe.deflate(trials.read(folders), record)

"""Tests of experiments.report, run as its users run it."""

import html
import json
import re
import shutil

import pandas as pd
import pytest
from training_runs import moved_from_panel

from eigen3.evaluation import population
from eigen3.reporting.run_page import sentences
from experiments import saved_runs


@pytest.fixture(scope='session')
def td3_run(programs):
  return programs.whole('td3').folder


def report(programs, *arguments):
  run = programs.finish('report', *arguments)
  assert 'Traceback' not in run.stderr
  return run


def test_the_page_of_a_run_can_be_made_again(programs, td3_run, tmp_path):
  before = (td3_run / 'holdout.json').read_bytes()
  out = tmp_path / 'new' / 'page.html'
  run = report(programs, f'--run={td3_run}', f'--out={out}')
  assert run.returncode == 0, run.stderr
  assert run.stdout == f'written: {out}, about the held-out days\n'
  # The champion is the one of the training's end, with the same numbers.
  assert out.read_bytes() == (td3_run / 'report.html').read_bytes()
  assert (td3_run / 'holdout.json').read_bytes() == before


def test_the_page_says_what_the_summary_says(programs, td3_run):
  text = (td3_run / 'report.html').read_text()
  summary = json.loads((td3_run / 'summary.json').read_text())
  assert '<h1>TD3, preset smoke' in text
  assert '>On the held-out days the agent earned ' in text
  assert '<b>Held-out days</b>' in text
  profit = f'{summary["holdout"]["agent"]["profit"]:+.1%}'
  profit = profit.replace('-', '\N{MINUS SIGN}').replace('%', ' %')
  assert f'<td>{profit}<small>' in text
  assert f'<dd>{summary["trials"]["trials"]}</dd>' in text
  assert summary['data']['hash'] in text
  assert summary['data']['survivorship'][1:] in text
  assert 'informed' in text


def test_the_page_of_a_population_tells_of_it(programs):
  folder = programs.whole('erl').folder
  text = (folder / 'report.html').read_text()
  assert 'Attention of the policy' in text
  metrics = pd.read_csv(folder / 'metrics.csv')
  words = sentences.population(population.development(metrics), '+.1%')
  assert html.escape(words) in text
  summary = json.loads((folder / 'summary.json').read_text())
  assert f'<dd>{summary["trials"]["trials"]}</dd>' in text


def seed_of(folder, other, seed):
  """A copy of a run that says it had another seed."""
  shutil.copytree(folder, other)
  config = json.loads((other / 'config.json').read_text())
  (other / 'config.json').write_text(json.dumps({**config, 'seed': seed}))
  return other


def test_closed_days_stay_closed(programs, td3_run, tmp_path):
  """With the panel of the runs moved."""
  gone, panel = tmp_path / 'gone.parquet', tmp_path / 'panel.parquet'
  first = moved_from_panel(td3_run, tmp_path / 'first', gone)
  other = seed_of(first, tmp_path / 'other', 1)
  (run,) = saved_runs.load([str(td3_run)])
  run.experiment.panel.save(panel)
  ledger = json.loads((other / 'holdout.json').read_text())
  ledger[0]['policies'] = ['of an earlier champion']
  (other / 'holdout.json').write_text(json.dumps(ledger))
  before = (other / 'holdout.json').read_bytes()
  run = report(
    programs,
    f'--run={first},{other}',
    f'--run_panel={panel}',
    f'--out={tmp_path}/page.html',
    f'--searched={td3_run}',
  )
  assert run.returncode == 0, run.stderr
  assert run.stdout.endswith('page.html, about the validation days\n')
  text = (tmp_path / 'page.html').read_text()
  assert '<b>Validation days</b>' in text
  assert f'The champion of {other} was never judged on the held-out' in text
  assert 'seed 1' in text
  assert re.search(r'<h1>TD3, preset smoke.*, seeds 0, 1</h1>', text)
  assert (other / 'holdout.json').read_bytes() == before


@pytest.mark.long
def test_errors_are_one_line(programs, td3_run, tmp_path):
  erl = programs.whole('erl').folder
  same = seed_of(td3_run, tmp_path / 'same', 0)
  out = f'--out={tmp_path}/page.html'
  cases = [
    ([f'--run={td3_run},{same}'], '--out: found no path for a page of 2 runs'),
    ([f'--run={td3_run},{same}', out], '--run: found the seeds [0, 0]'),
    ([f'--run={td3_run},{erl}', out], 'expected'),
    ([f'--run={tmp_path}/none', out], 'found no run here'),
    ([out], 'Flag --run must have a value'),
  ]
  for arguments, words in cases:
    run = report(programs, *arguments)
    assert run.returncode == 1, arguments
    lines = run.stderr.strip().splitlines()
    assert lines[-1].startswith('error: ')
    assert words in lines[-1]
  assert not (tmp_path / 'page.html').exists()

"""Tests of experiments.check_leaks, run as its users run it."""

import dataclasses
import functools
import pathlib
import re

import numpy as np
import pandas as pd
import pytest

from eigen3 import data
from experiments.configs import td3

CONFIG = f'--config={pathlib.Path(td3.__file__)}:smoke'


@pytest.fixture
def check(programs):
  return functools.partial(programs.finish, 'check_leaks', CONFIG)


@pytest.fixture(scope='module')
def panel():
  return data.synthetic_market(td3.get_config('smoke').data.synthetic).panel


@pytest.mark.long  # proof_test.py has the same without the program
def test_a_table_of_what_was_compared(check):
  run = check('--days=2', '--futures=1', '--acting_days=8')
  assert run.returncode == 0, run.stderr
  head, _, *rows, last = run.stdout.splitlines()
  # The first window, the last training day and the last day but one.
  assert head == (
    'changes after each of the days 2000-01-12, 2000-08-11, 2001-02-22: 1'
  )
  counts = {}
  for row in rows:
    name, known, changed = re.split(r'  +', row)
    counts[name] = [int(count.replace(',', '')) for count in (known, changed)]
  assert list(counts) == [
    'indicators',
    'observations',
    'windows',
    'account',
    'rewards',
    'controls',
    'backtest',
    'actions',
    "policy's account",
  ]
  assert min(map(min, counts.values())) > 50
  assert last == 'nothing looks ahead'


@pytest.mark.long
def test_what_a_panel_is_made_of_is_changed_first(check, panel, tmp_path):
  fields = ['open', 'high', 'low', 'close']
  for place in range(*panel.investable):
    frame = pd.DataFrame(panel.ohlc[:, place], panel.dates, fields)
    frame['volume'] = 1000.0
    frame.to_csv(
      tmp_path / f'{panel.columns[place]}.csv',
      index_label='date',
      date_format='%d/%m/%Y',
    )
  run = check(
    f'--source={tmp_path}', '--date_format=dd/mm/yyyy', '--days=2',
    '--futures=1', '--acting_days=8',
    '--config.data.observed_features=("rsi", "close")',
  )  # fmt: skip
  assert run.returncode == 0, run.stderr
  kinds = [row.split('  ')[0] for row in run.stdout.splitlines()[2:-1]]
  assert kinds[:3] == ['dates', 'prices', 'features']
  assert kinds[-2:] == ['actions', "policy's account"]


def test_a_leak_is_one_line(check, panel, tmp_path):
  features = np.roll(panel.features, -2, axis=0)
  file = tmp_path / 'panel.parquet'
  dataclasses.replace(panel, features=features).save(file)
  run = check(f'--config.data.panel={file}')
  assert run.returncode == 1
  assert run.stdout == ''
  assert run.stderr == (
    'error: look-ahead: feature open of INDEX: found on most days the value of '
    '2 days later, expected that of the same day\n'
  )


def test_days_are_read_as_they_are_written(check, tmp_path):
  """The format is asked for, and its error is a line."""
  (tmp_path / 'A.csv').write_text('date,open,high,low,close\n1/2/19,1,1,1,1\n')
  run = check(f'--source={tmp_path}')
  assert run.returncode == 1
  assert '--date_format=dd/mm/yyyy' in run.stderr
  run = check(f'--source={tmp_path}', '--date_format=mm/dd/yy')
  assert run.returncode == 1
  assert 'found 1 days from 2019-01-02' in run.stderr
  run = check(f'--source={tmp_path}', '--time_zone=Tokyo')
  assert "time_zone: found 'Tokyo'" in run.stderr

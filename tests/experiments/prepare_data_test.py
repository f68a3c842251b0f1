"""Tests of experiments.prepare_data and of how mains fail."""

import json
import os
import resource
import sys
import tarfile
import time

import forks
import numpy as np
import pandas as pd
import pytest

from eigen3.data import MarketPanel
from experiments import mains

DAYS = np.busday_offset('2020-01-01', np.arange(120), roll='forward')
SHORT = ('--validation_days=20', '--holdout_days=20')


def write_ticker(folder, name, days=DAYS, price='50'):
  rows = [f'{day},50,51,49,{price},100' for day in days]
  text = '\n'.join(['date,open,high,low,close,volume', *rows, ''])
  (folder / f'{name}_data.csv').write_text(text)


def prepare(*arguments, cwd=forks.ROOT, **environment):
  return forks.run(
    '-m', 'experiments.prepare_data', *arguments, cwd=cwd, **environment
  )


@pytest.fixture
def source(tmp_path):
  folder = tmp_path / 'source'
  folder.mkdir()
  write_ticker(folder, 'BBB')
  write_ticker(folder, 'AAA')
  write_ticker(folder, 'NEW', DAYS[70:])
  write_ticker(folder, 'ZZZ', price='much')
  return folder


def test_a_panel_and_a_summary(source, tmp_path):
  out = tmp_path / 'panel.parquet'
  run = prepare(f'--source={source}', f'--out={out}', *SHORT)
  assert run.returncode == 0, run.stderr
  panel = MarketPanel.load(out)
  assert panel.columns == ('NEW', 'AAA', 'BBB')
  assert panel.investable == (1, 3)
  assert panel.ohlc.shape == (120, 3, 4)
  assert panel.survivors_only
  lines = run.stdout.splitlines()
  assert lines[0].startswith('read: 3 tickers, 290 rows, 2020-01-01 to ')
  assert "  ZZZ_data.csv: row 2, column 'close': found 'much', " in run.stdout
  assert panel.survivorship in lines
  assert panel.fingerprint in lines[-1]
  assert 'reading: 100%' in run.stderr
  assert 'files/s' in run.stderr
  # Once more, over the older panel, with other settings.
  again = prepare(
    f'--source={source}', f'--out={out}', *SHORT, f'--first_day={DAYS[5]}'
  )
  assert again.returncode == 0, again.stderr
  assert MarketPanel.load(out).num_days == 115
  assert sorted(os.listdir(tmp_path)) == [
    'panel.parquet',
    'panel.quality.html',
    'panel.quality.json',
    'source',
  ]


def test_repairs_are_made_and_told(source, tmp_path):
  """AAA closes above its high on every day. The panel's name is no URL."""
  write_ticker(source, 'AAA', price='52')
  out = tmp_path / 'a:b.parquet'
  run = prepare(
    '--source=source',
    '--out=a:b.parquet',
    *SHORT,
    '--order=widen',
    cwd=tmp_path,
  )
  assert run.returncode == 0, run.stderr
  assert '  prices out of order: 120 in 1 column, repaired (' in run.stdout
  panel = MarketPanel.load(out)
  assert panel.notes.endswith('; repairs: order=widen')
  assert (panel.ohlc[:, 1] == np.array([50, 52, 49, 52])).all()
  report = json.loads((tmp_path / 'a:b.quality.json').read_text())
  assert report['panel_hash'] == panel.fingerprint
  assert report['refused'][0]['file'] == 'ZZZ_data.csv'
  assert report['repairs']['order'] == 'widen'
  assert [column['counts']['order'] for column in report['columns']] == [
    0,
    120,
    0,
  ]


@pytest.mark.parametrize(
  'arguments, message',
  [
    (
      ['--source={root}/absent', '--out={root}/p'],
      'absent: found no such file or folder, expected one with prices',
    ),
    (['--source={root}/empty', '--out={root}/p'], 'found no .csv, .tsv, '),
    (
      ['--source={root}/source', '--out={root}/p'],
      'source: found 120 days from 2020-01-01 ',
    ),
    (
      ['--source={root}/source', '--out={root}/absent/p', *SHORT],
      '--out: found no folder ',
    ),
    (
      ['--source={root}/source', '--out={root}/precious', *SHORT],
      'precious, which is not a panel, expected no such file or a panel',
    ),
    (['--out={root}/p'], 'found neither --source nor --download, exp'),
    (
      ['--source={root}/source', '--out={root}/p', '--download=A'],
      'found both --source and --download, expected exactly one',
    ),
    (
      ['--download=AAA', '--out={root}/precious.parquet'],
      'precious.raw.parquet, which is not a download, expected no such file',
    ),
    (
      ['--source={root}/source', '--out={root}/p', *SHORT, '--last_day=may'],
      "last_day: found 'may', expected a day as YYYY-MM-DD",
    ),
    (
      ['--source={root}/source', '--out={root}/p', 'stray'],
      "arguments: found 'stray', expected only --flags",
    ),
  ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
  source, tmp_path, arguments, message
):
  (tmp_path / 'empty').mkdir()
  for name in ('precious', 'precious.raw.parquet'):
    (tmp_path / name).write_text('my notes')
  before = sorted(os.listdir(tmp_path))
  run = prepare(*(argument.format(root=tmp_path) for argument in arguments))
  assert run.returncode == 1
  errors = [s for s in run.stderr.splitlines() if not s.startswith('reading')]
  errors = [line for line in errors if line.strip()]
  assert len(errors) == 1, run.stderr
  assert errors[0].startswith('error: ')
  assert message in errors[0]
  assert run.stdout == ''
  assert sorted(os.listdir(tmp_path)) == before
  for name in ('precious', 'precious.raw.parquet'):
    assert (tmp_path / name).read_text() == 'my notes'


def test_one_file_and_context(source, tmp_path):
  """All of them in the home folder."""
  frames = [
    pd.read_csv(source / f'{name}_data.csv').assign(symbol=name)
    for name in ('AAA', 'NEW', 'ZZZ')
  ]
  long = tmp_path / 'long.csv'
  pd.concat(frames).to_csv(long, index=False)
  rates = tmp_path / 'rates.csv'
  rates.write_text(f'DATE,DGS2\n2019-12-31,1\n{DAYS[3]},-0.5\n')
  out = tmp_path / 'panel.parquet'
  run = prepare(
    '--source=~/long.csv', '--context=~/rates.csv:lag=1:name=US',
    '--out=~/panel.parquet', f'--context={source / "BBB_data.csv"}', *SHORT,
    HOME=str(tmp_path),
  )  # fmt: skip
  assert run.returncode == 0, run.stderr
  panel = MarketPanel.load(out)
  assert panel.columns == ('US', 'BBB_data', 'NEW', 'AAA')
  assert panel.column_kinds == ('context', 'context', 'stock', 'stock')
  close = panel.ohlc[:, 0, 3]
  assert np.flatnonzero(~np.isnan(close)).tolist() == [0, 4]
  assert close[[0, 4]].tolist() == [1.0, -0.5]
  assert "long.csv, ZZZ: row 172, column 'close': found 'much'" in run.stdout
  assert '  US: 2 values, 2019-12-31 to 2020-01-06, known after' in run.stdout
  assert 'symbols/s' in run.stderr


def test_a_universe_says_what_may_be_bought(source, tmp_path):
  intervals = tmp_path / 'universe.csv'
  intervals.write_text(
    'ticker,start_date,end_date\n'
    f'AAA,{DAYS[0]},{DAYS[10]}\nBBB,{DAYS[60]},\nGONE,{DAYS[0]},\n'
  )
  out = tmp_path / 'panel.parquet'
  command = [f'--source={source}', f'--out={out}', *SHORT]
  run = prepare(*command, f'--universe={intervals}')
  assert run.returncode == 0, run.stderr
  panel = MarketPanel.load(out)
  assert np.flatnonzero(panel.members[:, 0]).tolist() == list(range(10))
  assert np.flatnonzero(panel.members[:, 1]).tolist() == list(range(60, 120))
  # Two members on the first day and on the last, one of them priced.
  assert 'has prices on the first day' in run.stdout
  assert 'of which 50% has prices' in panel.notes
  assert panel.notes.endswith('and 50% on the last')
  intervals.write_text(f'ticker,start_date,end_date\nX,{DAYS[0]},\n')
  before = out.read_bytes()
  run = prepare(*command, f'--universe={intervals}')
  assert run.returncode == 1
  assert 'universe: found no investable column that is a mem' in run.stderr
  assert out.read_bytes() == before


def test_a_file_of_eigen2(tmp_path):
  """Ten stocks of 70 days; the features are kept as they are."""
  rng = np.random.default_rng(0)
  cells = rng.uniform(1, 9, (70, 3, 9)).round(3)
  frame = pd.DataFrame(
    [[str(list(cell)) for cell in row] for row in cells.tolist()],
    index=pd.Index(DAYS[:70], name='date'),
    columns=['INDEX', 'A', 'B'],
  )
  frame.to_csv(tmp_path / 'data.csv')
  out = tmp_path / 'panel.parquet'
  command = [f'--source={tmp_path}/data.csv', f'--out={out}']
  run = prepare(*command, '--investable=1,3')
  assert run.returncode == 0, run.stderr
  panel = MarketPanel.load(out)
  assert panel.investable == (1, 3)
  np.testing.assert_array_equal(panel.features, cells.astype(np.float32))
  assert (tmp_path / 'panel.quality.html').exists()
  for flags, words in (
    (['--investable=one'], "--investable: found 'one', expected two whole"),
    (
      ['--investable=1,9'],
      'found 3 columns and investable=(1, 9), ',
    ),
    (['--first_day=2020-01-02'], '--first_day: found with an Eigen2 file'),
    (
      ['--order=widen'],
      '--bad_ticks, --splits or --order: found with an Eigen2 file, exp',
    ),
  ):
    run = prepare(*command, *flags)
    assert run.returncode == 1, flags
    assert words in run.stderr.strip().splitlines()[-1]


# Stands in for yfinance: a response in the shape of its own. Of NONE nothing
# comes; nobody waits for it.
YFINANCE = """
import sys
import numpy as np
import pandas as pd

sys.modules['eigen3.data.download']._WAITS = (0.0,)

def download(tickers, start=None, end=None, period=None, **options):
  assert options == {'auto_adjust': False, 'actions': True, 'progress': False}
  assert (start, end, period) == ('2020-02-03', '2020-10-31', None)
  days = pd.bdate_range(start, end, inclusive='left', name='Date')
  fields = ['Open', 'High', 'Low', 'Close', 'Adj Close', 'Volume']
  columns = pd.MultiIndex.from_product(
    [fields, tickers], names=['Price', 'Ticker']
  )
  frame = pd.DataFrame(50.0, days, columns).sort_index(axis=1)
  frame.loc[:, (slice(None), [t for t in tickers if t == 'NONE'])] = np.nan
  return frame
"""


def test_a_download_is_kept_beside_the_panel(tmp_path):
  (tmp_path / 'library').mkdir()
  (tmp_path / 'library' / 'yfinance.py').write_text(YFINANCE)
  out, raw = tmp_path / 'p.parquet', tmp_path / 'p.raw.parquet'
  days = ('--first_day=2020-06-02', '--last_day=2020-10-30')
  path = os.pathsep.join([str(tmp_path / 'library'), *sys.path])
  run = prepare(
    '--download=aaa,NONE,BBB', f'--out={out}', *SHORT, *days, PYTHONPATH=path
  )
  assert run.returncode == 0, run.stderr
  panel = MarketPanel.load(out)
  assert panel.columns == ('AAA', 'BBB')
  assert panel.dates[0] == np.datetime64('2020-06-02')
  assert np.isfinite(panel.features).all(), 'the days before are known, too'
  assert 'refused: 1 symbols\n  p.raw.parquet, NONE: no price' in run.stdout
  assert 'downloading: 100%' in run.stderr
  # The same panel again, without a network.
  again = tmp_path / 'again'
  run = prepare(f'--source={raw}', f'--out={again}', *SHORT, *days)
  assert run.returncode == 0, run.stderr
  loaded = MarketPanel.load(again)
  assert loaded.fingerprint == panel.fingerprint
  assert loaded.source_hash == panel.source_hash


def test_a_missing_flag_is_reported_by_absl():
  run = prepare('--source=x')
  assert run.returncode == 1
  assert '--out must have a value' in run.stderr


@pytest.mark.parametrize(
  'error, expected',
  [
    (ValueError('field: found 1,\n  expected 2'), 'field: found 1, expected 2'),
    (FileNotFoundError(2, 'No such file', 'a/b'), 'a/b: No such file'),
    (OSError('odd'), 'odd'),
    (MemoryError(), 'MemoryError'),
  ],
)
def test_an_error_is_one_line(error, expected):
  assert mains.one_line(error) == expected


@pytest.mark.parametrize(
  'statement, status, last',
  [
    ('raise ValueError("wrong")', 1, 'error: wrong'),
    ('raise KeyboardInterrupt', 130, 'error: interrupted'),
    ('raise TypeError("a defect")', 1, 'TypeError: a defect'),
    ('return 3', 3, ''),
    ('return None', 0, ''),
  ],
)
def test_exit_status(statement, status, last):
  code = (
    'from experiments import mains\n'
    f'def main(argv):\n  {statement}\n'
    'mains.run(main)'
  )
  run = forks.run('-c', code)
  assert run.returncode == status
  assert (run.stderr.strip().splitlines() or [''])[-1] == last
  assert ('Traceback' in run.stderr) == ('TypeError' in statement)


@pytest.mark.long
def test_the_twenty_year_set_in_time_and_memory(shared_dir, tmp_path):
  """All 504 readable tickers in under 90 s and 4 GB."""
  archive = shared_dir / 'data/sp500_20yr/daily_adjusted.tar.xz'
  with tarfile.open(archive, 'r:xz') as tar:
    tar.extractall(tmp_path, filter='data')
  folder = next(tmp_path.rglob('DA-AAPL-T-2021-04-21.csv')).parent
  out = tmp_path / 'panel.parquet'
  start = time.monotonic()
  run = prepare(f'--source={folder}', f'--out={out}')
  assert run.returncode == 0, run.stderr
  assert time.monotonic() - start < 90
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
  assert peak < 4e9
  assert 'read: 504 tickers, 2,402,891 rows, 1999-11-01 to ' in run.stdout
  assert 'for 473 splits and 27,729 dividends' in run.stdout
  assert 'refused: 1 files\n  DA-BF.B-T-2021-04-21.csv: not a' in run.stdout
  panel = MarketPanel.load(out)
  assert panel.ohlc.shape == (5402, 504, 4)
  assert panel.num_investable == 496
  # AAPL split 7 for 1 on 2014-06-09: the adjusted close hardly moves.
  apple = panel.ohlc[:, panel.columns.index('AAPL'), 3]
  day = int(np.flatnonzero(panel.dates == np.datetime64('2014-06-09'))[0])
  assert apple[day] / apple[day - 1] == pytest.approx(1.016, abs=0.002)

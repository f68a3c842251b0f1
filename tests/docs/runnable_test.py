"""What a page says can be run is run, page by page, with the preset smoke."""

import pathlib
import re
import shutil

import forks
import numpy as np
import pages
import pandas as pd
import pytest

BLOCKS = [
  block for page in pages.PAGES for block in pages.blocks(page) if block.mark
]
_WORKDIR = re.compile(r'--workdir=(\S+)')
TICKERS = ('AAPL', 'MSFT', 'IBM', 'GE')


def run(text: str, folder: pathlib.Path, language: str = '') -> None:
  """Runs the code of a block in a folder, in seconds where it can."""
  text = pages.on_smoke(text)
  if language == 'python':
    runs = [('-c', text)]
  else:
    runs = [('-m', 'experiments', *c) for c in pages.commands_of(text)]
  assert runs
  for arguments in runs:
    done = forks.run(*arguments, cwd=folder)
    assert done.returncode == 0, f'{arguments}\n{done.stdout}{done.stderr}'


def write_prices(path: pathlib.Path, seed: int) -> None:
  """Writes a CSV of the days that the preset smoke needs."""
  rng = np.random.default_rng(seed)
  close = 50.0 * np.exp(np.cumsum(rng.normal(0, 0.02, 800)))
  opens = close * np.exp(rng.normal(0, 0.01, 800))
  frame = pd.DataFrame(
    {
      'Date': pd.bdate_range('2019-01-01', periods=800),
      'Open': opens,
      'High': 1.01 * np.maximum(opens, close),
      'Low': 0.99 * np.minimum(opens, close),
      'Close': close,
      'Volume': rng.integers(1e5, 1e6, 800),
    }
  )
  frame.to_csv(path, index=False)


def write_files(folder: pathlib.Path) -> None:
  """Writes what a reader has before the first command: prices and indices."""
  for name in ('prices', 'DIR', 'yields'):
    (folder / name).mkdir()
  for seed, ticker in enumerate(TICKERS):
    write_prices(folder / 'prices' / f'{ticker}.csv', seed)
    write_prices(folder / 'DIR' / f'{ticker}.csv', seed)
  write_prices(folder / 'vix.csv', 10)
  write_prices(folder / 'yields' / 'DGS10.csv', 11)
  lines = [f'{ticker},2019-01-01,\n' for ticker in TICKERS]
  (folder / 'members.csv').write_text(
    ''.join(['ticker,start_date,end_date\n', *lines])
  )
  (folder / 'experiments').symlink_to(pages.ROOT / 'experiments')


@pytest.fixture(scope='module')
def worked(tmp_path_factory):
  """The folder of a reader who has followed the pages on training."""
  folder = tmp_path_factory.mktemp('worked')
  write_files(folder)
  run('eigen3 prepare_data --source=prices --out=panel.parquet', folder)
  shutil.copy(folder / 'panel.parquet', folder / 'today.parquet')
  train = 'eigen3 {} --config=small --config.data.panel=panel.parquet'
  for name in ('first', 'td3_small_seed0', 'td3_small_seed1'):
    seed = f'--config.seed={name[-1] if name[-1].isdigit() else 0}'
    run(f'{train.format("td3")} --workdir=runs/{name} {seed}', folder)
  run(f'{train.format("erl")} --workdir=runs/erl_first', folder)
  return folder


def of_pages(mark: str) -> list:
  """Returns the blocks with a mark, by page."""
  found = [block for block in BLOCKS if block.mark == mark]
  return [
    pytest.param([b for b in found if b.page == page], id=page.stem)
    for page in dict.fromkeys(block.page for block in found)
  ]


@pytest.mark.parametrize('blocks', of_pages('runnable'))
def test_a_page_does_what_it_says(blocks, tmp_path):
  write_files(tmp_path)
  for block in blocks:
    run(block.text, tmp_path, block.language)


@pytest.mark.long
@pytest.mark.parametrize('blocks', of_pages('runnable: long'))
def test_a_page_does_what_it_says_in_minutes(blocks, worked, tmp_path):
  folder = tmp_path / 'reader'
  shutil.copytree(worked, folder, symlinks=True)
  for name in _WORKDIR.findall(''.join(block.text for block in blocks)):
    shutil.rmtree(folder / name, ignore_errors=True)  # the page makes it
  for block in blocks:
    run(block.text, folder, block.language)


def test_marks_are_read(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text(
    'One. <!-- runnable -->\n\n    eigen3 td3\n\n<!-- runnable: long -->\n'
    '```python\nx = 1\n```\n\nNo mark:\n\n    eigen3 erl\n\nA table\n'
    '<!-- runnable -->\n    eigen3 act\n'
  )
  found = [(b.text, b.language, b.mark) for b in pages.blocks(page)]
  assert found == [
    ('eigen3 td3', '', 'runnable'),
    ('x = 1', 'python', 'runnable: long'),
    ('eigen3 erl', '', ''),
    ('eigen3 act', '', 'runnable'),
  ]
  assert len(of_pages('runnable')) > 1
  assert len(of_pages('runnable: long')) > 3


@pytest.mark.parametrize(
  'text, expected',
  [
    ('--config=small --workdir=small', '--config=smoke --workdir=small'),
    ('--config=a/td3.py:full+rl', '--config=a/td3.py:smoke+rl'),
    ('--config=a/sweep.py:td3/small', '--config=a/sweep.py:td3/smoke'),
    ('--size=full', '--size=smoke'),
    ("get_config('small')", "get_config('smoke')"),
  ],
)
def test_presets_of_seconds_are_taken(text, expected):
  assert pages.on_smoke(text) == expected

"""A format of prices of one's own: quotes.py, nothing in the package."""

import pathlib

import forks
import numpy as np
import pytest
import quotes

from eigen3 import data

FOLDER = pathlib.Path(__file__).resolve().parent
DAYS = np.busday_offset('2020-01-01', np.arange(90), roll='forward')


def block(name, price=50.0, days=DAYS):
  """Lines of a stock that rises by 1 a day."""
  prices = [price + number for number in range(len(days))]
  rows = [
    f'{day} {p} {p + 2} {p - 1} {p + 1} 100'
    for day, p in zip(days, prices, strict=True)
  ]
  return [f'= {name}', *rows]


def write(path, *blocks):
  lines = ['quotes', *(line for one in blocks for line in one), '']
  path.write_text('\n'.join(lines))
  return path


def test_prices_are_read(tmp_path):
  path = write(tmp_path / 'q', block('BBB'), block('AAA', 20.0, DAYS[:2]))
  seen = []
  source = data.open_source(path, lambda items: seen.append(items) or items)
  assert [len(items) for items in seen] == [2]
  assert [ticker.name for ticker in source.tickers] == ['AAA', 'BBB']
  first = source.tickers[0]
  assert first.dates.tolist() == DAYS[:2].tolist()
  np.testing.assert_array_equal(
    first.ohlc, [[20, 22, 19, 21], [21, 23, 20, 22]]
  )
  np.testing.assert_array_equal(first.volume, [100, 100])
  panel = data.build_panel(source, validation_days=10, holdout_days=10)
  assert panel.ohlc.shape == (90, 2, 4)
  np.testing.assert_array_equal(
    panel.ohlc[-1, panel.columns.index('BBB')], [139, 141, 138, 140]
  )


def test_what_is_wrong_is_reported_by_its_line(tmp_path):
  wrong = [*block('BAD')[:2], f'{DAYS[1]} 1 2 1 much 100']  # lines 2 to 4
  path = write(tmp_path / 'q', wrong, block('AAA'), block('AAA'))
  source = data.open_source(path)
  assert [ticker.name for ticker in source.tickers] == ['AAA']
  assert [str(refusal) for refusal in source.refused] == [
    "q, BAD: row 4, column 'close': found 'much', expected a number",
    'q, AAA: not a symbol, or one that was there already',
  ]
  with pytest.raises(data.DataError, match='no ticker left, 1 are refused'):
    data.open_source(write(path, wrong))


def test_other_formats_are_read_as_before(tmp_path):
  rows = [f'{day},50,51,49,50,100' for day in DAYS]
  text = '\n'.join(['date,open,high,low,close,volume', *rows, ''])
  (tmp_path / 'AAA.csv').write_text(text)
  assert not quotes.matches(tmp_path)
  assert not quotes.matches(tmp_path / 'AAA.csv')
  assert data.open_source(tmp_path).tickers[0].name == 'AAA'


def prepare(*arguments):
  return forks.run('-m', 'experiments.prepare_data', *arguments, cwd=FOLDER)


def test_the_program_takes_it(tmp_path):
  out = tmp_path / 'panel.parquet'
  path = write(tmp_path / 'q', block('BBB'), block('AAA', 20.0))
  arguments = (
    f'--source={path}',
    f'--out={out}',
    '--validation_days=10',
    '--holdout_days=10',
  )
  run = prepare(*arguments, '--extensions=quotes')
  assert run.returncode == 0, run.stderr
  assert data.MarketPanel.load(out).columns == ('AAA', 'BBB')
  run = prepare(*arguments, '--extensions=no_quotes')
  assert run.returncode == 1
  assert run.stderr.splitlines()[-1].startswith(
    "error: --extensions: found 'no_quotes', expected the name of a "
    'Python module that can be imported'
  )

"""Tests of a page's contents, and that it is self-contained."""

import html.parser
import json
import os
import re

import pandas as pd
import pytest
import tiny_page

import eigen3
from eigen3.reporting import run_page
from eigen3.reporting.run_page import population
from eigen3.runs import ledger

HOSTILE = '<script>alert(1)</script> $x_1$'


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  """Returns the page of a run, its champion and the days."""
  folder = tmp_path_factory.mktemp('one')
  occasion = tiny_page.make_occasion(tiny_page.make_panel())
  champion = tiny_page.make_champion(folder / 'run', occasion.judge)
  ledger.open_holdout({folder / 'run': ['p']}, 'experiments.td3')
  run_page.write(folder / 'page.html', 'TD3, seed 0', [champion], occasion)
  assert sorted(os.listdir(folder)) == ['page.html', 'run']
  return (folder / 'page.html').read_text(), champion, occasion


class Tags(html.parser.HTMLParser):
  """Collects tags in order, and the words of cells by table and row."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.tables, self._cell = [], {}, None
    self.feed(text)
    self.close()

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag == 'table':
      self._rows = self.tables.setdefault(dict(attributes).get('id'), [])
    elif tag == 'tr':
      self._rows.append([])
    elif tag in ('td', 'th'):
      self._rows[-1].append('')
      self._cell = tag
    elif tag == 'small':
      self._rows[-1][-1] += ' | '

  def handle_endtag(self, tag):
    if tag == self._cell:
      self._cell = None

  def handle_data(self, data):
    if self._cell:
      self._rows[-1][-1] += data.strip()


def test_the_headline_is_the_champions(written):
  text, champion, occasion = written
  table = Tags(text).tables['headline']
  assert [row[0] for row in table] == [
    '',
    'agent',
    'random entry',
    'buy and hold',
    'momentum',
  ]
  agent = champion.backtest.summary
  cells = table[1][1:]
  for cell, value in zip(
    cells,
    (
      f'{agent["profit"]:+.1%}',
      f'{agent["sharpe"]:.2f}',
      f'{agent["max_drawdown"]:.1%}',
    ),
    strict=False,
  ):
    value = value.replace('-', '\N{MINUS SIGN}').replace('%', ' %')
    assert re.fullmatch(re.escape(value) + r' \| \S+ to \S+( %)?', cell)
  hold = occasion.judge.controls['buy_and_hold'][0].summary
  profit = f'{hold["profit"]:+.1%}'.replace('-', '\N{MINUS SIGN}').replace(
    '%', ' %'
  )
  assert table[3][1].startswith(profit)


def test_all_parts_are_there(written):
  text, champion, _ = written
  found = Tags(text)
  assert text.count('<svg') == sum(tag == 'svg' for tag, _ in found.tags) == 7
  assert 'Held-out days' in text
  assert 'Survivors only: returns are too high.' in text
  days = champion.backtest.dates
  assert f'{days[0]} to {days[-1]}' in text
  # Fills are next_open here, and cost 100 basis points.
  for words in ('0 bp', '5 bp', '10 bp', '25 bp', '200 bp, doubled', 'close'):
    assert f'<th>{words}</th>' in text
  months = found.tables['months']
  assert [row[:2] for row in months[1:]] == [
    ['agent', '2024'],
    ['random entry', '2024'],
    ['buy and hold', '2024'],
    ['momentum', '2024'],
  ]
  assert text.count('color-mix') >= 8  # January and February of each
  for ticker in 'AB':
    many = (champion.backtest.trades['ticker'] == ticker).sum()
    assert re.search(rf'>{ticker}: {many} trades?, [+-]', text)
  assert 'da7a' in text
  assert 'c0ffee' in text
  assert '"validation_days": 60' in text.replace('&#34;', '"')
  assert 'by experiments.td3, for 1 policy' in text
  assert re.search(r'Of \d+ trades \w+ were sold at the target', text)
  for words in (
    'maximum drawdown',
    'CAGR',
    'CVaR 95 %',
    'excess return a year',
  ):
    assert words in text
  assert 'prices/tiny.parquet; 2024-01-01' in text
  assert '<dd>2: A, B</dd>' in text
  assert f'Eigen3 {eigen3.__version__}' in text
  assert 'eigen3 td3 --config=a.py --config.seed=0' in text
  assert 'Attention of the policy' in text
  assert 'The population' not in text


def test_the_verdict_comes_first(written):
  text, champion, _ = written
  profit = f'{champion.backtest.summary["profit"]:+.1%}'
  profit = profit.replace('-', '\N{MINUS SIGN}').replace('%', ' %')
  verdict = f'On the held-out days the agent earned {profit} after costs'
  assert text.index('<h1>') < text.index(verdict) < text.index('<b>Held-out')
  assert 'the deflated Sharpe ratio is' in text


def test_what_differs_from_the_preset(written, tmp_path):
  text, champion, occasion = written
  assert 'smoke, unchanged but for seed and data' in text
  changes = {'agent.gamma': (0.0, 0.9)}
  path = tmp_path / 'page.html'
  run_page.write(path, 'TD3', [champion], occasion, changes)
  text = path.read_text()
  assert '<dt>agent.gamma</dt><dd>0.9 <span' in text
  assert '(preset: 0.0)' in text


def test_a_population_has_its_part(written, tmp_path):
  occasion = written[2]
  champion = tiny_page.make_champion(tmp_path / 'run', occasion.judge)
  tiny_page.make_population(champion.workdir)
  run_page.write(tmp_path / 'page.html', 'ERL', [champion], occasion)
  text = (tmp_path / 'page.html').read_text()
  assert 'The population improved: the mean validation of its members' in text
  for words in ('retest correlation', 'standard error of a fitness'):
    assert f'<dt>{words}' in text
  for what in ('fitness', 'founders', 'gains', 'distances', 'entropy'):
    assert f'aria-label="Population: {what}"' in text
  # It is shown once.
  assert 'aria-label="Loss of the critics"' in text
  assert 'aria-label="Fitness between"' not in text
  assert 'eigen3 erl ' in text


@pytest.mark.parametrize(
  'learner, expected',
  [
    ({'fitness': 'profit'}, '%'),
    ({'fitness': 'reward'}, ''),  # of a run from before validation_play
    ({'fitness': 'reward', 'validation_play': 'slices'}, ''),
    ({'fitness': 'reward', 'validation_play': 'continuous'}, '%'),
  ],
)
def test_a_validated_profit_is_a_percentage(tmp_path, learner, expected):
  (tmp_path / 'config.json').write_text('{}')
  tiny_page.make_population(tmp_path)
  metrics = pd.read_csv(tmp_path / 'metrics.csv')
  found = population.section(tmp_path, metrics, {'learner': learner})
  score, _, _ = found['numbers']["champion's validation"].partition(',')
  assert score.endswith('%') == bool(expected)
  error = found['numbers']['standard error of a fitness, mean']
  assert error.endswith('%') == (learner['fitness'] == 'profit')
  unit = 'share of initial cash' if expected else 'sum of rewards'
  assert unit in found['pictures']['validation']


@pytest.mark.parametrize('name', ['members', 'metrics', 'importance'])
def test_a_damaged_log_is_named(written, tmp_path, name):
  occasion = written[2]
  champion = tiny_page.make_champion(tmp_path / 'run', occasion.judge)
  tiny_page.make_population(champion.workdir)
  path = champion.workdir / f'{name}.csv'
  path.write_text('')
  with pytest.raises(ValueError, match='expected it as the run wrote') as error:
    run_page.write(tmp_path / 'page.html', 'ERL', [champion], occasion)
  assert str(error.value).startswith(f'{path}: found a damaged file (')
  assert not (tmp_path / 'page.html').exists()


def test_the_ledger_is_that_of_the_run(written):
  text, champion, _ = written
  found = tiny_page.deflated_of(champion.backtest, [champion.workdir])
  assert found.trials == 2
  assert '<dd>2</dd>' in text
  probability = f'{found.probability:.1%}'.replace('%', ' %')
  assert f'<dd>{probability}, the probability of any skill' in text


def test_it_needs_nothing_else(written):
  text, _, _ = written
  for tag, attributes in Tags(text).tags:
    assert tag not in ('script', 'iframe', 'object', 'embed', 'base'), tag
    for name, value in attributes.items():
      assert not name.startswith('on'), name
      if name in ('src', 'href', 'xlink:href', 'action', 'srcset'):
        assert value.startswith(('#', 'data:')), value
  assert set(re.findall(r'url\((.)', text)) <= {'#'}
  assert '@import' not in text
  assert len(text) < 600_000


def test_the_same_is_the_same(written, tmp_path):
  text, champion, occasion = written
  run_page.write(tmp_path / 'again.html', 'TD3, seed 0', [champion], occasion)
  assert (tmp_path / 'again.html').read_text() == text


def test_names_are_words_and_nothing_more(tmp_path):
  panel = tiny_page.make_panel(('INDEX', HOSTILE, '&amp;'))
  occasion = tiny_page.make_occasion(
    panel, remark=HOSTILE, is_held_out=False, why_not=HOSTILE
  )
  folder = tmp_path / '<i>run'
  champion = tiny_page.make_champion(folder, occasion.judge)
  run_page.write(tmp_path / 'page.html', HOSTILE, [champion], occasion)
  text = (tmp_path / 'page.html').read_text()
  assert '<script' not in text
  assert '<i>' not in text
  assert text.count('&lt;script&gt;alert(1)&lt;/script&gt; $x_1$') >= 4
  assert 'Validation days' in text
  assert 'Held-out days' not in text
  assert 'Attention of the policy' in text


def test_several_seeds_are_told_together(tmp_path):
  occasion = tiny_page.make_occasion(tiny_page.make_panel())
  champions = [
    tiny_page.make_champion(tmp_path / f'run{seed}', occasion.judge, seed)
    for seed in (3, 1, 2)
  ]
  folders = [champion.workdir for champion in champions]
  champions = [
    champion._replace(
      deflated=tiny_page.deflated_of(champion.backtest, folders)
    )
    for champion in champions
  ]
  run_page.write(tmp_path / 'page.html', 'Seeds', champions, occasion)
  text = (tmp_path / 'page.html').read_text()
  table = Tags(text).tables['headline']
  assert [row[0] for row in table[1:5]] == [
    'all seeds',
    'seed 3',
    'seed 1',
    'seed 2',
  ]
  profits = [champion.backtest.summary['profit'] for champion in champions]
  middle = (3, 1, 2)[profits.index(sorted(profits)[1])]
  assert f'of the run in the middle, run{middle}' in text
  assert '3 seeds' in text
  # All three runs are trials of one search, two policies each.
  assert text.count('<dd>6</dd>') == 3


def test_a_damaged_run_writes_nothing(tmp_path):
  occasion = tiny_page.make_occasion(tiny_page.make_panel())
  champion = tiny_page.make_champion(tmp_path / 'run', occasion.judge)
  (tmp_path / 'run' / 'run.json').write_text(json.dumps({'data': 3}))
  with pytest.raises(ValueError, match=r'run.json'):
    run_page.write(tmp_path / 'page.html', 'TD3', [champion], occasion)
  assert os.listdir(tmp_path) == ['run']


def test_a_champion_that_buys_nothing_has_a_page(tmp_path):
  occasion = tiny_page.make_occasion(tiny_page.make_panel())
  champion = tiny_page.make_champion(tmp_path / 'run', occasion.judge)
  rested = champion.backtest
  judge = occasion.judge
  nothing = judge.backtest(0.0 * judge.days[:, None, None] + [[0.0, 10.0]] * 2)
  assert len(nothing.trades) == 0 < len(rested.trades)
  champion = champion._replace(backtest=nothing, play=lambda unused: nothing)
  run_page.write(tmp_path / 'page.html', 'TD3', [champion], occasion)
  text = (tmp_path / 'page.html').read_text()
  assert 'Nothing was bought.' in text
  assert '\N{EN DASH}' in text
  assert 'nan' not in re.sub(r'<style>.*</style>', '', text, flags=re.S)


def test_it_says_what_is_decided_anew_under_other_rules(written, tmp_path):
  fixed, anew = 'Decisions stay what they were', 'they decide anew'
  assert fixed in written[0]
  assert anew not in written[0]
  occasion = written[2]
  champion = tiny_page.make_champion(tmp_path / 'run', occasion.judge)
  path = champion.workdir / 'config.json'
  config = json.loads(path.read_text())
  config['environment']['observe_account'] = True
  path.write_text(json.dumps(config))
  run_page.write(tmp_path / 'page.html', 'TD3', [champion], occasion)
  text = (tmp_path / 'page.html').read_text()
  assert anew in text
  assert fixed not in text

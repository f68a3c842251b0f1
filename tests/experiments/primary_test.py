"""Tests of the ladder's primary comparisons, without runs."""

import json
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats import power

from eigen3.evaluation import statistics
from eigen3.evaluation.pooled import Outcome
from eigen3.reporting import primary_table
from eigen3.reporting.primary_picture import draw_comparison
from experiments.configs import ladder
from experiments.jobs import record
from experiments.ladder import __main__ as ladder_main
from experiments.ladder import primary

SEEDS = (*range(100, 110),)
DAYS = 60
RNG = np.random.default_rng(4)
LUCK = RNG.normal(0.0, 0.02, len(SEEDS))


def make_outcome(seed, year, informed=0.2, commit='abc'):
  """A run that earns so much a year, on a market of its own."""
  returns = np.random.default_rng(seed).normal(0.0, 0.01, DAYS)
  returns += year / 252 - returns.mean()
  dates = np.datetime64('2024-01-01') + np.arange(DAYS)
  daily = {'date': dates, 'agent': returns, 'informed': 0.001}
  daily = pd.DataFrame({**daily, 'random_entry': 0.0})
  profits = {'agent': year, 'informed': informed, 'random_entry': 0.0}
  return Outcome('agent', daily, profits, {}, commit)


def make_outcomes(config, **edges):
  """Runs of all cells; `edges` are what those named earn more, by seed."""
  return {
    name: {
      seed: make_outcome(seed, 0.05 + 0.01 * (seed % 7) + more)
      for seed, more in zip(
        SEEDS, np.broadcast_to(edges.get(name, 0.0), len(SEEDS)), strict=True
      )
    }
    for name, cell in config.cells.items()
    if cell.seeds == 'primary'
  }


@pytest.fixture
def config():
  settings = ladder.get_config('small')
  settings.draws = 500
  return settings


def test_a_planted_difference_is_found(config):
  edge = 0.05 + LUCK
  outcomes = make_outcomes(config, patience=edge, leading=abs(LUCK))
  told = primary.judge(config, outcomes)
  found = told['foresight']
  assert np.ravel(found['differences']) == pytest.approx(edge)
  interval = statistics.mean_interval(edge)
  assert found['mean']['mean'] == pytest.approx(interval.mean)
  assert found['mean']['low'] == pytest.approx(interval.low)
  middle = statistics.interquartile_mean(edge[:, None], 0, repeats=500)
  assert found['iqm']['value'] == pytest.approx(middle.value)
  assert found['improvement']['value'] == np.mean(edge > 0)
  # All ten differences are positive, and those of the ranker above -4 %.
  assert np.all(edge > 0)
  assert found['p'] == 2 / 1024
  assert found['corrected'] == told['ranker']['corrected'] == 4 / 1024
  assert found['met'] is told['ranker']['met'] is True
  expected = power.TTestPower().solve_power(
    nobs=10, alpha=0.05 / 2, power=0.8, alternative='two-sided'
  )
  assert found['detectable'] == pytest.approx(
    expected * edge.std(ddof=1), rel=1e-4
  )
  assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_nothing_is_found_where_nothing_is(config):
  told = primary.judge(config, make_outcomes(config, patience=LUCK))
  assert told['foresight']['met'] is False
  assert told['foresight']['p'] > 0.05


def test_the_margin_decides(config):
  ranker = config.primary.comparisons.ranker
  ranker.as_many_solved = False
  outcomes = make_outcomes(config, leading=-0.03 + 0.1 * LUCK)
  assert primary.judge(config, outcomes)['ranker']['met'] is True
  ranker.margin = 0.0
  assert primary.judge(config, outcomes)['ranker']['met'] is False
  # Two patterns of four are the smallest two-sided p of two markets: 0.5.
  config.primary.seeds = SEEDS[:2]
  found = primary.judge(config, make_outcomes(config, leading=0.5))['ranker']
  assert (found['p'], found['met']) == (0.5, False)


def test_as_many_markets_have_to_be_solved(config):
  """Half of the informed policy's 20 % is 10 %."""
  outcomes = make_outcomes(config)
  solved = sum(0.05 + 0.01 * (seed % 7) >= 0.1 for seed in SEEDS)
  edge = np.zeros(10)
  edge[[seed % 7 == 5 for seed in SEEDS]] = -0.01
  fewer = make_outcomes(config, leading=edge)
  for runs, count, met in (
    (outcomes, solved, True),
    (fewer, solved - 1, False),
  ):
    found = primary.judge(config, runs)['ranker']
    assert found['solved']['ours']['leading']['count'] == count
    assert found['solved']['theirs']['leading_ranker']['count'] == solved
    assert found['met'] is met
  config.primary.comparisons.ranker.as_many_solved = False
  assert primary.judge(config, fewer)['ranker']['met'] is True


def test_kinds_of_markets_are_judged_together(config):
  """Of each seed the mean over kinds: what they share is no more certain."""
  comparison = config.primary.comparisons.foresight
  comparison.ours = ('drift', 'some')
  comparison.theirs = ('drift_ranker', 'some_ranker')
  primary.check_settings(config)
  edges = {'drift': 0.02 + LUCK, 'some': 0.06 + LUCK}
  found = primary.judge(config, make_outcomes(config, **edges))['foresight']
  assert np.shape(found['differences']) == (10, 2)
  interval = statistics.mean_interval(0.04 + LUCK)
  assert found['mean']['low'] == pytest.approx(interval.low)
  assert found['improvement']['value'] == np.mean(
    np.stack([*edges.values()]) > 0
  )


def test_nothing_is_told_before_all_runs_are_there(config, tmp_path):
  outcomes = make_outcomes(config, leading=0.1)
  del outcomes['patience_bandit'][103]
  told = primary.judge(config, outcomes)
  found = told['foresight']
  assert found['missing'] == {'patience_bandit': [103]}
  assert found['met'] is None
  assert not {'differences', 'mean', 'p'} & found.keys()
  # It counts among those that p-values are corrected for.
  assert told['ranker']['corrected'] == 4 / 1024
  assert told['ranker']['met'] is True
  outcomes['leading'] = make_outcomes(config, leading=LUCK - 0.04)['leading']
  assert primary.judge(config, outcomes)['ranker']['met'] is None
  first = {
    'comparisons': told,
    'named': {'file': 'a.py', 'commit': '', 'before': None},
  }
  text = primary_table.lines(first)
  assert 'foresight: patience over patience_bandit, above +0% a year' in text
  assert 'open: patience_bandit lacks seeds 103' in text
  assert 'nothing shows that they were named before' in text


def test_the_table_and_the_picture(config, tmp_path):
  outcomes = make_outcomes(config, leading=0.1 + LUCK)
  told = primary.judge(config, outcomes)
  named = {'file': 'a.py', 'commit': 'abc', 'before': True}
  text = primary_table.lines({'comparisons': told, 'named': named})
  ranker = next(x for x in text.splitlines() if x.startswith('ranker'))
  found = told['ranker']
  assert f'{found["mean"]["mean"]:+.1%}' in ranker
  assert ranker.split()[6:9] == [
    '0.0020', '0.0039', f'{found["detectable"]:.1%}',
  ]  # fmt: skip
  assert ranker.endswith(' 10, 2 of 10')
  assert ': met\n' in text
  assert text.endswith('all their runs are of this commit or a later one.')
  for name in told:
    draw_comparison(tmp_path / f'{name}.png', name, told[name])
  image = matplotlib.image.imread(tmp_path / 'ranker.png')
  assert image.shape[1] == 552
  assert image.std() > 0.05


def test_the_page_shows_primary_comparisons_first(tmp_path):
  config = ladder.get_config('smoke')
  record.enter(tmp_path, config)
  cells = ladder_main.cells_of(config, tmp_path)
  whole = make_outcomes(config, leading=0.1)
  outcomes = {
    cell.name: {seed: whole[cell.name][seed] for seed in cell.seeds}
    if cell.name in ('leading', 'leading_ranker')
    else {}
    for cell in cells
  }
  text = ladder_main.write_results(config, tmp_path, cells, outcomes)
  told = json.loads((tmp_path / record.RESULTS).read_text())['primary']
  expected = primary_table.lines(told).splitlines()
  # JSON has names in another order.
  assert sorted(text.splitlines()[: len(expected)]) == sorted(expected)
  assert 'Cells with the primary seeds, exploratory on their own (2 seeds)' in (
    text
  )
  assert told['named']['file'] == 'experiments/configs/primary.py'
  page = (tmp_path / 'results.html').read_text()
  assert page.index('Primary comparisons</h2>') < page.index('exploratory on')
  assert (tmp_path / 'primary_ranker.png').exists()
  assert 'aria-label="ranker: differences"' in page
  assert '2 primary comparisons: 2 open; 1 goal: 1 not met.' in page
  assert not (tmp_path / 'primary_foresight.png').exists()
  assert 'seeds 0, 1; primary: 100, 101' in page.replace(
    '<dt>seeds</dt><dd>', 'seeds '
  )


@pytest.mark.parametrize(
  'change, message',
  [
    (
      {'ours': ('no_cell',)},
      "foresight: found 'no_cell', expected the name",
    ),
    ({'ours': ('drift_ddpg',)}, "foresight: found 'drift_ddpg', expected"),
    (
      {'theirs': ('drift',)},
      r"theirs: markets of these cells: found \['drift'\]",
    ),
    ({'ours': ()}, 'foresight.ours: found .*, expected one or more names'),
    ({'measure': 'luck'}, "measure: found 'luck', expected one of year, prof"),
    ({'alternative': 'less'}, "alternative: found 'less', expected one of"),
    ({'margin': 4.0}, 'margin: found 4.0, expected above -1 and below 1'),
  ],
)
def test_a_wrong_comparison_is_one_clear_line(config, change, message):
  config.primary.comparisons.foresight.update(change)
  with pytest.raises(ValueError, match=message):
    primary.check_settings(config)


@pytest.mark.parametrize('seeds', [(100,), (100, 100), (4, 100), range(17)])
def test_primary_seeds_are_not_those_of_choices(config, seeds):
  config.primary.seeds = (*seeds,)
  with pytest.raises(ValueError, match=r'primary\.seeds: found .* none of'):
    primary.check_settings(config)


def test_which_commit_named_them_and_when(config, tmp_path, monkeypatch):
  def git(*arguments):
    return subprocess.run(
      ['git', '-c', 'user.name=a', '-c', 'user.email=a@b.c', *arguments],
      cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip

  def commit(message):
    git('add', '.')
    git('commit', '-q', '--allow-empty', '-m', message)
    return git('rev-parse', 'HEAD')

  original, file = primary.FILE, tmp_path / primary.FILE.name
  monkeypatch.setattr(primary, 'FILE', file)
  assert primary.named(config, [])['commit'] == ''  # no repository
  git('init', '-q')
  early = commit('before')
  shutil.copy(original, file)
  assert primary.named(config, [])['commit'] == ''  # not committed
  naming, later = commit('named'), commit('later')
  found = primary.named(config, [naming, f'{later}+'])
  assert found == {
    'file': 'experiments/configs/primary.py', 'commit': naming, 'before': True,
  }  # fmt: skip
  assert primary.named(config, [early, later])['before'] is False
  assert primary.named(config, ['', later])['before'] is None
  assert primary.named(config, ['abc'])['before'] is None
  assert primary.named(config, [])['before'] is None
  # By a flag they were made others.
  config.primary.level = 0.1
  assert primary.named(config, [later])['commit'] == ''
  config.primary.level = 0.05
  # Other words in docstrings and comments change nothing.
  file.write_text(file.read_text().replace('"""Returns', '# New.\n  """Gives'))
  assert primary.named(config, [naming, later]) == found
  words = commit('words')
  assert git('log', '-1', '--format=%H', '--', file.name) == words
  assert primary.named(config, [naming, later]) == found
  file.write_text(file.read_text().replace('level = 0.05', 'level = 0.1'))
  assert primary.named(config, [later])['commit'] == ''

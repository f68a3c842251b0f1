"""Tests of experiments.evaluate on runs of both training programs."""

import functools
import json
import shutil

import matplotlib.image
import pandas as pd
import pytest

NAMES = ('one', 'two', 'population')


@pytest.fixture(scope='session')
def evaluate(programs):
  return functools.partial(programs.finish, 'evaluate')


@pytest.fixture
def runs(programs, tmp_path):
  """Folders of two equal runs of one agent, and of a population."""
  for name, program in zip(NAMES, ('td3', 'td3', 'erl'), strict=True):
    shutil.copytree(programs.whole(program).folder, tmp_path / name)
  config = json.loads((tmp_path / 'two' / 'config.json').read_text())
  config['seed'] = 1  # of the controls; what was learnt stays
  (tmp_path / 'two' / 'config.json').write_text(json.dumps(config))
  return tmp_path


def only_line(stderr):
  lines = [s for s in stderr.splitlines() if s.strip()]
  assert len(lines) == 1, stderr
  assert lines[0].startswith('error: ')
  return lines[0]


def test_champions_and_a_committee(evaluate, runs):
  out = runs / 'out'
  run = evaluate(
    f'--runs={runs}/one,{runs}/popul*,{runs}/one/checkpoints/28',
    '--committee=2',
    '--training_slices=3',
    f'--out={out}',
  )
  assert run.returncode == 0, run.stderr
  found = json.loads((out / 'evaluation.json').read_text())
  names = [f'{runs}/one', f'{runs}/population', f'{runs}/one/checkpoints/28']
  assert {k: v['step'] for k, v in found['runs'].items()} == dict(
    zip(names, (30, 8, 28), strict=True)
  )
  # As the runs themselves found, and in this order.
  for name in names[:2]:
    with open(f'{name}/summary.json') as file:
      expected = json.load(file)['validation']['agent']
    assert found['validation'][name] == expected
  profits = [found['validation'][x]['profit'] for x in found['ranking']]
  assert profits == sorted(profits, reverse=True)
  assert sorted(found['ranking']) == sorted(names)
  assert found['validation']['committee']['trades'] > 0
  assert [len(x) for x in found['training'].values()] == [3] * 4
  # Nothing was said of held-out days, and nothing written to the runs.
  assert found['holdout'] == {}
  assert found['holdout_openings'] == 0
  assert len(json.loads((runs / 'one' / 'holdout.json').read_text())) == 1
  table = pd.read_csv(out / 'evaluation.csv')
  assert set(table['split']) == {'validation', 'training'}
  assert (
    table.query("split == 'validation'")['name'].tolist()[:3]
    == (found['ranking'])
  )
  assert matplotlib.image.imread(out / 'evaluation.png').std() > 0.05
  assert 'Held-out' not in run.stdout


@pytest.mark.long
def test_the_difference_of_pairs(evaluate, runs):
  config = json.loads((runs / 'population' / 'config.json').read_text())
  for seed, name in enumerate(('first', 'second')):
    shutil.copytree(runs / 'population', runs / name)
    (runs / name / 'config.json').write_text(
      json.dumps({**config, 'seed': seed})
    )
  run = evaluate(
    f'--runs={runs}/first,{runs}/second',
    f'--against={runs}/one,{runs}/two',
    '--committee=0',
    '--holdout=once',  # the same policies: this opens nothing anew
    f'--out={runs}/out',
  )
  assert run.returncode == 0, run.stderr
  found = json.loads((runs / 'out' / 'evaluation.json').read_text())
  assert found['holdout_openings'] == 1
  for split in ('validation', 'holdout'):
    profit = {k: v['profit'] for k, v in found[split].items()}
    gap = profit[f'{runs}/first'] - profit[f'{runs}/one']
    interval = found['differences'][split]
    assert interval['mean'] == pytest.approx(gap)
    assert interval['size'] == 2
    assert interval['low'] == pytest.approx(interval['high'])  # equal pairs
  assert 'validation: --runs less --against' in run.stdout


@pytest.mark.long  # ledger_test.py has the same without programs
def test_held_out_days_are_opened_once(evaluate, runs):
  command = [f'--runs={runs}/one,{runs}/population', '--committee=2']
  run = evaluate(*command, '--holdout=once', f'--out={runs}/out')
  assert run.returncode == 1
  line = only_line(run.stderr)
  assert 'the held-out days of' in line
  assert 'opened before for another policy (by experiments.' in line
  assert not (runs / 'out').exists()
  run = evaluate(*command, '--holdout=again', f'--out={runs}/out')
  assert run.returncode == 0, run.stderr
  assert 'held-out days opened 2 times' in run.stdout
  found = json.loads((runs / 'out' / 'evaluation.json').read_text())
  assert found['holdout_openings'] == 2
  assert 'committee' in found['holdout']
  recorded = json.loads((runs / 'one' / 'holdout.json').read_text())
  assert [x['by'] for x in recorded] == [
    'experiments.td3',
    'experiments.evaluate',
  ]


@pytest.mark.long
def test_the_committee_is_as_large_as_it_can_be(evaluate, runs):
  """By default a single run has none, and two runs have one of two members."""
  for names, seats in (('one', 0), ('one,population', 2)):
    found = [f'{runs}/{name}' for name in names.split(',')]
    out = runs / 'out' / str(seats)
    run = evaluate(f'--runs={",".join(found)}', f'--out={out}')
    assert run.returncode == 0, run.stderr
    told = json.loads((out / 'evaluation.json').read_text())
    assert ('committee' in told['validation']) == bool(seats)
    assert sorted(told['ranking']) == found


@pytest.mark.long
def test_errors_are_one_line(evaluate, runs):
  config = json.loads((runs / 'two' / 'config.json').read_text())
  config['environment']['commission_bp'] = 3.0
  (runs / 'two' / 'config.json').write_text(json.dumps(config))
  for arguments, words in (
    ([f'--runs={runs}/absent*'], 'absent*: found nothing'),
    ([f'--runs={runs}/absent'], 'found no run here'),
    ([f'--runs={runs}/one/checkpoints/7'], 'expected a checkpoint at step 7'),
    ([f'--runs={runs}/one', '--committee=2'], '--committee: found 2'),
    (
      [f'--runs={runs}/one', '--holdout=again', f'--out={runs}/one/run.json/x'],
      f'--out: found {runs}/one/run.json, which is not a folder, expected a',
    ),
    (
      [f'--runs={runs}/one,{runs}/two'],
      'environment.commission_bp: found 3.0, expected 1.0, as in',
    ),
    (
      [f'--runs={runs}/one', f'--against={runs}/population'],
      '--runs: seeds: found [0], expected two or more',
    ),
  ):
    run = evaluate(f'--out={runs}/out', *arguments)
    assert run.returncode == 1, arguments
    assert words in only_line(run.stderr)
    assert not (runs / 'out').exists()


@pytest.mark.long
def test_the_ranker_stands_beside_the_controls(evaluate, runs):
  out = runs / 'out'
  run = evaluate(
    f'--runs={runs}/one', '--committee=0', '--ranker', f'--out={out}'
  )
  assert run.returncode == 0, run.stderr
  found = json.loads((out / 'evaluation.json').read_text())
  names = {'ranker', 'random_entry', 'buy_and_hold', 'momentum', 'informed'}
  assert found['validation'].keys() == {f'{runs}/one', *names}
  assert found['ranking'] == [f'{runs}/one']
  assert '\nranker ' in run.stdout
  # It is another policy than the champion that the days were opened for.
  again = [f'--runs={runs}/one', '--committee=0', '--ranker', f'--out={out}']
  run = evaluate(*again, '--holdout=once')
  assert run.returncode == 1
  assert 'opened before for another policy (by experiments.' in only_line(
    run.stderr
  )
  before = json.loads((runs / 'one' / 'holdout.json').read_text())
  run = evaluate(*again, '--holdout=again')
  assert run.returncode == 0, run.stderr
  after = json.loads((runs / 'one' / 'holdout.json').read_text())
  assert after[:-1] == before
  assert len(after[-1]['policies']) == 2


def test_one_folder_by_two_paths_is_opened_once(evaluate, runs):
  """The lists of openings are locked, and each is written once."""
  (runs / 'same').symlink_to(runs / 'one')
  names = f'--runs={runs}/one,{runs}/same,{runs}/population'
  run = evaluate(names, '--holdout=again', f'--out={runs}/out')
  assert run.returncode == 0, run.stderr
  recorded = json.loads((runs / 'one' / 'holdout.json').read_text())
  assert len(recorded) == 2
  assert not (runs / 'one' / 'lock').exists()

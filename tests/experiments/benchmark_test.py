"""Suites, their cases, and the command."""

import json
import sys

import forks
import matplotlib.image
import pytest

from experiments.benchmark import cases
from experiments.benchmark.cases import Case, Group
from experiments.benchmark.suites import SUITES, networks, population

_SIZE = 'evolution.population_size'
MAIN = ['-m', 'experiments.benchmark', '--size=smoke']


def test_only_keeps_the_product_beside_what_it_chose():
  groups = [
    Group('a', (Case('x', ''), Case('y', ''), Case('p', '', is_product=True))),
    Group('b', (Case('z', ''),)),
  ]
  kept = cases.matching(groups, 'a: x')
  assert [[c.name for c in group.cases] for group in kept] == [['x', 'p']]
  assert cases.matching(groups, 'p') == []
  assert cases.matching(groups, '') == groups
  with pytest.raises(ValueError, match=r"--only: found '\(', expected a reg"):
    cases.matching(groups, '(')


@pytest.mark.parametrize('size', ['smoke', 'small', 'full'])
@pytest.mark.parametrize('cores', [1, 2])
def test_suites_are_consistent(size, cores):
  for make in SUITES.values():
    groups = make(size, cores)
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
      names = [case.name for case in group.cases]
      assert len(set(names)) == len(names)
      assert not group.reference or group.reference in names
      for case in group.cases:
        assert case.devices <= cores
        assert ('torch' in case.builder) == (case.needs == 'torch')
        json.dumps(dict(case.arguments))


@pytest.mark.parametrize('size', ['smoke', 'small', 'full'])
@pytest.mark.parametrize('cores, devices', [(1, 1), (2, 2), (3, 2), (6, 4)])
def test_devices_share_members_evenly(size, cores, devices):
  populations = set()
  for group in population.groups(size, cores):
    for case in group.cases:
      members = case.arguments.get('evolution.population_size')
      if members:
        assert case.devices == devices  # 4, 8, 16 and 64 are its multiples
        populations.add(members)
  assert (
    populations == {'smoke': {4, 8}, 'small': {4, 16, 64}, 'full': {16}}[size]
  )


def test_memory_of_a_population_by_its_shapes():
  few, many = (
    population.memory_case(preset='smoke', **{_SIZE: members}).facts
    for members in (6, 8)
  )
  # Two days, what could be bought on them, 8 actions, reward and discount.
  assert few['bytes a transition'] == 2 * (4 + 1) + 8 * 2 * 4 + 2 * 4
  assert few['bytes an agent'] == many['bytes an agent'] > 1e5
  # Beside the agents seven numbers of each: a parent, an origin, fitness and
  # its estimate among them.
  more = many['bytes of the state'] - few['bytes of the state']
  assert more == 2 * (few['bytes an agent'] + 7 * 4)


def test_cases_without_their_package_are_left_out(monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  kept, left_out = cases.available(networks.groups('smoke', 2))
  assert all(not c.needs for group in kept for c in group.cases)
  assert left_out == [
    'critic forward and backward: PyTorch, checkpointing as Eigen2',
    'critic forward and backward: PyTorch, nn.LSTM without checkpointing',
    'actor forward: PyTorch',
    'LSTM block forward and backward: PyTorch, nn.LSTM',
  ]


def run(*arguments, **options):
  return forks.run(*MAIN, *arguments, **options)


def test_a_suite_is_measured_and_recorded(tmp_path):
  out = tmp_path / 'new' / 'folder'
  done = run('--suite=replay', '--only=adding', '--repeats=2', f'--out={out}')
  assert done.returncode == 0, done.stderr
  assert 'bytes a transition' in done.stdout
  results = json.loads((out / 'replay_smoke.json').read_text())
  assert {'suite', 'size', 'flags', 'commit', 'machine', 'versions', 'load'} < (
    results.keys()
  )
  assert results['machine']['cores'] >= 1
  assert {'python', 'jax', 'jaxlib', 'numpy'} <= results['versions'].keys()
  assert results['load'].keys() == {'start', 'end'}
  (group,) = results['groups']
  ours, theirs = group['cases']
  assert group['reference'] == theirs['name']
  for case in (ours, theirs):
    assert case['failure'] == ''
    assert len(case['seconds']) == 2
    assert case['rounds'] == [0, 1]
    assert min(case['seconds']) == case['min_seconds'] > 0
    assert case['rate'] > 0
    assert case['peak_bytes'] > case['resident_before_bytes'] > 2**20
  assert ours['compile_seconds'] > 0
  assert theirs['compile_seconds'] is None
  assert theirs['peak_bytes'] < ours['peak_bytes']  # holds no JAX
  assert ours['facts']['bytes a transition'] == 82
  picture = matplotlib.image.imread(out / 'replay_smoke.png')
  assert picture.std() > 0
  assert len(list(out.iterdir())) == 2  # nothing half-written


@pytest.mark.parametrize(
  'arguments, found, expected',
  [
    (['--against=setup.py'], '--against: found setup.py (', 'a JSON file'),
    (['--only=no such case'], "--only: found 'no such case'", 'a pa'),
    (['--only=('], "--only: found '('", 'a regular expression'),
    (['--suite=nothing'], "--suite: found 'nothing'", 'names of s'),
  ],
)
def test_a_wrong_flag_is_one_line(arguments, found, expected):
  done = run(*arguments)
  assert done.returncode == 1
  assert len(done.stderr.splitlines()) == 1, done.stderr
  assert done.stderr.startswith(f'error: {found}')
  assert f', expected {expected}' in done.stderr


def test_without_pytorch_one_line_says_what_is_left_out():
  code = (
    'import runpy, sys; sys.modules["torch"] = None; '
    'runpy.run_module("experiments.benchmark", run_name="__main__", '
    'alter_sys=True)'
  )
  flags = ['--size=smoke', '--suite=networks', '--only=actor.*PyTorch']
  done = forks.run('-c', code, *flags)
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == [
    'PyTorch is not installed, so 1 cases are left out '
    "(pip install -e '.[torch]'): actor forward: PyTorch"
  ]


@pytest.mark.long
@pytest.mark.parametrize('suite', sorted(set(SUITES) - {'hopper'}))
def test_every_case_of_every_suite_runs(suite, tmp_path):
  done = run(f'--suite={suite}', '--repeats=1', f'--out={tmp_path}')
  assert done.returncode == 0, done.stdout
  results = json.loads((tmp_path / f'{suite}_smoke.json').read_text())
  for group in results['groups']:
    for case in group['cases']:
      assert case['max_difference'] is None or case['max_difference'] < 1e-3

"""The benchmark measures in turns and reports what it measured."""

import json
import subprocess
import sys

import pytest

from experiments import benchmark


def test_cases_take_turns_after_a_warm_up():
  runs = []
  cases = {name: lambda name=name: runs.append(name) for name in 'ab'}
  seconds = benchmark._measure(cases, repeats=3)
  assert runs == [*'aabb', *'ab' * 3]
  assert {name: len(each) for name, each in seconds.items()} == {'a': 3, 'b': 3}
  assert min(map(min, seconds.values())) >= 0


def test_the_table_shows_median_worst_and_best():
  lines = benchmark._table({'case': [3e6, 1e6, 1.5e6]}, 'steps/s').splitlines()
  assert lines[1].split() == ['case', '1,500,000', '1,000,000', '3,000,000']


@pytest.mark.long
def test_the_environment_suite(tmp_path):
  out = tmp_path / 'results.json'
  arguments = ['--episodes=4', '--stocks=3', '--repeats=1', f'--out={out}']
  subprocess.run(
    [sys.executable, '-m', 'experiments.benchmark', *arguments], check=True
  )
  report = json.loads(out.read_text())
  assert report['unit'] == 'steps/s'
  assert len(report['results']) == 4
  for result in report['results'].values():
    assert result['median'] == result['runs'][0] > 0

"""Tests of what tests/run_versions.py does around the versions it tries."""

import sys

import pytest
import run_versions

VERSIONS = dict.fromkeys(['Python', *run_versions.SHOWN], '1.2')


@pytest.fixture
def tried(monkeypatch, tmp_path):
  """Calls main with some Pythons present; (status, names of rows tried)."""

  def call(*arguments, present, failed=()):
    rows = []

    def try_row(row, python, cache, workers):
      del python, cache, workers
      rows.append(row.name)
      steps = list(failed) if row.name == 'colab' else []
      return run_versions.Result(row, VERSIONS, 1.25, steps)

    monkeypatch.setattr(run_versions, 'try_row', try_row)
    monkeypatch.setattr(run_versions, 'pythons', lambda: present)
    monkeypatch.setattr(
      sys, 'argv', ['run_versions.py', f'--cache={tmp_path}', *arguments]
    )
    return run_versions.main(), rows

  return call


def test_a_row_whose_python_is_missing_is_passed_over(tried, capsys):
  status, rows = tried(present={(3, 11): 'python3.11'})
  assert (status, rows) == (0, ['newest', 'oldest'])
  said = capsys.readouterr().out
  assert 'colab: not tried, found no Python 3.12' in said.splitlines()[-2]


def test_a_row_that_failed_is_named_and_fails_the_call(tried, capsys):
  present = {(3, 11): 'a', (3, 12): 'b'}
  status, rows = tried(present=present, failed=['population', 'tests'])
  assert (status, rows) == (1, ['newest', 'colab', 'oldest'])
  titles, newest, colab, _ = capsys.readouterr().out.splitlines()
  assert titles.split() == ['Python', *run_versions.SHOWN, 'minutes', 'result']
  assert newest.split()[-2:] == ['1.2', 'passed']
  assert colab.endswith('failed: population, tests')


def test_only_rows_that_are_asked_for(tried, capsys):
  present = {(3, 11): 'a', (3, 12): 'b'}
  assert tried('oldest', present=present) == (0, ['oldest'])
  with pytest.raises(SystemExit):
    tried('latest', present=present)
  assert "found row 'latest', expected newest" in capsys.readouterr().err


@pytest.mark.parametrize(
  'present,found',
  [
    ({(3, 9): 'a', (3, 11): 'b', (3, 13): 'c'}, 'c'),
    ({(3, 9): 'a', (3, 10): 'b'}, None),
  ],
)
def test_the_newest_python_that_is_allowed(present, found):
  assert run_versions.python_for(run_versions.rows()[0], present) == found


def test_finds_the_python_that_runs_and_no_other_that_does_not_start(
  monkeypatch, tmp_path
):
  broken = tmp_path / 'python3.99'
  broken.write_text('#!/bin/sh\nexit 127\n')
  broken.chmod(0o755)
  monkeypatch.setenv('PATH', str(tmp_path))
  assert run_versions.pythons() == {sys.version_info[:2]: sys.executable}


def test_tests_that_are_left_out_are_there():
  """A file that moves must not begin to be run, unnoticed."""
  for path in run_versions.SLOW_TESTS:
    assert (run_versions.ROOT / path).exists(), path

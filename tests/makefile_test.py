"""Tests of `make train`, with a program that only says what it was given."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(
  shutil.which('make') is None, reason='needs make'
)


@pytest.fixture
def train(tmp_path):
  """Runs `make train` in an environment that is there already."""
  python = tmp_path / 'venv' / 'bin' / 'python'
  python.parent.mkdir(parents=True)
  python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
  python.chmod(0o755)
  (tmp_path / 'venv' / '.run').touch()

  def run(*variables):
    return subprocess.run(
      ['make', '--silent', 'train', f'VENV={tmp_path}/venv', *variables],
      cwd=ROOT,
      capture_output=True,
      text=True,
      check=False,
      env={k: v for k, v in os.environ.items() if not k.startswith('MAKE')},
    )

  return run


def test_it_trains_with_a_seed_and_its_folder(train, tmp_path):
  found = train('SEED=7')
  assert found.returncode == 0, found.stderr
  assert '--config.seed=7\n--workdir=runs/td3_small_seed7\n' in found.stdout
  found = train(f'WORKDIR={tmp_path}/with space', 'ARGS=--nopage --resume')
  assert found.stdout.endswith(
    f'--workdir={tmp_path}/with space\n--nopage\n--resume\n'
  )


@pytest.mark.parametrize(
  'names, words',
  [
    (['config.json'], 'resume it:         make train ARGS=--resume'),
    (['config.json', 'summary.json'], 'holds a finished run: see '),
  ],
)
def test_a_run_that_is_there_is_told_with_what_to_do(
  train, tmp_path, names, words
):
  for name in names:
    (tmp_path / name).touch()
  for more, other in (((), 1), (('SEED=1', 'ARGS=--nopage'), 2)):
    found = train(f'WORKDIR={tmp_path}', *more)
    assert found.returncode == 0
    assert found.stderr == ''
    assert words in found.stdout
    assert f'make train SEED={other}\n' in found.stdout
    assert 'experiments.td3' not in found.stdout
  # To go on is done, not told.
  found = train(f'WORKDIR={tmp_path}', 'ARGS=--resume')
  assert found.stdout.endswith(f'--workdir={tmp_path}\n--resume\n')

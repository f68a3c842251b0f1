"""Tests of experiments.export, on runs of the programs that train."""

import io
import json
import subprocess
import sys
import zipfile

import forks
import numpy as np
import pytest

LONELY = forks.ROOT / 'tests' / 'interop' / 'lonely.py'


def read(path):
  """Returns (about, example) of an exported policy."""
  with zipfile.ZipFile(path) as file:
    example = np.load(io.BytesIO(file.read('example.npz')))
    return json.loads(file.read('about.json')), dict(example)


@pytest.mark.parametrize('program', ['td3', 'erl'])
def test_a_champion_acts_the_same_without_eigen3(programs, program, tmp_path):
  run = programs.whole(program).folder
  path, out = tmp_path / 'policy.zip', tmp_path / 'actions.npy'
  told = programs.finish('export', f'--run={run}', f'--out={path}')
  assert told.returncode == 0, told.stderr
  assert 'takes windows [batch, 8, 12, 5]' in told.stdout
  about, example = read(path)
  subprocess.run([sys.executable, LONELY, path, out], check=True)
  found = np.load(out, allow_pickle=False)
  # What the run's own networks did on the panel's last day.
  np.testing.assert_array_equal(found, example['actions'])
  assert found.shape == (1, 8, 2)
  assert np.ptp(found, axis=1).min() > 0
  assert about['windows']['features'][0] == 'scaled_change'
  assert len(about['windows']['columns']) == 12
  assert about['actions']['stocks'] == about['windows']['columns'][4:12]
  assert about['run']['preset'] == 'smoke'
  assert str(run) not in json.dumps(about)  # no path of this machine


def test_what_cannot_be_exported_is_one_line(programs, tmp_path):
  run = programs.whole('td3').folder
  for flags, words in (
    ([f'--run={tmp_path}'], f'{tmp_path}: found no run here'),
    ([f'--run={run}', '--platforms=cpu,gpu'], 'platforms: found gpu'),
    ([f'--run={run}', '--out=/no/such/folder/p.zip'], '/no/such/folder'),
  ):
    out = [f'--out={tmp_path}/policy.zip'][: '--out' not in str(flags)]
    told = programs.finish('export', *flags, *out)
    assert told.returncode == 1
    assert words in told.stderr
    assert told.stderr.count('\n') == 1

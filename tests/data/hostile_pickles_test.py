"""Tests that no pickle runs code; all but frames of numbers are one error."""

import contextlib
import os
import pathlib
import pickle
import subprocess
import sys
import time

import hostile_pickles
import numpy as np
import pandas as pd
import pytest

from eigen3.data import DataError
from eigen3.data.eigen2_files import read_eigen2

GOLDENS = pathlib.Path(__file__).parent.parent / 'goldens'
# Reads all files of a folder with little memory, and reports each.
READER = """
import pathlib, resource, sys, time
from eigen3.data import DataError
from eigen3.data.eigen2_files import read_eigen2

resource.setrlimit(resource.RLIMIT_AS, (3 << 30,) * 2)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
  start = time.process_time()
  try:
    read_eigen2(path)
    outcome = 'a panel'
  except DataError as error:
    outcome = str(error)
  assert time.process_time() - start < 5, path
  print(f'{path.name}|{outcome}')
"""
REFUSED = 'expected only what a table of numbers and dates needs; refused'


def error_of(path, content):
  """Returns the error of `read_eigen2` on a file that it must refuse."""
  path.write_bytes(content)
  with pytest.raises(DataError) as caught:
    read_eigen2(path)
  message = str(caught.value)
  assert message.startswith(f'{path}: ')
  assert '\n' not in message
  assert len(message) < len(str(path)) + 200
  return message.removeprefix(f'{path}: ')


def appears(canary):
  """Returns whether a process that was just started creates the file."""
  deadline = time.monotonic() + 5
  while not canary.exists() and time.monotonic() < deadline:
    time.sleep(0.002)
  return canary.exists()


def test_nothing_runs(tmp_path, recwarn):
  canary = tmp_path / 'canary'
  path = tmp_path / 'data.pkl'
  pickles = hostile_pickles.running(canary)
  for name, content in pickles.items():
    assert error_of(path, content).endswith('; refused'), name
  assert sorted(os.listdir(tmp_path)) == ['data.pkl', 'second']
  # The same bytes do run code if they are loaded.
  for name, content in pickles.items():
    with contextlib.suppress(TypeError, ValueError, AttributeError):
      pickle.loads(content)  # may fail after the code ran
    assert appears(canary), name
    canary.unlink()


@pytest.mark.parametrize(
  'name, found',
  [
    ('system_0', 'posix.system'),
    ('system_5', 'posix.system'),
    ('eval_2', '__builtin__.eval'),
    ('exec_4', 'builtins.exec'),
    ('getattr', 'builtins.getattr'),
    ('read_pickle_5', f'{pd.read_pickle.__module__}.read_pickle'),
    ('pandas_handle_3', 'pandas.io.common.get_handle'),
    ('tofile_4', 'operator.methodcaller'),
    ('in_a_list_in_a_cell_5', 'posix.system'),
    ('in_an_array_4', 'posix.system'),
    ('in_the_dates_1', 'posix.system'),
    ('dotted', 'pandas.io.common.os.system'),
  ],
)
def test_what_is_refused_is_named(tmp_path, name, found):
  pickles = hostile_pickles.running(tmp_path / 'canary')
  message = error_of(tmp_path / 'data.pkl', pickles[name])
  assert message == f"found '{found}' in the pickle, {REFUSED}"


def test_what_is_not_a_frame_takes_little_memory_and_time(tmp_path):
  folder = tmp_path / 'files'
  folder.mkdir()
  pickles = hostile_pickles.harmless()
  for name, content in pickles.items():
    (folder / f'{name}.pkl').write_bytes(content)
  run = subprocess.run(
    [sys.executable, '-c', READER, folder],
    capture_output=True,
    text=True,
    check=False,
  )
  assert run.returncode == 0, run.stderr
  told = dict(line.split('|') for line in run.stdout.splitlines())
  assert told.keys() == {f'{name}.pkl' for name in pickles}
  for name, outcome in told.items():
    assert outcome.startswith(f'{folder / name}: '), name

  def reason(name):
    return told[f'{name}.pkl'].partition('.pkl: ')[2]

  assert reason('a_number') == 'found 3.0, expected a DataFrame'
  assert (
    reason('a_function') == f"found 'posix.system' in the pickle, {REFUSED}"
  )
  assert reason('persistent').startswith('found the instruction PERSID ')
  assert reason('extension').startswith('found the instruction EXT1 ')
  assert reason('other_codec').startswith(
    'found a damaged file or one that is not a pickle (found bytes made of '
  )
  assert 'a call of ndarray' in reason('called_result')
  assert 'BUILD applied to ndarray' in reason('changed_class')
  assert 'found tuple as a key of dict' in reason('deep_key')
  assert '1000 x 1000 cells in ' in reason('of_one_block')


def mutated(content, rng, snippets):
  """Returns `content` with a few bytes changed, added, removed or moved."""
  content = bytearray(content)
  for _ in range(rng.integers(1, 3)):
    start = int(rng.integers(len(content)))
    stop = start + int(rng.integers(1, 9))
    match rng.integers(8):
      case 0:
        content[start] = rng.integers(256)
      case 1 | 6 | 7:
        content[start] ^= 1 << int(rng.integers(8))
      case 2:
        del content[start:stop]
      case 3:
        content[start:start] = content[stop : stop + 20]
      case 4:
        del content[max(start, 1) :]
      case 5:
        content[start:start] = snippets[rng.integers(len(snippets))]
  return bytes(content)


def frames():
  """Returns frames as written by several versions of pandas and protocols."""
  goldens = np.load(GOLDENS / 'pandas_frames.npz')
  return [goldens[name].tobytes() for name in goldens if name != 'values']


def check_mutations(tmp_path, count):
  rng = np.random.default_rng(0)
  canary = tmp_path / 'canary'
  snippets = [
    hostile_pickles.named('os', 'system'),
    hostile_pickles.text(f'touch {canary}') + b'\x85R',
    *(bytes((code,)) for code in b'(Ntl)]}.0aebRs\x81\x85\x93\x94'),
  ]
  path = tmp_path / 'data.pkl'
  valid = frames()
  outcomes = {'panels': 0, 'errors': 0}
  for number in range(count):
    path.write_bytes(mutated(valid[number % len(valid)], rng, snippets))
    panel = message = None
    try:
      panel = read_eigen2(path, (0, 1))
    except DataError as error:
      message = str(error)
    if panel is None:
      assert message.startswith(f'{path}: ')
      assert '\n' not in message
      outcomes['errors'] += 1
    else:
      assert np.isfinite(panel.features[~np.isnan(panel.features)]).all()
      outcomes['panels'] += 1
    assert os.listdir(tmp_path) == ['data.pkl']
  assert min(outcomes.values()) > count / 20, outcomes


def test_changed_pickles_are_panels_or_errors(tmp_path):
  check_mutations(tmp_path, 100)


@pytest.mark.long
def test_many_changed_pickles_are_panels_or_errors(tmp_path):
  check_mutations(tmp_path, 3000)

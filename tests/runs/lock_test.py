"""Tests of eigen3.runs.lock.

How the processes of one distributed run share a lock is with its other tests,
in learner/one_of_several_test.py.
"""

import contextlib
import datetime
import errno
import json
import os
import platform
import signal
import subprocess
import sys

import pytest

from eigen3.runs import holders, lock
from eigen3.runs.lock import Lock, holders_of

NOBODY = 2**22 + 1  # above the numbers that Linux gives to processes
HOLD = """
import sys
from eigen3.runs.lock import Lock
own = Lock(sys.argv[1])
print('locked', flush=True)
input()
"""


@pytest.fixture
def held(tmp_path):
  """Another process, which holds the lock."""
  with subprocess.Popen(
    [sys.executable, '-c', HOLD, tmp_path],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
  ) as process:
    process.stdout.readline()
    yield process
    process.kill()


def note(process, /, **changed):
  """Returns a line of the file, with some fields changed."""
  return json.dumps(json.loads(holders.line_of(process)) | changed)


def contents(folder):
  return {
    path.name: (path.read_bytes(), path.stat().st_mtime_ns)
    for path in folder.iterdir()
  }


def test_a_second_process_is_refused_and_changes_nothing(tmp_path, held):
  (tmp_path / 'metrics.csv').write_text('iteration\n1\n')
  before = contents(tmp_path)
  (holder,) = holders_of(tmp_path)
  assert holder['process'] == held.pid
  assert holder['host'] == platform.node()
  since = datetime.datetime.fromisoformat(holder['since'])
  age = datetime.datetime.now().astimezone() - since
  assert -1 <= age.total_seconds() < 60
  named = f'process {held.pid} on {platform.node()} since {holder["since"]}'
  for take in (Lock, lambda folder: lock.locked(folder).__enter__()):
    with pytest.raises(ValueError, match='found it in use') as error:
      take(tmp_path)
    assert str(error.value) == (
      f'{tmp_path}: found it in use by {named}, expected no process at work '
      'there: wait for it to end, or stop it first'
    )
  assert contents(tmp_path) == before


def test_a_lock_of_a_killed_process_is_no_obstacle(tmp_path, held):
  held.send_signal(signal.SIGKILL)
  held.wait()
  assert [x['process'] for x in noted(tmp_path)] == [held.pid]
  assert holders_of(tmp_path) == []
  with lock.locked(tmp_path):
    # What the killed one noted is gone.
    (holder,) = noted(tmp_path)
    assert holder['process'] == os.getpid()
  assert os.listdir(tmp_path) == []


def noted(folder):
  text = (folder / 'lock').read_text()
  assert text.endswith('\n')
  return [json.loads(line) for line in text.splitlines()]


def test_the_file_goes_when_work_ends(tmp_path):
  with lock.locked(tmp_path):
    assert [x['process'] for x in noted(tmp_path)] == [os.getpid()]
    assert os.listdir(tmp_path) == ['lock']
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_the_file_goes_when_work_fails(tmp_path, error):
  with pytest.raises(error), lock.locked(tmp_path):
    raise error
  assert os.listdir(tmp_path) == []


def test_a_file_that_is_not_the_own_one_is_left_alone(tmp_path):
  own = Lock(tmp_path)
  (tmp_path / 'lock').unlink()  # as one who cleans up by hand
  other = Lock(tmp_path)
  own.close()
  assert os.listdir(tmp_path) == ['lock']
  with pytest.raises(ValueError, match='in use'):
    Lock(tmp_path)
  other.close()
  assert os.listdir(tmp_path) == []


def test_a_file_that_its_last_holder_removes_is_made_again(
  tmp_path, monkeypatch
):
  """Removed between opening and locking: the lock would be on no path."""
  flock, removed = lock.fcntl.flock, []

  def remove_once(file, operation):
    flock(file, operation)
    if not removed:
      removed.append(file)
      (tmp_path / 'lock').unlink()

  monkeypatch.setattr(lock.fcntl, 'flock', remove_once)
  with contextlib.closing(Lock(tmp_path)):
    assert [x['process'] for x in noted(tmp_path)] == [os.getpid()]
    with pytest.raises(ValueError, match='in use'):
      Lock(tmp_path)


# Some tell the time, so that their texts are no names for tests.
DAMAGED = [
  b'',
  b'\n\n',
  b'{"host": "here", "process": 12, "sin',
  b'\xff\xfe\x00',
  b'[1]\n5\nnull\n',
  b'{"process": 1}\n',
  b'{"host": "here", "process": 12}\n',
  note(1, process='1').encode(),
  note(1, machine=5).encode(),
  note(1, process=2**70).encode(),
]


@pytest.mark.parametrize('content', DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_no_obstacle(tmp_path, content):
  (tmp_path / 'lock').write_bytes(content)
  assert holders_of(tmp_path) == []
  with lock.locked(tmp_path):
    assert [x['process'] for x in noted(tmp_path)] == [os.getpid()]
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('content', DAMAGED, ids=range(len(DAMAGED)))
def test_a_held_lock_refuses_though_its_file_is_damaged(tmp_path, content):
  with contextlib.closing(Lock(tmp_path)):
    (tmp_path / 'lock').write_bytes(content)
    with pytest.raises(ValueError, match='found it in use by a process, exp'):
      Lock(tmp_path)
    assert (tmp_path / 'lock').read_bytes() == content


def test_a_damaged_line_hides_no_other(tmp_path):
  with contextlib.closing(Lock(tmp_path)):
    with (tmp_path / 'lock').open('ab') as file:
      file.write(b'\xff\n[2]\n{"host": "he')
    assert [x['process'] for x in holders_of(tmp_path)] == [os.getpid()]


def test_one_of_another_host_may_still_be_at_work(tmp_path):
  other = note(NOBODY, host='elsewhere', machine='elsewhere')
  (tmp_path / 'lock').write_text(f'{other}\n{note(NOBODY)}')
  assert holders_of(tmp_path) == [json.loads(other)]


def test_a_number_that_was_given_again_holds_nothing(tmp_path):
  """As in a container that was started again."""
  before = note(os.getpid(), began='12')
  (tmp_path / 'lock').write_text(f'{before}\n{note(os.getpid())}')
  assert [x['began'] for x in holders_of(tmp_path)] != ['12']
  assert len(holders_of(tmp_path)) == 1


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch, caplog):
  def refuse(*unused):
    raise OSError(lock.errno.ENOLCK, 'No locks available')

  monkeypatch.setattr(lock.fcntl, 'flock', refuse)
  with lock.locked(tmp_path):
    assert f'{tmp_path}: this file system has no locks' in caplog.text
  assert os.listdir(tmp_path) == []


def test_a_folder_must_be_there(tmp_path):
  with pytest.raises(FileNotFoundError, match='absent'):
    Lock(tmp_path / 'absent')


def test_a_full_disk_is_named_and_leaves_no_file(tmp_path, monkeypatch):
  def full(*unused):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with monkeypatch.context() as patch:
    patch.setattr(lock.holders, 'line_of', full)
    with pytest.raises(OSError, match='No space left') as error:
      Lock(tmp_path)
  assert error.value.filename == str(tmp_path / 'lock')
  assert not list(tmp_path.iterdir())
  Lock(tmp_path).close()

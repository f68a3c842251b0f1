"""Tests of eigen3.runs.claims."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from eigen3.runs import claims, holders


def holder(machine, process=1):
  """Writes a note of another machine."""
  return json.dumps(
    {
      'host': 'h',
      'machine': machine,
      'process': process,
      'began': '',
      'since': 'noon',
    }
  )


def test_only_one_has_it(tmp_path):
  name = tmp_path / 'claims' / 'a'
  claim = claims.take(name)
  assert claims.take(name) is None
  assert [x['process'] for x in claims.holders_of(name)] == [os.getpid()]
  assert claims.take(tmp_path / 'claims' / 'b') is not None
  claim.release()
  assert claims.holders_of(name) == []
  assert claims.take(name) is not None


def test_a_run_that_outlives_its_program_keeps_the_claim(tmp_path):
  """A held process is found by its number; a finished one holds nothing."""
  run = subprocess.Popen(
    [sys.executable, '-c', 'input()'], stdin=subprocess.PIPE
  )
  gone = subprocess.Popen([sys.executable, '-c', ''])
  lines = [holders.line_of(process.pid) for process in (gone, run)]
  gone.wait()
  (tmp_path / 'a.0').write_text(''.join(lines))
  assert claims.take(tmp_path / 'a') is None
  run.communicate(b'\n')
  assert claims.take(tmp_path / 'a') is not None
  assert [x.name for x in tmp_path.iterdir()] == ['a.1']


def test_another_machine_is_gone_when_it_shows_nothing(tmp_path):
  theirs = tmp_path / 'a.3'
  theirs.write_text(holder('there') + '\n')
  assert claims.take(tmp_path / 'a') is None
  long_ago = time.time() - claims.STALE - 1
  os.utime(theirs, (long_ago, long_ago))
  assert claims.take(tmp_path / 'a') is not None
  assert [x.name for x in tmp_path.iterdir()] == ['a.4']


def test_a_claim_without_its_words_is_in_force(tmp_path):
  (tmp_path / 'a.0').touch()  # as it is for a moment
  assert claims.take(tmp_path / 'a') is None


@pytest.mark.parametrize(
  'changed', [{'process': 'x'}, {'began': 3}, {'machine': None}]
)
def test_a_damaged_claim_is_waited_for_until_it_is_stale(tmp_path, changed):
  note = json.loads(holders.line_of(os.getpid())) | changed
  (tmp_path / 'a.0').write_text(json.dumps(note))
  assert claims.take(tmp_path / 'a') is None
  os.utime(tmp_path / 'a.0', (1, 1))
  assert claims.take(tmp_path / 'a') is not None


def test_who_keeps_others_waiting_is_told(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(claims, '_WARN_AFTER', 0.0)
  claim = claims.take(tmp_path / 'a')

  def release_at_last(unused):
    if caplog.messages:
      claim.release()

  monkeypatch.setattr(claims.time, 'sleep', release_at_last)
  with claims.held(tmp_path / 'a'):
    pass
  (message,) = caplog.messages
  assert f'{tmp_path}/a: waiting for process {os.getpid()} on ' in message


def test_who_was_followed_is_told(tmp_path, monkeypatch):
  monkeypatch.setattr(claims, 'BEAT', 0.0)
  claim = claims.take(tmp_path / 'a')
  path = tmp_path / 'a.0'
  os.utime(path, (1, 1))
  assert claim.keep()
  assert path.stat().st_mtime > 1
  (tmp_path / 'a.1').write_text(holder('there') + '\n')
  assert not claim.keep()
  path.unlink()
  assert not claim.keep()
  claim.release()
  assert (tmp_path / 'a.1').exists()


def _take(folder, number):
  """Takes as many names as it can; another machine left some."""
  return [
    name
    for name in range(number)
    if claims.take(folder / str(name)) is not None
  ]


def test_many_at_once_get_each_name_once(tmp_path):
  number = 60
  for name in range(0, number, 2):
    path = tmp_path / f'{name}.0'
    path.write_text(holder('gone') + '\n')
    os.utime(path, (1, 1))
  with multiprocessing.get_context('spawn').Pool(3) as workers:
    found = workers.starmap(_take, [(tmp_path, number)] * 6, chunksize=2)
  taken = sorted(name for names in found for name in names)
  assert taken == list(range(number))


def test_a_short_while_is_waited_for(tmp_path):
  with claims.held(tmp_path / 'a'):
    assert claims.take(tmp_path / 'a') is None
  with pytest.raises(ValueError, match='x'), claims.held(tmp_path / 'a'):
    raise ValueError('x')
  assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_claim(tmp_path, monkeypatch):
  """An empty claim would stay valid for long."""

  def full(*unused):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with monkeypatch.context() as patch:
    patch.setattr(claims.holders, 'line_of', full)
    with pytest.raises(OSError, match='No space left') as error:
      claims.take(tmp_path / 'a')
  assert error.value.filename == str(tmp_path / 'a.0')
  assert claims.take(tmp_path / 'a') is not None


def test_a_claim_that_is_released_meanwhile_has_no_holder(
  tmp_path, monkeypatch
):
  name = tmp_path / 'one'
  claim, is_held = claims.take(name), claims._is_held

  def released(path):
    found = is_held(path)
    claim.release()
    return found

  monkeypatch.setattr(claims, '_is_held', released)
  assert claims.holders_of(name) == []

"""Tests of eigen3.files: a file is either the old or the new one, complete."""

import errno
import os

import pandas as pd
import pytest
from fake_backtests import make_backtest

from eigen3.files import (
  atomic_folder,
  atomic_path,
  naming,
  remove_leftovers,
  write_table,
)


@pytest.mark.parametrize('as_text', [False, True])
def test_the_file_is_there_when_the_block_ends(tmp_path, as_text):
  path = tmp_path / 'notes.txt'
  path.write_text('old')
  with atomic_path(str(path) if as_text else path) as temporary:
    assert temporary.parent == tmp_path
    temporary.write_text('new')
    assert path.read_text() == 'old'
  assert path.read_text() == 'new'
  assert os.listdir(tmp_path) == ['notes.txt']


@pytest.mark.parametrize('error', [OSError, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize('existing', [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, error, existing):
  path = tmp_path / 'notes.txt'
  if existing:
    path.write_text('old')

  def fail():
    with atomic_path(path) as temporary:
      temporary.write_text('half of the ne')
      raise error

  with pytest.raises(error):
    fail()
  assert os.listdir(tmp_path) == (['notes.txt'] if existing else [])
  if existing:
    assert path.read_text() == 'old'


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
  path = tmp_path / 'notes.txt'
  path.write_text('old')
  with pytest.raises(FileNotFoundError), atomic_path(path):
    pass
  assert path.read_text() == 'old'


def test_a_place_that_cannot_be_replaced(tmp_path):
  (tmp_path / 'folder').mkdir()
  with (
    pytest.raises(OSError, match='folder'),
    atomic_path(tmp_path / 'folder') as temporary,
  ):
    temporary.write_text('new')
  assert os.listdir(tmp_path) == ['folder']


def test_a_folder_is_there_when_the_block_ends(tmp_path):
  path = tmp_path / 'run'
  with atomic_folder(str(path)) as temporary:
    assert temporary.parent == tmp_path
    (temporary / 'notes.txt').write_text('new')
    assert not path.exists()
  assert (path / 'notes.txt').read_text() == 'new'
  assert os.listdir(tmp_path) == ['run']


@pytest.mark.parametrize('error', [OSError, ValueError, KeyboardInterrupt])
def test_a_folder_that_fails_is_not_there(tmp_path, error):
  def fail():
    with atomic_folder(tmp_path / 'run') as temporary:
      (temporary / 'notes.txt').write_text('half of the ne')
      raise error

  with pytest.raises(error):
    fail()
  assert os.listdir(tmp_path) == []


def test_a_folder_never_takes_the_place_of_another(tmp_path):
  (tmp_path / 'run').mkdir()
  with (
    pytest.raises(FileExistsError, match='run'),
    atomic_folder(tmp_path / 'run') as temporary,
  ):
    (temporary / 'notes.txt').write_text('new')
  assert os.listdir(tmp_path) == ['run']
  assert os.listdir(tmp_path / 'run') == []


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize('make', [naming, atomic_path, atomic_folder])
@pytest.mark.parametrize('as_text', [False, True])
def test_an_error_without_a_file_name_gets_one(tmp_path, make, as_text):
  path = tmp_path / 'run'
  with (
    pytest.raises(OSError, match='No space') as error,
    make(str(path) if as_text else path),
  ):
    raise FULL
  found = error.value
  assert (found.errno, found.strerror) == (FULL.errno, FULL.strerror)
  assert found.filename == str(path)
  assert found.__cause__ is FULL
  assert os.listdir(tmp_path) == []


class DiskError(OSError):
  """An error of a type that Python would not choose by its number."""


def test_an_error_keeps_its_kind_when_it_gets_a_name(tmp_path):
  with pytest.raises(DiskError) as error, naming(tmp_path):
    raise DiskError(errno.EIO, os.strerror(errno.EIO))
  assert error.value.filename == str(tmp_path)


@pytest.mark.parametrize(
  'error',
  [
    # It names what could not be opened, which says more.
    OSError(errno.ENOENT, 'No such file or directory', 'prices.csv'),
    # There is no place for a name.
    OSError('odd'),
    ValueError('not of the file system'),
    KeyboardInterrupt(),
  ],
)
def test_other_errors_stay_as_they_are(tmp_path, error):
  with pytest.raises(type(error)) as found, naming(tmp_path):
    raise error
  assert found.value is error


@pytest.mark.parametrize('count', [3, 0])
def test_trades_come_back_from_their_file(tmp_path, count):
  trades = make_backtest(0.1, count).trades
  write_table(tmp_path / 'trades.csv', trades)
  found = pd.read_csv(
    tmp_path / 'trades.csv', parse_dates=['entry_date', 'exit_date']
  )
  assert found.columns.tolist() == trades.columns.tolist()
  pd.testing.assert_frame_equal(found, trades, check_dtype=False, rtol=1e-9)
  assert os.listdir(tmp_path) == ['trades.csv']


def test_trades_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
  path = tmp_path / 'trades.csv'
  path.write_text('old')

  def fail(*unused, **also_unused):
    raise OSError('disk full')

  monkeypatch.setattr(pd.DataFrame, 'to_csv', fail)
  with pytest.raises(OSError, match='disk full'):
    write_table(path, make_backtest(0.1).trades)
  assert path.read_text() == 'old'


def test_shares_are_exact_to_the_cent(tmp_path):
  trades = make_backtest(0.1, 1).trades.assign(shares=12_345_678.91)
  write_table(tmp_path / 'trades.csv', trades)
  assert pd.read_csv(tmp_path / 'trades.csv')['shares'][0] == 12_345_678.91


def test_what_a_killed_writer_left_is_removed(tmp_path):
  """It removes nothing else, whatever its name is."""
  kept = ['summary.json', 'a.part', 'a.12.part', 'b.deadbeef', 'notes']
  for name in [*kept, 'summary.json.0123abcd.part']:
    (tmp_path / name).write_text('')
  (tmp_path / 'page.89abcdef.part').mkdir()
  (tmp_path / 'page.89abcdef.part' / 'half').write_text('')
  remove_leftovers(tmp_path)
  assert sorted(os.listdir(tmp_path)) == sorted(kept)


@pytest.mark.parametrize('make', [atomic_path, atomic_folder])
def test_what_is_being_written_is_known_as_such(tmp_path, make):
  """So a kill halfway leaves nothing behind."""
  with make(tmp_path / 'a') as temporary:
    if not temporary.exists():
      temporary.write_text('')
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []
    if make is atomic_path:
      temporary.write_text('')
    else:
      temporary.mkdir()

"""Tests of eigen3.runs.checkpoint."""

import errno
import io
import os
import re
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_run

from eigen3.runs import checkpoint
from eigen3.runs.checkpoint import Checkpointer, CheckpointError
from experiments import mains

HASH = 'a1b2'


def make_state(seed):
  """A tree with all kinds of leaves of a run's state."""
  rng = np.random.default_rng(seed)
  return {
    'params': {
      'layer': {'w': jnp.asarray(rng.normal(size=(40, 7)), 'float32')}
    },
    'key': jnp.asarray(rng.integers(2**32, size=2), jnp.uint32),
    'counts': (jnp.int32(seed), jnp.asarray(rng.integers(9, size=5), 'int32')),
    'nan': jnp.float32([np.nan, -np.inf, -0.0]),
    'mask': jnp.array([True, False]),
  }


def save(folder, seeds, keep=3, data_hash=HASH):
  checkpointer = Checkpointer(folder, keep, data_hash)
  for step in seeds:
    checkpointer.save(step, make_state(step))
  checkpointer.close()


def restore(folder, data_hash=HASH):
  checkpointer = Checkpointer(folder, 3, data_hash)
  try:
    return checkpointer.restore_latest(make_state(99))
  finally:
    checkpointer.close()


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """Checkpoints of the steps 4 and 6; copy before use."""
  folder = tmp_path_factory.mktemp('saved') / 'checkpoints'
  save(folder, [4, 6])
  return folder


@pytest.fixture
def folder(saved, tmp_path):
  shutil.copytree(saved, tmp_path / 'checkpoints')
  return tmp_path / 'checkpoints'


def files_of(folder):
  return sorted(f for f in folder.rglob('*') if f.is_file())


def test_what_is_saved_is_restored_bit_for_bit(folder):
  step, state = restore(folder)
  assert step == 6
  small_run.assert_equal_bits(state, make_state(6))


def test_a_run_s_state_comes_back(tmp_path, learner, first_state):
  state = small_run.copied(first_state)
  checkpointer = Checkpointer(tmp_path / 'checkpoints', 2, HASH)
  checkpointer.save(0, state)
  # Safe to donate: what is being written is a copy.
  state, _ = learner.iterate(state)
  step, restored = checkpointer.restore_latest(state)
  checkpointer.close()
  assert step == 0
  small_run.assert_equal_bits(restored, first_state)
  # Placed as a fresh state: the same compiled program takes it.
  for fresh, found in zip(
    jax.tree.leaves(state), jax.tree.leaves(restored), strict=True
  ):
    assert found.committed == fresh.committed
    assert found.sharding == fresh.sharding
  # And it can be iterated on, donation included.
  again, _ = learner.iterate(restored)
  small_run.assert_equal_bits(again, state)


def test_nothing_saved_is_none(tmp_path):
  assert restore(tmp_path / 'checkpoints') is None


def test_the_last_few_are_kept_without_litter(tmp_path):
  folder = tmp_path / 'checkpoints'
  save(folder, [0, 2, 4, 5, 9], keep=3)
  assert sorted(os.listdir(folder), key=int) == ['4', '5', '9']
  assert os.listdir(tmp_path) == ['checkpoints']


def test_an_unfinished_checkpoint_is_cleared_away(folder):
  """Makes what a kill during saving leaves: a folder of a temporary name."""
  for litter in ('8.12ab34cd.part', '5.removed'):
    shutil.copytree(folder / '6', folder / litter)
  step, state = restore(folder)
  assert step == 6
  small_run.assert_equal_bits(state, make_state(6))
  save(folder, [8])
  assert sorted(os.listdir(folder)) == ['4', '6', '8']


def cut_every_file(saved, tmp_path, cut):
  """Restores once for every file of the newest checkpoint, truncated."""
  names = [f.relative_to(saved) for f in files_of(saved / '6')]
  assert len(names) == 2
  for name in names:
    folder = tmp_path / str(name).replace('/', '_') / 'checkpoints'
    shutil.copytree(saved, folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(cut(content))
    yield name, folder


@pytest.mark.parametrize(
  'cut',
  [lambda content: b'', lambda content: content[: len(content) // 2]],
  ids=['to nothing', 'to half'],
)
def test_a_file_cut_short_falls_back(saved, tmp_path, caplog, cut):
  fell_back = []
  for name, folder in cut_every_file(saved, tmp_path, cut):
    caplog.clear()
    step, state = restore(folder)
    # Never a mixture: all of one checkpoint, or all of the one before.
    small_run.assert_equal_bits(state, make_state(step))
    warned = [r for r in caplog.records if 'unreadable' in r.getMessage()]
    if step == 6:  # the file was not needed
      assert not warned, name
      continue
    assert step == 4, name
    assert len(warned) == 1, name
    assert str(folder / '6') in warned[0].getMessage()
    fell_back.append(str(name))
    # Set aside, not lost, and its step can be saved anew.
    aside = folder.parent / 'unreadable_checkpoint_6'
    assert len(files_of(aside)) == len(files_of(saved / '6'))
    save(folder, [6])
    assert restore(folder)[0] == 6
    assert sorted(os.listdir(folder)) == ['4', '6']
  assert fell_back == ['6/metadata.json', '6/state.npz']


def test_a_changed_byte_of_the_arrays_is_noticed(folder):
  path = folder / '6' / 'state.npz'
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(bytes(content))
  step, state = restore(folder)
  assert step == 4
  small_run.assert_equal_bits(state, make_state(4))


def test_damaged_metadata_are_never_taken_for_anothers(folder):
  """Changes any byte: of a name, a hash, a number, or of white space only.

  A change to an earlier schema is reported as such.
  """
  path = folder / '6' / 'metadata.json'
  content = path.read_bytes()
  schema = content.index(b'"schema_version": ') + len(b'"schema_version": ')
  changed = [i for i in range(0, len(content), 7) if i != schema]
  for place in changed:
    path.write_bytes(
      content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    )
    found = Checkpointer(folder, 3, HASH, read_only=True)
    step, _ = found.restore_latest(make_state(99))
    found.close()
    assert step == 4, (place, content[place - 9 : place + 9])
  path.write_text('{}')
  assert restore(folder)[0] == 4


def test_a_missing_file_falls_back(folder, caplog):
  (folder / '6' / 'state.npz').unlink()
  step, state = restore(folder)
  assert step == 4
  small_run.assert_equal_bits(state, make_state(4))
  assert 'unreadable' in caplog.text


def test_the_same_step_may_be_damaged_twice(folder):
  for _ in range(2):
    (folder / '6' / 'metadata.json').write_text('')
    assert restore(folder)[0] == 4
    save(folder, [6])
  assert restore(folder)[0] == 6


def test_a_damaged_older_one_stops_no_saving(folder):
  (folder / '4' / 'metadata.json').write_text('[]')
  save(folder, [8])
  assert restore(folder)[0] == 8


def test_none_readable_is_an_error_and_loses_nothing(folder):
  for step in (4, 6):
    (folder / str(step) / 'metadata.json').write_text('')
  for _ in range(2):  # the second time as well
    with pytest.raises(CheckpointError) as error:
      restore(folder)
    text = str(error.value)
    assert text == (
      f'{folder}: found no readable checkpoint among steps [4, 6] (see the '
      'warnings above), expected at least one'
    )
  assert sorted(os.listdir(folder)) == ['4', '6']


def test_other_data_is_refused(folder):
  with pytest.raises(CheckpointError) as error:
    restore(folder, data_hash='ffff')
  assert str(error.value) == (
    f'{folder}/6: data_hash: found a1b2, expected ffff, the hash of the '
    'present data'
  )
  assert sorted(os.listdir(folder)) == ['4', '6']


def test_another_schema_is_refused(folder, monkeypatch):
  known = checkpoint.SCHEMA_VERSION
  monkeypatch.setattr(checkpoint, 'SCHEMA_VERSION', known + 1)
  with pytest.raises(CheckpointError) as error:
    restore(folder)
  assert str(error.value) == (
    f'{folder}/6: schema_version: found {known}, expected {known + 1}; '
    'another version of Eigen3 saved it'
  )


@pytest.mark.parametrize('change', ['shape', 'type', 'leaf', 'name'])
def test_a_state_of_another_structure_is_refused(folder, change, caplog):
  like = make_state(0)
  layer = like['params']['layer']
  if change == 'shape':
    layer['w'] = jnp.zeros((7, 40))
  elif change == 'type':
    layer['w'] = layer['w'].astype(jnp.bfloat16)
  elif change == 'leaf':
    like['more'] = jnp.zeros(3)
  else:
    layer['v'] = layer.pop('w')
  checkpointer = Checkpointer(folder, 3, HASH)
  with pytest.raises(CheckpointError, match='structure') as error:
    checkpointer.restore_latest(like)
  checkpointer.close()
  assert re.fullmatch(
    rf'{folder}/6: structure: found [0-9a-f]{{16}}, expected [0-9a-f]{{16}}; '
    'the state of this version has other arrays',
    str(error.value),
  )
  # It is no damage: no warning, nothing moved, and still good for its own.
  assert 'unreadable' not in caplog.text
  assert sorted(os.listdir(folder)) == ['4', '6']
  assert restore(folder)[0] == 6


def test_the_best_is_kept_beside_the_last(tmp_path):
  checkpointer = Checkpointer(tmp_path / 'checkpoints', 2, HASH)
  scores = [0.1, 0.4, float('-inf'), 0.2, 0.3, None]
  for step, score in enumerate(scores, 1):
    checkpointer.save(step, make_state(step), score)
  checkpointer.close()
  assert sorted(map(int, os.listdir(tmp_path / 'checkpoints'))) == [2, 5, 6]


@pytest.mark.parametrize(
  'name',
  [
    'runs [old]',
    'a[0-9]*?{b,c}',
    'back\\slash',
    '100%d %(x)s',
    '#1:2&3;4',
    'it\'s "quoted"',
    'two\nlines',
    '~home',
    '$HOME',
    'läufe-図-é',
    ' leading and trailing ',
    '-dash',
    '7',
  ],
)
def test_a_folder_may_have_any_name(tmp_path, name):
  folder = tmp_path / name / 'checkpoints'
  save(folder, [1, 4, 6], keep=2)
  assert sorted(os.listdir(folder)) == ['4', '6']
  step, state = restore(folder)
  assert step == 6
  small_run.assert_equal_bits(state, make_state(6))
  # In the very folder, not in one that the name stands for.
  assert os.listdir(tmp_path) == [name]
  assert os.listdir(tmp_path / name) == ['checkpoints']


def flip(content):
  content[len(content) // 2] ^= 1


def zero(content):
  content[:] = bytes(len(content))


def halve(content):
  del content[len(content) // 2 :]


SAVEZ = np.savez


def write_damaged(damage):
  """A writer whose bytes are not those of the arrays."""

  def write(file, **arrays):
    content = io.BytesIO()
    SAVEZ(content, **arrays)
    damaged = bytearray(content.getbuffer())
    damage(damaged)
    file.write(damaged)

  return write


def write_others(file, **arrays):
  """Writes a valid file of other values, as by a write to the wrong place."""
  SAVEZ(file, **{name: np.zeros_like(x) for name, x in arrays.items()})


def write_fewer(file, **arrays):
  SAVEZ(file, **dict(list(arrays.items())[1:]))


@pytest.mark.parametrize(
  'write',
  [
    write_damaged(flip),
    write_damaged(zero),
    write_damaged(halve),
    write_damaged(bytearray.clear),
    write_others,
    write_fewer,
  ],
  ids=['a bit', 'zeros', 'half', 'nothing', 'other values', 'an array less'],
)
def test_what_is_not_read_back_as_written_is_an_error(
  folder, monkeypatch, write
):
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint.np, 'savez', write)
    assert_not_saved(folder, 'found a checkpoint that reads back differently (')


def test_settings_that_are_not_read_back_are_an_error(folder, monkeypatch):
  write = checkpoint.json.dump

  def write_other(value, file):
    write({**value, 'score': 1.0}, file)

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint.json, 'dump', write_other)
    assert_not_saved(folder, 'found a checkpoint that reads back differently (')


def assert_not_saved(folder, words):
  """One error says where and why; older checkpoints stay intact."""
  before = {path: path.read_bytes() for path in files_of(folder)}
  checkpointer = Checkpointer(folder, 1, HASH)
  checkpointer.save(8, make_state(8))
  with pytest.raises(OSError, match=re.escape(words)) as error:
    checkpointer.save(9, make_state(9))  # which was not begun
  assert mains.one_line(error.value).startswith(f'{folder}/8: {words}')
  checkpointer.close()  # it was told once
  assert {path: path.read_bytes() for path in files_of(folder)} == before
  assert sorted(os.listdir(folder)) == ['4', '6']


def test_older_checkpoints_outlive_one_that_was_not_saved(folder, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(checkpoint.np, 'savez', write_others)
    assert_not_saved(folder, 'found a checkpoint that reads back')
  step, state = restore(folder)
  assert step == 6
  small_run.assert_equal_bits(state, make_state(6))
  # And there is a way on.
  save(folder, [8])
  assert restore(folder)[0] == 8


def test_a_full_disk_is_one_error(folder, monkeypatch):
  def write(file, **arrays):
    file.write(b'a part')
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with monkeypatch.context() as patch:
    patch.setattr(checkpoint.np, 'savez', write)
    assert_not_saved(folder, 'No space left on device')


def test_a_disk_that_takes_no_more_is_one_error(folder):
  """A real error, from a limit on the size of files."""
  size = (folder / '6' / 'state.npz').stat().st_size
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
  try:
    assert_not_saved(folder, os.strerror(errno.EFBIG))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert restore(folder)[0] == 6


def test_a_checkpoint_of_the_earlier_format_is_refused(folder):
  """A checkpoint of Orbax, which only Orbax can read."""
  old = folder / '8'
  for name in ('metadata/metadata', 'state/manifest.ocdbt'):
    (old / name).parent.mkdir(parents=True)
    (old / name).write_text('{}')
  for _ in range(2):  # it was left where it is
    with pytest.raises(CheckpointError) as error:
      restore(folder)
    assert str(error.value) == (
      f'{old}: schema_version: found 1, expected {checkpoint.SCHEMA_VERSION}; '
      'another version of Eigen3 saved it'
    )
  assert sorted(os.listdir(folder)) == ['4', '6', '8']
  assert os.listdir(folder.parent) == ['checkpoints']


def test_what_is_not_a_checkpoint_is_left_alone(folder):
  files = ('notes.txt', '6.txt', '8.part', 'a.12.part', '7.b.part', '.hidden')
  for name in files:
    (folder / name).write_text('mine')
  (folder / 'best').mkdir()
  (folder / 'best' / '5.removed').write_text('mine')
  (folder / '5.removed.old').mkdir()
  save(folder, [8, 9], keep=1)
  assert restore(folder)[0] == 9
  assert sorted(os.listdir(folder)) == sorted(
    [*files, '9', 'best', '5.removed.old']
  )
  assert {(folder / name).read_text() for name in files} == {'mine'}
  assert (folder / 'best' / '5.removed').read_text() == 'mine'


def test_reading_creates_nothing(folder, tmp_path):
  shutil.copytree(folder / '6', folder / '8.12ab34cd.part')
  for place in (folder, tmp_path / 'absent'):
    checkpointer = Checkpointer(place, 1, HASH, read_only=True)
    found = checkpointer.restore_latest(make_state(99))
    checkpointer.close()
    assert (found is None) == (place != folder)
  assert sorted(os.listdir(folder)) == ['4', '6', '8.12ab34cd.part']
  assert os.listdir(tmp_path) == ['checkpoints']

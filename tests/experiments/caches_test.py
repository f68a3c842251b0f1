"""Tests of experiments.caches and of programs with a compilation cache."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from experiments import backend, caches


@pytest.fixture
def directory(monkeypatch):
  """Reads JAX's setting of the folder; restores the old one."""
  monkeypatch.delenv('JAX_COMPILATION_CACHE_DIR', raising=False)
  before = jax.config.jax_compilation_cache_dir
  seconds = jax.config.jax_persistent_cache_min_compile_time_secs
  jax.config.update('jax_compilation_cache_dir', None)
  yield lambda: jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', before)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', seconds)


def test_the_folder_is_the_users_and_of_one_processor(monkeypatch, tmp_path):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  found = pathlib.Path(caches.folder('compiled'))
  assert found.parent == tmp_path / 'eigen3' / 'compiled'
  assert len(found.name) == 8
  monkeypatch.delenv('XDG_CACHE_HOME')
  monkeypatch.setenv('HOME', str(tmp_path))
  expected = tmp_path / '.cache' / 'eigen3' / 'compiled' / found.name
  assert pathlib.Path(caches.folder('compiled')) == expected
  assert caches.folder('x', '~/own') == str(tmp_path / 'own' / found.name)


def test_another_processor_has_another_folder(monkeypatch):
  here = caches.folder('compiled')
  monkeypatch.setattr(caches.platform, 'machine', lambda: 'other')
  assert caches.folder('compiled') != here


def test_a_program_keeps_what_it_compiles(directory, tmp_path):
  backend.keep_compiled(str(tmp_path / 'kept'))
  assert directory() == caches.folder('', str(tmp_path / 'kept'))
  assert pathlib.Path(directory()).is_dir()


def test_none_keeps_none(directory):
  backend.keep_compiled('none')
  assert directory() is None


def test_the_environment_is_left_alone(directory, monkeypatch, tmp_path):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path))
  backend.keep_compiled(None)
  assert directory() is None


def test_a_folder_that_cannot_be_made_is_no_obstacle(
  directory, tmp_path, caplog
):
  (tmp_path / 'file').write_text('')
  backend.keep_compiled(str(tmp_path / 'file'))
  assert directory() is None
  assert f'--compilation_cache: {tmp_path}/file' in caplog.text


COMPILE = """
import sys, jax
from experiments import backend
backend.keep_compiled(sys.argv[1])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
print(jax.jit(lambda x: x * 2 + 1)(3.0))
"""


def test_an_entry_that_was_cut_short_is_made_again(tmp_path):
  environment = {
    name: value
    for name, value in os.environ.items()
    if name != 'JAX_COMPILATION_CACHE_DIR'
  }

  def compile_once():
    done = subprocess.run(
      [sys.executable, '-c', COMPILE, tmp_path],
      env=environment,
      capture_output=True,
      text=True,
      check=True,
    )
    assert done.stdout == '7.0\n'
    assert 'rror' not in done.stderr
    return {
      path: path.read_bytes() for path in tmp_path.glob('*/jit__lambda*-cache')
    }

  ((entry, content),) = compile_once().items()
  if not content.startswith(b'\x78'):
    pytest.skip('jax wrote it by another library than zlib')
  entry.write_bytes(content[: len(content) // 2])
  whole = compile_once()
  assert list(whole) == [entry]
  assert len(whole[entry]) == len(content)
  kept = entry.stat().st_mtime_ns
  compile_once()
  assert entry.stat().st_mtime_ns == kept

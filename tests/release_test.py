"""Tests of what a wheel would hold; `make release` builds and tries one."""

import configparser
import importlib
import pathlib
import subprocess
import sys

import pytest

import eigen3

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of a checkout, not of a wheel.
LEFT_OUT = {'.ipynb', '.pyc'}


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  """The folder of a wheel's packages and that of its metadata."""
  pytest.importorskip('setuptools')
  folder = tmp_path_factory.mktemp('built')
  command = [
    *(sys.executable, 'setup.py', '--quiet'),
    *('egg_info', f'--egg-base={folder}'),
    *('build_py', f'--build-lib={folder}/lib'),
  ]
  subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
  return folder / 'lib', folder / 'eigen3.egg-info'


def files_of(folder):
  return {
    path.relative_to(folder)
    for package in ('eigen3', 'experiments')
    for path in (folder / package).rglob('*')
    if path.is_file() and path.suffix not in LEFT_OUT
  }


def test_a_wheel_has_all_files_of_the_packages(built):
  expected = {
    path
    for path in files_of(ROOT)
    if path.parts[:2] != ('experiments', 'results')
  }
  assert files_of(built[0]) == expected
  assert pathlib.Path('eigen3/py.typed') in expected
  assert pathlib.Path('eigen3/reporting/run_page/page.html') in expected


def test_its_command_is_there(built):
  found = configparser.ConfigParser()
  found.read(built[1] / 'entry_points.txt')
  module, _, name = found['console_scripts']['eigen3'].partition(':')
  assert callable(getattr(importlib.import_module(module), name))


def test_the_changelog_tells_of_this_version():
  text = (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
  assert f'\n## {eigen3.__version__}' in text

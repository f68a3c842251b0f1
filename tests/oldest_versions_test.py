"""Tests of the constraints that tests/oldest_versions.py derives."""

import subprocess
import sys

import oldest_versions
import pytest

SETUP = """
import setuptools

TEST = ['pytest>=8.3']
setuptools.setup(
  name='few',
  packages=setuptools.find_packages(include=['few']),
  python_requires='>=3.11',
  install_requires=[{}],
  extras_require={{'test': TEST, 'cuda': ['jax[cuda13]>=0.8']}},
)
"""


def written(tmp_path, *requirements):
  setup = tmp_path / 'setup.py'
  setup.write_text(SETUP.format(', '.join(map(repr, requirements))))
  return setup


def test_takes_each_lower_bound_of_the_package_and_its_tests(tmp_path):
  setup = written(tmp_path, 'jax>=0.7.2', 'ml-collections>=1.0')
  assert oldest_versions.constraints(setup) == [
    'jax==0.7.2', 'ml-collections==1.0', 'pytest==8.3',
  ]  # fmt: skip
  assert oldest_versions.oldest_python(setup) == (3, 11)


@pytest.mark.parametrize('requirement', ['jax', 'jax>0.7', 'jax>=0.7,<0.9'])
def test_refuses_what_has_no_plain_lower_bound(tmp_path, requirement):
  with pytest.raises(ValueError, match=r'setup\.py: found .*jax.*expected'):
    oldest_versions.constraints(written(tmp_path, requirement))


def test_prints_constraints_of_this_package():
  ended = subprocess.run(
    [sys.executable, oldest_versions.__file__],
    capture_output=True,
    text=True,
    check=True,
  )
  lines = ended.stdout.splitlines()
  assert lines == oldest_versions.constraints()
  names = [line.partition('==')[0] for line in lines]
  assert {'jax', 'numpy', 'pandas', 'chex', 'pytest'} <= set(names)
  assert len(names) == len(set(names))


def test_leaves_setuptools_alone(tmp_path):
  before = sys.modules.get('setuptools')
  oldest_versions.constraints(written(tmp_path, 'jax>=0.7'))
  assert sys.modules.get('setuptools') is before

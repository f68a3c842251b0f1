"""Tests of experiments.path_flags: ~ is the home folder wherever it stands."""

import pytest
from absl import flags

from experiments import path_flags


@pytest.fixture
def values(monkeypatch):
  """Flags of one path, of a list and of a repeatable one."""
  monkeypatch.setenv('HOME', '/home/me')
  found = flags.FlagValues()
  path_flags.DEFINE_path('out', None, 'A file.', flag_values=found)
  path_flags.DEFINE_path('also', '~/also', 'A file.', flag_values=found)
  path_flags.DEFINE_paths('runs', [], 'Folders.', flag_values=found)
  path_flags.DEFINE_multi_path('context', [], 'Files.', flag_values=found)
  return found


@pytest.mark.parametrize(
  'given, expected',
  [
    ('~/p.parquet', '/home/me/p.parquet'),
    ('~', '/home/me'),
    # Only where a path begins.
    ('a/~/b', 'a/~/b'),
    ('./~', './~'),
    ('a~', 'a~'),
    ('a:b.parquet', 'a:b.parquet'),
    (' runs [old]/$HOME/*', ' runs [old]/$HOME/*'),
    ('a, b', 'a, b'),
    ('', ''),
  ],
)
@pytest.mark.parametrize('apart', [True, False])
def test_a_path(values, given, expected, apart):
  values(['program', *(['--out', given] if apart else [f'--out={given}'])])
  assert values.out == expected


def test_a_default_may_be_below_the_home_folder(values):
  values(['program'])
  assert values.also == '/home/me/also'
  assert values.out is None
  assert values.runs == []
  assert values.context == []


def test_every_path_of_a_list(values):
  values(['program', '--runs=~/a,b/~,~/c d*'])
  assert values.runs == ['/home/me/a', 'b/~', '/home/me/c d*']


def test_a_path_that_is_repeated(values):
  values(['program', '--context=~/a.csv:lag=1', '--context', 'b,~/c'])
  assert values.context == ['/home/me/a.csv:lag=1', 'b,~/c']


def test_flags_are_what_a_flag_file_of_them_gives(values):
  """Serialised flags start the same program again."""
  given = ['--out=~/a b', '--runs=~/a,b', '--context=~/c', '--context=d']
  values(['program', *given])
  before = values.flag_values_dict()
  arguments = [
    line
    for name in ('out', 'runs', 'context')
    for line in values[name].serialize().splitlines()
  ]
  values.unparse_flags()
  for name in ('out', 'runs', 'context'):
    values[name].unparse()
  values(['program', *arguments])
  assert values.flag_values_dict() == before


REQUIRED = pytest.mark.parametrize(
  'define', [path_flags.DEFINE_path, path_flags.DEFINE_paths]
)


@REQUIRED
def test_a_required_path_is_asked_for(define):
  values = flags.FlagValues()
  define('out', None, '', required=True, flag_values=values)
  with pytest.raises(flags.IllegalFlagValueError, match='--out must have a'):
    values(['program'])


@REQUIRED
def test_a_required_path_is_not_empty(define):
  values = flags.FlagValues()
  define('out', None, '', required=True, flag_values=values)
  with pytest.raises(
    flags.IllegalFlagValueError, match='expected at least one'
  ):
    values(['program', '--out='])

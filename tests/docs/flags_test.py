"""The commands of all pages have flags and settings that exist."""

import functools
import re

import forks
import pages
import pytest

from experiments.commands import COMMANDS

CASES = [
  (page, command)
  for page in pages.PAGES
  for command in pages.all_commands(page)
  if command[0] != 'NAME'
]


@functools.cache
def flags_of(program: str) -> set[str]:
  """Returns the names of a program's flags."""
  helped = forks.run('-m', 'experiments', program, '--help').stdout
  assert '--cpu_devices' in helped
  found = set(re.findall(r'(?m)^  --(?:\[no\])?(\w+)', helped))
  return found | {f'no{name}' for name in found} | {'help', 'flagfile'}


def wrong_flags(command: list[str]) -> list[str]:
  """Returns the flags that a command's program does not have."""
  program, *arguments = command
  names = [argument[2:].partition('=')[0] for argument in arguments]
  known = flags_of(program)
  return [name for name in names if name.partition('.')[0] not in known]


@pytest.mark.parametrize(
  'page, command', CASES, ids=lambda x: getattr(x, 'stem', x[0])
)
def test_a_command_can_be_given(page, command):
  program, *arguments = command
  assert program in COMMANDS
  assert wrong_flags(command) == []
  if COMMANDS[program].config and '--help' not in arguments:
    run = forks.run('-m', 'experiments', *command, '--print_config')
    resumes = '--resume' in arguments and 'found --resume' in run.stderr
    assert run.returncode == 0 or resumes, run.stderr


def test_commands_are_found(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text(
    'See `eigen3 td3 --resume`.\n\n    .venv/bin/eigen3 act --run=a \\\n'
    "      --top=3  # note\n\n```sh\npython -m experiments.erl --x='b c'\n```\n"
  )
  assert sorted(pages.all_commands(page)) == [
    ['act', '--run=a', '--top=3'],
    ['erl', '--x=b c'],
    ['td3', '--resume'],
  ]
  assert len(CASES) > 40


def test_a_flag_that_is_not_there_is_found():
  assert wrong_flags(['act', '--run=a', '--uphill', '--nouphill=1']) == [
    'uphill',
    'nouphill',
  ]

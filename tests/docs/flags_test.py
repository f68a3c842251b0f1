"""The commands of all pages have flags and settings that exist."""

import functools
import re

import forks
import pages
import pytest

from experiments.commands import COMMANDS


@functools.cache
def flags_of(program: str) -> set[str]:
  """Returns the names of a program's flags."""
  helped = forks.run('-m', 'experiments', program, '--help').stdout
  assert '--cpu_devices' in helped
  found = set(re.findall(r'(?m)^  --(?:\[no\])?(\w+)', helped))
  return found | {f'no{name}' for name in found} | {'help', 'flagfile'}


def wrong_flags(command: tuple[str, ...]) -> list[str]:
  """Returns the flags that a command's program does not have."""
  program, *arguments = command
  names = [argument[2:].partition('=')[0] for argument in arguments]
  known = flags_of(program)
  return [name for name in names if name.partition('.')[0] not in known]


@functools.cache
def refusal(*command: str) -> str:
  """Returns why a command cannot be given, or ''; nothing is run for it."""
  program, *arguments = command
  if program not in COMMANDS:
    return f'no program {program}'
  wrong = wrong_flags(command)
  if wrong or '--config' not in ' '.join(arguments):
    return ' '.join(wrong)
  run = forks.run('-m', 'experiments', *command, '--print_config')
  # A run that goes on has its settings in its folder.
  is_fine = run.returncode == 0 or 'found --resume' in run.stderr
  return '' if is_fine else run.stderr


@pytest.mark.parametrize('page', pages.PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_can_be_given(page):
  commands = [c for c in pages.all_commands(page) if c[0] != 'NAME']
  refused = {' '.join(command): refusal(*command) for command in commands}
  assert {c: why for c, why in refused.items() if why} == {}


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
  assert sum(len(pages.all_commands(page)) for page in pages.PAGES) > 40


@pytest.mark.parametrize(
  'command, words',
  [
    ('act --run=a --uphill --nouphill=1', 'uphill nouphill'),
    ('bet --run=a', 'no program bet'),
    ('td3 --config=small --config.agent.gama=1', 'unknown setting'),
  ],
)
def test_what_is_not_there_is_found(command, words):
  assert words in refusal(*command.split())

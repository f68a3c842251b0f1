"""Every public name, program and setting has its place in the reference."""

import re

import pages
import pytest
from public_names import interfaces

from experiments.commands import COMMANDS

API = pages.ROOT / 'docs' / 'api'
_MODULE = re.compile(r'(?m)^\.\. automodule:: (\S+)\n((?:   :.*\n)*)')


def documented() -> dict[str, str]:
  """Returns the options of each module that the reference shows, by name."""
  return {
    name: options
    for page in API.glob('*.rst')
    for name, options in _MODULE.findall(
      page.read_text(encoding='utf-8') + '\n'
    )
  }


def test_interfaces_are_found():
  found = interfaces()
  assert {'eigen3.types', 'eigen3.data', 'eigen3.runs.lock'} <= set(found)
  assert 'eigen3.agent.replay' in found  # is in eigen3.agent.__all__
  assert 'eigen3.agent.td3' not in found
  assert 'eigen3.runs' not in found


@pytest.mark.parametrize('name', interfaces())
def test_an_interface_is_in_the_reference(name):
  options = documented()
  assert name in options
  # All of it, as conf.py has it where no option says otherwise.
  assert not options[name]


def test_each_program_is_in_the_reference():
  text = (API / 'programs.rst').read_text(encoding='utf-8')
  assert re.findall(r'program-help:: (\S+)', text) == [*COMMANDS]


def test_the_settings_of_each_program_are_in_the_reference():
  text = (API / 'settings.rst').read_text(encoding='utf-8')
  for command in COMMANDS.values():
    name = command.config.partition(':')[0]
    assert f'experiments/configs/{name}' in text


def test_every_page_is_in_a_table_of_contents():
  """Sphinx warns of others, too, where it is installed."""
  index = (API.parent / 'index.md').read_text(encoding='utf-8')
  listed = re.findall(r'(?m)^(\w+|api/index)$', index)
  assert len(listed) == len(set(listed))
  there = {page.stem for page in API.parent.glob('*.md')} - {'README', 'index'}
  assert set(listed) == there | {'changelog', 'api/index'}
  inner = (API / 'index.rst').read_text(encoding='utf-8')
  listed = re.findall(r'(?m)^   (\w+)$', inner)
  assert sorted(listed) == sorted(
    {p.stem for p in API.glob('*.rst')} - {'index'}
  )

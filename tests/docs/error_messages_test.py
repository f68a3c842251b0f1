"""The error messages of docs/troubleshooting.md are those of the code."""

import ast
import re

import pages
import pytest

PAGE = pages.ROOT / 'docs' / 'troubleshooting.md'
# What stands between the parts of a message: a value, or words of `settings`.
_BETWEEN = re.compile(r"\.{3,}'?|: found '?\.{3}|, expected ")


def texts() -> str:
  """Returns all strings of the code; a value in one is a null character."""
  found = []
  for folder in ('eigen3', 'experiments'):
    for path in (pages.ROOT / folder).rglob('*.py'):
      for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.JoinedStr):
          parts = (getattr(part, 'value', '') for part in node.values)
          found.append('\0'.join(p for p in parts if isinstance(p, str)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
          found.append(node.value)
  return '\n'.join(found)


def unknown_parts(message: str, known: str) -> list[str]:
  """Returns the parts of a message that no string of the code has."""
  parts = [part.strip() for part in _BETWEEN.split(message)]
  return [part for part in parts if part and part not in known]


@pytest.fixture(scope='module')
def known():
  return texts()


@pytest.mark.parametrize('block', pages.blocks(PAGE)[1:], ids=lambda b: b.line)
def test_a_message_is_in_the_code(block, known):
  for message in block.text.splitlines():
    if message:
      assert unknown_parts(message, known) == []


def test_a_message_of_nobody_is_found(known):
  assert unknown_parts('data.panel: found ..., expected gold', known) == [
    'gold'
  ]

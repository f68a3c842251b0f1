"""Reads the Markdown pages: their blocks of code, and the marks before these.

A block that a test runs is marked by a comment, which no reader sees:

  <!-- runnable -->        by `make test`
  <!-- runnable: long -->  by `make test-long`

The comment ends the line before the block; one blank line may come between.
"""

import pathlib
import re
import shlex
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]

_MARK = re.compile(r'<!-- (runnable(?:: long)?) -->$')
_FENCE = re.compile(r'```(.*)$')
_FENCED = re.compile(r'(?ms)^```.*?^```$')
_SPAN = re.compile(r'`([^`\n]*(?:\n[^`\n]+)?)`')
_PROGRAM = re.compile(r'(?:\S*/)?eigen3 (?=\w)|python -m experiments[. ](?=\w)')


class Block(NamedTuple):
  """Code of a page.

  Attributes:
    page: where it stands.
    line: of its first line, from 1.
    language: after the fence; '' of an indented block.
    text: of all lines, without the indentation.
    mark: 'runnable', 'runnable: long' or ''.
  """

  page: pathlib.Path
  line: int
  language: str
  text: str
  mark: str


def blocks(page: pathlib.Path) -> list[Block]:
  """Returns the blocks of a page in order; fenced or indented ones."""
  lines = page.read_text(encoding='utf-8').splitlines()
  found, index = [], 0
  while index < len(lines):
    fence = _FENCE.match(lines[index])
    before = lines[index - 1] if index else ''
    if fence:
      end = next(i for i in range(index + 1, len(lines)) if lines[i] == '```')
      code, after = lines[index + 1 : end], end + 1
    elif lines[index].startswith('    ') and (
      not before or _MARK.search(before)
    ):
      end = index
      while end < len(lines) and (not lines[end] or lines[end][:4] == '    '):
        end += 1
      code, after = [line[4:] for line in lines[index:end]], end
    else:
      index += 1
      continue
    mark = _MARK.search(before or lines[max(index - 2, 0)])
    found.append(
      Block(
        page,
        index + 1,
        fence[1].strip() if fence else '',
        '\n'.join(code).strip('\n'),
        mark[1] if mark else '',
      )
    )
    index = after
  return found


def commands_of(text: str) -> list[list[str]]:
  """Returns the commands in a block: the program's name, then its flags.

  Lines that call something else are left out.
  """
  lines = text.replace('\\\n', ' ').splitlines()
  return [
    shlex.split(line[match.end() :], comments=True)
    for line in lines
    if (match := _PROGRAM.match(line))
  ]


def all_commands(page: pathlib.Path) -> list[list[str]]:
  """Returns the commands of a page, those in its sentences too."""
  text = _FENCED.sub('', page.read_text(encoding='utf-8'))
  inline = [' '.join(found.split()) for found in _SPAN.findall(text)]
  return [
    [word for word in command if '...' not in word]
    for code in [*(block.text for block in blocks(page)), *inline]
    for command in commands_of(code)
  ]


def on_smoke(text: str) -> str:
  """Returns code with the preset of seconds in place of larger ones."""
  text = re.sub(
    r'(--(?:config|size)=(?:[\w/]+\.py:)?(?:\w+/)?)(?:small|medium|full)\b',
    r'\1smoke',
    text,
  )
  return text.replace("'small'", "'smoke'").replace('Small-v0', 'Smoke-v0')

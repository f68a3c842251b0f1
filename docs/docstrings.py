"""Turns docstrings, plain text with code in it, into the reference."""

import ast
import enum
import functools
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

# The name of a section Returns that explains several results.
SEVERAL = 'Returns each'

# What means something to reStructuredText alone, and flags.
_MARKUP = re.compile(r'([*|]|_(?=\W|$))')
_FLAG = re.compile(r'(?<!\S)(--\w[\w=.]*)')
_RETURNS = re.compile(r'(?m)^Returns:\n((?:  .*\n|\n)*)')
_RESULT = re.compile(r'(?m)^  \w[\w, ]*: ')
_LONGEST = 60  # letters of a value that is shown


def setup(app: Sphinx) -> dict[str, bool]:
  """Connects the functions below to autodoc; napoleon has priority 500."""
  app.connect('autodoc-process-docstring', escape, priority=400)
  app.connect('autodoc-process-docstring', add_data, priority=600)
  app.connect('autodoc-skip-member', skip_fields)
  return {'parallel_read_safe': True}


def escape(
  app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
  """Makes reStructuredText of a docstring."""
  text = _as_rst('\n'.join(lines))
  lines[:] = _RETURNS.sub(_of_each, text).split('\n')


def add_data(
  app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
  """Adds constants and aliases to a module, which autodoc passes over."""
  if what != 'module':
    return
  for data, value, comment in _data_of(obj):
    lines += ['', f'.. py:data:: {data}']
    if len(repr(value)) <= _LONGEST and ' at 0x' not in repr(value):
      lines.append(f'   :value: {value!r}')
    lines += ['', f'   {_as_rst(comment)}', '']


def skip_fields(
  app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
  """Leaves out fields, which the docstring of their class explains."""
  kinds = (property, functools.cached_property, type, enum.Enum)
  if what == 'class' and not (inspect.isroutine(obj) or isinstance(obj, kinds)):
    return True
  return None


def _as_rst(text: str) -> str:
  """Marks code as such, and escapes what would be read as markup."""
  parts = text.split('`')
  for i in range(0, len(parts), 2):
    parts[i] = _FLAG.sub(r'``\1``', _MARKUP.sub(r'\\\1', parts[i]))
  parts[1::2] = map(_code, parts[1::2])
  return ''.join(parts)


def _code(text: str) -> str:
  """Code in a sentence; a name is a link where the reference has it."""
  is_name = text.replace('.', '').isidentifier()
  return f':py:obj:`{text}`' if is_name else f'``{text}``'


def _of_each(returns: re.Match) -> str:
  """Names a section Returns with several results as napoleon wants it."""
  several = len(_RESULT.findall(returns[1])) > 1
  return f'{SEVERAL}:\n{returns[1]}' if several else returns[0]


def _data_of(module: types.ModuleType) -> Iterator[tuple[str, Any, str]]:
  """Yields name, value and comment of what a module offers beside its code."""
  tree = ast.parse(inspect.getsource(module))
  names = getattr(module, '__all__', None)
  if names is None:
    names = [name for name, _ in _assigned(tree) if name[0] != '_']
  origins = {
    alias.name: node.module
    for node in tree.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
  }
  for name in names:
    value = getattr(module, name)
    is_code = inspect.isroutine(value) or inspect.isclass(value)
    if not (is_code or inspect.ismodule(value)):
      origin = importlib.import_module(origins.get(name) or module.__name__)
      yield name, value, _comment_on(name, origin)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
  """Yields the names that a module assigns to, each with its statement."""
  for node in tree.body:
    if isinstance(node, ast.Assign | ast.AnnAssign):
      for target in getattr(node, 'targets', None) or [node.target]:
        if isinstance(target, ast.Name):
          yield target.id, node


def _comment_on(name: str, module: types.ModuleType) -> str:
  """Returns the comment at the end of an assignment, or above it."""
  source = inspect.getsource(module)
  node = dict(_assigned(ast.parse(source))).get(name)
  if node is None:  # a name of yet another module
    return ''
  lines = source.splitlines()
  _, _, behind = lines[node.end_lineno - 1].partition('  # ')
  if behind:
    return behind
  first = last = node.lineno - 1
  while first and lines[first - 1].startswith('# '):
    first -= 1
  return ' '.join(line[2:] for line in lines[first:last])

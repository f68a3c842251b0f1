"""Finds out whether settings were committed before the runs that use them."""

import ast
import pathlib
import subprocess
from collections.abc import Collection
from typing import Any


def named(
  file: pathlib.Path, is_its_own: bool, commits: Collection[str]
) -> dict[str, Any]:
  """Returns the commit of a settings file, and whether runs came after it.

  Args:
    file: the file, in experiments/configs.
    is_its_own: whether the settings in use are those of the file.
    commits: commits of the code of all runs, as in the runs' records.

  Returns:
    `file`, the file's path in the repository; `commit`, the last commit that
    changed the file's code (not only docstrings, comments or layout), or '' if
    the code has uncommitted changes, other settings are in use or git does not
    know the file; `before`, whether each of `commits` is this commit or a
    descendant of it, None if unknown.
  """

  def git(*arguments: str) -> subprocess.CompletedProcess:
    command = ['git', *arguments]
    try:
      return subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True
      )
    except OSError:  # no git here
      return subprocess.CompletedProcess(command, 127, '')

  commit = ''
  history = git('log', '--format=%H', '--', file.name).stdout.split()
  for revision in history if is_its_own else ():
    shown = git('show', f'{revision}:./{file.name}')
    if shown.returncode or _code(shown.stdout) != _code(file.read_text()):
      break
    commit = revision
  orders = [
    {0: True, 1: False}.get(
      git('merge-base', '--is-ancestor', commit, later.rstrip('+')).returncode
    )
    for later in commits
  ]
  before = None if not commit or None in orders or not orders else all(orders)
  return {
    'file': f'experiments/configs/{file.name}',
    'commit': commit,
    'before': before,
  }


def _code(source: str) -> str:
  """Returns the syntax tree of Python source without docstrings, as text."""
  tree = ast.parse(source)
  documented = ast.Module | ast.ClassDef | ast.FunctionDef
  for node in ast.walk(tree):
    if isinstance(node, documented) and ast.get_docstring(node) is not None:
      node.body = node.body[1:]
  return ast.dump(tree)

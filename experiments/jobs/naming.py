"""Finds out whether settings were committed before the runs that use them."""

import pathlib
import subprocess
from collections.abc import Collection
from typing import Any


def named(
  file: pathlib.Path, is_its_own: bool, commits: Collection[str]
) -> dict[str, Any]:
  """Returns the commit of a file of settings, and whether runs came after it.

  Args:
    file: the file, in experiments/configs.
    is_its_own: whether the settings in use are those of the file.
    commits: commits of the code of all runs, as in their records.

  Returns:
    `file`, its path; `commit`, the last one that changed the file, or '' if the
    file has uncommitted changes or other settings are in use; `before`, whether
    each of `commits` is this commit or a descendant, None if unknown.
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
  status = git('status', '--porcelain', '--', file.name)
  if is_its_own and not status.returncode and not status.stdout.strip():
    commit = git('log', '-1', '--format=%H', '--', file.name).stdout.strip()
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

"""Records when held-out days were opened, which should happen once.

The days are opened when policies are evaluated on them. Each run keeps a list
of these openings, with their times and policies. A policy is identified by the
digest of its arrays, so that an interrupted evaluation can be repeated:
evaluating the same policy on the same days again reveals nothing new, and does
not count as a new opening.
"""

import datetime
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from eigen3 import parallel
from eigen3.agent import Policy
from eigen3.files import write_json
from eigen3.runs import checkpoint

FILE = 'holdout.json'


def policy_digest(policy: Policy) -> str:
  """Returns a digest of a policy's parameters and batch-norm statistics."""
  return checkpoint.digest(parallel.to_host(policy))


def openings(workdir: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the openings of a run's held-out days, oldest first.

  Args:
    workdir: the run's folder.

  Returns:
    A dict per opening: `time`, `by` (the name of the program) and `policies`
    (the digests of the policies that it evaluated); [] if there are none.

  Raises:
    ValueError: if the list of openings is damaged.
  """
  path = pathlib.Path(workdir) / FILE
  if not path.exists():
    return []
  try:
    found = json.loads(path.read_text(encoding='utf-8'))
    return [
      {name: entry[name] for name in ('time', 'by', 'policies')}
      for entry in found
    ]
  except (ValueError, TypeError, KeyError) as error:
    raise ValueError(
      f'{path}: found a damaged file ({error!r}), expected the list of '
      'openings of the held-out days'
    ) from error


def was_judged(workdir: os.PathLike | str, digest: str) -> bool:
  """Returns whether a policy was already evaluated on a run's held-out days.

  Args:
    workdir: the run's folder.
    digest: the policy's `policy_digest`.

  Raises:
    ValueError: if the list of openings is damaged.
  """
  return any(digest in entry['policies'] for entry in openings(workdir))


def open_holdout(
  policies: Mapping[os.PathLike | str, Sequence[str]],
  by: str,
  again: bool = False,
) -> int:
  """Records that policies are about to be evaluated on held-out days.

  Nothing is recorded for a run if all policies given for it were evaluated on
  its held-out days before.

  Args:
    policies: digests of the policies to evaluate, keyed by the folder of the
      run on whose held-out days they are evaluated.
    by: name of the program that evaluates them.
    again: whether to allow the evaluation even if the days were opened before
      and at least one of these policies was not evaluated on them then.

  Returns:
    How often the days were opened, including this time if it was recorded; for
    several runs, the largest of these numbers.

  Raises:
    ValueError: if a run's days were opened before, at least one of its given
      policies was not evaluated then, and `again` is False; or if a list of
      openings is damaged. Then nothing is recorded for any run.
  """
  known = {workdir: openings(workdir) for workdir in policies}
  now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
  changed = {}
  for workdir, entries in known.items():
    judged = {digest for entry in entries for digest in entry['policies']}
    if judged.issuperset(policies[workdir]):
      continue
    if entries and not again:
      raise ValueError(
        f'--holdout: found the held-out days of {workdir} opened before for '
        f'another policy (by {entries[-1]["by"]}, {entries[-1]["time"]}), '
        'expected them unopened; --holdout=no leaves them closed, '
        '--holdout=again opens them again and reports it'
      )
    entry = {'time': now, 'by': by, 'policies': sorted(policies[workdir])}
    changed[workdir] = [*entries, entry]
  for workdir, entries in changed.items():
    if not parallel.is_first_process():
      break
    write_json(pathlib.Path(workdir) / FILE, entries)
  return max(len(entries) for entries in (known | changed).values())


def remark(count: int) -> str:
  """Returns a remark if held-out days were opened twice or more, else ''.

  Args:
    count: how often the days were opened.
  """
  if count < 2:
    return ''
  return (
    f'held-out days opened {count} times: their last result is no longer on '
    'unseen days'
  )

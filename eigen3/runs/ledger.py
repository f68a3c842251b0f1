"""What was looked at that should be looked at once: the held-out days.

Each run keeps a list of the times its held-out days were opened, and which
policies were judged on them then. A policy is known by the digest of its
arrays, so that a report that was interrupted can be made again: the same
policy on the same days tells nothing new, and opens nothing.
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
  """Digest of all that decides an agent's actions."""
  return checkpoint.digest(parallel.to_host(policy))


def openings(workdir: os.PathLike | str) -> list[dict[str, Any]]:
  """When a run's held-out days were opened, oldest first.

  Returns:
    Entries of `time`, `by` (the program) and `policies` (digests).

  Raises:
    ValueError: the list is damaged.
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
  """Whether a policy was judged on a run's held-out days before.

  Raises:
    ValueError: the list is damaged.
  """
  return any(digest in entry['policies'] for entry in openings(workdir))


def open_holdout(
  policies: Mapping[os.PathLike | str, Sequence[str]],
  by: str,
  again: bool = False,
) -> int:
  """Records, before it is done, that policies are judged on held-out days.

  Args:
    policies: for the folder of each run whose days these are, the digests of
      what is judged on them.
    by: the program that looks.
    again: allow it where other policies were judged on them before.

  Returns:
    How often these days were opened, with this time: the most of any run.

  Raises:
    ValueError: they were opened before for other policies, and `again` is not
      set; nothing is recorded.
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
        f'--holdout: the held-out days of {workdir} were opened before (by '
        f'{entries[-1]["by"]}, {entries[-1]["time"]}), for another policy; '
        '--holdout=no leaves them closed, --holdout=again opens them again '
        'and says so in the report'
      )
    entry = {'time': now, 'by': by, 'policies': sorted(policies[workdir])}
    changed[workdir] = [*entries, entry]
  for workdir, entries in changed.items():
    if not parallel.is_first_process():
      break
    write_json(pathlib.Path(workdir) / FILE, entries)
  return max(len(entries) for entries in (known | changed).values())


def remark(count: int) -> str:
  """What a report says of days that were opened so often; '' for once."""
  if count < 2:
    return ''
  return (
    f'held-out days opened {count} times: their last result is no longer of '
    'unseen days'
  )

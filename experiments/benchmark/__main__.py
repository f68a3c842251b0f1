"""Measures suites and records them as a table, JSON and a picture.

python -m experiments.benchmark --suite=networks --size=small --out=results

Every case runs in a process of its own; cases of a group take turns, or follow
one another on an accelerator, as groups do. JSON and picture of a suite are
named <suite>_<size>, and are written again each time that something was
measured, so that a run that is interrupted keeps it. The suite accelerator is
for a GPU, and hopper checks and times the kernels of one kind; each in one
command:

python -m experiments.benchmark --suite=accelerator --size=full --out=results
"""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags
from tqdm import tqdm

from eigen3.files import write_json
from experiments import mains, path_flags
from experiments.benchmark import cases, picture, record, report, turns
from experiments.benchmark.cases import Group
from experiments.benchmark.suites import SUITES

_ALL = 'all'
_ON_GPU = ('accelerator', 'hopper')  # asked for by their names alone
_SUITE = flags.DEFINE_list(
  'suite', [_ALL], f'Some of {", ".join(SUITES)}, or {_ALL}.'
)
_SIZE = flags.DEFINE_enum(
  'size', 'small', ['smoke', 'small', 'full'], 'Smoke is for tests alone.'
)
_ONLY = flags.DEFINE_string(
  'only', '', "Regular expression that a case's 'group: name' must have."
)
_OUT = path_flags.DEFINE_path('out', None, 'Folder for JSON and pictures.')
_REPEATS = flags.DEFINE_integer(
  'repeats', 5, 'Measured runs of each case, at most.', lower_bound=1
)
_MIN_REPEATS = flags.DEFINE_integer(
  'min_repeats', 3, 'Measured runs, however long they take.', lower_bound=1
)
_AGAINST = path_flags.DEFINE_path(
  'against',
  None,
  'JSON of an earlier run, to list the cases that became slower.',
)
_MAX_SECONDS = flags.DEFINE_float(
  'max_seconds',
  300.0,
  'Seconds that the runs of a case may take together, if that is enough for '
  '--min_repeats.',
  lower_bound=0.0,
)


def main(argv: Sequence[str]) -> int:
  """Measures what the flags name; 1 if a case failed, else 0."""
  suites = _chosen()
  before = _recorded()
  if _OUT.value:
    pathlib.Path(_OUT.value).mkdir(parents=True, exist_ok=True)
  good = [_measure(name, groups, before) for name, groups in suites.items()]
  return 0 if all(good) else 1


def _chosen() -> dict[str, list[Group]]:
  """The groups of every suite that the flags name."""
  names = _SUITE.value
  if _ALL in names:
    names = [name for name in SUITES if name not in _ON_GPU]
  for name in names:
    if name not in SUITES:
      raise ValueError(
        f"--suite: found '{name}', expected some of {', '.join(SUITES)}, or "
        f'{_ALL}'
      )
  suites = {name: SUITES[name](_SIZE.value, mains.cores()) for name in names}
  chosen = {
    name: cases.matching(groups, _ONLY.value) for name, groups in suites.items()
  }
  if not any(chosen.values()):
    found = [
      f'{g.name}: {c.name}' for s in suites.values() for g in s for c in g.cases
    ]
    raise ValueError(
      f"--only: found '{_ONLY.value}', expected what one of these has: "
      f'{"; ".join(found)}'
    )
  left_out = []
  for name, groups in chosen.items():
    chosen[name], missing = cases.available(groups)
    left_out += missing
  if left_out:
    print(_left_out(left_out))
  return {name: groups for name, groups in chosen.items() if groups}


def _left_out(names: Sequence[str]) -> str:
  """The line that says what is not measured for want of PyTorch."""
  return (
    f'PyTorch is not installed, so that {len(names)} cases are left out '
    f"(pip install -e '.[torch]'): {'; '.join(names)}"
  )


def _recorded() -> dict[str, Any] | None:
  """The run to compare with, if one is asked for.

  Raises:
    ValueError: the file is no record.
  """
  if not _AGAINST.value:
    return None
  try:
    found = json.loads(pathlib.Path(_AGAINST.value).read_text(encoding='utf-8'))
    found['groups'], found['machine']['processor']
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(
      f'--against: found {_AGAINST.value}, expected a JSON file that a '
      f'benchmark wrote ({error})'
    ) from error
  return found


def _measure(
  suite: str, groups: Sequence[Group], before: dict[str, Any] | None
) -> bool:
  """Measures and records a suite; whether all of its cases went well."""
  limits = turns.Limits(_REPEATS.value, _MIN_REPEATS.value, _MAX_SECONDS.value)
  start = record.load()
  results: dict[str, Any] = {
    'suite': suite,
    'size': _SIZE.value,
    **record.surroundings(limits._asdict() | {'only': _ONLY.value}),
    'groups': [],
  }
  done: list[Any] = []
  for group in groups:
    for measured in turns.measure(group, limits):
      summary = report.compare(group, measured)
      results['groups'] = [*done, summary]
      results['load'] = {'start': start, 'end': record.load()}
      _write(suite, results)
    done.append(summary)
    tqdm.write(f'\n{report.table(summary)}\n')
  if _OUT.value:
    print(f'written: {_OUT.value}/{suite}_{_SIZE.value}.json and .png')
  if before is not None:
    print(report.against(results, before))
  return not any(c['failure'] for g in results['groups'] for c in g['cases'])


def _write(suite: str, results: dict[str, Any]) -> None:
  if not _OUT.value:
    return
  stem = pathlib.Path(_OUT.value) / f'{suite}_{_SIZE.value}'
  write_json(stem.with_suffix('.json'), results)
  picture.draw_suite(
    stem.with_suffix('.png'), results, f'Suite {suite}, size {_SIZE.value}'
  )


if __name__ == '__main__':
  mains.run(main)

"""Measures time and memory; writes tables, JSON and pictures.

eigen3 benchmark --suite=networks --size=small --out=results

Every case runs in its own process. Groups run one after another, and the cases
of a group take turns. JSON and picture of a suite are named <suite>_<size>, and
are updated after each group, so that an interrupted run keeps its results.

The suites accelerator and hopper are for a GPU; hopper checks and times the
LSTM kernels for Hopper GPUs. In both, cases run one after another, and files
are updated after each case. JAX cases are compiled in parallel before any case
is timed (--ahead):
eigen3 benchmark --suite=accelerator --size=full --out=results"""

from experiments import mains

if __name__ == '__main__':
  mains.start('benchmark')  # reads flags before slow imports

import json
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from eigen3.files import write_json
from experiments import backend
from experiments.benchmark import cases, picture, record, report, turns
from experiments.benchmark.cases import Group
from experiments.benchmark.suites import SUITES
from experiments.options import benchmark as options

_ON_GPU = ('accelerator', 'hopper')  # run only if named
# Maximum number of cases that compile in parallel: eight filled the device's
# memory, which they share.
_MOST_AT_ONCE = 4


def main(argv: Sequence[str]) -> int:
  """Measures the selected cases; returns 1 if a case failed, else 0."""
  suites = _chosen()
  before = _recorded()
  if options.OUT.value:
    pathlib.Path(options.OUT.value).mkdir(parents=True, exist_ok=True)
  good = [_measure(name, groups, before) for name, groups in suites.items()]
  return 0 if all(good) else 1


def _chosen() -> dict[str, list[Group]]:
  """Returns the selected groups, keyed by suite; prints omitted cases.

  Raises:
    ValueError: if --suite names an unknown suite, or --only is not a regular
      expression or matches no case.
  """
  names = options.SUITE.value
  if options.ALL in names:
    names = [name for name in SUITES if name not in _ON_GPU]
  for name in names or ['']:  # an empty flag is an error, too
    if name not in SUITES:
      raise ValueError(
        f"--suite: found '{name}', expected names of suites "
        f"({', '.join(SUITES)}) or '{options.ALL}'"
      )
  suites = {
    name: SUITES[name](options.SIZE.value, backend.cores()) for name in names
  }
  chosen = {
    name: cases.matching(groups, options.ONLY.value)
    for name, groups in suites.items()
  }
  if not any(chosen.values()):
    found = [
      f'{group.name}: {case.name}'
      for groups in suites.values()
      for group in groups
      for case in group.cases
      if not case.is_product
    ]
    raise ValueError(
      f"--only: found '{options.ONLY.value}', expected a pattern "
      'that matches one of: '
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
  """Returns a line that lists the cases omitted for lack of PyTorch."""
  return (
    f'PyTorch is not installed, so {len(names)} cases are left out '
    f"(pip install -e '.[torch]'): {'; '.join(names)}"
  )


def _recorded() -> dict[str, Any] | None:
  """Reads the results that --against names; returns None without the flag.

  Raises:
    ValueError: if the file does not hold JSON that a benchmark wrote.
  """
  if not options.AGAINST.value:
    return None
  try:
    found = json.loads(
      pathlib.Path(options.AGAINST.value).read_text(encoding='utf-8')
    )
    found['groups'], found['machine']['processor']
  except (ValueError, KeyError, TypeError) as error:
    reason = f'no {error}' if isinstance(error, KeyError) else error
    raise ValueError(
      f'--against: found {options.AGAINST.value} ({reason}), expected a JSON '
      'file that a benchmark wrote'
    ) from error
  return found


def _measure(
  suite: str, groups: Sequence[Group], before: dict[str, Any] | None
) -> bool:
  """Measures and records a suite; returns whether all cases succeeded."""
  limits = turns.Limits(
    options.REPEATS.value, options.MIN_REPEATS.value, options.MAX_SECONDS.value
  )
  start = record.load()
  results: dict[str, Any] = {
    'suite': suite,
    'size': options.SIZE.value,
    **record.surroundings(limits._asdict() | {'only': options.ONLY.value}),
    'groups': [],
  }
  done: list[Any] = []
  with tempfile.TemporaryDirectory(prefix='benchmark') as cache:
    ahead = _ahead(groups, cache)
    for group in groups:
      for measured in turns.measure(group, limits, ahead):
        summary = report.compare(group, measured)
        results['groups'] = [*done, summary]
        results['load'] = {'start': start, 'end': record.load()}
        _write(suite, results)
      done.append(summary)
      tqdm.write(f'\n{report.table(summary)}\n')
  if options.OUT.value:
    print(
      f'written: {options.OUT.value}/{suite}_{options.SIZE.value}.json and .png'
    )
  if before is not None:
    print(report.against(results, before))
  return not any(c['failure'] for g in results['groups'] for c in g['cases'])


def _ahead(groups: Sequence[Group], cache: str) -> turns.Ahead:
  """Compiles JAX cases of `alone` groups ahead, unless only one job may run.

  The number of jobs is `--ahead`; by default half of the cores, but at most 4.
  """
  jobs = options.AHEAD.value
  if jobs is None:
    jobs = min(backend.cores() // 2, _MOST_AT_ONCE)
  return turns.build_ahead(groups, jobs, cache) if jobs > 1 else {}


def _write(suite: str, results: dict[str, Any]) -> None:
  if not options.OUT.value:
    return
  stem = pathlib.Path(options.OUT.value) / f'{suite}_{options.SIZE.value}'
  write_json(stem.with_suffix('.json'), results)
  picture.draw_suite(
    stem.with_suffix('.png'),
    results,
    f'Suite {suite}, size {options.SIZE.value}',
  )

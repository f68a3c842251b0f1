"""Measures the time and memory of parts of this project.

eigen3 benchmark --suite=networks --size=small --out=results

Some suites also measure other implementations, in PyTorch, Haiku or NumPy.
Tables are printed, and --out is the folder for JSON and pictures. Every case (a
program to measure) runs in its own process. Groups of cases run one after
another, and the cases of a group take turns. A suite's JSON and picture are
named <suite>_<size>, and are updated after each group, so that an interrupted
run keeps its results.

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
# Default maximum number of cases that compile in parallel: eight filled the
# device's memory, which they share.
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
  """Returns the groups with cases to run, keyed by the suite's name.

  Prints which selected cases are left out because PyTorch is not installed.

  Raises:
    ValueError: if --suite is empty or names an unknown suite, or --only is not
      a regular expression or matches no case other than matrix products.
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
    OSError: if the file cannot be read.
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
  """Measures a suite, and prints and writes its results.

  Args:
    suite: the suite's name.
    groups: the groups to measure.
    before: results of an earlier run to compare with, or None.

  Returns:
    Whether all cases succeeded.
  """
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
  """Compiles the JAX cases of `alone` groups before any case is timed.

  The number of parallel jobs is `--ahead`; by default half of the cores, but at
  most 4. With fewer than two jobs, nothing is compiled ahead.

  Args:
    groups: the groups of a suite.
    cache: folder for compiled programs.
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

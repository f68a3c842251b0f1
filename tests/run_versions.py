"""Tries the package with the newest, Colab's and the oldest versions.

python tests/run_versions.py [newest] [colab] [oldest]

Each row has a virtual environment of its own, which the next call finds again,
and runs in it a short training, a population, the page of the training and the
fast tests (see SLOW_TESTS); Colab's also runs the notebook, alone. Pythons are
looked for on PATH and in pyenv; a row whose Python is missing is passed over.
It exits with 1 if a row failed.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import oldest_versions

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What Colab installs before the user does anything.
COLAB_PYTHON = (3, 12)
COLAB = ['jax==0.7.2', 'numpy==2.0.2', 'pandas==2.2.2', 'chex==0.1.90']

# The tests of each row are all but these. Most start programs, and three
# programs are tried anyway; the three of networks compile for half as long as
# all others take, and other tests build these networks, too.
SLOW_TESTS = [
  'tests/data/hostile_pickles_test.py',
  'tests/devices_test.py',
  'tests/reporting/run_page/page_browser_test.py',
  'tests/experiments',
  'tests/interop/eigen2_export_test.py',
  'tests/learner/one_of_several_test.py',
  'tests/networks/critic_test.py',
  'tests/networks/feature_extractor_test.py',
  'tests/networks/recurrent_test.py',
]

SHOWN = ['jax', 'numpy', 'pandas', 'chex', 'optax', 'scipy']

Version = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Row:
  """A Python and what is installed for it.

  Attributes:
    name: of the row and of its environment.
    python: (3, minor), or None for the newest that is present.
    constraints: of pip; without any, all is brought up to date in each call.
  """

  name: str
  python: Version | None
  constraints: list[str]


@dataclasses.dataclass(frozen=True)
class Result:
  """What came of a row; `failed` names its steps that failed."""

  row: Row
  versions: dict[str, str]
  minutes: float
  failed: list[str]


def rows() -> list[Row]:
  """All rows, those that break most often first."""
  return [
    Row('newest', None, []),
    Row('colab', COLAB_PYTHON, COLAB),
    Row(
      'oldest', oldest_versions.oldest_python(), oldest_versions.constraints()
    ),
  ]


def pythons() -> dict[Version, str]:
  """The interpreters of this machine that start, by their (3, minor)."""
  found: dict[Version, tuple[Version, str]] = {}
  for path in {os.path.realpath(path): path for path in _candidates()}.values():
    version = _version_of(path)
    if version is None:
      continue
    here = found.get(version[:2])
    if here is None or version > here[0]:
      found[version[:2]] = version, path
  return {minor: path for minor, (_, path) in found.items()}


def _candidates() -> Iterator[str]:
  yield sys.executable
  for folder in os.environ.get('PATH', '').split(os.pathsep):
    for path in sorted(pathlib.Path(folder or '.').glob('python3.*')):
      if re.fullmatch(r'python3\.\d+', path.name):
        yield str(path)
  if shutil.which('pyenv'):
    root = _output(['pyenv', 'root'])
    for version in _output(['pyenv', 'versions', '--bare']).split():
      yield str(pathlib.Path(root, 'versions', version, 'bin', 'python'))


def _version_of(python: str) -> Version | None:
  """(3, minor, micro), or None: it does not start or is no release."""
  said = _output(
    [python, '-c', 'import sys; print(*sys.version_info[:4])']
  ).split()
  if len(said) != 4 or said[3] != 'final':
    return None
  return tuple(map(int, said[:3]))


def _output(command: list[str]) -> str:
  """What a command prints, '' if it fails."""
  try:
    ended = subprocess.run(
      command, capture_output=True, text=True, check=False, timeout=60
    )
  except (OSError, subprocess.TimeoutExpired):
    return ''
  return ended.stdout.strip() if ended.returncode == 0 else ''


def python_for(row: Row, present: dict[Version, str]) -> str | None:
  """The interpreter of a row, None if it is missing."""
  if row.python is not None:
    return present.get(row.python)
  allowed = [v for v in present if v >= oldest_versions.oldest_python()]
  return present[max(allowed)] if allowed else None


def steps(python: str, runs: pathlib.Path, workers: int) -> dict[str, list]:
  """The commands of a row, by name; `runs` is where they write."""
  configs = 'experiments/configs'
  return {
    'training': [
      python, '-m', 'experiments.td3', f'--config={configs}/td3.py:smoke',
      f'--workdir={runs / "td3"}',
    ],
    'population': [
      python, '-m', 'experiments.erl', f'--config={configs}/erl.py:smoke',
      f'--workdir={runs / "erl"}',
    ],
    'page': [
      python, '-m', 'experiments.report', f'--run={runs / "td3"}',
      f'--out={runs / "page.html"}',
    ],
    'tests': [
      python, '-m', 'pytest', '-q', '-n', str(workers), '--dist=loadfile',
      '--no-loadscope-reorder', 'tests',
      *(f'--ignore={path}' for path in SLOW_TESTS),
    ],
  }  # fmt: skip


def install(row: Row, python: str, folder: pathlib.Path, log) -> bool:
  """Makes or brings up to date the environment of a row; False if it can't."""
  made_of = folder / 'made_of.json'
  wanted = json.dumps(
    [
      _version_of(python),
      row.constraints,
      oldest_versions.SETUP.read_text(encoding='utf-8'),
    ]
  )
  as_before = made_of.exists() and made_of.read_text() == wanted
  if as_before and row.constraints:
    return True
  made_of.unlink(missing_ok=True)
  if not as_before and not _run(
    [python, '-m', 'venv', '--clear', str(folder)], log
  ):
    return False
  constraints = folder / 'constraints.txt'
  constraints.write_text('\n'.join(row.constraints))
  pip = [
    str(folder / 'bin' / 'python'), '-m', 'pip', 'install', '--quiet',
    '--upgrade', '--upgrade-strategy=eager',
  ]  # fmt: skip
  done = _run([*pip, 'pip'], log) and _run(
    [*pip, f'--constraint={constraints}', '--editable', '.[test]'], log
  )
  if done:
    made_of.write_text(wanted)
  return done


def try_row(row: Row, python: str, cache: pathlib.Path, workers: int) -> Result:
  """Runs all steps of a row; one that fails does not stop the others."""
  start = time.monotonic()
  failed = []
  folder = cache / row.name
  path = cache / f'{row.name}.log'
  versions: dict[str, str] = {}
  with path.open('w') as log, tempfile.TemporaryDirectory() as runs:
    print(f'{row.name}: {python}, log in {path}', flush=True)
    if install(row, python, folder, log):
      inside = str(folder / 'bin' / 'python')
      versions = installed(inside)
      commands = steps(inside, pathlib.Path(runs), workers)
      if row.name == 'colab':  # the notebook installs by itself
        script = str(ROOT / 'tests' / 'run_notebook.py')
        commands['notebook'] = [python, script, python, *row.constraints]
      for name, command in commands.items():
        passed = _run(command, log)
        print(f'{row.name}: {name} {_word(passed)}', flush=True)
        failed += [] if passed else [name]
    else:
      failed = ['installation']
  return Result(row, versions, (time.monotonic() - start) / 60, failed)


def _word(passed: bool) -> str:
  return 'passed' if passed else 'FAILED'


def _run(command: list[str], log) -> bool:
  """Whether a command succeeds, with what it prints in the log."""
  print('\n$', *command, file=log, flush=True)
  outside = {'XLA_FLAGS', 'PYENV_VERSION', 'VIRTUAL_ENV'}
  environment = {k: v for k, v in os.environ.items() if k not in outside}
  return (
    subprocess.run(
      command,
      cwd=ROOT,
      env={**environment, 'PYTHONPATH': str(ROOT)},
      stdout=log,
      stderr=subprocess.STDOUT,
      check=False,
    ).returncode
    == 0
  )


def installed(python: str) -> dict[str, str]:
  """The versions in an environment: of its Python and of `SHOWN`."""
  said = _output(
    [
      python,
      '-c',
      'import json, platform, sys\n'
      'from importlib import metadata\n'
      'versions = {name: metadata.version(name) for name in sys.argv[1:]}\n'
      'print(json.dumps({"Python": platform.python_version(), **versions}))',
      *SHOWN,
    ]
  )
  return json.loads(said) if said else {}


def table(results: list[Result | str]) -> str:
  """Lines of a table; a text stands for a row that was not tried."""
  titles = ['', 'Python', *SHOWN, 'minutes', 'result']
  lines = [titles]
  for result in results:
    if isinstance(result, str):
      lines.append([result])
      continue
    lines.append(
      [
        result.row.name,
        *(result.versions.get(name, '-') for name in titles[1:-2]),
        f'{result.minutes:.1f}',
        f'failed: {", ".join(result.failed)}' if result.failed else 'passed',
      ]
    )
  whole = [line for line in lines if len(line) == len(titles)]
  widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
  return '\n'.join(
    '  '.join(
      cell.ljust(width) for cell, width in zip(line, widths, strict=False)
    ).rstrip()
    if len(line) == len(titles)
    else line[0]
    for line in lines
  )


def main() -> int:
  """Tries the rows that are asked for, prints the table."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  names = [row.name for row in rows()]
  parser.add_argument('rows', nargs='*', metavar='ROW', help=', '.join(names))
  parser.add_argument('--workers', type=int, default=2, help='of pytest')
  parser.add_argument('--cache', type=pathlib.Path, default='.venv-versions')
  asked = parser.parse_args()
  unknown = sorted(set(asked.rows) - set(names))
  if unknown:
    parser.error(f'found row {unknown[0]!r}, expected {", ".join(names)}')
  cache = (ROOT / asked.cache).absolute()
  cache.mkdir(parents=True, exist_ok=True)
  present = pythons()
  results: list[Result | str] = []
  for row in rows():
    if asked.rows and row.name not in asked.rows:
      continue
    python = python_for(row, present)
    if python is None:
      minor = '.'.join(map(str, row.python or oldest_versions.oldest_python()))
      results.append(f'{row.name}: not tried, found no Python {minor}')
      print(results[-1], flush=True)
    else:
      results.append(try_row(row, python, cache, asked.workers))
  print(table(results))
  return int(any(isinstance(r, Result) and r.failed for r in results))


if __name__ == '__main__':
  sys.exit(main())

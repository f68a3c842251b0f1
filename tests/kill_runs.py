"""Kills runs at random moments and compares what they come to in the end.

python tests/kill_runs.py 40 --program=td3 [--seed=0] [--folder=DIR]

A run that nothing disturbs comes first. Then runs like it are killed by
SIGKILL, so many times in all, at moments drawn evenly over the seconds that
the first took, and go on by --resume. Each has to end in the same summary,
byte for byte. Exit status 1 if one does not.
"""

import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def start(program: str, folder: pathlib.Path, cache: pathlib.Path):
  """Begins a smoke run, or goes on with what a kill has left of it."""
  command = [
    *(sys.executable, '-m', f'experiments.{program}', f'--workdir={folder}'),
    f'--config={ROOT}/experiments/configs/{program}.py:smoke',
  ]
  if (folder / 'config.json').exists():
    command.append('--resume')
  # Compiled once for all of them, so that most kills meet the training.
  environment = {
    'JAX_COMPILATION_CACHE_DIR': str(cache),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
  return subprocess.Popen(
    command,
    cwd=ROOT,
    env=os.environ | environment,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def finish(process) -> None:
  """Waits for a run to end well."""
  _, errors = process.communicate()
  if process.returncode:
    raise SystemExit(f'a run ended with {process.returncode}: {errors[-2000:]}')


def main() -> int:
  """Kills so many times; 0 if all runs ended alike."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('kills', type=int)
  parser.add_argument('--program', choices=('td3', 'erl'), default='td3')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--folder', type=pathlib.Path)
  given = parser.parse_args()
  moments = random.Random(given.seed)
  folder = given.folder or pathlib.Path(tempfile.mkdtemp(prefix='kills'))
  cache = folder / 'compiled'
  for name in ('warm', 'whole'):  # the second one finds all compiled
    begin = time.monotonic()
    finish(start(given.program, folder / name, cache))
    seconds = time.monotonic() - begin
  expected = (folder / 'whole' / 'summary.json').read_bytes()
  kills, runs, different = 0, 0, 0
  while kills < given.kills:
    run = folder / f'run{runs}'
    while True:
      process = start(given.program, run, cache)
      if kills < given.kills:
        try:
          process.wait(moments.uniform(0, seconds))
        except subprocess.TimeoutExpired:
          process.kill()
          process.communicate()
          kills += 1
          continue
      finish(process)
      break
    alike = (run / 'summary.json').read_bytes() == expected
    runs, different = runs + 1, different + (not alike)
    print(
      f'{kills} of {given.kills} kills, {runs} runs, {different} of them '
      f'with another summary ({seconds:.0f} s a run)',
      flush=True,
    )
  if given.folder is None:
    shutil.rmtree(folder)
  return 1 if different else 0


if __name__ == '__main__':
  sys.exit(main())

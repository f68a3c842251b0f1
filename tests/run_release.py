"""Builds wheel and sdist, checks them, and tries the wheel elsewhere.

python tests/run_release.py [--keep=FOLDER]

What is built lies in dist/ at the end; the wheel is built from the sdist, which
proves that this is whole. The environment is made in a temporary folder, from
which the checkout is not seen. It exits with 1 at the first step that fails.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST_SECONDS = 2.0  # of --help


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--keep', help='a folder to leave the environment in')
  keep = parser.parse_args().keep
  with tempfile.TemporaryDirectory(prefix='eigen3_release_') as temporary:
    place = pathlib.Path(keep or temporary).resolve()
    place.mkdir(parents=True, exist_ok=True)
    try:
      build(place)
      try_wheel(place)
    except subprocess.CalledProcessError as error:
      print(f'failed: {" ".join(map(str, error.cmd))}', file=sys.stderr)
      return 1
  print('all steps passed')
  return 0


def build(place: pathlib.Path) -> None:
  """Makes dist/ anew."""
  python = environment(place / 'tools', 'build', 'twine')
  dist = ROOT / 'dist'
  shutil.rmtree(dist, ignore_errors=True)
  say(python, '-m', 'build', '--outdir', dist, ROOT, quiet=True)
  say(python, '-m', 'twine', 'check', '--strict', *sorted(dist.iterdir()))


def try_wheel(place: pathlib.Path) -> None:
  """Installs the wheel, asks every program for help, trains and reports."""
  (wheel,) = (ROOT / 'dist').glob('*.whl')
  constraints = ROOT / 'constraints.txt'
  python = environment(place / 'installed', '-c', constraints, wheel)
  eigen3 = python.with_name('eigen3')
  folder = place / 'elsewhere'
  folder.mkdir(exist_ok=True)
  say(eigen3, '--version', cwd=folder)
  say(eigen3, cwd=folder)
  listed = 'from experiments.commands import COMMANDS; print(*COMMANDS)'
  names = subprocess.check_output([python, '-c', listed], cwd=folder, text=True)
  for name in names.split():
    begin = time.monotonic()
    say(eigen3, name, '--help', cwd=folder, quiet=True)
    seconds = time.monotonic() - begin
    print(f'  {seconds:.2f} s')
    if seconds > MOST_SECONDS:
      raise subprocess.CalledProcessError(1, [eigen3, name, '--help'])
  run = f'--workdir={folder}/run'
  say(eigen3, 'td3', '--config=smoke', run, cwd=folder)
  say(eigen3, 'report', f'--run={folder}/run', cwd=folder)
  module = (python, '-m', 'experiments.ranker')
  say(*module, '--config=smoke', f'--workdir={folder}/ranker', cwd=folder)


def environment(folder: pathlib.Path, *installed: str | pathlib.Path):
  """The Python of a fresh environment, with what pip installs."""
  venv.create(folder, clear=True, with_pip=True)
  python = folder / 'bin' / 'python'
  pip = (python, '-m', 'pip', '--disable-pip-version-check', 'install')
  say(*pip, '--quiet', *installed)
  return python


def say(*command, cwd: pathlib.Path = ROOT, quiet: bool = False) -> None:
  """Runs a command, which is printed first."""
  print('$', *command, flush=True)
  output = subprocess.DEVNULL if quiet else None
  subprocess.run(list(map(str, command)), cwd=cwd, stdout=output, check=True)


if __name__ == '__main__':
  sys.exit(main())

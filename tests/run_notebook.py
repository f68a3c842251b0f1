"""Runs the notebook alone, or keeps what it shows.

python tests/run_notebook.py [PYTHON REQUIREMENT ...]

With arguments it runs in an environment of its own, of PYTHON and what Colab
has. Its first cell has to stop with a line of its own where `SOURCE` leads
nowhere, and to install this checkout where it leads here; then all cells run,
with the preset of seconds. Exits with an error otherwise. Without arguments it
runs where it is, and what it shows is kept in it.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / 'experiments' / 'quickstart.ipynb'
ADDRESS = 'https://github.com/OWNER/eigen3'  # in its first cell


def main() -> None:
  """Does what the arguments say."""
  if len(sys.argv) > 1:
    try_alone(*sys.argv[1:])
  else:
    keep()


def keep() -> None:
  """Runs the notebook beside the checkout, and writes what it shows into it."""
  import nbclient  # not where the other function runs
  import nbformat

  notebook = nbformat.read(NOTEBOOK, as_version=4)
  nbclient.NotebookClient(
    notebook, timeout=None, coalesce_streams=True, record_timing=False
  ).execute(cwd=str(NOTEBOOK.parent))
  nbformat.write(notebook, NOTEBOOK)


def try_alone(python: str, *requirements: str) -> None:
  """Tries it where `SOURCE` leads nowhere, and where it leads here."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    inside = folder / 'environment' / 'bin'
    subprocess.run([python, '-m', 'venv', inside.parent], check=True)
    pip = [inside / 'python', '-m', 'pip', 'install', '--quiet']
    subprocess.run([*pip, *requirements, 'ipykernel', 'nbclient'], check=True)
    nowhere = execute(inside, folder / 'nowhere', str(folder / 'no eigen3'))
    said = (
      f"SOURCE: found '{folder / 'no eigen3'}', from which pip installed no"
    )
    if nowhere.returncode == 0 or said not in nowhere.stdout:
      raise SystemExit(f'found {nowhere.stdout}\nexpected it to say {said}')
    start = time.monotonic()
    here = execute(inside, folder / 'here', str(ROOT))
    print(here.stdout)
    here.check_returncode()
    seconds = time.monotonic() - start
    print(f'{NOTEBOOK.name} installed and ran alone in {seconds:.0f} s')


def execute(
  inside: pathlib.Path, folder: pathlib.Path, source: str
) -> subprocess.CompletedProcess[str]:
  """Runs a copy of the notebook, and nothing else, in an empty folder."""
  folder.mkdir()
  text = NOTEBOOK.read_text(encoding='utf-8')
  if text.count(ADDRESS) != 1:
    raise SystemExit(f'{NOTEBOOK}: expected {ADDRESS} once')
  copy = folder / NOTEBOOK.name
  copy.write_text(text.replace(ADDRESS, source), encoding='utf-8')
  # Neither this environment nor this checkout is to be found.
  outside = {'PYTHONPATH', 'VIRTUAL_ENV', 'XLA_FLAGS'}
  environment = {k: v for k, v in os.environ.items() if k not in outside}
  path = f'{inside}{os.pathsep}{environment["PATH"]}'
  return subprocess.run(
    [inside / 'jupyter-execute', '--timeout=600', copy],
    cwd=folder,
    env=environment | {'PATH': path, 'EIGEN3_PRESET': 'smoke'},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    check=False,
  )


if __name__ == '__main__':
  main()

"""Programs run as their users run them: in processes of their own.

Compiled programs are shared between the processes, so that only the first one
compiles, and a run that nothing interrupts is shared between the workers.
"""

import contextlib
import fcntl
import json
import pathlib
import shutil
import subprocess
from typing import NamedTuple

import forks

from experiments.configs import erl, td3

_CONFIGS = {
  'td3': pathlib.Path(td3.__file__),
  'erl': pathlib.Path(erl.__file__),
}
ITERATIONS = 30
GENERATIONS = 8
_LENGTHS = {
  'td3': f'learner.iterations={ITERATIONS}',
  'erl': f'learner.generations={GENERATIONS}',
}


class Run(NamedTuple):
  """A finished run.

  Attributes:
    folder: of the run.
    stdout: what it printed.
    stderr: what it complained of.
  """

  folder: pathlib.Path
  stdout: str
  stderr: str


class Programs:
  """Starts programs of `experiments`."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder

  @property
  def compiled(self) -> pathlib.Path:
    """Returns the programs' compilation cache."""
    return self.folder / 'compiled'

  def start(
    self, program, *arguments, cwd=forks.ROOT, compiled=None
  ) -> forks.Fork:
    return forks.start(
      *('-m', f'experiments.{program}', *arguments),
      cwd=cwd,
      JAX_COMPILATION_CACHE_DIR=str(compiled or self.compiled),
    )

  def finish(self, program, *arguments, **how) -> subprocess.CompletedProcess:
    return self.start(program, *arguments, **how).completed()

  def arguments(self, program) -> tuple[str, ...]:
    """Returns the flags of the uninterrupted run, without its folder."""
    return (
      f'--config={_CONFIGS[program]}:smoke',
      # Networks begin at the middle of the range: this one trades at once.
      '--config.environment.coefficient_threshold=0.5',
      f'--config.{_LENGTHS[program]}',
    )

  def whole(self, program) -> Run:
    """Returns the uninterrupted run; the first caller makes it."""
    folder = self.folder / program
    said = [self.folder / f'{program}.{name}' for name in ('out', 'err')]
    with (self.folder / f'{program}.lock').open('w') as lock:
      fcntl.flock(lock, fcntl.LOCK_EX)
      if not said[0].exists():
        arguments = self.arguments(program)
        run = self.finish(program, *arguments, f'--workdir={folder}')
        assert run.returncode == 0, run.stderr
        said[1].write_text(run.stderr)
        said[0].write_text(run.stdout)
    return Run(folder, said[0].read_text(), said[1].read_text())


def moved_from_panel(
  run: pathlib.Path, copy: pathlib.Path, panel: pathlib.Path
) -> pathlib.Path:
  """Copies a run and sets its panel to a missing file."""
  assert not panel.exists()
  shutil.copytree(run, copy)
  config = json.loads((copy / 'config.json').read_text())
  config['data']['panel'] = str(panel)
  (copy / 'config.json').write_text(json.dumps(config))
  return copy


def num_logged(folder: pathlib.Path) -> int:
  """Returns the lines of a run's metrics so far."""
  with contextlib.suppress(FileNotFoundError):
    return (folder / 'metrics.csv').read_bytes().count(b'\n')
  return 0

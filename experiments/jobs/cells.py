"""A cell of a table: a program with some settings, run with several seeds."""

import functools
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from eigen3 import settings
from eigen3.evaluation import ranking
from eigen3.evaluation.pooled import Outcome
from experiments.configs import erl, ranker, td3
from experiments.jobs import process
from experiments.jobs.pool import Task

PROGRAMS = {'td3': td3, 'erl': erl, 'ranker': ranker}
# Of a cell; what they are is for its program to say.
CHANGES = settings.several(
  settings.Expected(
    lambda x: isinstance(x, str) and '=' in x.strip('='), 'FIELD=VALUE'
  ),
  'texts FIELD=VALUE',
)
_CONFIGS = pathlib.Path(td3.__file__).parent


class Cell(NamedTuple):
  """What is run with each seed.

  Attributes:
    name: in tables, and of its folder.
    program: 'td3', 'erl' or 'ranker'.
    preset: of the program.
    changes: of the preset, each FIELD=VALUE; {seed} stands for the seed.
  """

  name: str
  program: str
  preset: str
  changes: Sequence[str]

  def run(self, folder: pathlib.Path, seed: int) -> pathlib.Path:
    """Where the run of a seed is kept."""
    return folder / self.name / f'seed{seed}'

  def task(self, folder: pathlib.Path, seed: int, devices: int) -> Task:
    """The run of a seed, on so many devices of a CPU."""
    run = self.run(folder, seed)
    command = functools.partial(self._command, run, seed, devices)
    return Task(f'{self.name}/seed{seed}', run, command, self.can_resume)

  @property
  def can_resume(self) -> bool:
    """Whether a run goes on where it was stopped."""
    return self.program != 'ranker'

  def outcome(self, folder: pathlib.Path, seed: int) -> Outcome | None:
    """What a finished run came to on its held-out days."""
    run = self.run(folder, seed)
    if not (run / process.FINISHED).exists():
      return None
    summary = json.loads((run / process.FINISHED).read_text(encoding='utf-8'))
    daily = pd.read_csv(run / 'daily.csv', parse_dates=['date'])
    daily = daily[daily['split'] == 'holdout'].drop(columns='split')
    return Outcome(
      policy=ranking.NAME if self.program == 'ranker' else 'agent',
      daily=daily.reset_index(drop=True),
      profits={
        name: numbers['profit'] for name, numbers in summary['holdout'].items()
      },
      facts=_facts(run, summary),
    )

  def _command(
    self, run: pathlib.Path, seed: int, devices: int, goes_on: bool
  ) -> list[str]:
    changes = [change.replace('{seed}', str(seed)) for change in self.changes]
    return [
      sys.executable,
      *('-m', f'experiments.{self.program}'),
      f'--config={_CONFIGS / self.program}.py:{self.preset}',
      *(f'--config.{change}' for change in [f'seed={seed}', *changes]),
      f'--workdir={run}',
      f'--cpu_devices={devices}',
      *(['--resume'] if goes_on else []),
    ]


def _facts(run: pathlib.Path, summary: dict[str, Any]) -> dict[str, Any]:
  """What a table says of a run beside its profits."""
  metrics = pd.read_csv(run / 'metrics.csv')
  facts: dict[str, Any] = {
    name: summary[name]
    for name in ('updates', 'windows_trained', 'holdout_openings')
    if name in summary
  }
  if 'seconds' in metrics:
    seconds = metrics['seconds'].dropna()
    # The first of a process compiles, and is no measure of what is computed.
    facts['seconds'] = round(float(seconds.median() * len(seconds)), 1)
  return facts

"""Tasks whose runs train nothing, and a pool for them."""

import contextlib
import pathlib
import sys

from eigen3.runs.lock import Lock
from experiments.jobs import pool

RUN = pathlib.Path(__file__).with_name('tiny_run.py')


def make_task(folder, name, how='well', pause=0.0, steps=4, can_resume=True):
  run = folder / name / 'seed0'

  def command(goes_on):
    return [
      *(sys.executable, '-S', str(RUN), str(run), str(int(goes_on))),
      *(str(steps), str(pause), how),
    ]

  return pool.Task(name, run, command, can_resume)


def run_all(folder, tasks, jobs=2):
  reports = []
  with contextlib.closing(Lock(folder)) as lock:
    done = pool.run_all(tasks, jobs, {}, lock, lambda: reports.append(1))
  return done, len(reports)

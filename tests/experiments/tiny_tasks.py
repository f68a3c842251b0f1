"""Tasks whose runs train nothing, and a pool for them."""

import json
import pathlib
import sys

from experiments.jobs import pool
from experiments.jobs.archive import Archive

RUN = pathlib.Path(__file__).with_name('tiny_run.py')


def make_task(
  folder, name, how='well', pause=0.0, steps=4, can_resume=True, after=()
):
  run = folder / name / 'seed0'

  def command(goes_on):
    return [
      *(sys.executable, '-S', str(RUN), str(run), str(int(goes_on))),
      *(str(steps), str(pause), how),
    ]

  def describe():
    return {'ended': json.loads((run / 'summary.json').read_text())}

  return pool.Task(name, name, run, command, describe, can_resume, after)


def archive_of(folder):
  return Archive(folder / 'records')


def run_all(folder, tasks, jobs=2):
  reports = []
  done = pool.run_all(
    tasks, jobs, {}, archive_of(folder), lambda: reports.append(1)
  )
  return done, len(reports)

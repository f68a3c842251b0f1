"""Tests of experiments.jobs.pool, over runs that train nothing."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from tiny_tasks import archive_of, make_task, run_all

from eigen3.runs import claims

HERE = pathlib.Path(__file__).parent


def starts(task):
  path = task.run.with_name('seed0.starts')
  return path.read_text() if path.exists() else ''


def test_all_are_run_once(tmp_path):
  tasks = [make_task(tmp_path, name) for name in 'abc']
  assert run_all(tmp_path, tasks) == (True, 3)
  assert all(task.is_done for task in tasks)
  assert run_all(tmp_path, tasks) == (True, 0)
  assert [starts(task) for task in tasks] == ['0'] * 3


def test_so_many_run_at_once(tmp_path):
  tasks = [make_task(tmp_path, name, pause=0.1) for name in 'abcd']
  begin = time.monotonic()
  run_all(tmp_path, tasks, jobs=4)
  together = time.monotonic() - begin
  ends = [float((task.run / 'summary.json').read_text()) for task in tasks]
  assert max(ends) - min(ends) < 1.5 * together
  others = [make_task(tmp_path, name, pause=0.1) for name in 'efg']
  run_all(tmp_path, others, jobs=1)
  ends = [float((task.run / 'summary.json').read_text()) for task in others]
  assert ends == sorted(ends)
  assert ends[1] - ends[0] > 0.4 < ends[2] - ends[1]


@pytest.mark.parametrize(
  'how, reason',
  [
    ('failing', 'no such setting'),
    (
      'killed',
      'ended by SIGKILL, usually because memory was full; wrote nothing',
    ),
  ],
)
def test_a_failure_is_told_and_keeps_nobody_from_running(
  tmp_path, how, reason, capsys
):
  bad, good = make_task(tmp_path, 'bad', how), make_task(tmp_path, 'good')
  assert run_all(tmp_path, [bad, good], jobs=1) == (True, 2)
  assert bad.reason == reason
  assert not bad.is_done
  assert good.is_done
  assert f'bad failed: {reason}' in capsys.readouterr().out
  # It is tried again, from where it was.
  mended = make_task(tmp_path, 'bad')
  run_all(tmp_path, [mended, good])
  assert mended.is_done
  assert not mended.reason
  assert starts(mended) == ('01' if how == 'killed' else '0')


def test_what_cannot_go_on_begins_anew(tmp_path):
  run_all(tmp_path, [make_task(tmp_path, 'a', 'killed')])
  run = tmp_path / 'a' / 'seed0'
  (run / 'holdout.json').write_text('[1]')
  (run / 'checkpoints').mkdir()
  (run / 'checkpoints' / 'one').touch()
  again = make_task(tmp_path, 'a', can_resume=False)
  run_all(tmp_path, [again])
  assert again.is_done
  assert starts(again) == '00'
  # Who begins anew does not forget what was looked at.
  assert (run / 'holdout.json').read_text() == '[1]'
  assert not (run / 'checkpoints').exists()


def test_a_run_waits_for_those_before_it(tmp_path):
  last = make_task(tmp_path, 'last', after=('first', 'second'))
  first = make_task(tmp_path, 'first', pause=0.1)
  tasks = [last, first, make_task(tmp_path, 'second', after=('first',))]
  assert run_all(tmp_path, tasks) == (True, 3)
  ends = [
    float((tmp_path / name / 'seed0' / 'summary.json').read_text())
    for name in ('first', 'second', 'last')
  ]
  assert ends == sorted(ends)


def test_a_run_whose_beginning_failed_fails(tmp_path):
  bad = make_task(tmp_path, 'bad', 'failing')
  second = make_task(tmp_path, 'second', after=('bad',))
  third = make_task(tmp_path, 'third', after=('second',))
  done, _ = run_all(tmp_path, [bad, second, third])
  assert done
  assert starts(second) == starts(third) == ''
  assert second.reason == (
    'found no record of a run that this run starts from or averages, expected '
    'that run to be finished first'
  )
  assert third.reason == second.reason
  # Without the first among the tasks, and with it.
  assert run_all(tmp_path, [third])[0]
  assert third.reason
  mended = [make_task(tmp_path, 'bad'), second, third]
  run_all(tmp_path, mended)
  assert all(task.is_done and not task.reason for task in mended)


PROGRAM = """
import contextlib, pathlib, sys
sys.path.insert(0, {here!r})
from tiny_tasks import make_task, run_all
folder = pathlib.Path({folder!r})
tasks = [make_task(folder, name, pause=0.2, steps=20) for name in 'abc']
print(run_all(folder, tasks), flush=True)
"""


@pytest.fixture
def program(tmp_path):
  """Starts a program of three runs of four seconds each, two at once."""
  text = PROGRAM.format(here=str(HERE), folder=str(tmp_path))

  def start():
    return subprocess.Popen(
      [sys.executable, '-c', text], stdout=subprocess.PIPE, text=True
    )

  return start


def until(condition, seconds=120):
  begin = time.monotonic()
  while not condition():
    assert time.monotonic() - begin < seconds
    time.sleep(0.02)


def has_begun(task):
  with contextlib.suppress(FileNotFoundError):
    return (task.run / 'steps').stat().st_size > 2
  return False


@pytest.mark.long
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_what_was_stopped_goes_on(tmp_path, program, number):
  tasks = [make_task(tmp_path, name, steps=20) for name in 'abc']
  started = program()
  until(lambda: has_begun(tasks[0]) and has_begun(tasks[1]))
  started.send_signal(number)
  out, _ = started.communicate(timeout=60)
  if number == signal.SIGTERM:
    assert out == '(False, 2)\n'
    assert not any(task.reason for task in tasks)
  else:
    # Its runs go on, and nobody else may start them meanwhile.
    assert claims.take(tmp_path / 'records/claims/a') is None
    for name in 'ab':
      for holder in claims.holders_of(tmp_path / f'records/claims/{name}'):
        with contextlib.suppress(ProcessLookupError):
          os.kill(holder['process'], signal.SIGKILL)
  assert not tasks[0].is_done
  assert run_all(tmp_path, tasks) == (True, 3)
  assert all(task.is_done for task in tasks)
  assert [starts(task) for task in tasks] == ['01', '01', '0']
  assert (tasks[0].run / 'steps').read_text() == '.' * 20


def test_what_went_on_alone_is_recorded_and_not_run_again(tmp_path, program):
  tasks = [make_task(tmp_path, name, steps=20) for name in 'abc']
  started = program()
  until(lambda: has_begun(tasks[0]) and has_begun(tasks[1]))
  started.kill()
  started.communicate(timeout=60)
  assert run_all(tmp_path, tasks)[0]  # waits for the two
  assert [starts(task) for task in tasks] == ['0'] * 3
  assert all(archive_of(tmp_path).has(name) for name in 'abc')


def test_two_processes_share_the_runs(tmp_path, program):
  """Either process runs each, and both end when all is done."""
  both = [program(), program()]
  said = [started.communicate(timeout=120)[0] for started in both]
  counts = [eval(text) for text in said]
  assert [done for done, _ in counts] == [True, True]
  assert sum(count for _, count in counts) == 3
  assert all(count for _, count in counts)
  for name in 'abc':
    assert starts(make_task(tmp_path, name)) == '0'
    assert archive_of(tmp_path).has(name)
  assert not list((tmp_path / 'records' / 'claims').iterdir())

"""Workers take turns, and one that fails stops only itself."""

import pathlib
import time
from typing import ClassVar

import pytest

from experiments.benchmark import turns
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.turns import Limits
from experiments.benchmark.worker import Prepared


def test_cases_with_fewer_repeats_are_spread_over_the_rounds():
  assert turns.schedule({0: 4, 1: 2, 2: 4}) == [
    [0, 2],
    [0, 1, 2],
    [0, 2],
    [0, 1, 2],
  ]
  assert turns.schedule({0: 3, 1: 3}) == [[0, 1]] * 3
  assert turns.schedule({}) == []


@pytest.mark.parametrize(
  'seconds, repeats', [(1, 9), (10, 9), (30, 3), (50, 2), (1000, 2), (0, 9)]
)
def test_slow_cases_are_repeated_less(seconds, repeats):
  assert Limits(9, 2, 100.0).of(seconds) == repeats


class FakeWorker:
  """Stands in for a process; records all requests."""

  log: ClassVar[list[str]] = []

  def __init__(self, case):
    self.case = case

  def ask(self, request):
    self.log.append(f'{self.case.name} {request}')
    if self.case.name == 'bad' and request == 'run':
      raise turns.WorkerError('broken')
    prepared = Prepared(None, None, self.case.work or None, 10, None, '', {})
    return {'prepare': prepared, 'run': self.case.work, 'finish': (30, 7)}[
      request
    ]

  def close(self):
    self.log.append(f'{self.case.name} close')


def test_workers_take_turns_and_a_failure_stops_only_itself(monkeypatch):
  monkeypatch.setattr(turns, '_Worker', FakeWorker)
  monkeypatch.setattr(turns, '_PAUSE', 0.0)
  monkeypatch.setattr(FakeWorker, 'log', [])
  names_and_seconds = (('fast', 1.0), ('slow', 50.0), ('bad', 1.0), ('idle', 0))
  group = Group(
    'group', tuple(Case(n, '', work=s) for n, s in names_and_seconds)
  )
  ((fast, slow, bad, idle),) = turns.measure(group, Limits(3, 1, 100.0))
  assert FakeWorker.log == [
    *(f'{name} prepare' for name, _ in names_and_seconds),
    *('fast run', 'bad run'),
    *('fast run', 'slow run'),
    *('fast run', 'slow run'),
    *('fast finish', 'slow finish', 'idle finish'),
    *('idle close', 'bad close', 'slow close', 'fast close'),
  ]
  assert fast.seconds == {0: 1.0, 1: 1.0, 2: 1.0}
  assert slow.seconds == {1: 50.0, 2: 50.0}
  assert (bad.failure, bad.seconds, bad.peak_bytes) == ('broken', {}, None)
  assert (idle.failure, idle.seconds, idle.peak_bytes) == ('', {}, 30)


def test_cases_that_are_to_be_alone_follow_one_another(monkeypatch):
  monkeypatch.setattr(turns, '_Worker', FakeWorker)
  monkeypatch.setattr(turns, '_PAUSE', 0.0)
  monkeypatch.setattr(FakeWorker, 'log', [])
  cases = tuple(Case(n, '', work=s) for n, s in (('a', 4.0), ('b', 50.0)))
  group = Group('group', cases, alone=True)
  told = [
    [(x.case.name, x.seconds, x.device_bytes) for x in measured]
    for measured in turns.measure(group, Limits(5, 3, 100.0))
  ]
  a, b = ('a', {0: 4.0, 1: 4.0}, 7), ('b', {0: 50.0}, 7)
  assert told == [[a], [a, b]]  # something to write after each
  assert FakeWorker.log == [
    *('a prepare', 'a run', 'a run', 'a finish', 'a close'),
    *('b prepare', 'b run', 'b finish', 'b close'),
  ]


def check(path):
  """A case without runs, which records that it was built."""
  with pathlib.Path(path).open('a') as file:
    file.write('built ')
  return Built(None, facts={'difference': 0.5})


def test_cases_are_compiled_side_by_side_before_any_is_timed(tmp_path):
  log, cache = tmp_path / 'log', tmp_path / 'cache'
  product = 'experiments.benchmark.jax_cases:product_case'
  cases = (
    Case('check', f'{__name__}:check', {'path': str(log)}, 1, untimed=True),
    Case('product', product, {'shape': (8, 8, 8)}, 1),
    Case('absent', 'experiments.benchmark.memory:no_such_builder', devices=1),
  )
  group = Group('group', cases, alone=True)
  ahead = turns.build_ahead([group], 2, str(cache))
  assert set(ahead) == {('group', 'check'), ('group', 'product')}
  assert not ahead['group', 'product'].seconds
  *_, (checked, timed, failed) = turns.measure(group, Limits(2, 1, 9.0), ahead)
  assert log.read_text().split() == ['built']
  assert checked.prepared.facts == {'difference': 0.5}
  assert len(timed.seconds) == 2
  by_the_clock = ahead['group', 'product'].prepared.compile_seconds
  assert timed.prepared.compile_seconds == by_the_clock
  assert failed.failure.startswith('AttributeError: ')


def test_a_worker_that_fails_or_dies_says_so():
  group = Group(
    'group',
    (
      Case('absent', 'experiments.benchmark.memory:no_such_builder'),
      Case('dead', 'os:_exit', {'status': 3}),
    ),
  )
  ((absent, dead),) = turns.measure(group, Limits(1, 1, 1.0))
  assert absent.failure.startswith('AttributeError: ')
  assert 'exit status 3' in dead.failure


def test_a_case_of_one_run_is_not_repeated(monkeypatch):
  monkeypatch.setattr(turns, '_Worker', FakeWorker)
  monkeypatch.setattr(turns, '_PAUSE', 0.0)
  monkeypatch.setattr(FakeWorker, 'log', [])
  group = Group(
    'group',
    (Case('long', '', work=500.0, once=True), Case('fast', '', work=1.0)),
  )
  ((long, fast),) = turns.measure(group, Limits(2, 2, 100.0))
  assert FakeWorker.log[:4] == [
    *('long prepare', 'fast prepare'),
    *('fast run', 'fast run'),
  ]
  # What would be the warm-up of others is what it measured.
  assert long.seconds == {0: 500.0}
  assert fast.seconds == {0: 1.0, 1: 1.0}


def unsettled(path):
  """A case that records in a file what is done with it."""
  log = pathlib.Path(path)

  def note(word, seconds):
    time.sleep(seconds)
    with log.open('a') as file:
      file.write(f'{word} ')

  return Built(lambda: note('run', 0.0), settle=lambda: note('settle', 0.3))


def test_what_a_run_leaves_is_settled_off_the_clock(tmp_path):
  log = tmp_path / 'log'
  case = Case('unsettled', f'{__name__}:unsettled', {'path': str(log)})
  ((measured,),) = turns.measure(Group('group', (case,)), Limits(2, 2, 1.0))
  assert measured.failure == ''
  assert log.read_text().split() == ['run', 'settle'] * 3
  assert measured.prepared.warm_up_seconds < 0.2
  assert max(measured.seconds.values()) < 0.2

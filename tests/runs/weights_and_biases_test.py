"""Tests of eigen3.runs.weights_and_biases with the package, offline."""

import json
import struct
import sys

import pytest

from eigen3.runs import weights_and_biases
from eigen3.runs.logs import MetricsLog

FIELDS = ('iteration', 'loss', 'profit')
BLOCK = 32768
CONFIG = {'seed': 3, 'learner': {'iterations': 2}}


@pytest.fixture
def wandb(monkeypatch):
  """The package, offline and quiet."""
  found = pytest.importorskip('wandb', reason='wandb is not installed')
  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setenv('WANDB_SILENT', 'true')
  return found


def log_of(folder, last=-1):
  run = weights_and_biases.Run(folder, 'my-project', CONFIG)
  return MetricsLog(folder, FIELDS, last, [run])


def records_of(path):
  """Returns all records of a run's file, which is a log of LevelDB."""
  from wandb.proto.wandb_internal_pb2 import Record

  data, place, parts, records = path.read_bytes(), 7, [], []
  while place < len(data):
    left = BLOCK - place % BLOCK
    if left < 7:  # too short for a header: padding
      place += left
      continue
    _, length, kind = struct.unpack_from('<IHB', data, place)
    parts.append(data[place + 7 : place + 7 + length])
    place += 7 + length
    if kind in (1, 4):  # whole, or the last part
      records.append(Record.FromString(b''.join(parts)))
      parts = []
  return records


def rows_of(records):
  """Returns what was logged; of W&B's own fields only the step."""
  rows = []
  for record in records:
    if record.HasField('history'):
      items = {
        item.key or item.nested_key[0]: json.loads(item.value_json)
        for item in record.history.item
      }
      rows.append(
        {k: x for k, x in items.items() if k in FIELDS or k == '_step'}
      )
  return rows


def test_rows_are_kept_offline_and_an_interrupted_run_goes_on(wandb, tmp_path):
  folder = tmp_path / 'first'
  folder.mkdir()
  log = log_of(folder)
  log.write({'iteration': 0, 'profit': 0.25})
  log.write({'iteration': 1, 'loss': 4.0, 'profit': ''})
  log.close()
  wandb.teardown()  # as at the end of a process: its writer has written
  (began,) = folder.glob('wandb/offline-run-*/*.wandb')
  records = records_of(began)
  assert rows_of(records) == [
    {'_step': 0, 'profit': 0.25},
    {'_step': 1, 'loss': 4.0},
  ]
  (run,) = (x.run for x in records if x.HasField('run'))
  assert (run.project, run.display_name) == ('my-project', 'first')
  config = {x.key: json.loads(x.value_json) for x in run.config.update}
  assert CONFIG.items() <= config.items()

  log = log_of(folder, last=1)
  log.write({'iteration': 2, 'loss': 3.0})
  log.close()
  files = {x.name: x for x in folder.glob('wandb/offline-run-*/*.wandb')}
  assert list(files) == [began.name]  # both of the same id


def test_the_latest_run_goes_on_online_or_not(wandb, tmp_path):
  for name in ('offline-run-20260103_100000-late', 'run-20260102_100000-early'):
    (tmp_path / 'wandb' / name).mkdir(parents=True)
  log_of(tmp_path).close()
  wandb.teardown()
  names = {file.name for file in tmp_path.glob('wandb/*/*.wandb')}
  assert names == {'run-late.wandb'}


def test_a_run_that_fails_is_marked_so(wandb, tmp_path):
  log = log_of(tmp_path)
  with pytest.raises(FloatingPointError):  # noqa: PT012
    try:
      raise FloatingPointError('loss')
    finally:
      log.close()
  wandb.teardown()
  (file,) = tmp_path.glob('wandb/offline-run-*/*.wandb')
  exits = [x.exit.exit_code for x in records_of(file) if x.HasField('exit')]
  assert exits == [1]


def test_without_the_package_one_line_says_so(monkeypatch, tmp_path):
  monkeypatch.setitem(sys.modules, 'wandb', None)
  with pytest.raises(ValueError, match='--wandb: found no package wandb'):
    weights_and_biases.Run(tmp_path, 'my-project', {})

"""Tests of eigen3.runs.logs."""

import os
import struct

import pytest
from tensorboardX.proto import event_pb2

from eigen3.runs import logs
from eigen3.runs.logs import MetricsLog

FIELDS = ('iteration', 'loss', 'profit')
HEADER = 'iteration,loss,profit\n'


def write(folder, rows, last=-1):
  log = MetricsLog(folder, FIELDS, last)
  for row in rows:
    log.write(row)
  log.close()


def events_of(folder):
  """Returns {(tag, step): value} of all events, from the record files."""
  found = {}
  files = sorted((folder / 'tensorboard').iterdir())
  assert len(files) == 1
  data = files[0].read_bytes()
  while data:
    # A record: length, its checksum, the message, its checksum.
    (length,) = struct.unpack('<Q', data[:8])
    event = event_pb2.Event.FromString(data[12 : 12 + length])
    for value in event.summary.value:
      assert (value.tag, event.step) not in found
      found[value.tag, event.step] = value.simple_value
    data = data[16 + length :]
  return found


@pytest.fixture
def four_rows(tmp_path):
  """A log of iterations 0 to 3; odd ones have no profit."""
  write(
    tmp_path,
    [
      {'iteration': 0, 'profit': 0.25},
      {'iteration': 1, 'loss': 4.0},
      {'iteration': 2, 'loss': 3.5, 'profit': 1.0 / 3.0},
      {'iteration': 3, 'loss': 3.0},
    ],
  )
  return tmp_path


def test_a_row_an_iteration_and_empty_fields(four_rows):
  assert (four_rows / 'metrics.csv').read_text().replace('\r\n', '\n') == (
    HEADER + '0,,0.25\n1,4.0,\n2,3.5,0.3333333333333333\n3,3.0,\n'
  )
  assert events_of(four_rows) == {
    ('profit', 0): 0.25,
    ('loss', 1): 4.0,
    ('loss', 2): 3.5,
    ('profit', 2): pytest.approx(1 / 3),
    ('loss', 3): 3.0,
  }


def test_a_row_is_on_disk_when_it_was_written(tmp_path):
  log = MetricsLog(tmp_path, FIELDS, -1)
  log.write({'iteration': 0, 'loss': 1.5})
  assert '0,1.5,' in (tmp_path / 'metrics.csv').read_text()
  log.close()


def test_resuming_truncates_both_logs(four_rows):
  write(four_rows, [{'iteration': 3, 'loss': 9.0}], last=2)
  text = (four_rows / 'metrics.csv').read_text().replace('\r\n', '\n')
  assert text == HEADER + '0,,0.25\n1,4.0,\n2,3.5,0.3333333333333333\n3,9.0,\n'
  assert events_of(four_rows) == {
    ('profit', 0): 0.25,
    ('loss', 1): 4.0,
    ('loss', 2): 3.5,
    ('profit', 2): pytest.approx(1 / 3),
    ('loss', 3): 9.0,
  }
  assert sorted(os.listdir(four_rows)) == ['metrics.csv', 'tensorboard']


@pytest.mark.parametrize(
  'cut', ['1', '12', '12,', '12,5', '12,5.0', '12,5.0,0']
)
def test_a_half_written_row_is_dropped(four_rows, cut):
  """Iteration 12, truncated to a number that could be another's."""
  whole = (four_rows / 'metrics.csv').read_text()
  with (four_rows / 'metrics.csv').open('a') as file:
    file.write(cut)
  write(four_rows, [], last=3)
  assert (four_rows / 'metrics.csv').read_text() == whole.replace('\r\n', '\n')


def test_a_fresh_run_starts_a_fresh_log(four_rows):
  write(four_rows, [], last=-1)
  assert (four_rows / 'metrics.csv').read_text().strip() == HEADER.strip()
  assert events_of(four_rows) == {}


def test_other_columns_are_refused(four_rows):
  before = (four_rows / 'metrics.csv').read_text()
  with pytest.raises(ValueError, match='found') as error:
    MetricsLog(four_rows, (*FIELDS, 'more'), 3)
  assert str(error.value) == (
    f'{four_rows}/metrics.csv: found columns iteration, loss, profit, '
    'expected iteration, loss, profit, more'
  )
  assert (four_rows / 'metrics.csv').read_text() == before


class Kept:
  """A sink that records its calls."""

  def __init__(self):
    self.rows = []

  def write(self, step, values):
    self.rows.append((step, values))

  def close(self):
    self.rows.append('closed')


def test_other_sinks_get_what_is_new(four_rows):
  kept = Kept()
  log = MetricsLog(four_rows, FIELDS, 2, [kept])
  log.write({'iteration': 3, 'loss': 9.0, 'profit': ''})
  log.close()
  assert kept.rows == [(3, {'loss': 9.0}), 'closed']


@pytest.mark.parametrize('content', [b'', b'a,b\n1,2\n1,2,3\n', b'a\n\xff\n'])
def test_a_damaged_log_is_one_line(tmp_path, content):
  path = tmp_path / 'members.csv'
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r'\), expected it as the run') as error:
    logs.read(path)
  assert str(error.value).startswith(f'{path}: found a damaged file (')
  assert '\n' not in str(error.value)

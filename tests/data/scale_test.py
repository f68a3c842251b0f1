"""Tests of the time and memory of large panels."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eigen3.data import MarketPanel

# Seconds of all cores and MB of memory that a statement takes.
MEASURED = """
import sys, time
from eigen3.data import MarketPanel, build_panel, open_source

def used():
  # Not ru_maxrss, which begins with that of the process before exec.
  with open('/proc/self/status') as file:
    peak = next(line for line in file if line.startswith('VmHWM'))
  return time.process_time(), int(peak.split()[1]) / 1e3

before = used()
{statement}
print(used()[0] - before[0], used()[1] - before[1])
"""


pytestmark = [
  pytest.mark.long,
  pytest.mark.skipif(
    not os.path.exists('/proc/self/status'), reason='needs /proc for memory'
  ),
]


def measure(statement, *arguments):
  run = subprocess.run(
    [sys.executable, '-c', MEASURED.format(statement=statement), *arguments],
    capture_output=True,
    text=True,
    check=True,
  )
  return tuple(map(float, run.stdout.split()))


def make_days(num_days):
  return np.busday_offset('2000-01-03', np.arange(num_days))


def test_loading_5400_days_of_669_columns(tmp_path):
  """Needs under 1 s and 300 MB, of which the arrays are 202 MB."""
  rng = np.random.default_rng(0)
  shape = (5400, 669)
  MarketPanel(
    dates=make_days(5400),
    columns=tuple(f'T{i}' for i in range(669)),
    ohlc=rng.random((*shape, 4), np.float32),
    features=rng.random((*shape, 9), np.float32),
    volume=rng.random(shape, np.float32),
    investable=(8, 116),
  ).save(tmp_path / 'panel')
  seconds, megabytes = measure(
    'panel = MarketPanel.load(sys.argv[1])', tmp_path / 'panel'
  )
  assert seconds < 1.0
  assert megabytes < 300.0


def write_long(path, num_days, num_columns=10_000):
  """Writes a long table, ordered by day."""
  rng = np.random.default_rng(0)
  names = pa.array([f'S{i:05d}' for i in range(num_columns)])
  codes = np.arange(num_columns, dtype=np.int32)
  close = rng.uniform(20.0, 200.0, num_columns)
  writer = None
  for day in make_days(num_days):
    close = close * np.exp(0.02 * rng.standard_normal(num_columns))
    table = pa.table({
      'date': np.full(num_columns, day),
      'symbol': pa.DictionaryArray.from_arrays(codes, names),
      'open': 0.99 * close, 'high': 1.02 * close, 'low': 0.97 * close,
      'close': close, 'adj_close': 0.9 * close, 'volume': 1e6 / close,
    })  # fmt: skip
    writer = writer or pq.ParquetWriter(path, table.schema)
    writer.write_table(table)
  writer.close()


def test_preparing_ten_thousand_columns(tmp_path):
  """Needs memory linear in rows; 21 years must fit into 8 GB."""
  prepare = (
    'panel = build_panel(open_source(sys.argv[1]), 20, 20)\n'
    'panel.save(sys.argv[1] + ".panel")\n'
    'panel.fingerprint'
  )
  used = {}
  for num_days in (200, 400):
    path = tmp_path / str(num_days)
    write_long(path, num_days)
    used[num_days] = measure(prepare, str(path))
  (seconds, less), (more_seconds, more) = used[200], used[400]
  assert more_seconds < 2.6 * seconds
  assert less + (more - less) / 200 * (5400 - 200) < 8000.0

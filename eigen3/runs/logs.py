"""A run's logs: CSV files, TensorBoard events and other sinks.

In a run of several processes only the first one writes.
"""

import csv
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd
import tensorboardX

from eigen3 import parallel
from eigen3.files import atomic_path, naming

# Files of a run: metrics of each iteration or generation; those of each agent
# of a population in each generation; and the importance of each column in each
# generation.
METRICS, MEMBERS, IMPORTANCE = 'metrics.csv', 'members.csv', 'importance.csv'

# Columns with the results of validations: the profit; the annualised Sharpe
# ratio, in METRICS; the daily Sharpe ratio of each agent of a population, in
# MEMBERS.
SCORE = 'validation_profit'
SHARPE, DAILY_SHARPE = 'validation_sharpe', 'validation_daily_sharpe'


def are_profits(learner: Mapping[str, Any]) -> tuple[bool, bool]:
  """Returns whether fitness is a profit, and whether validation scores are.

  Fitness and scores that are not profits are sums of rewards.

  Args:
    learner: the `learner` section of the settings of a population's run.
  """
  fitness = learner['fitness'] == 'profit'
  # Older runs, which lack the setting, validated on slices, as fitness is
  # measured; a continuous backtest is scored by its profit.
  play = learner.get('validation_play', 'slices')
  return fitness, fitness or play == 'continuous'


def read(path: os.PathLike | str) -> pd.DataFrame:
  """Returns the table in a CSV file of a run.

  Raises:
    ValueError: if the file is damaged.
  """
  try:
    return pd.read_csv(path)
  except ValueError as error:
    reason = ' '.join(str(error).split())
    raise ValueError(
      f'{path}: found a damaged file ({reason}), expected it as the run wrote '
      'it'
    ) from error


class CsvLog:
  """A CSV file whose first column is the iteration or generation.

  Attributes:
    rows: the earlier rows that were kept when the file was opened, each a dict
      of strings.
  """

  def __init__(self, path: os.PathLike | str, fields: Sequence[str], last: int):
    """Opens the file.

    Args:
      path: the file, which may exist.
      fields: its columns; the first is the iteration or generation.
      last: the last iteration or generation to keep; rows of later ones, which
        the run wrote after the checkpoint it resumes from, are dropped.

    Raises:
      ValueError: if the existing CSV has other columns.
    """
    self._path = pathlib.Path(path)
    self._fields = tuple(fields)
    self.rows = self._read(last)
    if parallel.is_first_process():
      self._rewrite(self.rows)
      where = self._path
    else:
      where = pathlib.Path(os.devnull)
    self._file = where.open('a', newline='', encoding='utf-8')
    self._csv = csv.DictWriter(self._file, self._fields, restval='')

  def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows; missing fields stay empty."""
    with naming(self._path):
      self._csv.writerows(rows)
      self._file.flush()

  def close(self) -> None:
    """Flushes and closes the file."""
    self._file.close()

  def _read(self, last: int) -> list[dict[str, str]]:
    if not self._path.exists():
      return []
    with self._path.open(newline='', encoding='utf-8') as file:
      reader = csv.DictReader(file)
      found = tuple(reader.fieldnames or ())
      if found and found != self._fields:
        raise ValueError(
          f'{self._path}: found columns {", ".join(found)}, '
          f'expected {", ".join(self._fields)}'
        )
      # A row that a kill truncated is later than the last checkpoint, but the
      # number of its iteration may be truncated, too.
      return [
        row
        for row in reader
        if None not in row.values()
        and row[self._fields[0]].isdigit()
        and int(row[self._fields[0]]) <= last
      ]

  def _rewrite(self, rows: list[dict[str, str]]) -> None:
    with (
      atomic_path(self._path) as temporary,
      temporary.open('w', newline='', encoding='utf-8') as file,
    ):
      writer = csv.DictWriter(file, self._fields)
      writer.writeheader()
      writer.writerows(rows)


class Sink(Protocol):
  """A destination of a run's metrics besides `metrics.csv`."""

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Adds metrics, keyed by name, of the iteration or generation `step`."""

  def close(self) -> None:
    """Flushes and closes the sink."""


class TensorBoard:
  """A `Sink` that writes TensorBoard events."""

  def __init__(self, folder: pathlib.Path):
    """Deletes the folder with its content, and opens a new event file in it.

    Only the first process deletes or writes anything.
    """
    writes = parallel.is_first_process()
    if writes:
      shutil.rmtree(folder, ignore_errors=True)
    self._events = tensorboardX.SummaryWriter(str(folder), write_to_disk=writes)

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Adds metrics of the iteration or generation `step`."""
    for name, value in values.items():
      self._events.add_scalar(name, value, step)

  def close(self) -> None:
    """Flushes and closes the event file."""
    self._events.close()


class MetricsLog:
  """Writes a run's metrics to `metrics.csv`, TensorBoard and other sinks.

  The CSV is authoritative: when a run is resumed, rows after its checkpoint are
  dropped from the CSV, and the TensorBoard events are written anew from it.
  """

  def __init__(
    self,
    workdir: os.PathLike | str,
    fields: Sequence[str],
    last: int,
    sinks: Sequence[Sink] = (),
  ):
    """Opens the logs.

    Args:
      workdir: the run's folder.
      fields: columns of the CSV; the first is the iteration or generation.
      last: the last iteration or generation to keep; rows of later ones, which
        the run wrote after the checkpoint it resumes from, are dropped.
      sinks: receive the metrics that are written from now on, and are closed
        with the logs.

    Raises:
      ValueError: if the existing CSV has other columns.
    """
    self._fields = tuple(fields)
    self._csv = CsvLog(pathlib.Path(workdir) / METRICS, fields, last)
    events = TensorBoard(pathlib.Path(workdir) / 'tensorboard')
    for row in self._csv.rows:
      events.write(*self._numbers(row))
    self._sinks = (events, *sinks)

  def write(self, row: Mapping[str, float]) -> None:
    """Adds an iteration's or generation's row; missing fields stay empty."""
    self._csv.write([row])
    step, values = self._numbers(row)
    for sink in self._sinks:
      sink.write(step, values)

  def close(self) -> None:
    """Flushes and closes all logs."""
    self._csv.close()
    for sink in self._sinks:
      sink.close()

  def _numbers(
    self, row: Mapping[str, float | str]
  ) -> tuple[int, dict[str, float]]:
    """Returns a row's iteration or generation, and its non-empty metrics."""
    values = {
      name: float(row[name])
      for name in self._fields[1:]
      if row.get(name, '') != ''
    }
    return int(row[self._fields[0]]), values

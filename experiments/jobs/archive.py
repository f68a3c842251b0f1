"""Records of finished runs: small files from which tables are made.

The name (or key) of a record is a digest of all that determines a run's
numbers: the program, all its settings with the seed, the data, and `VERSION`.
So ladders, studies and machines that share a folder of records run nothing
twice.

In the digest, `VERSION` stands for the code; increase it whenever a change of
the code changes the results of runs. A digest of the sources, or the commit,
would change with every edited comment and waste days of computing. The commit,
with a + if there were uncommitted changes, is in the record, and pages list the
commits of all records, so that readers see when results of different commits
are compared.

A new setting would change the names of all records, too. So whoever adds a
setting enters it in `NEW_SETTINGS`, with the value that leaves results as they
were.
"""

import datetime
import hashlib
import json
import pathlib
import subprocess
from collections.abc import Mapping
from typing import Any

import pandas as pd
from absl import logging

from eigen3.evaluation import measures
from eigen3.evaluation.pooled import Outcome
from eigen3.evaluation.population import require_columns
from eigen3.files import atomic_path
from eigen3.runs import claims, logs
from eigen3.runs.claims import Claim
from eigen3.types import TRADING_DAYS_A_YEAR

# To be increased when the same settings give other numbers than before.
VERSION = 2
# Values of settings, keyed by full name. A setting that has the value given
# here is left out of the digest.
NEW_SETTINGS: Mapping[str, Any] = {
  'agent.action_penalty': 0.0,
  'environment.market_timing': False,
  'evaluation.champion_by': 'validation_profit',
  'evaluation.measures': False,
  'learner.batches': 'common',
  'learner.exploring_slices': 5,
  'learner.validation_play': 'slices',
  'ranker.champion_by': 'validation_loss',
  'ranker.model': 'extractor',
  'ranker.stride': 5,
  'ranker.threshold': 'validation',
}
_ABOUT = ('commit', 'platform', 'python', 'versions')  # fields of run.json
_LENGTH = 16  # hexadecimal digits of a name


def key_of(program: str, settings: Mapping[str, Any], data: str) -> str:
  """Returns the key of a record, a digest of the arguments and `VERSION`.

  Args:
    program: name of the program.
    settings: all settings as JSON values, without the path of the panel.
    data: the panel's fingerprint; '' for an embedded market, which the settings
      describe.
  """
  asked = [VERSION, program, _without_new(settings), data]
  text = json.dumps(asked, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _without_new(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the settings without those that have their `NEW_SETTINGS` value."""
  found = {
    name: dict(value) if isinstance(value, Mapping) else value
    for name, value in settings.items()
  }
  for name, value in NEW_SETTINGS.items():
    section, _, field = name.partition('.')
    if found.get(section, {}).get(field, None) == value:
      del found[section][field]
  return found


class Archive:
  """A folder of records, and of claims on records in progress."""

  def __init__(self, folder: pathlib.Path, commits: bool = False):
    """Binds the archive to a folder, which is created when first needed.

    Args:
      folder: the folder, which several machines may share.
      commits: whether to commit each record with git.
    """
    self._folder = folder
    self._commits = commits

  def has(self, key: str) -> bool:
    """Returns whether there is a record with this key."""
    return self._path(key).exists()

  def read(self, key: str) -> dict[str, Any] | None:
    """Returns a record, None if absent; raises a ValueError if damaged."""
    path = self._path(key)
    try:
      return json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
      return None
    except ValueError as error:
      raise ValueError(
        f'{path}: found a damaged file ({error}), expected the record of a '
        'finished run; remove this file, and the run is done again'
      ) from error

  def write(self, key: str, name: str, record: Mapping[str, Any]) -> None:
    """Writes a record, and commits it if requested.

    Args:
      key: returned by `key_of`.
      name: the run's name, for the commit's message.
      record: the record, ready for JSON.
    """
    self._folder.mkdir(parents=True, exist_ok=True)
    lines = [
      f'{json.dumps(part)}: {json.dumps(record[part], sort_keys=True)}'
      for part in sorted(record)
    ]
    path = self._path(key)
    with atomic_path(path) as temporary:
      text = '{\n' + ',\n'.join(lines) + '\n}\n'
      temporary.write_text(text, encoding='utf-8')
    if self._commits:
      _commit(path, f'Record {name}')

  def claim(self, key: str) -> Claim | None:
    """Claims a record to be made; returns None if it is already claimed."""
    return claims.take(self._folder / 'claims' / key)

  def _path(self, key: str) -> pathlib.Path:
    return self._folder / f'{key}.json'


def describe(run: pathlib.Path, policy: str) -> dict[str, Any]:
  """Describes a finished run and its results, for the run's record.

  Args:
    run: the run's folder.
    policy: the name of the run's policy among the results.

  Returns:
    `commit`, `platform`, `python` and `versions` as in run.json; `policy`;
    `profits` on the held-out days, of each policy and control; `facts` about
    the training, see `_facts`; `daily`: the `first` held-out day, the `offset`
    of each held-out day from the first in calendar days, and the daily
    `returns` of each policy and control; `days_a_year`, how many days of the
    panel make a year; `validation`, the policy's metrics on the validation
    days, and `metrics`, those of the champion on each split, both as in
    summary.json or None if absent; and, if the run wrote them, `measures`, as
    returned by `measures.measure`.

  Raises:
    ValueError: if a file of the run is damaged.
  """
  summary = json.loads((run / 'summary.json').read_text(encoding='utf-8'))
  about = json.loads((run / 'run.json').read_text(encoding='utf-8'))
  path = run / 'daily.csv'
  daily = logs.read(path)
  require_columns(str(path), daily, ('split', 'date'))
  daily = daily[daily['split'] == 'holdout'].drop(columns='split')
  dates = pd.to_datetime(daily.pop('date'))
  return {
    **{name: about.get(name) for name in _ABOUT},
    'policy': policy,
    'profits': {
      name: numbers['profit'] for name, numbers in summary['holdout'].items()
    },
    'facts': _facts(run, summary),
    'daily': {
      'first': str(dates.iloc[0].date()),
      'offset': (dates - dates.iloc[0]).dt.days.tolist(),
      'returns': {name: daily[name].tolist() for name in daily},
    },
    'days_a_year': about['data'].get('days_a_year', TRADING_DAYS_A_YEAR),
    'validation': summary['validation'].get(policy),
    'metrics': summary.get('metrics'),
    **_measures(run),
  }


def _measures(run: pathlib.Path) -> dict[str, Any]:
  path = run / measures.FILE
  if not path.exists():
    return {}
  return {'measures': json.loads(path.read_text(encoding='utf-8'))}


def outcome_of(record: Mapping[str, Any]) -> Outcome:
  """Returns the outcome of a record's run, for tables."""
  daily = record['daily']
  first = datetime.date.fromisoformat(daily['first'])
  dates = pd.Timestamp(first) + pd.to_timedelta(daily['offset'], unit='D')
  return Outcome(
    policy=record['policy'],
    daily=pd.DataFrame({'date': dates, **daily['returns']}),
    profits=record['profits'],
    facts=record['facts'],
    commit=record['commit'] or '',
    year=record.get('days_a_year', TRADING_DAYS_A_YEAR),
    measures=record.get('measures', {}),
  )


def _facts(run: pathlib.Path, summary: Mapping[str, Any]) -> dict[str, Any]:
  """Returns facts about a run; what the run did not record is left out.

  These are `updates`, `windows_trained` and `holdout_openings`, as in
  summary.json, and `seconds`, an estimate of the duration of training: the
  median duration of an iteration or generation, times the number of these.
  """
  facts: dict[str, Any] = {
    name: summary[name]
    for name in ('updates', 'windows_trained', 'holdout_openings')
    if name in summary
  }
  metrics = run / logs.METRICS
  if metrics.exists() and 'seconds' in (rows := logs.read(metrics)):
    seconds = rows['seconds'].dropna()
    # The first iteration compiles, so its time is not representative.
    facts['seconds'] = round(float(seconds.median() * len(seconds)), 1)
  return facts


def _commit(path: pathlib.Path, message: str) -> None:
  """Commits one file and nothing else; a failure is only logged."""
  for command in (
    ('add', '--', path.name),
    ('commit', '--quiet', '-m', message, '--', path.name),
  ):
    done = subprocess.run(
      ['git', *command], cwd=path.parent, capture_output=True, text=True
    )
    if done.returncode:
      reason = ' '.join((done.stderr or done.stdout).split())
      logging.warning('%s: not committed: %s', path, reason)
      return

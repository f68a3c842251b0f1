"""Tests of records, and of programs that share them and a folder."""

import json
import pathlib
import subprocess

import forks
import pandas as pd
import pytest
from finished_runs import write_run

from eigen3 import data
from experiments.configs import ladder, td3
from experiments.jobs import archive
from experiments.jobs.archive import Archive
from experiments.jobs.cells import Cell

HERE = pathlib.Path(__file__).parent
CELL = Cell('a', 'td3', 'smoke', ('data.synthetic.seed={seed}',))


def start(workdir, records):
  return forks.start(
    *('-m', 'tiny_ladder', f'--config={ladder.__file__}:smoke'),
    *(f'--workdir={workdir}', f'--records={records}'),
    *('--only=^(drift|none)(_ranker)?$', '--jobs=1'),
    cwd=HERE,
  )


def finish(process):
  stdout, stderr = process.communicate(timeout=120)
  assert process.returncode == 0, stderr
  return stdout


@pytest.mark.long  # jobs_pool_test.py has the same without training
def test_two_processes_climb_one_ladder(tmp_path):
  """Either process runs each run once; results need no run's folder."""
  folder, records = tmp_path / 'ladder', tmp_path / 'records'
  first, second = [
    finish(process) for process in [start(folder, records) for _ in range(2)]
  ]
  assert first == second
  starts = sorted(folder.rglob('starts*'))
  assert len(starts) == 4 * 2
  assert {path.read_text() for path in starts} == {'0'}
  assert len(list(records.glob('*.json'))) == 8
  # Elsewhere there is nothing left to run, and as much to tell.
  other = tmp_path / 'other'
  third = finish(start(other, records))
  assert third == first.replace(str(folder), str(other))
  assert not (other / 'runs').exists()
  for name in ('results.json', 'results.csv'):
    assert (other / name).read_text() == (folder / name).read_text()
  assert 'abc' in (other / 'results.html').read_text()


def test_what_decides_a_run_s_numbers_is_in_its_key(monkeypatch):
  keys = {CELL.key(0), CELL.key(1), CELL._replace(program='erl').key(0)}
  changed = CELL._replace(changes=(*CELL.changes, 'agent.gamma=0.5'))
  keys.add(changed.key(0))
  assert len(keys) == 4
  # Its name, and what is a default, are not.
  same = CELL._replace(name='b', changes=(*CELL.changes, 'agent.gamma=0'))
  assert same.key(0) == CELL.key(0)
  monkeypatch.setattr(archive, 'VERSION', archive.VERSION + 1)
  assert CELL.key(0) not in keys


@pytest.mark.parametrize(
  'change, cause',
  [
    ('agent.gama=1', "KeyError: 'gama' Did you mean "),
    ('agent.gamma=x', 'ValueError: malformed node'),
    ('agent=1', 'TypeError: Could not override'),
  ],
)
def test_a_wrong_change_is_named(change, cause):
  with pytest.raises(ValueError, match='FIELD=VALUE with a field') as error:
    CELL._replace(changes=(change,)).key(0)
  message = str(error.value)
  assert message.startswith(f"cell a: found the change '{change}' ({cause}")
  assert '\n' not in message


def test_the_data_count_and_not_their_place(tmp_path):
  panel = data.synthetic_market(td3.get_config('smoke').data.synthetic).panel
  keys = set()
  for name in ('a', 'b'):
    panel.save(tmp_path / f'{name}.parquet')
    change = f'data.panel={tmp_path}/{name}.parquet'
    keys.add(CELL._replace(changes=(change,)).key(0))
  assert len(keys) == 1


def test_a_damaged_file_of_a_run_is_named(tmp_path):
  run = CELL.run(tmp_path, 3)
  write_run(run, seed=3)
  path = run / 'daily.csv'
  path.write_text('')
  with pytest.raises(ValueError, match='found a damaged file') as error:
    CELL.record(tmp_path, 3)
  assert str(error.value).startswith(f'{path}: ')


def test_a_record_is_small_and_says_all(tmp_path):
  write_run(CELL.run(tmp_path, 3), seed=3, commit='abc+')
  kept = Archive(tmp_path / 'records')
  assert kept.read(CELL.key(3)) is None
  record = CELL.record(tmp_path, 3)
  kept.write(CELL.key(3), 'a/seed3', record)
  assert kept.has(CELL.key(3))
  assert kept.read(CELL.key(3)) == record
  assert (record['commit'], record['version']) == ('abc+', archive.VERSION)
  assert record['settings']['seed'] == 3
  assert record['settings']['data']['synthetic']['seed'] == 3
  outcome = archive.outcome_of(record)
  daily = pd.read_csv(CELL.run(tmp_path, 3) / 'daily.csv', parse_dates=['date'])
  daily = daily[daily['split'] == 'holdout'].drop(columns='split')
  pd.testing.assert_frame_equal(
    outcome.daily, daily.reset_index(drop=True), check_dtype=False
  )
  path = tmp_path / 'records' / f'{CELL.key(3)}.json'
  days = len(json.dumps(record['daily']))
  assert path.stat().st_size - days + days * 251 / 60 < 30_000  # of a year
  path.write_text('{')
  with pytest.raises(ValueError, match='found a damaged file'):
    kept.read(CELL.key(3))


def test_a_record_knows_how_many_days_are_a_year(tmp_path):
  write_run(CELL.run(tmp_path, 0))
  write_run(CELL.run(tmp_path, 1), year=52)
  daily, weekly = (CELL.record(tmp_path, seed) for seed in (0, 1))
  assert archive.outcome_of(daily).year == 252
  assert archive.outcome_of(weekly).year == 52
  del daily['days_a_year']  # as records were before
  assert archive.outcome_of(daily).year == 252


def test_a_record_is_committed_alone(tmp_path):
  def git(*arguments):
    return subprocess.run(
      ['git', *arguments], cwd=tmp_path, check=True, capture_output=True,
      text=True,
    ).stdout  # fmt: skip

  git('init', '-q')
  git('config', 'user.email', 'a@b.c')
  git('config', 'user.name', 'a')
  (tmp_path / 'mine').touch()
  git('add', 'mine')
  kept = Archive(tmp_path / 'records', commits=True)
  kept.write('key', 'drift/seed0', {'a': 1})
  assert git('show', '--name-only', '--format=%s').split('\n') == [
    'Record drift/seed0',
    '',
    'records/key.json',
    '',
  ]
  assert git('status', '--porcelain') == 'A  mine\n'
  assert json.loads((tmp_path / 'records/key.json').read_text()) == {'a': 1}

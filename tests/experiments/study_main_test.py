"""Tests of experiments.study, run as its users run it."""

import json
import pathlib

import numpy as np
import pandas as pd
import priced_market
import pytest

from eigen3.data import MarketPanel
from experiments import measuring
from experiments.configs import study, td3

CONFIG = pathlib.Path(study.__file__)
YEARS = '--config.years=(2013,2014)'

pytestmark = pytest.mark.long  # many processes, each compiles


@pytest.fixture(scope='module')
def panel_file(tmp_path_factory):
  path = tmp_path_factory.mktemp('study') / 'panel.parquet'
  priced_market.make_panel(1300, 24).save(path)
  return path


def run(programs, panel_file, workdir, *arguments):
  process = programs.start(
    'study',
    *(f'--config={CONFIG}:smoke', f'--config.panel={panel_file}', YEARS),
    *(f'--workdir={workdir}', f'--records={workdir}/records'),
    *arguments,
  )
  stdout, stderr = process.communicate(timeout=3000)
  assert process.returncode == 0, stderr
  return stdout


def test_a_study_from_panel_to_page(programs, panel_file, tmp_path):
  workdir = tmp_path / 'study'
  run(programs, panel_file, workdir, '--only=(td3|committee|ridge)$')
  results = json.loads((workdir / 'results.json').read_text())
  assert results['policies'].keys() == {'committee', 'ridge', 'td3'}
  # Attribution is not drawn if nothing was bought.
  drawn = 3 + (results['policies']['committee']['attribution'] is not None)
  assert (workdir / 'results.html').read_text().count('<svg') == drawn

  # An agent goes on with the updates of the fold before.
  def metrics(year):
    path = workdir / f'runs/{year}/td3/seed1/metrics.csv'
    return pd.read_csv(path)['updates'].dropna()

  assert metrics(2014).min() > metrics(2013).max()
  # The committee is the mean of its members.
  runs = [workdir / f'runs/2014/td3/seed{seed}' for seed in (0, 1)]
  acts = np.mean([np.load(path / measuring.ACTIONS) for path in runs], axis=0)
  panel = MarketPanel.load(workdir / 'panels/2014.parquet')
  assert acts.shape[1:] == (panel.num_investable, 2)
  judged = pd.read_csv(workdir / 'runs/2014/committee/seed0/daily.csv')
  assert len(judged) == len(acts)
  # Nothing is run again; all is in the records.
  run(
    programs, panel_file, tmp_path / 'other', f'--records={workdir}/records',
    '--only=(td3|committee|ridge)$',
  )  # fmt: skip
  assert not (tmp_path / 'other/runs').exists()
  assert (tmp_path / 'other/results.json').read_text() == (
    workdir / 'results.json'
  ).read_text()


def test_a_committee_has_runs_that_differ_by_their_seeds(programs, tmp_path):
  for name, changes in (
    ('one', {'seed': 0}),
    ('two', {'seed': 1}),
    ('three', {'seed': 2, 'environment.commission_bp': 9.0}),
  ):
    config = td3.get_config('smoke')
    config.update_from_flattened_dict(changes)
    (tmp_path / name).mkdir()
    (tmp_path / name / 'config.json').write_text(config.to_json())
  done = programs.finish(
    'study.committee',
    '--runs=' + ','.join(f'{tmp_path}/{x}' for x in ('one', 'two', 'three')),
    f'--workdir={tmp_path}/committee',
  )
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1].endswith(
    f'--runs: found {str(tmp_path / "three")!r}, expected a run whose '
    f'settings, except the seed, are those of {tmp_path}/one'
  )
  assert not (tmp_path / 'committee').exists()


def test_what_cannot_be_started_from_is_refused(programs, tmp_path):
  def error_of(program):
    done = programs.finish(
      program, '--config=smoke', f'--workdir={tmp_path}/run',
      f'--start_from={tmp_path}/nowhere',
    )  # fmt: skip
    assert done.returncode == 1
    assert not (tmp_path / 'run').exists()
    return done.stderr.splitlines()[-1]

  assert '--start_from: ' in error_of('td3')
  assert 'nowhere: found no run here' in error_of('td3')
  assert "nowhere', expected none for a population" in error_of('erl')


def test_a_planted_signal_is_found_and_nothing_is_not(
  programs, panel_file, tmp_path
):
  """The reduced form of --config=planted."""
  stdout = run(
    programs, panel_file, tmp_path / 'planted', '--only=/ridge$',
    '--config.planted.trials=3', '--config.planted.ic=0.15',
  )  # fmt: skip
  results = json.loads((tmp_path / 'planted/results.json').read_text())
  found = results['planted']['programs']['ridge']
  assert found['planted']['found'] == found['planted']['trials'] == 3
  assert found['nothing']['found'] <= 1
  assert min(found['planted']['ic']) > 0.05
  assert 'ridge finds it in 3 of 3 copies' in stdout

"""The parts of an experiment fit together, or are refused in one line."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from eigen3 import data
from eigen3.runs import run_directory
from experiments import panels, saved_runs, wiring
from experiments.configs import td3


def test_splits_longer_than_the_panel_was_prepared_for(tmp_path):
  config = td3.get_config('smoke')
  panel = data.synthetic_market(config.data.synthetic).panel
  assert panel.training_days == 0  # any splits will do
  # 300 days less 70 for validation and 70 for holdout are 160.
  file = tmp_path / 'panel.parquet'
  dataclasses.replace(panel, training_days=161).save(file)
  config.data.panel = str(file)
  with pytest.raises(ValueError, match=r'data\.holdout_days: found 70 and 70'):
    wiring.build(config)
  config.data.holdout_days = 69
  experiment = wiring.build(config)
  assert experiment.panel.training_days == 161
  assert experiment.panel.fingerprint == panel.fingerprint


def test_a_late_listing_does_not_reach_agents_by_its_raw_values():
  config = td3.get_config('smoke')
  config.data.synthetic.late_listings = 1.0
  experiment = wiring.build(config)
  panel, market = experiment.panel, experiment.learner._market
  first, stop = panel.investable
  seen = ~np.isnan(panel.features[:, first:stop]).any(axis=2)
  measured = seen[:160].sum(axis=0) >= data.MIN_TRAINING_DAYS
  assert measured.any()
  assert not measured.all()
  features = np.asarray(market.features)[:, first:stop]
  known = ~np.isnan(features).any(axis=2)
  np.testing.assert_array_equal(known, seen & measured)
  assert np.abs(features[known]).max() < 100.0


@pytest.mark.parametrize(
  'given, expected',
  [
    ('', ''),  # the embedded market
    ('p.parquet', '{here}/p.parquet'),
    ('../~/p.parquet', '{above}/~/p.parquet'),
    ('~/p.parquet', '/home/me/p.parquet'),
    ('/data/[a] $HOME.parquet', '/data/[a] $HOME.parquet'),
  ],
)
def test_the_path_of_a_panel_becomes_absolute(
  tmp_path, monkeypatch, given, expected
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HOME', '/home/me')
  config = td3.get_config('smoke').data
  config.panel = given
  panels.settle(config)  # whether it is there is asked when it is read
  assert config.panel == expected.format(here=tmp_path, above=tmp_path.parent)


@pytest.fixture
def begun(tmp_path, monkeypatch):
  """The folder of a run that was begun with a relative path of its panel."""
  home = tmp_path / 'first' / 'runs [1]'
  home.mkdir(parents=True)
  monkeypatch.chdir(tmp_path / 'first')
  config = td3.get_config('smoke')
  panel = data.synthetic_market(config.data.synthetic).panel
  panel.save('p.parquet')
  config.data.panel = 'p.parquet'
  panels.settle(config.data)
  about = wiring.about_data(wiring.build(config))
  about |= panels.way_to(config.data, home / 'run')
  run_directory.create(home / 'run', config, about)
  monkeypatch.chdir('/')
  return home / 'run'


def resumed(workdir, panel=''):
  """The panel that a run goes on with, having passed all that is asked."""
  config = saved_runs.settings_of(workdir)
  config.data.panel = panel or config.data.panel
  panels.settle(config.data, workdir)
  run_directory.check_same(workdir, config)
  about = wiring.about_data(wiring.build(config))
  run_directory.check_data(workdir, about)
  return config.data.panel


def test_a_run_finds_its_panel_from_any_folder(begun, tmp_path):
  assert resumed(begun) == f'{tmp_path}/first/p.parquet'


def test_a_run_finds_a_panel_that_was_moved_with_it(
  begun, tmp_path, monkeypatch
):
  (tmp_path / 'first').rename(tmp_path / 'second')
  workdir = tmp_path / 'second' / 'runs [1]' / 'run'
  assert resumed(workdir) == f'{tmp_path}/second/p.parquet'
  monkeypatch.chdir(workdir.parent)
  assert resumed(workdir.relative_to(workdir.parent)) == (
    f'{tmp_path}/second/p.parquet'
  )


def test_the_panel_of_old_is_taken_where_it_is_still_there(begun, tmp_path):
  shutil.copytree(tmp_path / 'first', tmp_path / 'second')
  workdir = tmp_path / 'second' / 'runs [1]' / 'run'
  assert resumed(workdir) == f'{tmp_path}/first/p.parquet'


@pytest.mark.parametrize('older', [False, True])
def test_a_panel_that_was_moved_alone_has_to_be_named(begun, tmp_path, older):
  if older:  # than what is noted of the way
    about = json.loads((begun / 'run.json').read_text())
    del about['data']['panel_from_here']
    (begun / 'run.json').write_text(json.dumps(about))
  old, new = tmp_path / 'first' / 'p.parquet', tmp_path / 'q.parquet'
  old.rename(new)
  with pytest.raises(ValueError, match='found no file') as error:
    resumed(begun)
  assert str(error.value) == (
    f'--config.data.panel: found no file {old}, expected the panel of the run '
    f'or sweep in {begun}; give its present path with --config.data.panel'
  )
  assert resumed(begun, str(new)) == str(new)


def test_another_panel_is_refused(begun, tmp_path):
  config = td3.get_config('smoke')
  config.data.synthetic.seed = 1
  panel = data.synthetic_market(config.data.synthetic).panel
  panel.save(tmp_path / 'other.parquet')
  began = json.loads((begun / 'run.json').read_text())['data']['hash']
  assert began != panel.fingerprint
  with pytest.raises(ValueError, match='found data with hash') as error:
    resumed(begun, str(tmp_path / 'other.parquet'))
  assert str(error.value) == (
    f'--config.data.panel: found data with hash {panel.fingerprint[:12]}, '
    f'expected {began[:12]}, the data that the run in {begun} began with'
  )
  # Even where the run looks for it.
  os.replace(tmp_path / 'other.parquet', tmp_path / 'first' / 'p.parquet')
  with pytest.raises(ValueError, match='found data with hash'):
    resumed(begun)

"""Tests of eigen3.runs.run_directory."""

import json
import os
import re

import jax
import pytest

from eigen3.files import write_json
from eigen3.runs import run_directory
from experiments import saved_runs
from experiments.configs import erl, td3

DATA = {'hash': 'abc', 'survivorship': 'all'}


@pytest.fixture
def config():
  return td3.get_config('smoke')


@pytest.fixture
def workdir(tmp_path, config):
  config.seed = 5
  return run_directory.create(tmp_path / 'runs' / 'first', config, DATA)


def test_a_new_folder_explains_itself(workdir):
  assert sorted(os.listdir(workdir)) == ['config.json', 'run.json']
  run = json.loads((workdir / 'run.json').read_text())
  assert run['seed'] == 5
  assert run['data'] == DATA
  assert run['versions']['jax'] == jax.__version__
  assert {'dm-haiku', 'rlax', 'optax', 'numpy'} <= run['versions'].keys()
  assert re.fullmatch(r'([0-9a-f]{40}\+?)?', run['commit'])
  assert isinstance(run['command'], list)
  assert run['python'].startswith('3.')
  config = json.loads((workdir / 'config.json').read_text())
  assert config['seed'] == 5
  assert config['agent']['batch_size'] == 8
  # A reference is stored as its value.
  assert config['environment']['settlement_days'] == 7


def test_a_folder_that_holds_a_run_is_refused(workdir, config):
  before = {f: (workdir / f).read_bytes() for f in os.listdir(workdir)}
  config.seed = 6
  for refuse in (
    lambda: run_directory.check_new(workdir),
    lambda: run_directory.create(workdir, config, DATA),
  ):
    with pytest.raises(ValueError, match='found') as error:
      refuse()
    assert str(error.value) == (
      f'--workdir: found a run in {workdir}, expected a new folder; '
      'add --resume to continue that run'
    )
  assert {f: (workdir / f).read_bytes() for f in os.listdir(workdir)} == before


def test_an_existing_folder_without_a_run_is_used(tmp_path, config):
  (tmp_path / 'notes.txt').write_text('mine')
  run_directory.create(tmp_path, config, DATA)
  assert run_directory.holds_run(tmp_path)
  assert (tmp_path / 'notes.txt').read_text() == 'mine'


@pytest.mark.parametrize(
  'name',
  [
    'checkpoints',
    'daily.csv',
    'metrics.csv',
    'report.html',
    'report.png',
    'run.json',
    'summary.json',
    'tensorboard',
    'trades.csv',
  ],
)
def test_files_in_the_way_are_not_written_over(tmp_path, config, name):
  (tmp_path / name).mkdir()
  (tmp_path / name / 'mine').touch()
  with pytest.raises(ValueError, match='found') as error:
    run_directory.create(tmp_path, config, DATA)
  assert str(error.value) == (
    f'--workdir: found {name} in {tmp_path}, expected a folder without it: '
    'the run would overwrite it'
  )
  assert os.listdir(tmp_path) == [name]
  assert os.listdir(tmp_path / name) == ['mine']


@pytest.mark.parametrize(
  'content', [b'', b'{"seed": 5, "agent": {"gam', b'\xff\xfe', b'[1]']
)
def test_a_damaged_file_of_settings_is_named(workdir, config, content):
  path = workdir / 'config.json'
  path.write_bytes(content)
  with pytest.raises(ValueError, match='the run wrote it') as error:
    run_directory.check_same(workdir, config)
  assert str(error.value).startswith(f'{path}: found ')
  assert path.read_bytes() == content


def test_the_same_settings_may_resume(workdir, config):
  config.seed = 5
  run_directory.check_same(workdir, config)
  config.learner.iterations = 1000
  run_directory.check_same(workdir, config)


def test_a_run_may_go_on_with_other_devices(tmp_path):
  config = erl.get_config('smoke')
  run_directory.create(tmp_path, config, DATA)
  config.evolution.devices_per_agent = 4
  run_directory.check_same(tmp_path, config)


@pytest.mark.parametrize(
  'field, value, before',
  [
    ('seed', 7, 5),
    ('agent.gamma', 0.5, 0.0),
    ('data.synthetic.num_days', 301, 300),
    ('environment.max_holding_days', 6, 5),
    ('learner.evaluate_every', 3, 2),
  ],
)
def test_a_changed_setting_is_named(workdir, config, field, value, before):
  config.seed = 5
  config.update_from_flattened_dict({field: value})
  with pytest.raises(ValueError, match='found') as error:
    run_directory.check_same(workdir, config)
  assert str(error.value) == (
    f'--config.{field}: found {value}, expected {before}, with which the run '
    f'in {workdir} began'
  )


def test_a_run_that_is_older_than_a_setting_goes_on_as_it_was(workdir, config):
  defaults = saved_runs.defaults_of(config)
  path = workdir / 'config.json'
  stored = json.loads(path.read_text())
  del stored['environment']['observe_account'], stored['evaluation']
  del stored['learner']['counterfactuals']
  stored['networks']['spec'] = {'num_features': 5}  # as there was once
  path.write_text(json.dumps(stored))
  config = config.copy_and_resolve_references().unlock()
  # What was done before there was such a setting is not its default.
  with pytest.raises(ValueError, match='counterfactuals: found 8, expected 0'):
    run_directory.check_same(workdir, config, defaults)
  config.learner.counterfactuals = 0
  run_directory.check_same(workdir, config, defaults)
  # What the run does know counts, default or not.
  config.seed = 0
  with pytest.raises(ValueError, match='seed: found 0, expected 5'):
    run_directory.check_same(workdir, config, defaults)
  config.seed = 5
  config.environment.observe_account = True
  with pytest.raises(ValueError, match='observe_account: found True, expected'):
    run_directory.check_same(workdir, config, defaults)


def test_before_there_was_a_full_size_it_was_at_the_ceiling(config):
  settings = config.copy_and_resolve_references().unlock()
  settings.environment.coefficient_ceiling = 5.0
  before = saved_runs.defaults_of(settings)
  assert before.environment.full_size_coefficient == 5.0
  assert before.networks.column_gain == 0.0


def test_a_tuple_is_the_same_after_json(workdir, config):
  config.seed = 5
  config.data.observed_features = ('close', 'rsi')
  with pytest.raises(ValueError, match=r'--config\.data\.observed_features: '):
    run_directory.check_same(workdir, config)


def test_no_run_to_resume_is_named(tmp_path, config):
  with pytest.raises(ValueError, match='found') as error:
    run_directory.check_same(tmp_path / 'absent', config)
  assert str(error.value) == (
    f'--workdir: found no run in {tmp_path}/absent, expected one to resume'
  )


def test_json_is_written_whole(tmp_path):
  path = tmp_path / 'a.json'
  write_json(path, {'b': [1, 2.5], 'a': None})
  assert path.read_text() == (
    '{\n  "a": null,\n  "b": [\n    1,\n    2.5\n  ]\n}\n'
  )
  # What can't be written leaves the old file.
  with pytest.raises(TypeError):
    write_json(path, {'a': object()})
  assert json.loads(path.read_text())['b'] == [1, 2.5]
  assert os.listdir(tmp_path) == ['a.json']


def test_a_run_that_was_killed_while_it_was_noted_may_begin(workdir, config):
  (workdir / 'config.json').unlink()
  config.seed = 6
  run_directory.create(workdir, config, DATA)
  assert json.loads((workdir / 'run.json').read_text())['seed'] == 6
  assert run_directory.holds_run(workdir)


@pytest.mark.parametrize('content', ['{"seed": 5}', '{"data": {}}', '[', '[1]'])
def test_another_program_s_file_is_not_written_over(tmp_path, config, content):
  path = tmp_path / 'run.json'
  path.write_text(content)
  with pytest.raises(ValueError, match=r'found run\.json in'):
    run_directory.create(tmp_path, config, DATA)
  assert path.read_text() == content


def test_a_damaged_note_on_data_is_named(workdir):
  path = workdir / 'run.json'
  path.write_text('{"data": []}')
  with pytest.raises(ValueError, match="found list in 'data'") as error:
    run_directory.check_data(workdir, DATA)
  assert str(error.value).startswith(f'{path}: found ')
  path.write_text('{"data": {}}')
  with pytest.raises(ValueError, match='expected the hash of the') as error:
    run_directory.check_data(workdir, DATA)
  assert str(error.value).startswith(f"{path}: found no 'hash' in its 'data', ")

"""Tests of experiments.saved_runs, on folders of runs before training.

Champions are restored in act_test.py and evaluate_test.py.
"""

import json

import pytest

from eigen3.runs import run_directory
from experiments import saved_runs
from experiments.configs import erl, sweep, td3

DATA = {'hash': 'abc'}


def settings(program):
  """The settings of the preset smoke, as programs store them."""
  config = program.get_config('smoke')
  return config


@pytest.mark.parametrize('program', [td3, erl])
def test_the_settings_of_a_run_are_those_it_began_with(tmp_path, program):
  config = settings(program)
  config.seed = 5
  config.agent.batch_size = 6
  config.data.observed_features = ('close', 'rsi')
  run_directory.create(tmp_path, config, DATA)
  found = saved_runs.settings_of(tmp_path)
  assert found.preset == 'smoke'
  assert run_directory.differences(json.loads(config.to_json()), found) == {}
  assert found.data.observed_features == ('close', 'rsi')
  # As flags change them.
  found.update_from_flattened_dict({'learner.keep_checkpoints': 9})
  assert found.learner.keep_checkpoints == 9
  with pytest.raises(KeyError, match='keep_checkpoint'):
    found.update_from_flattened_dict({'learner.keep_checkpoint': 9})


@pytest.mark.parametrize(
  'change, words',
  [
    ({'preset': 'tiny'}, "preset: found 'tiny', expected one of"),
    ({'aim': 1}, 'aim'),
    ({'learner': 3}, "'int' object"),
  ],
)
def test_settings_of_another_version_name_their_file(tmp_path, change, words):
  run_directory.create(tmp_path, settings(td3), DATA)
  path = tmp_path / 'config.json'
  path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
  with pytest.raises(ValueError, match='this version') as error:
    saved_runs.settings_of(tmp_path)
  text = str(error.value)
  assert text.startswith(
    f'{path}: found settings that this program cannot read ('
  )
  assert words in text
  assert len(text) < len(str(path)) + 200


def test_lists_in_lists_of_json_are_tuples(tmp_path):
  """Tuples of names, each of which a sweep tries."""
  tried = {'data': {'observed_features': [['close'], ['close', 'rsi']]}}
  found = saved_runs.updated(
    sweep.get_config('td3/smoke'), {'parameters': tried}, tmp_path
  )
  assert found.parameters.data.observed_features == (
    ('close',),
    ('close', 'rsi'),
  )


def test_a_population_from_before_common_fitness_goes_on_as_it_was(tmp_path):
  config = settings(erl)
  run_directory.create(tmp_path, config, DATA)
  path = tmp_path / 'config.json'
  stored = json.loads(path.read_text())
  stored['learner']['fitness_slices'] = 3
  for name in (
    'fitness_play',
    'fitness_memory',
    'validation_play',
    'exploring_slices',
    'batches',
  ):
    del stored['learner'][name]
  for name in (
    'common_start',
    'bred',
    'least_distance',
    'projections',
    'hyperparameters',
  ):
    del stored['evolution'][name]
  del stored['evolution']['genetic']['mutation']
  del stored['evolution']['population_based']['initial_factor']
  path.write_text(json.dumps(stored))
  found, before = (
    saved_runs.settings_of(tmp_path),
    erl.get_config('smoke+eigen2'),
  )
  assert found.learner.fitness_play == 'exploring'
  assert found.learner.validation_play == 'slices'
  assert found.learner.exploring_slices == 3
  assert found.learner.batches == 'common'
  for name in ('common_start', 'bred', 'least_distance', 'hyperparameters'):
    assert found.evolution[name] == before.evolution[name], name
  assert found.evolution.genetic.mutation == 'gaussian'
  assert found.evolution.population_based.initial_factor == 1


def test_a_folder_without_a_run_has_no_settings(tmp_path):
  with pytest.raises(ValueError, match='found no run here'):
    saved_runs.settings_of(tmp_path)


@pytest.fixture
def folders(tmp_path, monkeypatch):
  for name in ('runs [old]/a1', 'runs [old]/a2', 'runs o/a1', 'b?', 'bc'):
    (tmp_path / name).mkdir(parents=True)
  monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
  'patterns, expected',
  [
    (['runs [old]/a*'], ['runs [old]/a1', 'runs [old]/a2']),
    (['runs */a1'], ['runs [old]/a1', 'runs o/a1']),
    (['b?*'], ['b?']),
    (['b?'], ['b?']),
    (['b*'], ['b?', 'bc']),
    # What has no * is a path, there or not.
    (['runs [old]', 'absent'], ['runs [old]', 'absent']),
    # Each once, in the order of the patterns.
    (['bc', 'b*', 'bc'], ['bc', 'b?']),
    ([], []),
  ],
)
def test_only_a_star_stands_for_names(folders, patterns, expected):
  assert saved_runs.find(patterns) == expected


def test_a_pattern_that_finds_nothing_is_named(folders):
  with pytest.raises(ValueError, match='found nothing') as error:
    saved_runs.find(['b*', 'runs [o]/a*'])
  assert str(error.value) == (
    'runs [o]/a*: found nothing, expected folders of runs'
  )

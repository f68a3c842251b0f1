"""Tests of experiments.sweep.space and of the sweep's presets."""

import optuna
import pytest

from experiments.configs import sweep
from experiments.sweep import space
from experiments.sweep.space import Choices, Range


def make(method='random', preset='td3/smoke', **tried):
  """A config that tries only these fields; __ stands for a dot."""
  config = sweep.get_config(preset)
  config.method = method
  for field, values in space.flatten(config.parameters).items():
    if values:
      config.parameters.update_from_flattened_dict({field: ()})
  config.parameters.update_from_flattened_dict(
    {name.replace('__', '.'): values for name, values in tried.items()}
  )
  return config


@pytest.mark.parametrize('preset', ['smoke', 'td3/small', 'erl/full+eigen2'])
@pytest.mark.parametrize('method', ['grid', 'random', 'tpe'])
def test_presets_try_two_rates(preset, method):
  config = sweep.get_config(preset)
  assert config.is_locked
  config.method = method
  tried = space.read(config)
  assert list(tried) == [
    'agent.actor_learning_rate',
    'agent.critic_learning_rate',
  ]
  assert config.to_json()  # can be written down


@pytest.mark.parametrize('preset', ['ppo/small', 'td3/tiny', '', 'td3/'])
def test_an_unknown_preset_is_refused(preset):
  with pytest.raises(ValueError, match='preset: found'):
    sweep.get_config(preset)


def test_every_setting_can_be_tried_but_a_few():
  config = sweep.get_config('erl/smoke')
  settings = space.flatten(config.settings).keys()
  assert settings - space.flatten(config.parameters).keys() == {
    'preset',
    'data.holdout_days',
  }
  assert 'seed' not in settings  # there are several
  with pytest.raises(AttributeError, match='Did you mean "gamma"'):
    config.parameters.agent.gama = (0.0,)


def test_values_are_of_the_fields_type():
  tried = space.read(
    make(
      agent__gamma=(0, 0.5),
      networks__remat=(True, False),
      networks__critic__sizes=((32, 16), (8,)),
      environment__fill=('close', 'log'),
      learner__iterations=('linear', 1, 5),
      agent__tau=('log', 1e-3, 1),
    )
  )
  assert tried == {
    'agent.gamma': Choices({'0.0': 0.0, '0.5': 0.5}),
    'agent.tau': Range(1e-3, 1.0, True),
    'environment.fill': Choices({"'close'": 'close', "'log'": 'log'}),
    'learner.iterations': Range(1, 5, False),
    'networks.critic.sizes': Choices({'(32, 16)': (32, 16), '(8,)': (8,)}),
    'networks.remat': Choices({'True': True, 'False': False}),
  }
  assert type(tried['agent.gamma'].values['0.0']) is float
  assert type(tried['learner.iterations'].low) is int


def test_a_grid_goes_through_ranges_in_steps():
  tried = space.read(
    make(
      'grid',
      agent__tau=('log', 1e-4, 1e-2, 3),
      agent__gamma=('linear', 0.0, 0.9, 4),
      agent__batch_size=('linear', 1, 4, 3),
      learner__iterations=('log', 1, 3, 4),  # 1, 1.44, 2.08, 3
    )
  )
  assert [list(t.values.values()) for t in tried.values()] == [
    [1, 2, 4],  # of 1, 2.5 and 4
    [0.0, 0.3, 0.6, 0.9],
    [0.0001, 0.001, 0.01],
    [1, 2, 3],
  ]


def test_a_grid_has_every_combination_once():
  tried = space.read(
    make('grid', agent__gamma=(0.5, 0.0), networks__remat=(True, False))
  )
  assert space.grid(tried) == [
    {'agent.gamma': '0.5', 'networks.remat': 'True'},
    {'agent.gamma': '0.5', 'networks.remat': 'False'},
    {'agent.gamma': '0.0', 'networks.remat': 'True'},
    {'agent.gamma': '0.0', 'networks.remat': 'False'},
  ]


def test_what_is_drawn_lies_in_the_space():
  tried = space.read(
    make(
      agent__tau=('log', 1e-4, 1e-1),
      agent__batch_size=('linear', 3, 5),
      networks__critic__sizes=((32, 16), (8,)),
    )
  )
  study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
  drawn = []
  for _ in range(200):
    trial = study.ask()
    drawn.append(space.suggest(tried, trial))
    # Both what is asked for again and what is read back are the same.
    assert space.suggest(tried, trial) == drawn[-1]
    assert space.values_of(tried, trial.params) == drawn[-1]
  assert {d['agent.batch_size'] for d in drawn} == {3, 4, 5}
  assert {d['networks.critic.sizes'] for d in drawn} == {(32, 16), (8,)}
  rates = [d['agent.tau'] for d in drawn]
  assert 1e-4 <= min(rates) < max(rates) <= 1e-1
  # A third of a logarithmic scale for each power of ten.
  assert 45 <= sum(rate < 1e-3 for rate in rates) <= 90
  assert space.values_of(tried, {'agent.tau': 0.01}) == {'agent.tau': 0.01}


@pytest.mark.parametrize(
  'method, field, tried, words',
  [
    ('tpe', 'agent.gamma', (0.5, 'x'), "found 'x', expected a value of type f"),
    ('tpe', 'agent.gamma', (0.5, None), 'found None, expected a value of type'),
    ('tpe', 'agent.gamma', (0.5, True), 'found True, expected a value of type'),
    ('tpe', 'agent.batch_size', (8, 1.5), 'found 1.5, expected a value of ty'),
    ('tpe', 'agent.batch_size', (8, True), 'found True, expected a value of t'),
    ('tpe', 'networks.remat', (True, 1), 'found 1, expected a value of type b'),
    ('tpe', 'agent.gamma', (0, 0.0), 'values that all differ'),
    ('tpe', 'agent.gamma', ('log', 0.0, 1.0), 'both above 0 for a log'),
    ('tpe', 'agent.gamma', ('linear', 1.0, 0.5), 'expected finite bounds'),
    ('tpe', 'agent.gamma', ('linear', 0.5, 0.5), 'expected finite bounds'),
    ('tpe', 'agent.gamma', ('linear', 0.5), "expected ('linear' or 'log', low"),
    (
      'tpe',
      'agent.gamma',
      ('log', 1e-3, 1.0, 1),
      'expected a whole number of ',
    ),
    ('tpe', 'agent.batch_size', ('linear', 1.5, 4), 'found 1.5, expected a va'),
    ('grid', 'agent.gamma', ('linear', 0.0, 1.0), "method 'grid' needs the n"),
  ],
)
def test_what_does_not_fit_the_field_is_named(method, field, tried, words):
  config = make(method, **{field.replace('.', '__'): tried})
  with pytest.raises(ValueError, match='found') as error:
    space.read(config)
  assert str(error.value).startswith(f'parameters.{field}: found ')
  assert words in str(error.value)


def test_nothing_to_try_is_refused():
  with pytest.raises(ValueError, match=r'parameters: found \{\}, expected one'):
    space.read(make())

"""Any setting that is none is refused by its name, or a run can be built.

Values are put where a flag, a file of settings or a notebook could put them.
"""

import math
from unittest import mock

import pytest

from eigen3 import data
from experiments import checks, wiring
from experiments.configs import erl, flatten, ranker, td3

DAMAGED = {
  'nan': math.nan,
  'infinite': math.inf,
  'negative': -1,
  'half': 1.5,
  'switch': True,
  'nothing': None,
  'text': 'odd " %',
  'empty': (),
  'texts': ('False',),
  'halves': (32.5, 16),
  'nested': ((1,),),
  'huge': 2**64,
}
PROGRAMS = {
  'td3': (td3, wiring.build),
  'erl': (erl, wiring.build_population),
  'ranker': (ranker, wiring.build_ranker),
}
# Values that a field may have, beside others of its kind.
GOOD = {
  'preset': {'text'},
  'environment.delisting_return': {'negative', 'half'},
  'networks.remat': {'switch'},  # beside 'auto'
}


def damaged(program, field, value):
  """The settings of a program with any value in place of one."""
  config = PROGRAMS[program][0].get_config('smoke')
  config = config.copy_and_resolve_references().unlock()
  *path, name = field.split('.')
  section = config
  for part in path:
    section = section[part]
  if isinstance(section[name], float) and type(value) is int:
    value = float(value)  # as flags and settings make it
  section._fields[name] = value
  return config


def fields_of(program, sections=''):
  config = PROGRAMS[program][0].get_config('smoke').unlock()
  return [
    (program, field) for field in flatten(config) if field.startswith(sections)
  ]


CASES = [
  *fields_of('td3'),
  *fields_of('erl', ('learner', 'evolution')),
  *fields_of('ranker', 'ranker'),
]


@pytest.fixture(scope='module', autouse=True)
def _one_market():
  """Caches markets of equal settings, which take half of the time."""
  make, made = data.synthetic_market, {}

  def synthetic_market(config):
    key = repr(config)
    if key not in made:
      made[key] = make(config)
    return made[key]

  with mock.patch.object(data, 'synthetic_market', synthetic_market):
    yield


@pytest.mark.parametrize('program, field', CASES)
def test_each_field_is_refused_by_its_name_or_good(program, field):
  build, default = PROGRAMS[program][1], flatten(damaged(program, 'seed', 0))
  for kind, value in DAMAGED.items():
    is_alike = type(value) is type(default[field]) or (
      isinstance(default[field], float) and kind in ('half', 'huge')
    )
    refusal = ''
    try:
      build(damaged(program, field, value), spread=False)
    except ValueError as error:
      refusal = str(error)
    if not refusal:
      assert is_alike or kind in GOOD.get(field, ()), kind
      continue
    assert field.rpartition('.')[2] in refusal, (kind, refusal)
    assert ': found ' in refusal or field == 'data.panel', refusal
    assert '\n' not in refusal


@pytest.mark.parametrize(
  'field, value, words',
  [
    ('seed', -1, 'seed: found -1, expected at least 0 and at most 4294967295'),
    ('seed', 7 + 2**32, 'seed: found 4294967303, expected at least 0 and at'),
    ('data.observed_features', (), 'data.observed_features: found (), expecte'),
    ('data.holdout_days', 0, 'data.holdout_days: found 0, expected at least 1'),
    (
      'data.holdout_days',
      3,
      'panel too short: found 3 days (297 to 299) in a split '
      '(data.holdout_days), expected at least 9',
    ),
    (
      'data.validation_days',
      6,
      'panel too short: found 6 days (224 to 229) in a split '
      '(data.validation_days), expected at least 9',
    ),
    (
      'data.validation_days',
      230,
      'panel: found 300 days, expected more than 300: 230 for validation '
      '(data.validation_days) and 70 for holdout (data.holdout_days)',
    ),
    (
      'data.observed_features',
      ('rsj',),
      "data.observed_features: feature: found 'rsj', expected one of",
    ),
    ('environment.slippage_bp', 1e4, 'environment.commission_bp: found 1.0, e'),
    ('data.synthetic.signal', 1e9, 'data.synthetic.signal: found 1000000000'),
    ('data.synthetic.num_days', 10**5 + 1, 'data.synthetic.num_days: found 10'),
    ('networks.compute_dtype', 'float64', 'networks.compute_dtype: found '),
    ('networks.lstm_kernel', 'hopper', "networks.lstm_kernel: found 'hopper'"),
    ('environment.trading_days', 10**6, 'panel too short: found 160 days'),
  ],
)
def test_what_is_wrong_is_named(field, value, words):
  with pytest.raises(ValueError, match=field.rpartition('.')[2]) as error:
    wiring.build(damaged('td3', field, value), spread=False)
  assert str(error.value).startswith(words)


@pytest.mark.parametrize('reward', ['eigen2', 'portfolio'])
@pytest.mark.parametrize('program', ['td3', 'erl'])
def test_a_reward_that_is_paid_later_needs_a_discount(program, reward):
  config = damaged(program, 'environment.reward', reward)
  config.learner.store_settlement = True
  with pytest.raises(ValueError, match='gamma') as error:
    checks.check_reward(config)
  assert str(error.value).startswith(
    'agent.gamma: found 0.0, expected above 0 with '
    f"environment.reward='{reward}'"
  )
  config.agent.gamma = 0.95
  checks.check_reward(config)
  config.learner.store_settlement = False
  with pytest.raises(
    ValueError, match=r'learner\.store_settlement: found False, .* sold$'
  ):
    checks.check_reward(config)


def test_the_largest_seed_is_one():
  largest = damaged('td3', 'seed', 2**32 - 1)
  assert wiring.build(largest, spread=False).validation.controls

"""Tests of counts of operations and of reports of measurements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.networks import make_networks
from experiments.benchmark import (
  operations,
  parameters,
  report,
)
from experiments.benchmark.cases import Case, Group
from experiments.benchmark.settings import networks_of
from experiments.benchmark.turns import Measurement
from experiments.benchmark.worker import Prepared


def test_operations_of_the_lstm_by_hand():
  # H=1: 4 gates. Layer 1, both directions, 4 days, 2 + 1 inputs: 96 products;
  # layer 2 forward, 2 + 1 inputs: 48; its reverse direction, 3 days: 36.
  assert operations.lstm(rows=1, days=4, inputs=2, hidden=1) == 2 * 180
  assert operations.lstm(rows=5, days=4, inputs=2, hidden=1) == 10 * 180
  rows, days, inputs, hidden = 512, 504, 32, 128
  both = 2 * (inputs + hidden) + 3 * hidden
  assert operations.lstm(rows, days, inputs, hidden) == (
    2 * rows * days * 4 * hidden * both + 2 * 3 * rows * 3 * hidden * 4 * hidden
  )


@pytest.mark.parametrize('preset', ['smoke+eigen2', 'full+eigen2'])
def test_operations_of_the_networks_by_their_parameters(preset):
  """A weight is used once for every row."""
  config, spec = networks_of({'preset': preset})
  config.critic.self_attention = False
  weights = {
    name: array.size
    for name, array in parameters.critic(config, spec).items()
    if name.startswith('critic_fc') and name.endswith('weight')
  }
  extractor = operations.extractor(config, spec, 1, True)
  found = operations.critic(config, spec)
  assert found == extractor + 6 * sum(weights.values())
  first, stop = spec.investable
  rows_of = {
    'investable_fc': stop - first,
    'context_fc': 1,
    'coefficient_head': stop - first,
    'sale_target_head': stop - first,
  }
  heads = sum(
    2 * array.size * rows_of[name.split('.')[0]]
    for name, array in parameters.actor(config, spec).items()
    if name.split('.')[0] in rows_of and name.endswith('weight')
  )
  width, columns = 2 * config.hidden, spec.num_columns
  attention = 4 * width * width * (columns + 1) + 4 * columns * width
  extractor = operations.extractor(config, spec, 1, False)
  assert operations.actor(config, spec) == extractor + attention + heads


def test_operations_of_a_program():
  """A loop counts as often as it runs, a switch as often as it is taken."""

  def program(x, w):
    x, _ = jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, length=5)
    passing = (lambda x: x), jax.checkpoint(lambda x: (w @ w.T)[:2] + x)
    return jax.lax.switch(x[0, 0].astype(int), passing, x)

  shapes = (jnp.ones((2, 3)), jnp.ones((3, 3)))
  jaxpr = jax.make_jaxpr(jax.jit(program))(*shapes).jaxpr
  assert operations.of_program(jaxpr) == 5 * 36 + 54
  assert operations.of_program(jaxpr, 0.5) == 5 * 36 + 27


def test_operations_of_the_extractor_are_those_by_hand():
  """Without the row of ones in each product, which adds the bias."""
  config, spec = networks_of({'preset': 'smoke'})
  network = make_networks(config, spec).feature_extractor
  window = jnp.zeros((2, spec.context_days, spec.num_columns, 5))
  variables = jax.eval_shape(network.init, jax.random.PRNGKey(0), window)

  def encode(variables, window):
    return network.apply(*variables, None, window)

  jaxpr = jax.make_jaxpr(encode)(variables, window).jaxpr
  rows, days = 2 * spec.num_columns, spec.context_days
  steps = 3 * days + config.pooled_days
  biases = 2 * rows * 4 * config.hidden * steps
  by_hand = operations.extractor(config, spec, 2, False)
  assert operations.of_program(jaxpr) == by_hand + biases


def measured(name, seconds, output=None, **fields):
  prepared = Prepared(1.5, 2**20, 9.0, 100 * 2**20, output, 'cpu', {})
  case = Case(name, 'module:builder', **fields)
  rounds = dict(enumerate(seconds)) if isinstance(seconds, tuple) else seconds
  return Measurement(case, rounds, prepared, 300 * 2**20, None, '')


def test_ratios_shares_and_memory():
  found = [
    measured('ours', {0: 1.0, 2: 2.0, 3: 4.0}, np.array([1.0, 2.0]), work=8.0),
    measured('theirs', {0: 3.0, 1: 99.0, 2: 10.0}, np.array([1.0, 2.25])),
    measured('product', (0.5, 0.5), operations=100.0, is_product=True),
    measured('counted', (4.0, 2.0, 1.0), operations=50.0),
  ]
  group = Group(
    'group', tuple(m.case for m in found), reference='theirs', unit='steps'
  )
  summary = report.compare(group, found)
  ours, theirs, product, counted = summary['cases']
  # Rounds 0 and 2 are common: 3 and 5 times.
  assert ours['speedup'] == 4.0
  assert ours['speedup_of_medians'] == 5.0
  assert ours['rate'] == 4.0
  assert ours['max_difference'] == 0.25
  assert (ours['min_seconds'], ours['max_seconds']) == (1.0, 4.0)
  assert ours['increase_bytes'] == 200 * 2**20
  assert theirs['speedup'] == 1.0
  assert theirs['max_difference'] is None
  assert product['speedup'] is None
  assert counted['operations_per_second'] == 25.0
  assert counted['share_of_product'] == 0.125
  text = report.table(summary)
  line = next(s for s in text.splitlines() if s.startswith('ours'))
  assert line.split('  ')[0] == 'ours'
  for word in ('4.00', '300 MiB', '200 MiB', '1.00 MiB', '1.50 s', '2.5e-01'):
    assert word in line
  assert '13%' in text or '12%' in text


def test_a_failure_stands_in_the_table():
  case = Case('broken', 'module:builder')
  summary = report.compare(
    Group('group', (case,)),
    [Measurement(case, {}, None, None, None, 'no memory')],
  )
  assert summary['cases'][0]['median_seconds'] is None
  assert 'failed: broken: no memory' in report.table(summary)


def test_growth():
  grown = report.growth([(2, 3.0), (4, 6.0), (8, 13.2)])
  assert grown['deviation_percent'] == pytest.approx({'2': 0, '4': 0, '8': 10})
  assert grown['largest_percent'] == pytest.approx(10)
  assert report.growth([(1, 2.0), (10, 200.0)])['exponent'] == pytest.approx(2)
  assert report.growth([(1, 2.0)]) is None


@pytest.mark.parametrize(
  'number, text',
  [(1234567.0, '1,234,567'), (12.345, '12.3'), (0.0123, '0.0123'), (0, '0')],
)
def test_numbers_are_short(number, text):
  assert report.number_text(number) == text


def test_seconds_have_a_unit_that_suits():
  texts = [report.seconds_text(s) for s in (81.23, 0.0321, 4.5e-5, None)]
  assert texts == ['81.2 s', '32.1 ms', '45.0 µs', '']


def recorded(processor, device='cpu', **seconds):
  """A run of one group with the reference 'theirs'."""
  found = [measured(name, (value,)) for name, value in seconds.items()]
  group = Group('group', tuple(m.case for m in found), reference='theirs')
  summary = report.compare(group, found)
  for case in summary['cases']:
    case['device'] = device
  return {'machine': {'processor': processor}, 'groups': [summary]}


def test_what_became_slower_is_told():
  then = recorded('Xeon', theirs=2.0, ours=1.0, other=1.0, gone=1.0)
  now = recorded('Xeon', theirs=2.2, ours=1.04, other=3.0, new=1.0)
  assert report.against(now, then).splitlines() == [
    'slower by 200%: group: other',
    'slower by 10%: group: theirs',
    '3 cases compared by seconds, 2 became slower',
  ]


@pytest.mark.parametrize('other', [('EPYC', 'cpu'), ('Xeon', 'NVIDIA L4')])
def test_another_machine_is_compared_by_ratios(other):
  """Twice as slow relative to the reference, on a faster machine."""
  then = recorded(*other, theirs=2.0, ours=1.0)
  now = recorded('Xeon', theirs=1.0, ours=1.0)
  lines = report.against(now, then).splitlines()
  assert lines[0] == 'slower by 100%: group: ours'
  assert lines[1].startswith('2 cases compared by ratios (it ran on ')
  assert all(word in lines[1] for word in other if word != 'cpu')

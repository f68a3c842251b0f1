"""The benchmark takes turns, counts right, and its sides do the same work."""

import importlib
import json
import math
import pathlib
import subprocess
import sys
from typing import ClassVar

import haiku as hk
import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest

from eigen3.interop import eigen2
from experiments.benchmark import (
  cases,
  haiku_reference,
  jax_cases,
  numpy_reference,
  operations,
  parameters,
  report,
  turns,
)
from experiments.benchmark.cases import Case, Group
from experiments.benchmark.settings import config_of
from experiments.benchmark.suites import SUITES, networks
from experiments.benchmark.suites import replay as replay_suite
from experiments.benchmark.suites import td3 as td3_suite
from experiments.benchmark.turns import Limits, Measurement
from experiments.benchmark.worker import Prepared

MAIN = [sys.executable, '-m', 'experiments.benchmark', '--size=smoke']
BLOCK = {
  'preset': 'smoke+eigen2',
  'columns': 6,
  'networks.lstm_dropout': 0.0,
}


def test_cases_with_fewer_repeats_are_spread_over_the_rounds():
  assert turns.schedule({0: 4, 1: 2, 2: 4}) == [
    [0, 2],
    [0, 1, 2],
    [0, 2],
    [0, 1, 2],
  ]
  assert turns.schedule({0: 3, 1: 3}) == [[0, 1]] * 3
  assert turns.schedule({}) == []


@pytest.mark.parametrize(
  'seconds, repeats', [(1, 9), (10, 9), (30, 3), (50, 2), (1000, 2), (0, 9)]
)
def test_slow_cases_are_repeated_less(seconds, repeats):
  assert Limits(9, 2, 100.0).of(seconds) == repeats


class FakeWorker:
  """Stands in for a process; remembers who was asked what."""

  log: ClassVar[list[str]] = []

  def __init__(self, case):
    self.case = case

  def ask(self, request):
    self.log.append(f'{self.case.name} {request}')
    if self.case.name == 'bad' and request == 'run':
      raise turns.WorkerError('broken')
    prepared = Prepared(None, None, self.case.work or None, 10, None, {})
    return {'prepare': prepared, 'run': self.case.work, 'finish': 30}[request]

  def close(self):
    self.log.append(f'{self.case.name} close')


def test_workers_take_turns_and_a_failure_stops_only_itself(monkeypatch):
  monkeypatch.setattr(turns, '_Worker', FakeWorker)
  monkeypatch.setattr(turns, '_PAUSE', 0.0)
  monkeypatch.setattr(FakeWorker, 'log', [])
  names_and_seconds = (('fast', 1.0), ('slow', 50.0), ('bad', 1.0), ('idle', 0))
  group = Group(
    'group', tuple(Case(n, '', work=s) for n, s in names_and_seconds)
  )
  fast, slow, bad, idle = turns.measure(group, Limits(3, 1, 100.0))
  assert FakeWorker.log == [
    *(f'{name} prepare' for name, _ in names_and_seconds),
    *('fast run', 'bad run'),
    *('fast run', 'slow run'),
    *('fast run', 'slow run'),
    *('fast finish', 'slow finish', 'idle finish'),
    *('idle close', 'bad close', 'slow close', 'fast close'),
  ]
  assert fast.seconds == {0: 1.0, 1: 1.0, 2: 1.0}
  assert slow.seconds == {1: 50.0, 2: 50.0}
  assert (bad.failure, bad.seconds, bad.peak_bytes) == ('broken', {}, None)
  assert (idle.failure, idle.seconds, idle.peak_bytes) == ('', {}, 30)


def test_a_worker_that_fails_or_dies_says_so():
  group = Group(
    'group',
    (
      Case('absent', 'experiments.benchmark.memory:no_such_builder'),
      Case('dead', 'os:_exit', {'status': 3}),
    ),
  )
  absent, dead = turns.measure(group, Limits(1, 1, 1.0))
  assert absent.failure.startswith('AttributeError: ')
  assert 'exit status 3' in dead.failure


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
  """A weight is used once for every row that it meets."""
  config = config_of({'preset': preset}).networks
  config.critic.self_attention = False
  spec = config.spec
  weights = {
    name: array.size
    for name, array in parameters.critic(config).items()
    if name.startswith('critic_fc') and name.endswith('weight')
  }
  extractor = operations.extractor(
    config, 1, spec.context_days, spec.num_columns, True
  )
  assert operations.critic(config) == extractor + 6 * sum(weights.values())
  first, stop = spec.investable
  rows_of = {
    'investable_fc': stop - first,
    'context_fc': 1,
    'coefficient_head': stop - first,
    'sale_target_head': stop - first,
  }
  heads = sum(
    2 * array.size * rows_of[name.split('.')[0]]
    for name, array in parameters.actor(config).items()
    if name.split('.')[0] in rows_of and name.endswith('weight')
  )
  width, columns = 2 * config.hidden, spec.num_columns
  attention = 4 * width * width * (columns + 1) + 4 * columns * width
  extractor = operations.extractor(config, 1, spec.context_days, columns, False)
  assert operations.actor(config) == extractor + attention + heads


def measured(name, seconds, output=None, **fields):
  prepared = Prepared(1.5, 2**20, 9.0, 100 * 2**20, output, {})
  case = Case(name, 'module:builder', **fields)
  rounds = dict(enumerate(seconds)) if isinstance(seconds, tuple) else seconds
  return Measurement(case, rounds, prepared, 300 * 2**20, '')


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
  summary = report.summarise(group, found)
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
  summary = report.summarise(
    Group('group', (case,)), [Measurement(case, {}, None, None, 'no memory')]
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


def test_only_keeps_the_product_beside_what_it_chose():
  groups = [
    Group('a', (Case('x', ''), Case('y', ''), Case('p', '', is_product=True))),
    Group('b', (Case('z', ''),)),
  ]
  kept = cases.matching(groups, 'a: x')
  assert [[c.name for c in group.cases] for group in kept] == [['x', 'p']]
  assert cases.matching(groups, 'p') == []
  assert cases.matching(groups, '') == groups
  with pytest.raises(ValueError, match=r"--only: found '\(', expected a reg"):
    cases.matching(groups, '(')


@pytest.mark.parametrize('size', ['smoke', 'small', 'full'])
@pytest.mark.parametrize('cores', [1, 2])
def test_suites_are_consistent(size, cores):
  for make in SUITES.values():
    groups = make(size, cores)
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
      names = [case.name for case in group.cases]
      assert len(set(names)) == len(names)
      assert not group.reference or group.reference in names
      for case in group.cases:
        assert case.devices <= cores
        assert ('torch' in case.builder) == (case.needs == 'torch')
        json.dumps(dict(case.arguments))


def test_cases_without_their_package_are_left_out(monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  kept, left_out = cases.available(networks.groups('smoke', 2))
  assert all(not c.needs for group in kept for c in group.cases)
  assert left_out == [
    'critic forward and backward: PyTorch, checkpointing as Eigen2',
    'critic forward and backward: PyTorch, nn.LSTM without checkpointing',
    'actor forward: PyTorch',
    'LSTM block forward and backward: PyTorch, nn.LSTM',
  ]


def test_workers_of_references_hold_no_jax():
  pytest.importorskip('torch')
  code = (
    'import sys, experiments.benchmark.worker, '
    'experiments.benchmark.numpy_reference, '
    'experiments.benchmark.torch_reference; '
    "sys.exit('jax' in sys.modules)"
  )
  subprocess.run([sys.executable, '-c', code], check=True)


def lstm_gradients_of_torch(network):
  gradients = {k: p.grad.numpy() for k, p in network.named_parameters()}
  return {
    'convolution': gradients['conv1.weight'].transpose(2, 1, 0),
    'scale': gradients['bn1.weight'],
    **{
      f'layer_{layer}_{direction}': np.concatenate(
        [
          gradients[f'lstm.weight_ih_l{layer - 1}{suffix}'].T,
          gradients[f'lstm.weight_hh_l{layer - 1}{suffix}'].T,
          gradients[f'lstm.bias_ih_l{layer - 1}{suffix}'][None],
        ]
      )
      for layer in (1, 2)
      for direction, suffix in (('forward', ''), ('reverse', '_reverse'))
    },
  }


def lstm_gradients_of_haiku(gradients):
  def joined(name):
    module = gradients[f'{name}/linear']
    i, g, f, o = np.split(np.vstack([module['w'], module['b'][None]]), 4, 1)
    return np.hstack([i, f, g, o])

  return {
    'convolution': gradients['convolution']['w'],
    'scale': gradients['batch_norm']['scale'][0, 0],
    **{
      f'layer_{layer}_{direction}': joined(f'layer_{layer}_{direction}')
      for layer in (1, 2)
      for direction in ('forward', 'reverse')
    },
  }


def lstm_gradients_of_eigen3(gradients):
  root = 'feature_extractor'
  lstm = gradients[f'{root}/lstm']
  names = [f'layer_{n}_{d}' for n in (1, 2) for d in ('forward', 'reverse')]
  return {
    'convolution': gradients[f'{root}/convolution']['w'],
    'scale': gradients[f'{root}/convolution/batch_norm']['scale'],
    **{
      name: np.vstack(
        [
          lstm[f'{name}_input'],
          lstm[f'{name}_hidden'],
          lstm[f'{name}_bias'][None],
        ]
      )
      for name in names
    },
  }


def assert_same(found, expected, scale=1e-5):
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    limit = scale * max(1.0, float(np.abs(value).max()))
    np.testing.assert_allclose(found[name], value, atol=limit, err_msg=name)


@pytest.fixture(scope='module')
def torch_reference():
  """The module, which needs PyTorch."""
  pytest.importorskip('torch', reason='PyTorch is an optional extra')
  return importlib.import_module('experiments.benchmark.torch_reference')


@pytest.fixture(scope='module')
def haiku_block():
  """Features and gradients of the naive Haiku path."""
  built = haiku_reference.extractor_case(**BLOCK)
  result = built.run()
  return built.output(result), lstm_gradients_of_haiku(result[1])


def test_eigen3_s_block_is_haiku_s(haiku_block):
  built = networks.extractor_case(**BLOCK)
  result = built.run()
  features, gradients = haiku_block
  np.testing.assert_allclose(built.output(result), features, atol=1e-6)
  assert_same(lstm_gradients_of_eigen3(result[1]), gradients)


def test_pytorch_s_block_is_haiku_s(torch_reference, haiku_block):
  features, gradients = haiku_block
  built = torch_reference.extractor_case(**BLOCK)
  np.testing.assert_allclose(built.output(built.run()), features, atol=1e-6)
  config = config_of(BLOCK).networks
  window = parameters.window(1, config.spec.context_days, 6, 5)
  for chunk, checkpointing in ((0, False), (64, True)):
    network = torch_reference.Extractor(config, chunk, checkpointing)
    torch_reference.load(network, parameters.extractor(config))
    network(torch_reference.torch.from_numpy(window)).square().sum().backward()
    assert_same(lstm_gradients_of_torch(network), gradients)


def test_pytorch_s_networks_are_eigen2_s(torch_reference):
  """On what Eigen2 itself computed, and so on what Eigen3 is tested by."""
  torch = torch_reference.torch
  folder = pathlib.Path(__file__).parent.parent / 'goldens'
  golden = np.load(folder / 'eigen2_tiny_networks.npz')
  config = config_of({'preset': 'full+eigen2'}).networks
  config.convolution_channels, config.hidden, config.num_heads = 8, 16, 4
  config.actor.investable_sizes = config.critic.sizes = (32, 16)
  config.actor.context_size, config.actor.head_size = 16, 8
  config.spec.investable, config.spec.num_columns = (4, 16), 20
  window = torch.from_numpy(golden['obs'])
  actions = torch.from_numpy(golden['actions'])

  def check(network, prefix, expected, *inputs):
    torch_reference.load(
      network,
      {
        name.removeprefix(prefix): golden[name]
        for name in golden
        if name.startswith(prefix) and not name.endswith('_tracked')
      },
    )
    with torch.no_grad():
      found = network.eval()(window, *inputs).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)

  check(torch_reference.Actor(config, 8, False), 'actor/', golden['actions'])
  check(
    torch_reference.Critic(config, 8, True),
    'critic_1/',
    golden['q'][:, :1],
    actions,
  )


def test_pytorch_s_actor_case_is_eigen3_s(torch_reference):
  settings = {'preset': 'smoke+eigen2'}
  ours = networks.actor_case(**settings)
  theirs = torch_reference.actor_case(**settings)
  np.testing.assert_allclose(
    ours.output(ours.run()), theirs.output(theirs.run()), rtol=1e-5, atol=1e-5
  )


def test_pytorch_s_update_descends_eigen3_s_gradients(
  torch_reference, monkeypatch
):
  """Norms of the gradients of critic and actor on the same transitions."""
  settings = {
    'preset': 'smoke+eigen2',
    'agent.batch_size': 4,
    'learner.replay_capacity': 4,
    'networks.lstm_dropout': 0.0,
    'networks.attention_dropout': 0.0,
    'networks.actor.dropout': 0.0,
    'networks.critic.dropout': 0.0,
  }
  config = config_of(settings)
  market = replay_suite.market(config, num_days=20)
  batch = replay_suite.random_transitions(config, 4, num_days=20)
  learner = torch_reference.Ddpg(config, np.array(market.features))
  norms = record_gradient_norms(torch_reference, learner, monkeypatch)
  learner.update(torch_batch(torch_reference.torch, batch))
  init, _, update = td3_suite.make_agent(config)
  state = jax.jit(init)(jax.random.PRNGKey(0), market, batch.s_tm1)
  actor = eigen2.actor_from_torch(parameters.actor(config.networks))
  critic = eigen2.critic_from_torch(
    parameters.critic(config.networks), 'double_critic/critic_1'
  )
  state = state._replace(
    actor=with_variables(state.actor, actor),
    critic=with_variables(state.critic, critic),
  )
  _, metrics = jax.jit(update)(state, batch, market)
  expected = float(metrics['critic_gradient_norm'])
  assert norms[0] == pytest.approx(expected, rel=1e-4)
  # The actor climbs a critic after its first step, whose signs are rounding's
  # where a gradient is nothing but rounding.
  expected = float(metrics['actor_gradient_norm'])
  assert norms[1] == pytest.approx(expected, rel=1e-2)


def record_gradient_norms(torch_reference, learner, monkeypatch):
  """The list that gets a norm whenever `learner` is about to clip."""
  norms: list[float] = []

  def record(tensors, clip):
    # PyTorch has two biases where Eigen3 has one, with equal gradients.
    counted = [
      float(p.grad.square().sum())
      for name, p in learner.networks[len(norms)].named_parameters()
      if 'bias_hh' not in name
    ]
    norms.append(math.sqrt(sum(counted)))

  monkeypatch.setattr(torch_reference.nn.utils, 'clip_grad_norm_', record)
  return norms


def torch_batch(torch, batch):
  return {
    'day_tm1': torch.from_numpy(np.array(batch.s_tm1.day)).long(),
    'action': torch.from_numpy(np.array(batch.a_tm1)),
    'reward': torch.from_numpy(np.array(batch.r_t)),
    'discount': torch.from_numpy(np.array(batch.discount_t)),
    'day_t': torch.from_numpy(np.array(batch.s_t.day)).long(),
  }


def with_variables(network, variables):
  params, state = variables
  return network._replace(
    online_params=params,
    online_state=state,
    target_params=params,
    target_state=state,
  )


def test_haiku_s_gates_are_in_place():
  """A single step of hk.LSTM with converted parameters, by hand."""
  config = config_of(BLOCK).networks
  state_dict = parameters.extractor(config)
  params = haiku_reference.from_torch(state_dict)['layer_1_forward/linear']
  x = np.ones((1, config.convolution_channels), np.float32)

  def step(x):
    core = hk.LSTM(config.hidden, name='layer_1_forward')
    return core(x, core.initial_state(1))[0]

  network = hk.without_apply_rng(hk.transform(step))
  found = network.apply({'layer_1_forward/linear': params}, jnp.asarray(x))
  gates = x @ state_dict['lstm.weight_ih_l0'].T
  gates = gates + state_dict['lstm.bias_ih_l0'] + state_dict['lstm.bias_hh_l0']
  i, _, g, o = np.split(gates, 4, 1)

  def sigmoid(z):
    return 1 / (1 + np.exp(-z))

  expected = sigmoid(o) * np.tanh(sigmoid(i) * np.tanh(g))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_compilation_is_timed_and_its_memory_stated():
  program = jax_cases.compiled(jnp.sin, (jnp.ones(3),))
  assert program.seconds > 0
  np.testing.assert_allclose(program.call(jnp.ones(3)), np.sin(np.ones(3)))


def test_bytes_of_a_transition_at_full_size():
  """Under a kilobyte where two windows take 13.5 megabytes."""
  settings = {'preset': 'full', 'learner.replay_capacity': 2}
  facts = numpy_reference.add_case(runs=False, num_days=1, **settings).facts
  window = 504 * 669 * 5
  assert facts['bytes a transition'] == 4 * (2 * window + 2 * 108 + 2)
  ring = replay_suite.ring(config_of(settings), num_days=600)
  assert replay_suite.bytes_each(ring) == 908


def run(*arguments, **options):
  return subprocess.run(
    [*MAIN, *arguments],
    capture_output=True,
    text=True,
    check=False,
    **options,
  )


def test_a_suite_is_measured_and_recorded(tmp_path):
  out = tmp_path / 'new' / 'folder'
  done = run('--suite=replay', '--only=adding', '--repeats=2', f'--out={out}')
  assert done.returncode == 0, done.stderr
  assert 'bytes a transition' in done.stdout
  results = json.loads((out / 'replay_smoke.json').read_text())
  assert {'suite', 'size', 'flags', 'commit', 'machine', 'versions', 'load'} < (
    results.keys()
  )
  assert results['machine']['cores'] >= 1
  assert {'python', 'jax', 'jaxlib', 'numpy'} <= results['versions'].keys()
  assert results['load'].keys() == {'start', 'end'}
  (group,) = results['groups']
  ours, theirs = group['cases']
  assert group['reference'] == theirs['name']
  for case in (ours, theirs):
    assert case['failure'] == ''
    assert len(case['seconds']) == 2
    assert case['rounds'] == [0, 1]
    assert min(case['seconds']) == case['min_seconds'] > 0
    assert case['rate'] > 0
    assert case['peak_bytes'] > case['resident_before_bytes'] > 2**20
  assert ours['compile_seconds'] > 0
  assert theirs['compile_seconds'] is None
  assert theirs['peak_bytes'] < ours['peak_bytes']  # holds no JAX
  assert ours['facts']['bytes a transition'] == 82
  picture = matplotlib.image.imread(out / 'replay_smoke.png')
  assert picture.std() > 0
  assert len(list(out.iterdir())) == 2  # nothing half-written


@pytest.mark.parametrize(
  'arguments, words',
  [
    (['--only=no such case'], "--only: found 'no such case', expected what"),
    (['--only=('], "--only: found '(', expected a regular expression"),
    (['--suite=nothing'], "--suite: found 'nothing', expected some of net"),
  ],
)
def test_a_wrong_flag_is_one_line(arguments, words):
  done = run(*arguments)
  assert done.returncode == 1
  assert len(done.stderr.splitlines()) == 1, done.stderr
  assert done.stderr.startswith(f'error: {words}')


def test_without_pytorch_one_line_says_what_is_left_out():
  code = (
    'import runpy, sys; sys.modules["torch"] = None; '
    'runpy.run_module("experiments.benchmark", run_name="__main__", '
    'alter_sys=True)'
  )
  flags = ['--size=smoke', '--suite=networks', '--only=actor.*PyTorch']
  done = subprocess.run(
    [sys.executable, '-c', code, *flags],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == [
    'PyTorch is not installed, so that 1 cases are left out '
    "(pip install -e '.[torch]'): actor forward: PyTorch"
  ]


@pytest.mark.long
@pytest.mark.parametrize('suite', sorted(SUITES))
def test_every_case_of_every_suite_runs(suite, tmp_path):
  done = run(f'--suite={suite}', '--repeats=1', f'--out={tmp_path}')
  assert done.returncode == 0, done.stdout
  results = json.loads((tmp_path / f'{suite}_smoke.json').read_text())
  for group in results['groups']:
    for case in group['cases']:
      assert case['max_difference'] is None or case['max_difference'] < 1e-3

"""The benchmark's sides do the same work."""

import dataclasses
import importlib
import math
import pathlib
import subprocess
import sys

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eigen3.interop import eigen2
from experiments.benchmark import (
  haiku_reference,
  jax_cases,
  numpy_reference,
  parameters,
)
from experiments.benchmark.settings import config_of, networks_of
from experiments.benchmark.suites import networks
from experiments.benchmark.suites import replay as replay_suite
from experiments.benchmark.suites import td3 as td3_suite

BLOCK = {
  'preset': 'smoke+eigen2',
  'columns': 6,
  'networks.lstm_dropout': 0.0,
}


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
  """Returns features and gradients of the plain Haiku extractor."""
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
  config, spec = networks_of(BLOCK)
  window = parameters.window(1, spec.context_days, 6, 5)
  for chunk, checkpointing in ((0, False), (64, True)):
    network = torch_reference.Extractor(config, spec, chunk, checkpointing)
    torch_reference.load(network, parameters.extractor(config, spec))
    network(torch_reference.torch.from_numpy(window)).square().sum().backward()
    assert_same(lstm_gradients_of_torch(network), gradients)


def test_pytorch_s_networks_are_eigen2_s(torch_reference):
  """On Eigen2's own results, which also test Eigen3."""
  torch = torch_reference.torch
  folder = pathlib.Path(__file__).parent.parent / 'goldens'
  golden = np.load(folder / 'eigen2_tiny_networks.npz')
  config, spec = networks_of({'preset': 'full+eigen2'})
  config.convolution_channels, config.hidden, config.num_heads = 8, 16, 4
  config.actor.investable_sizes = config.critic.sizes = (32, 16)
  config.actor.context_size, config.actor.head_size = 16, 8
  spec = dataclasses.replace(spec, investable=(4, 16), num_columns=20)
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

  check(
    torch_reference.Actor(config, spec, 8, False), 'actor/', golden['actions']
  )
  check(
    torch_reference.Critic(config, spec, 8, True),
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
  """Returns gradient norms of critic and actor on the same transitions."""
  settings = {
    'preset': 'smoke+eigen2',
    'agent.batch_size': 4,
    'learner.replay_capacity': 4,
    'networks.lstm_dropout': 0.0,
    'networks.attention_dropout': 0.0,
    'networks.actor.dropout': 0.0,
    'networks.critic.dropout': 0.0,
  }
  config, spec = config_of(settings), networks_of(settings)[1]
  market = replay_suite.market(config, num_days=20)
  batch = replay_suite.random_transitions(config, 4, num_days=20)
  learner = torch_reference.Ddpg(config, np.array(market.features))
  norms = record_gradient_norms(torch_reference, learner, monkeypatch)
  learner.update(torch_batch(torch_reference.torch, batch))
  init, _, update = td3_suite.make_agent(config)
  state = jax.jit(init)(jax.random.PRNGKey(0), market, batch.s_tm1)
  actor = eigen2.actor_from_torch(parameters.actor(config.networks, spec))
  critic = eigen2.critic_from_torch(
    parameters.critic(config.networks, spec), 'double_critic/critic_1'
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
  """Returns a list that gets a norm whenever `learner` clips."""
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
  """Computes a step of hk.LSTM with converted parameters, by hand."""
  config, spec = networks_of(BLOCK)
  state_dict = parameters.extractor(config, spec)
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
  """Under a kilobyte, where two windows take 13.5 megabytes."""
  settings = {'preset': 'full', 'learner.replay_capacity': 2}
  facts = numpy_reference.add_case(runs=False, num_days=1, **settings).facts
  window = 504 * 669 * 5
  assert facts['bytes a transition'] == 4 * (2 * window + 2 * 108 + 2)
  ring = replay_suite.ring(config_of(settings), num_days=600)
  assert replay_suite.bytes_each(ring) == 908

"""Eigen2's own results from its own parameters, through eigen3.interop."""

import functools
import sys
import types

import double_precision
import jax
import numpy as np
import pytest
from eigen2_goldens import GOLDENS, config_of, part

from eigen3 import networks
from eigen3.interop import eigen2

NAMES = ('networks', 'networks_missing_data')


def _under(variables, path):
  """Returns the variables of a submodule, named as if it stood alone."""
  return [
    {
      name.removeprefix(f'{path}/'): module
      for name, module in tree.items()
      if name.startswith(f'{path}/')
    }
    for tree in variables
  ]


def _check(golden, tiny):
  built = networks.make_networks(*config_of(golden, tiny))
  window = golden['obs']
  actor = eigen2.actor_from_torch(part(golden, 'actor/'))
  shapes = jax.eval_shape(built.actor.init, jax.random.PRNGKey(0), window)
  for found, expected in zip(actor, shapes, strict=True):
    assert jax.tree.map(np.shape, found) == jax.tree.map(np.shape, expected)
  critics = eigen2.double_critic_from_torch(
    part(golden, 'critic_1/'), part(golden, 'critic_2/')
  )
  features, _ = jax.jit(built.feature_extractor.apply)(
    *_under(actor, 'actor'), None, window
  )
  (context, _), _ = jax.jit(built.cross_attention.apply)(
    *_under(actor, 'actor'), None, golden['features']
  )
  actions, attention = _act(built, actor, window)
  q, _ = jax.jit(built.double_critic.apply)(
    *critics, None, window, golden['actions']
  )
  # A sale target near 50 is known to the rounding of what made it: both
  # float32 results are 2e-4 to 3e-4 from the exact one, each in its own way.
  exact_actions = _exact_actions(golden, tiny, actor, window)
  for name, found, expected in (
    ('features', features, golden['features']),
    ('context', context, golden['context']),
    ('attention', attention, golden['attention']),
    ('q', q, golden['q']),
    ('exact actions', exact_actions, golden['actions']),
    ('actions', actions, exact_actions),
  ):
    np.testing.assert_allclose(
      found, expected, rtol=1e-5, atol=1e-4, err_msg=name
    )


def _act(built, actor, window):
  """Returns (actions, attention)."""
  apply = functools.partial(built.actor.apply, return_attention=True)
  outputs, _ = jax.jit(apply)(*actor, None, window)
  return outputs


def _exact_actions(golden, tiny, actor, window):
  """Returns the actions in float64."""
  config, spec = config_of(golden, tiny)
  config.compute_dtype = 'float64'
  with double_precision.enable_x64(True):
    variables, window = jax.tree.map(np.float64, (actor, window))
    built = networks.make_networks(config, spec)
    return np.asarray(_act(built, variables, window)[0])


@pytest.mark.parametrize('name', NAMES)
def test_tiny_networks(name):
  _check(np.load(GOLDENS / f'eigen2_tiny_{name}.npz'), tiny=True)


@pytest.mark.parametrize('name', NAMES)
def test_full_networks(shared_dir, name):
  golden = np.load(shared_dir / 'reference' / f'eigen2_{name}.npz')
  _check(golden, tiny=False)


@pytest.fixture
def golden():
  return np.load(GOLDENS / 'eigen2_tiny_networks.npz')


def test_missing_and_unknown_entries_are_named(golden):
  state_dict = part(golden, 'actor/')
  query = state_dict.pop('attention.query')
  state_dict.pop('feature_extractor.conv1.weight')
  with pytest.raises(
    ValueError, match=r'found no feature_extractor.conv1.weight, attention.que'
  ):
    eigen2.actor_from_torch(state_dict)
  state_dict = part(golden, 'actor/') | {'attention.second_query': query}
  with pytest.raises(ValueError, match=r'found \S*second_query, expected only'):
    eigen2.actor_from_torch(state_dict)
  with pytest.raises(ValueError, match=r'found no critic_fc.* Eigen2 critic'):
    eigen2.critic_from_torch(part(golden, 'actor/'))


class _Tensor:
  """Stands in for a PyTorch tensor."""

  def __init__(self, array):
    self._array = array

  def numpy(self):
    return self._array


@pytest.fixture
def fake_torch(golden, monkeypatch):
  """A module `torch` whose load returns an agent of the golden's parts."""

  def state_dict(prefix):
    return {k: _Tensor(v) for k, v in part(golden, prefix).items()}

  saved = {
    'actor_state_dict': state_dict('actor/'),
    'actor_target_state_dict': state_dict('actor/'),
    'critic_state_dict': state_dict('critic_1/'),
    'critic_target_state_dict': state_dict('critic_2/'),
    'noise_scale': 0.1,
    'update_count': 7,
  }

  def load(path, map_location, weights_only):
    assert weights_only
    return saved

  module = types.ModuleType('torch')
  module.load = load
  monkeypatch.setitem(sys.modules, 'torch', module)
  return saved


def test_load_agent(fake_torch, golden, tmp_path):
  path = tmp_path / 'agent.pth'
  path.touch()
  agent = eigen2.load_agent(path)
  assert agent.noise_scale == pytest.approx(0.1)
  assert agent.update_count == 7
  np.testing.assert_array_equal(
    agent.target_critic.params['critic/mean_head/value']['w'],
    golden['critic_2/critic_fc.6.weight'].T,
  )
  del fake_torch['noise_scale']
  with pytest.raises(
    ValueError, match=r'agent.pth: found no Eigen2 agent.*noi'
  ):
    eigen2.load_agent(path)


def test_load_agent_without_torch(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  with pytest.raises(ValueError, match='no such file'):
    eigen2.load_agent(tmp_path / 'agent.pth')
  (tmp_path / 'agent.pth').touch()
  with pytest.raises(
    ValueError, match=r'found no package torch, .*: pip install torch'
  ):
    eigen2.load_agent(tmp_path / 'agent.pth')


def test_load_the_reference_agent(shared_dir):
  pytest.importorskip('torch')
  agent = eigen2.load_agent(shared_dir / 'reference' / 'eigen2_agent.pth')
  assert agent.update_count == 7
  assert agent.noise_scale == pytest.approx(0.1)

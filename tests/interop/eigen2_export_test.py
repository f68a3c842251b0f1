"""Our networks exported to Eigen2: the same bits back, the same outputs."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from eigen2_goldens import GOLDENS, config_of, part

from eigen3 import networks
from eigen3.interop import eigen2
from experiments.benchmark import parameters

NAMES = ('networks', 'networks_missing_data')
# What Eigen2's own loader asks a checkpoint for.
KEYS = {
  'agent_id',
  'actor_state_dict',
  'actor_target_state_dict',
  'critic_state_dict',
  'critic_target_state_dict',
  'actor_optimizer_state_dict',
  'critic_optimizer_state_dict',
  'noise_scale',
  'update_count',
}
HOSTILE = """
import os, sys, torch

class Hostile:
  def __reduce__(self):
    return os.system, (f'touch {sys.argv[2]}',)

torch.save({'actor_state_dict': Hostile()}, sys.argv[1])
"""


def load(name):
  return dict(np.load(GOLDENS / f'eigen2_tiny_{name}.npz'))


@pytest.fixture
def golden():
  return load('networks')


def assert_same_bits(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
  for a, b in pairs:
    a, b = np.asarray(a), np.asarray(b)
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes()


def with_odd_numbers(variables):
  """Sets biases to both zeros, the smallest and the largest numbers."""
  odd = np.array([0.0, -0.0, 1e-45, -1e-45, 3e38, -3e38], np.float32)
  return jax.tree.map(lambda x: jnp.asarray(np.resize(odd, x.shape)), variables)


def agent_of(golden):
  """An agent with four different networks."""
  actor = eigen2.actor_from_torch(part(golden, 'actor/'))
  critic = eigen2.critic_from_torch(part(golden, 'critic_1/'))
  return eigen2.Eigen2Agent(
    actor=actor,
    target_actor=with_odd_numbers(actor),
    critic=critic,
    target_critic=eigen2.critic_from_torch(part(golden, 'critic_2/')),
    noise_scale=0.1,
    update_count=7,
  )


@pytest.mark.parametrize('name', NAMES)
def test_there_and_back_is_the_same_bits(name):
  golden = load(name)
  actor = eigen2.actor_from_torch(part(golden, 'actor/'))
  critics = eigen2.double_critic_from_torch(
    part(golden, 'critic_1/'), part(golden, 'critic_2/')
  )
  for change in (lambda variables: variables, with_odd_numbers):
    before = change(actor)
    again = eigen2.actor_from_torch(eigen2.actor_to_torch(before))
    assert_same_bits(before, again)
    before = change(critics)
    state_dicts = eigen2.double_critic_to_torch(before)
    assert len(state_dicts) == 2
    assert_same_bits(before, eigen2.double_critic_from_torch(*state_dicts))


@pytest.mark.parametrize('name', NAMES)
def test_entries_are_those_that_came_in(name):
  golden = load(name)
  for kind, prefix, there, back in (
    ('actor', 'actor/', eigen2.actor_from_torch, eigen2.actor_to_torch),
    ('critic', 'critic_2/', eigen2.critic_from_torch, eigen2.critic_to_torch),
  ):
    before = part(golden, prefix)
    after = back(there(before))
    assert after.keys() == before.keys(), kind
    for name, array in after.items():
      assert array.shape == before[name].shape, name
      assert array.dtype == before[name].dtype, name
      assert array.flags.c_contiguous, name
      if name.endswith('num_batches_tracked'):
        continue
      if '.bias_ih_' in name:  # which of two a sum came from is not kept
        other = name.replace('_ih_', '_hh_')
        array = array + after[other]
        expected = before[name] + before[other]
        np.testing.assert_array_equal(array, expected, err_msg=name)
      elif '.bias_hh_' not in name:
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_networks_that_eigen2_does_not_have_are_named(golden):
  critic = eigen2.critic_from_torch(part(golden, 'critic_1/'))
  actor = eigen2.actor_from_torch(part(golden, 'actor/'))
  with pytest.raises(ValueError, match=r'found no critic/.* Eigen2 critic'):
    eigen2.critic_to_torch(actor)
  critic.params['critic/slot_head/value'] = {'w': np.zeros(3)}
  with pytest.raises(
    ValueError,
    match='found critic/slot_head/value/w, expected only the entries',
  ):
    eigen2.critic_to_torch(critic)
  del actor.state['actor/feature_extractor/convolution/batch_norm']['mean']
  with pytest.raises(ValueError, match=r'found no actor/.*/batch_norm/mean,'):
    eigen2.actor_to_torch(actor)


def in_pytorch(sizes, actor, critic, window, action):
  """Returns (actions, values) of PyTorch's networks, loaded strictly."""
  torch = pytest.importorskip('torch')
  from experiments.benchmark import torch_reference as reference

  built = []
  for network, state_dict in (
    (reference.Actor, actor),
    (reference.Critic, critic),
  ):
    module = network(*sizes, 64, False)
    tensors = {k: torch.from_numpy(x) for k, x in state_dict.items()}
    module.load_state_dict(tensors, strict=True)
    built.append(module.eval())
  with torch.no_grad():
    window, action = torch.from_numpy(window), torch.from_numpy(action)
    return built[0](window).numpy(), built[1](window, action).numpy()


def check_outputs(golden, tiny):
  pytest.importorskip('torch')
  sizes = config_of(golden, tiny)
  columns = golden['obs'].shape[2]
  window = parameters.window(2, 12, columns, golden['obs'].shape[3])
  action = golden['actions'][:2]
  agent = agent_of(golden)
  built = networks.make_networks(*sizes)
  (actions, _), _ = jax.jit(built.actor.apply)(*agent.actor, None, window)
  q, _ = jax.jit(built.critic.apply)(*agent.critic, None, window, action)
  their_actions, their_q = in_pytorch(
    sizes,
    eigen2.actor_to_torch(agent.actor),
    eigen2.critic_to_torch(agent.critic),
    window,
    action,
  )
  # A sale target near 50 is known to float32's rounding of what made it.
  np.testing.assert_allclose(their_actions, actions, rtol=1e-5, atol=1e-4)
  np.testing.assert_allclose(their_q, q, rtol=1e-5, atol=1e-4)
  assert len(np.unique(actions)) > 20  # what is compared is not one number


@pytest.mark.parametrize('name', NAMES)
def test_pytorch_gives_our_outputs(name):
  check_outputs(load(name), tiny=True)


@pytest.mark.long
@pytest.mark.parametrize('name', NAMES)
def test_pytorch_gives_our_outputs_at_full_size(shared_dir, name):
  golden = np.load(shared_dir / 'reference' / f'eigen2_{name}.npz')
  check_outputs(dict(golden), tiny=False)


def test_a_saved_agent_is_read_back(golden, tmp_path):
  torch = pytest.importorskip('torch')
  path = tmp_path / 'agent.pth'
  agent = agent_of(golden)
  eigen2.save_agent(path, agent, agent_id=5)
  assert os.listdir(tmp_path) == ['agent.pth']
  assert_same_bits(agent, eigen2.load_agent(path))
  saved = torch.load(path, weights_only=True)
  assert saved.keys() == KEYS
  assert (saved['agent_id'], saved['update_count']) == (5, 7)
  # An optimiser of the network takes what is there for it.
  from experiments.benchmark import torch_reference as reference

  sizes = config_of(golden, tiny=True)
  for kind, network, rate in (
    ('actor', reference.Actor, 1e-4),
    ('critic', reference.Critic, 3e-4),
  ):
    module = network(*sizes, 64, False)
    module.load_state_dict(saved[f'{kind}_target_state_dict'], strict=True)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.5)
    optimiser.load_state_dict(saved[f'{kind}_optimizer_state_dict'])
    assert optimiser.param_groups[0]['lr'] == rate
    assert optimiser.param_groups[0]['weight_decay'] == 5e-4


def test_the_reference_checkpoint_has_the_same_entries(shared_dir, tmp_path):
  torch = pytest.importorskip('torch')
  path = shared_dir / 'reference' / 'eigen2_agent.pth'
  theirs = torch.load(path, weights_only=True)
  eigen2.save_agent(tmp_path / 'ours.pth', eigen2.load_agent(path))
  ours = torch.load(tmp_path / 'ours.pth', weights_only=True)
  assert ours.keys() == theirs.keys() == KEYS
  for key in KEYS:
    if key.endswith('optimizer_state_dict'):
      assert ours[key] == theirs[key], key
    elif key.endswith('state_dict'):
      shapes = [{k: x.shape for k, x in s[key].items()} for s in (ours, theirs)]
      assert shapes[0] == shapes[1], key


def test_without_pytorch_nothing_is_written(golden, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  with pytest.raises(
    ValueError, match=r'a.pth: .* writing .*: pip install torch'
  ):
    eigen2.save_agent(tmp_path / 'a.pth', agent_of(golden))
  assert not os.listdir(tmp_path)


def test_files_that_are_no_agent_are_one_line(golden, tmp_path):
  torch = pytest.importorskip('torch')
  path, canary = tmp_path / 'agent.pth', tmp_path / 'canary'

  def reason():
    with pytest.raises(ValueError, match=r'agent\.pth: ') as caught:
      eigen2.load_agent(path)
    assert '\n' not in str(caught.value)
    return str(caught.value).partition('agent.pth: ')[2]

  subprocess.run([sys.executable, '-c', HOSTILE, path, canary], check=True)
  assert reason() == (
    'found no PyTorch checkpoint (it contains posix.system, which is neither a '
    'tensor nor a number), expected a checkpoint that Eigen2 saved'
  )
  assert not canary.exists()
  eigen2.save_agent(path, agent_of(golden))
  content = path.read_bytes()
  for part_of_it in (b'', b'text', content[: len(content) // 2]):
    path.write_bytes(part_of_it)
    assert reason().startswith('found no PyTorch checkpoint (')
  for saved, expected in (
    (torch.zeros(3), 'found Tensor, expected a dict)'),
    ({}, "found no 'actor_state_dict'"),
    ({'actor_state_dict': 3}, 'actor_state_dict: found int, expected'),
    ({'actor_state_dict': {'a': 3}}, 'a: found int, expected a tensor'),
    ({'actor_state_dict': {}}, 'state dict: found no '),
  ):
    torch.save(saved, path)
    assert reason().startswith(f'found no Eigen2 agent ({expected}')

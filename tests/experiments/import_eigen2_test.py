"""Agents of Eigen2 become runs that experiments.td3 resumes."""

import json
import os
import pickle
import re
import shlex
import sys
from unittest import mock

import forks
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from absl import flags
from ml_collections import config_flags

from eigen3 import data
from eigen3.data import MarketPanel, read_eigen2
from eigen3.data.indicators import FEATURES
from eigen3.environment import Rules
from eigen3.interop import eigen2, eigen2_agents
from eigen3.runs import run_directory
from eigen3.runs.checkpoint import Checkpointer
from experiments import export_eigen2, imported_run, wiring
from experiments.benchmark import parameters
from experiments.configs import erl, td3

FIRST, STOP = 4, 12  # columns that may be bought
# Not what the preset has, but for the heads of attention.
SETTINGS = {
  'convolution_channels': 6,
  'hidden': 3,
  'actor.investable_sizes': (10, 9),
  'actor.context_size': 7,
  'actor.head_size': 5,
  'critic.sizes': (11, 8),
}


def config_of(preset='smoke+eigen2'):
  config = td3.get_config(preset)
  config.learner.learning_starts = 30
  config.agent.actor_learning_rate = 2e-4
  return config


def agent_of(seed=0, **changes):
  """An agent with four different random networks."""
  config = td3.get_config('smoke+eigen2')
  config.networks.update_from_flattened_dict(SETTINGS | changes)
  rules = Rules.from_config(config.environment)
  sizes = config.networks, rules.spec(12, 5, (FIRST, STOP))
  return eigen2.Eigen2Agent(
    actor=eigen2.actor_from_torch(parameters.actor(*sizes, seed)),
    target_actor=eigen2.actor_from_torch(parameters.actor(*sizes, seed + 1)),
    critic=eigen2.critic_from_torch(parameters.critic(*sizes, seed + 2)),
    target_critic=eigen2.critic_from_torch(parameters.critic(*sizes, seed + 3)),
    noise_scale=0.0625,
    update_count=321,
  )


def write_data(path):
  """The embedded market in Eigen2's format."""
  panel = data.synthetic_market(td3.get_config('smoke').data.synthetic).panel
  assert panel.feature_names == FEATURES
  cells = {
    name: [
      None if np.isnan(cell).all() else cell.tolist()
      for cell in panel.features[:, place].astype(float)
    ]
    for place, name in enumerate(panel.columns)
  }
  table = pd.DataFrame(cells, index=pd.DatetimeIndex(panel.dates))
  path.write_bytes(pickle.dumps(table))
  return path


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """Returns (folder of a run, agent, panel, config)."""
  folder = tmp_path_factory.mktemp('imported')
  panel = read_eigen2(write_data(folder / 'data.pkl'), (FIRST, STOP))
  config, agent = config_of(), agent_of()
  imported_run.check(config)
  assert imported_run.settle(config, agent) == STOP - FIRST
  out = folder / 'runs' / 'imported'
  imported_run.make(out, agent, panel, config, {'agent_hash': 'abc'})
  return out, agent, panel, config


def assert_same(one, other):
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.fixture(scope='module')
def restored(made):
  """Returns (state, the state that it replaced), when the run is resumed."""
  out, _, panel, config = made
  learner = wiring.build(config).learner
  blank = learner.blank(jax.random.PRNGKey(config.seed))
  checkpointer = Checkpointer(out / 'checkpoints', 3, panel.fingerprint)
  step, state = checkpointer.restore_latest(blank)
  checkpointer.close()
  assert step == 0
  return state, blank


def test_the_folder_explains_itself(made):
  out, _, panel, config = made
  assert sorted(os.listdir(out)) == [
    'checkpoints',
    'config.json',
    'panel.parquet',
    'run.json',
  ]
  assert os.listdir(out.parent) == ['imported']
  run = json.loads((out / 'run.json').read_text())
  assert run['data']['hash'] == panel.fingerprint
  assert run['data']['agent_hash'] == 'abc'
  assert MarketPanel.load(out / 'panel.parquet').fingerprint == (
    panel.fingerprint
  )
  assert config.data.panel == str(out / 'panel.parquet')
  found = json.loads((out / 'config.json').read_text())
  assert found['networks']['hidden'] == 3
  assert found['networks']['critic']['sizes'] == [11, 8]
  assert found['networks']['num_heads'] == 2


def test_the_state_is_the_agent(made, restored):
  agent, (state, blank) = made[1], restored
  assert_same(eigen2_agents.from_state(state.agent), agent)
  for found, expected in (
    (state.agent.actor.online_params, agent.actor.params),
    (state.agent.actor.target_state, agent.target_actor.state),
    (state.champion.params, agent.actor.params),
    (state.champion.state, agent.actor.state),
    (state.agent.actor.opt_state, blank.agent.actor.opt_state),
    (state.key, blank.key),
  ):
    assert_same(found, expected)
  value = 'double_critic/critic_1/mean_head/value'
  for found, critic in (
    (state.agent.critic.online_params, agent.critic),
    (state.agent.critic.target_params, agent.target_critic),
  ):
    assert_same(found[value], critic.params['critic/mean_head/value'])
  assert float(state.agent.noise_scale) == 0.0625
  assert int(state.agent.steps) == 321
  for counter in (state.iteration, state.environment_steps, state.replay.size):
    assert int(counter) == 0
  assert float(state.champion.score) == -np.inf


def test_the_command_has_the_settings_of_the_run(made, monkeypatch):
  out, _, _, config = made
  words = shlex.split(imported_run.command(out, config))
  assert words[:3] == ['python', '-m', 'experiments.td3']
  assert '--config.agent.actor_learning_rate=0.0002' in words
  assert words[-2:] == [f'--workdir={out}', '--resume']
  values = flags.FlagValues()
  parsed = config_flags.DEFINE_config_file('config', flag_values=values)
  monkeypatch.setattr(sys, 'argv', words[2:-2])  # the flag looks there
  values(sys.argv)
  assert parsed.value.to_json() == config.to_json()
  run_directory.check_same(out, parsed.value)


def error_of(function, *arguments):
  with pytest.raises(ValueError, match=r'^[^\n]+$') as caught:
    function(*arguments)
  return str(caught.value)


def test_an_agent_that_would_see_its_account_is_refused():
  config = td3.get_config('smoke+eigen2')
  config.environment.observe_account = True
  assert error_of(imported_run.check, config).startswith(
    '--config.environment.observe_account: found True, expected False as in Ei'
  )


def test_settings_that_do_not_fit_are_named(made, tmp_path):
  _, agent, panel, _ = made

  def error_with(**fields):
    config = config_of()
    config.update_from_flattened_dict(fields)
    return error_of(imported_run.settle, config, agent)

  assert error_with(**{'data.observed_features': ('close', 'rsi')}) == (
    'found networks that see 5 features, expected 2, the number of '
    '--config.data.observed_features (close, rsi)'
  )
  config = td3.get_config('smoke')
  assert error_of(imported_run.check, config).startswith(
    '--config.environment.scaled_actions: found True, expected False as in Ei'
  )
  config = td3.get_config('smoke+eigen2')
  config.networks.critic.ensemble = 2
  assert error_of(imported_run.check, config).startswith(
    '--config.networks.critic.ensemble: found 2, expected 1 as in Eigen2; use'
  )
  assert error_of(
    imported_run.check, erl.get_config('smoke+eigen2')
  ).startswith('--config: found settings of a population, ')
  # Nothing is written before all is known to fit.
  config = config_of()
  config.data.holdout_days = 200
  imported_run.settle(config, agent)
  out = tmp_path / 'runs' / 'imported'
  assert error_of(imported_run.make, out, agent, panel, config, {}).startswith(
    'panel too short: found 30 days'
  )
  assert os.listdir(tmp_path) == []


def test_networks_that_do_not_fit_are_named(made, restored):
  agent, (_, blank) = made[1], restored
  wide = agent_of(hidden=4)
  w = agent.actor.params['actor/context']['w']

  def with_context(array):
    context = {'actor/context': {'w': array, 'b': w[0]}}
    params = agent.actor.params | context
    return agent._replace(actor=agent.actor._replace(params=params))

  layer = agent.critic.params['critic/mean_head/linear_1']
  odd = {'critic/mean_head/linear_1': layer | {'w': layer['w'][1:]}}
  critic = agent.critic._replace(params=agent.critic.params | odd)
  assert error_of(
    eigen2_agents.dimensions_of, agent._replace(critic=critic)
  ).startswith('critic: found 21 inputs, expected 6 features plus two inputs')
  assert error_of(eigen2_agents.dimensions_of, with_context(w[0])) == (
    'actor/context/w: found shape (7,), expected 2 axes'
  )
  for changed, expected in (
    (
      agent._replace(target_actor=wide.actor),
      r"the agent's target actor: actor/\S+: found shape .*, expected shape .*",
    ),
    (
      agent._replace(critic=wide.critic),
      r"the agent's critic: double_critic/\S+: found shape .*, expected .*",
    ),
    (
      agent._replace(
        critic=agent_of(**{'critic.self_attention': False}).critic
      ),
      r"the agent's critic: double_critic/\S+: found no such array, "
      'expected sh.*',
    ),
    (
      with_context(w * jnp.nan),
      "the agent's actor: actor/context/w: found NaN or infinite numbers, .*",
    ),
  ):
    message = error_of(eigen2_agents.into_state, changed, blank.agent)
    assert re.fullmatch(expected, message), message


def test_what_eigen2_cannot_hold_is_named(restored):
  state = restored[0].agent
  both = [
    {
      name.replace('critic_1', f'critic_{k}'): module
      for k in (1, 2)
      for name, module in modules.items()
    }
    for modules in (state.critic.online_params, state.critic.online_state)
  ]
  critic = state.critic._replace(online_params=both[0], online_state=both[1])
  message = error_of(eigen2_agents.from_state, state._replace(critic=critic))
  assert (
    message == 'number of critics: found 2, expected 1, as in an Eigen2 agent'
  )


def test_a_run_is_exported_as_the_agent_that_it_is(made):
  out, agent, *_ = made
  with mock.patch.object(eigen2, 'save_agent') as save:
    assert export_eigen2.export(str(out), 'agent.pth', 5) == 0
  (path, written, number), _ = save.call_args
  assert (path, number) == ('agent.pth', 5)
  assert_same(written, agent)


def test_settings_that_eigen2_lacks_are_named():
  assert error_of(
    imported_run.check_eigen2, td3.get_config('smoke'), 'runs/a: '
  ).startswith('runs/a: environment.scaled_actions: found True, expected False')


def run(module, *arguments):
  return forks.run('-m', f'experiments.{module}', *arguments)


@pytest.mark.long
def test_from_a_checkpoint_to_the_end_of_a_run(tmp_path):
  pytest.importorskip('torch')
  eigen2.save_agent(tmp_path / 'agent.pth', agent_of())
  write_data(tmp_path / 'data.pkl')
  out = tmp_path / 'runs' / 'imported'
  arguments = (
    f'--config={imported_run.CONFIGS}:smoke+eigen2',
    '--config.learner.iterations=1',
    f'--agent={tmp_path}/agent.pth',
    f'--data={tmp_path}/data.pkl',
    f'--out={out}',
    f'--first_investable={FIRST}',
  )
  imported = run('import_eigen2', *arguments)
  assert imported.returncode == 0, imported.stderr
  lines = imported.stdout.splitlines()
  assert lines[0].startswith('agent: 321 updates, exploration noise 0.0625;')
  assert lines[1].startswith('panel: 300 days, ')
  judged = run(
    'evaluate', f'--runs={out}', '--committee=0', f'--out={tmp_path}/judged'
  )
  assert judged.returncode == 0, judged.stderr
  found = json.loads((tmp_path / 'judged' / 'evaluation.json').read_text())
  command = imported.stdout.partition('to continue its training:\n')[2]
  words = shlex.split(command)
  assert words[:2] == ['python', '-m']
  trained = forks.run(*words[1:])
  assert trained.returncode == 0, trained.stderr
  metrics = pd.read_csv(out / 'metrics.csv')
  assert metrics['iteration'].tolist() == [0, 1]
  assert metrics['validation_profit'].notna().all()
  assert metrics['validation_profit'].iloc[0] == pytest.approx(
    found['validation'][str(out)]['profit']
  )
  assert metrics['updates'].iloc[1] == 321 + 4
  summary = json.loads((out / 'summary.json').read_text())
  assert summary['updates'] == 325
  again = run('import_eigen2', *arguments)
  assert again.returncode == 1
  assert again.stderr.strip() == (
    f'error: --out: found that {out} exists, expected the path of a folder '
    'that does not exist yet'
  )


@pytest.mark.long
@pytest.mark.parametrize(
  'changes, found',
  [
    (
      ['--agent={root}/absent.pth'],
      'absent.pth: found no such file, expected an Eig',
    ),
    (['--agent={root}/data.pkl'], 'data.pkl: found no PyTorch checkpoint ('),
    (
      ['--data={root}/agent.pth'],
      "agent.pth: found the file name 'agent.pth', expected one that ends",
    ),
    (['--data={root}/absent.pkl'], 'absent.pkl: cannot be read (No such file'),
    (['--data={root}/hostile.pkl'], "hostile.pkl: found 'posix.system' in the"),
    (
      ['--first_investable=5'],
      'data.pkl: found 12 columns, expected those from',
    ),
    (
      ['--config.data.validation_days=200'],
      'panel too short: found 30 days',
    ),
    (
      ['--config.networks.critic.pooling=slot'],
      "--config.networks.critic.pooling: found 'slot', expected 'mean' as in",
    ),
    (['stray'], "arguments: found 'stray', expected only --flags"),
  ],
)
def test_a_failure_is_one_line_and_leaves_nothing(tmp_path, changes, found):
  pytest.importorskip('torch')
  eigen2.save_agent(tmp_path / 'agent.pth', agent_of())
  write_data(tmp_path / 'data.pkl')
  (tmp_path / 'hostile.pkl').write_bytes(b'cposix\nsystem\n(Vtouch x\ntR.')
  before = sorted(os.listdir(tmp_path))
  failed = run(
    'import_eigen2',
    f'--config={imported_run.CONFIGS}:smoke+eigen2',
    f'--agent={tmp_path}/agent.pth',
    f'--data={tmp_path}/data.pkl',
    f'--out={tmp_path}/run',
    f'--first_investable={FIRST}',
    *(change.format(root=tmp_path) for change in changes),
  )
  assert failed.returncode == 1
  assert failed.stdout == ''
  lines = [line for line in failed.stderr.splitlines() if line.strip()]
  assert len(lines) == 1, failed.stderr
  assert lines[0].startswith('error: ')
  assert found in lines[0]
  assert sorted(os.listdir(tmp_path)) == before

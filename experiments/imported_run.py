"""Makes the folder of a run that continues to train an agent of Eigen2."""

import json
import os
import pathlib
import shlex

import jax
import ml_collections

from eigen3 import settings
from eigen3.data import MarketPanel
from eigen3.files import atomic_folder
from eigen3.interop import eigen2_agents
from eigen3.interop.eigen2 import Eigen2Agent
from eigen3.learner.single_agent import LearnerState, SingleAgent
from eigen3.runs import run_directory
from eigen3.runs.checkpoint import Checkpointer
from experiments import panels, wiring
from experiments.configs import td3

CONFIGS = pathlib.Path(td3.__file__)
_PANEL = 'panel.parquet'
# Settings that an agent of Eigen2 needs.
_NEEDED = {
  'environment.observe_account': False,
  'environment.scaled_actions': False,
  'networks.actor.coefficient_head': 'eigen2',
  'networks.column_gain': 0.0,
  'networks.critic.ensemble': 1,
  'networks.critic.pooling': 'mean',
}


def check(config: ml_collections.ConfigDict) -> None:
  """Raises a ValueError if an Eigen2 agent cannot train with these settings."""
  if 'iterations' not in config.learner:
    raise ValueError(
      '--config: found settings of a population, expected those of one agent, '
      'such as the preset full+eigen2'
    )
  check_eigen2(config, '--config.')


def check_eigen2(config: ml_collections.ConfigDict, where: str) -> None:
  """Raises a ValueError if settings do not fit an agent of Eigen2.

  Args:
    config: settings of a run.
    where: prefix of a field's name in the message.
  """
  for field, needed in _NEEDED.items():
    found = config
    for name in field.split('.'):
      found = found[name]
    settings.require(
      found == needed,
      f'{where}{field}',
      found,
      f'{needed!r} as in Eigen2; use a preset with +eigen2',
    )


def settle(config: ml_collections.ConfigDict, agent: Eigen2Agent) -> int:
  """Sets the sizes of networks in `config` to those of an agent's networks.

  Returns:
    N, the number of stocks that the agent trades.

  Raises:
    ValueError: if an array has an unexpected shape, see
      `eigen2_agents.dimensions_of`, or the number of features that the networks
      see is not that of `config.data.observed_features`.
  """
  dimensions = eigen2_agents.dimensions_of(agent)
  observed = config.data.observed_features
  if dimensions.num_features != len(observed):
    raise ValueError(
      f'found networks that see {dimensions.num_features} features, expected '
      f'{len(observed)}, the number of --config.data.observed_features '
      f'({", ".join(observed)})'
    )
  config.networks.update_from_flattened_dict(dimensions.settings)
  return dimensions.num_stocks


def make(
  out: pathlib.Path,
  agent: Eigen2Agent,
  panel: MarketPanel,
  config: ml_collections.ConfigDict,
  source: dict[str, str],
) -> None:
  """Writes the folder of a new run that starts from an agent, atomically.

  Args:
    out: the folder; it must not exist.
    agent: the agent of Eigen2.
    panel: the panel, which is saved in the folder; `config.data.panel` is set
      to its path there.
    config: all settings, with the sizes that `settle` sets.
    source: fields to add to `data` in run.json, which say where the agent is
      from.

  Raises:
    OSError: if `out` exists or cannot be written.
    ValueError: if a setting is invalid, or agent, panel and settings do not
      match.
  """
  config.data.panel = os.path.abspath(out / _PANEL)
  experiment = wiring.build(config, panel=panel)
  state = _imported(experiment.learner, agent, config.seed)
  out.parent.mkdir(parents=True, exist_ok=True)
  with atomic_folder(out) as folder:
    panel.save(folder / _PANEL)
    described = wiring.about_data(experiment) | source
    described |= panels.way_to(config.data, out)
    machine = wiring.about_machine(experiment)
    run_directory.create(folder, config, described, machine=machine)
    checkpointer = Checkpointer(
      folder / 'checkpoints',
      config.learner.keep_checkpoints,
      panel.fingerprint,
    )
    checkpointer.save(0, state)
    checkpointer.close()


def command(out: pathlib.Path, config: ml_collections.ConfigDict) -> str:
  """Returns the command that continues a run with these settings."""
  preset = json.loads(td3.get_config(config.preset).to_json())
  arguments = [f'--config={CONFIGS}:{config.preset}']
  for name, (_, value) in run_directory.differences(preset, config).items():
    text = str(tuple(value) if isinstance(value, list) else value)
    arguments.append(f'--config.{name}={text}')
  arguments += [f'--workdir={out}', '--resume']
  return f'python -m experiments.td3 {shlex.join(arguments)}'


def _imported(
  learner: SingleAgent, agent: Eigen2Agent, seed: int
) -> LearnerState:
  """Returns the initial state, with the imported agent also as the champion."""
  blank = learner.blank(jax.random.PRNGKey(seed))
  imported = eigen2_agents.into_state(agent, blank.agent)
  champion = blank.champion._replace(
    params=imported.actor.online_params, state=imported.actor.online_state
  )
  return blank._replace(agent=imported, champion=champion)

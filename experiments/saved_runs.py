"""Loads agents and their markets from the folders of runs."""

import glob
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import sizes
from eigen3.agent import Policy
from eigen3.data import (
  SCALED,
  MarketPanel,
  Normalisation,
  fit_normalisation,
  observe,
)
from eigen3.data.observed import YEAR_DAYS
from eigen3.environment import Market
from eigen3.runs import run_directory
from eigen3.runs.checkpoint import Checkpointer
from eigen3.settings import AUTO, require
from experiments import panels, wiring
from experiments.configs import erl
from experiments.configs import td3 as td3_config

_RUN_PANEL = 'run_panel'
_DTYPE = 'networks.compute_dtype'


class SavedRun(NamedTuple):
  """A run's champion at a checkpoint.

  Attributes:
    name: the path that was given to `load`.
    workdir: the run's folder.
    config: the run's settings.
    experiment: the run's market, learner and judges; runs loaded together that
      differ only in their seed share an experiment.
    agent: the agent with the champion's policy.
    step: the checkpoint's step, a number of iterations or generations.
  """

  name: str
  workdir: pathlib.Path
  config: ml_collections.ConfigDict
  experiment: wiring.Experiment
  agent: Any
  step: int

  @property
  def policy(self) -> Policy:
    """Returns all that determines the champion's actions."""
    return self.experiment.learner.agent.policy(self.agent)


def find(patterns: Sequence[str]) -> list[str]:
  """Expands patterns that contain a *; returns each path once.

  Paths are in the order of the patterns, and the matches of a pattern are
  sorted. A pattern without a * is returned as it is, even if nothing is there.

  Raises:
    ValueError: if a pattern with a * matches nothing.
  """
  paths: dict[str, None] = {}
  for pattern in patterns:
    # Only * is special: a folder may be called 'runs [old]'.
    literal = pattern.replace('[', '[[]').replace('?', '[?]')
    found = sorted(glob.glob(literal)) if '*' in pattern else [pattern]
    if not found:
      raise ValueError(f'{pattern}: found nothing, expected folders of runs')
    paths.update(dict.fromkeys(found))
  return list(paths)


def load(paths: Sequence[str], panel: str | None = None) -> list[SavedRun]:
  """Loads the champions of runs.

  Args:
    paths: each is a run's folder, for its latest readable checkpoint, or
      RUN/checkpoints/STEP, for the checkpoint of that step.
    panel: new path of the panel that the runs were trained on; None for the
      recorded path.

  Raises:
    OSError: if a run's `run.json` cannot be read.
    ValueError: if a run or checkpoint does not exist or cannot be read, or the
      run's panel is missing or has other data.
  """
  experiments: dict[str, wiring.Experiment] = {}
  runs = []
  for path in paths:
    workdir, step = _parse(path)
    config = settings_of(workdir)
    config.data.panel = panel or config.data.panel
    panels.settle(config.data, workdir, f'--{_RUN_PANEL}')
    # Blocks and kernels are chosen for the present machine; the dtype of
    # products stays that of the run.
    config.networks.lstm_kernel = AUTO
    before = run_directory.read_sizes(workdir)
    kept = {name: x for name, x in before.items() if name == _DTYPE}
    config = sizes.filled(config, kept)
    alike = without_seed(config)
    if alike not in experiments:
      experiments[alike] = wiring.build_any(config, spread=False)
    experiment = experiments[alike]
    about = wiring.about_data(experiment)
    run_directory.check_data(workdir, about, f'--{_RUN_PANEL}')
    fingerprint = experiment.panel.fingerprint
    found, agent = champion(experiment.learner, workdir, fingerprint, step)
    runs.append(SavedRun(path, workdir, config, experiment, agent, found))
  return runs


def is_panel_of(path: str, panel: MarketPanel) -> bool:
  """Returns whether the run at `path` (see `load`) was trained on `panel`.

  Raises:
    OSError: if the run's `run.json` cannot be read.
    ValueError: if there is no run, or its `config.json` or `run.json` is
      damaged.
  """
  workdir, _ = _parse(path)
  run_directory.read_config(workdir)
  return run_directory.read_data(workdir).get('hash') == panel.fingerprint


def settings_of(workdir: pathlib.Path) -> ml_collections.ConfigDict:
  """Returns a run's settings, with defaults for settings newer than the run.

  Raises:
    ValueError: if there is no run, or this version cannot read its settings.
  """
  stored = run_directory.read_config(workdir)
  try:
    config = defaults_of(stored)
  except (KeyError, TypeError, ValueError) as error:
    raise _other_version(workdir, error) from error
  return updated(config, stored, workdir)


def sizes_given(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns a run's settings that could be 'auto' but are not, by full name.

  Raises:
    ValueError: if there is no run, or its settings are damaged.
  """
  stored = run_directory.read_config(workdir)
  found = {}
  for name in sizes.FIELDS:
    section, _, field = name.partition('.')
    value = stored.get(section, {}).get(field, AUTO)
    if value != AUTO:
      found[name] = value
  return found


def updated(
  config: ml_collections.ConfigDict,
  stored: Mapping[str, Any],
  workdir: pathlib.Path,
  what: str = 'a td3 or erl run',
) -> ml_collections.ConfigDict:
  """Locks `config` and updates it with stored settings; returns `config`.

  Args:
    config: default values of all settings.
    stored: the settings in the `config.json` of `workdir`.
    workdir: the folder, for the message.
    what: what the folder should hold, for the message.

  Raises:
    ValueError: if `config` lacks a stored setting, or cannot hold its value;
      the message names `workdir`.
  """
  try:
    with config.ignore_type():  # e.g. of a tuple whose default is empty
      config.lock().update(_with_tuples(stored))
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise _other_version(workdir, error, what) from error
  return config


def _with_tuples(stored: Any) -> Any:
  """Converts all lists in settings read from JSON to tuples, as in configs."""
  if isinstance(stored, Mapping):
    return {name: _with_tuples(value) for name, value in stored.items()}
  if isinstance(stored, list):
    return tuple(map(_with_tuples, stored))
  return stored


def _other_version(
  workdir: pathlib.Path, error: Exception, what: str = 'a td3 or erl run'
) -> ValueError:
  words = str(error.args[0] if error.args else error)
  if isinstance(error, KeyError) and words.isidentifier():
    words = f'no {words!r}'  # otherwise ml_collections wrote a sentence
  # The list of all fields would follow.
  reason = ' '.join(words.partition('. Other fields')[0].split())
  return ValueError(
    f'{workdir}/config.json: found settings that this program cannot read '
    f'({reason}), expected {what} of this version'
  )


def defaults_of(
  settings: Mapping[str, Any] | ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """Returns an unlocked config of defaults, to be updated with `settings`.

  The defaults are the values of the run's program and preset. But a newer
  setting whose default would change an older run's behaviour has the value that
  preserves that behaviour.

  Args:
    settings: all of the run's settings.

  Raises:
    KeyError: if `settings` lacks a setting that the defaults depend on.
    ValueError: for an unknown preset.
  """
  program = erl if 'evolution' in settings else td3_config
  config = program.get_config(settings['preset'])
  config = config.copy_and_resolve_references().unlock()
  config.agent.action_penalty = 0.0
  config.networks.column_gain = 0.0
  config.learner.counterfactuals = 0
  ceiling = settings['environment']['coefficient_ceiling']
  config.environment.full_size_coefficient = ceiling
  if program is erl:
    _without_common_fitness(config)
    config.learner.exploring_slices = settings['learner']['fitness_slices']
  return config


def _without_common_fitness(config: ml_collections.ConfigDict) -> None:
  """Restores ERL's defaults from before all members played the same slices."""
  before = erl.get_config('smoke+eigen2')
  for section, names in (
    ('learner', ('fitness_play', 'fitness_memory', 'validation_play')),
    ('learner', ('batches',)),
    ('evolution', ('common_start', 'bred', 'least_distance')),
    ('evolution', ('hyperparameters',)),
  ):
    for name in names:
      config[section][name] = before[section][name]
  config.evolution.genetic.mutation = 'gaussian'
  config.evolution.population_based.initial_factor = 1.0


def market_of(run: SavedRun, panel: MarketPanel) -> Market:
  """Returns a market made from `panel`, which must have the run's columns.

  Features are normalised with statistics of the training days of the run's own
  panel, never with those of `panel`.

  Raises:
    ValueError: if `panel` lacks a feature, is too short, or has another number
      of columns than the run's panel.
  """
  days = run.config.environment.context_days
  trained = run.experiment.panel
  names = tuple(run.config.data.observed_features)
  needed = days
  if panel.dates[0] > trained.dates[0] and any(x in SCALED for x in names):
    needed += YEAR_DAYS  # scaled features need the moves of a year before
  require(
    panel.num_days >= needed,
    '--panel: days',
    panel.num_days,
    f'at least {needed}, for the window and the features',
  )
  return Market.from_panel(panel, names, normalisation_of(run), days)


def normalisation_of(run: SavedRun) -> Normalisation:
  """Returns the features' normalisation, fitted to the run's training days."""
  names = tuple(run.config.data.observed_features)
  observed = observe(run.experiment.panel, names)
  return fit_normalisation(observed, run.experiment.splits.train)


def act(run: SavedRun, market: Market) -> tuple[np.ndarray, np.ndarray]:
  """Returns the champion's action [N, 2] and attention [C] on the last day.

  Raises:
    ValueError: if the champion also observes its account.
  """
  require(
    not run.config.environment.get('observe_account', False),
    f'{run.name}: environment.observe_account',
    True,
    'False: such a policy also depends on its account',
  )
  player = run.experiment.learner.player
  day = np.array([market.num_days - 1], np.int32)
  actions, attention = jax.jit(player.actions_and_attention)(
    run.agent, market, day
  )
  return np.asarray(actions[0]), np.asarray(attention[0])


def _parse(path: str) -> tuple[pathlib.Path, int | None]:
  """Splits a path (see `load`) into the run's folder, and the step or None."""
  given = pathlib.Path(path)
  if given.parent.name == 'checkpoints' and given.name.isdigit():
    return given.parent.parent, int(given.name)
  return given, None


def champion(
  learner: Any, workdir: pathlib.Path, fingerprint: str, step: int | None = None
) -> tuple[int, Any]:
  """Returns a checkpoint's step, and its agent with the champion's policy.

  Args:
    learner: a learner whose state has arrays with the same names, shapes and
      types as the checkpoint.
    workdir: the run's folder.
    fingerprint: hash of the panel that the run was trained on.
    step: the checkpoint's step; None for the latest readable checkpoint.

  Raises:
    ValueError: if there is no such checkpoint, none can be read, or it does not
      fit the learner or the fingerprint.
  """
  like = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), learner.abstract_state()
  )
  folder = workdir / 'checkpoints'
  restored = None
  if folder.is_dir():
    checkpointer = Checkpointer(folder, 1, fingerprint, read_only=True)
    try:
      restored = checkpointer.restore_latest(like, at=step)
    finally:
      checkpointer.close()
  if restored is None:
    named = '' if step is None else f' of step {step}'
    raise ValueError(f'{folder}: found no checkpoint{named}, expected one')
  found, state = restored
  return found, learner.champion(state)


def without_seed(config: ml_collections.ConfigDict) -> str:
  """Returns all settings but the seed, as text that can be compared."""
  settings = json.loads(config.to_json())
  settings.pop('seed')
  return json.dumps(settings, sort_keys=True)

"""Times generations and saving of a population, and counts its memory."""

import atexit
import functools
import itertools
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from eigen3 import parallel
from eigen3.environment import TradingEnvironment, rollout
from eigen3.learner import experience, slices
from eigen3.learner.population_state import memory_of
from eigen3.runs.checkpoint import Checkpointer
from experiments import wiring
from experiments.benchmark import jax_cases
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.settings import config_of
from experiments.configs import erl, td3

_HERE = 'experiments.benchmark.suites.population'
_GENERATION = f'{_HERE}:generation_case'
_GROWN = {'smoke': (4,), 'small': (4, 16, 64)}
_MEMBERS = {'smoke': 8, 'small': 16, 'full': 16}
# Members that a device vectorises at once; 0 means all of its members.
_BLOCKS = {'smoke': (2, 0), 'small': (1, 4, 0)}
_KEPT = {'smoke': ('smoke',), 'small': ('small', 'full'), 'full': ('full',)}
# A generation with all its parts and the least of each that the settings allow:
# at full size the default takes hours on two cores.
_LEAST = {
  'agent.batch_size': 1,
  'agent.policy_delay': 1,
  'environment.max_holding_days': 1,
  'environment.trading_days': 1,
  'learner.fitness_slices': 1,
  'learner.fitness_worst': 1,
  'learner.updates_per_generation': 1,
  'learner.validation_play': 'slices',
  'learner.validation_slices': 1,
  'learner.validation_worst': 1,
}


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`, on `cores` cores."""
  found = [_memory_group(size)]
  if size != 'full':
    found += [
      _growth_group(size, cores),
      _block_group(size, cores),
      _saving_group(size, cores),
    ]
  if size != 'small':
    found.append(_least_group(size, cores))
  return found


def _growth_group(size: str, cores: int) -> Group:
  config = _config({'preset': size})
  one = 'one agent: the same episodes, updates and validation, no evolution'
  cases = [
    Case(
      one,
      f'{_HERE}:one_agent_case',
      {'preset': size},
      devices=cores,
      work=1,
      position=1,
    )
  ]
  cases += [
    Case(
      f'population {members}',
      _GENERATION,
      {'preset': size, 'evolution.population_size': members},
      devices=_devices(members, cores),
      work=members,
      position=members,
    )
    for members in _GROWN[size]
  ]
  return Group(
    'growth with population',
    tuple(cases),
    reference=one,
    unit='agents',
    axis='population',
    note=(
      f'a generation, preset {size}: {_work(config)} an agent. A difference '
      'would be one of steps, transitions or updates an agent, as the states '
      'count them. Devices share the columns of the one, and the members of a '
      'population'
    ),
  )


def _block_group(size: str, cores: int) -> Group:
  members = _MEMBERS[size]
  devices = _devices(members, cores)
  cases = [
    Case(
      f'{block} at once' if block else 'all of a device at once',
      _GENERATION,
      {
        'preset': size,
        'evolution.population_size': members,
        'evolution.block': block,
      },
      devices=devices,
      work=members,
    )
    for block in _BLOCKS[size]
  ]
  return Group(
    'blocks of members',
    tuple(cases),
    reference=cases[0].name,
    unit='agents',
    note=(
      f'a generation of {members}, preset {size}, {members // devices} to a '
      f'device; the default is evolution.block = '
      f'{_config({"preset": size}).evolution.block}'
    ),
  )


def _saving_group(size: str, cores: int) -> Group:
  members = _MEMBERS[size]
  settings = {'preset': size, 'evolution.population_size': members}
  make = functools.partial(Case, devices=_devices(members, cores))
  generation = 'a generation'
  return Group(
    'saving',
    (
      make(generation, _GENERATION, settings),
      make(
        'saving, until the run goes on',
        f'{_HERE}:saving_case',
        settings | {'on_disk': False},
      ),
      make(
        'saving, until it is on disk',
        f'{_HERE}:saving_case',
        settings | {'on_disk': True},
      ),
    ),
    reference=generation,
    note=(
      f'{members} agents, preset {size}, and a full replay, to the folder of '
      'temporary files; 50 times faster than a generation is 2 % of its time'
    ),
  )


def _memory_group(size: str) -> Group:
  cases = tuple(
    Case(
      f'preset {preset}', f'{_HERE}:memory_case', {'preset': preset}, devices=1
    )
    for preset in _KEPT[size]
  )
  return Group('memory', cases, note='by shapes alone; no agent is allocated')


def _least_group(size: str, cores: int) -> Group:
  members = _MEMBERS[size]
  settings = {'preset': size, 'evolution.population_size': members}
  unrun = settings | {'runs': False}
  make = functools.partial(Case, devices=_devices(members, cores))
  return Group(
    f'a generation of {members}',
    (
      make('least work', _GENERATION, settings | _LEAST, once=True),
      make('default work, compiled only', _GENERATION, unrun),
    ),
    note=(
      f'preset {size}; least work is {_work(_config(settings | _LEAST))} an '
      f'agent, default {_work(_config(settings))}. XLA states temporary memory '
      'for a device'
    ),
  )


def _devices(members: int, cores: int) -> int:
  """Returns the largest number of devices <= `cores` that divides `members`."""
  return max(n for n in range(1, cores + 1) if members % n == 0)


def _work(config: ml_collections.ConfigDict) -> str:
  """Describes an agent's work in a generation."""
  learner, rules = config.learner, config.environment
  steps = rules.trading_days + rules.settlement_days
  validated = f'{learner.validation_slices} validation slices of {steps} steps'
  if learner.validation_play == 'continuous':
    validated = f'{config.data.validation_days} validation days in a row'
  return (
    f'{learner.fitness_slices} episodes of {steps} steps, '
    f'{learner.updates_per_generation} updates of batch '
    f'{config.agent.batch_size}, {validated}'
  )


def _config(settings: Mapping[str, Any]) -> ml_collections.ConfigDict:
  """Returns the config of a population; see `config_of`."""
  return config_of(settings, erl.get_config)


def generation_case(*, runs: bool = True, **settings: Any) -> Built:
  """Builds a case of one generation, which is only compiled unless `runs`."""
  learner = wiring.build_population(_config(settings)).learner
  state = learner.init(jax.random.PRNGKey(0))
  # A learner compiles at its first call; here that is timed.
  program = jax_cases.compiled_jit(learner._iterate, (learner._world, state))
  if not runs:
    return Built(None, program.seconds, program.temp_bytes)

  def run():
    nonlocal state
    state, metrics = jax.block_until_ready(learner.iterate(state))
    return metrics

  def counts(_) -> np.ndarray:
    agents = learner.num_agents
    steps, kept = state.environment_steps / agents, state.replay.size / agents
    return np.array(
      [steps, kept, learner.agent.num_updates(state.agents).max()]
    )

  return Built(run, program.seconds, program.temp_bytes, output=counts)


def one_agent_case(**settings: Any) -> Built:
  """Builds a case of one agent that does a member's work in a generation."""
  config = _config(settings)
  experiment = wiring.build(_alone(config))
  learner, spec = experiment.learner, experiment.learner._environment.spec
  environment, starts = _validation(experiment, config)
  state = learner.init(jax.random.PRNGKey(0))

  def validate(agent, environment, market, starts):
    def policy(days):
      observations = experience.observations_of(spec.action, days)
      return learner.agent.act(agent, market, observations)

    episodes = rollout.rollout(
      environment, policy, starts, environment.rules.trading_days
    )
    return slices.judge(
      environment,
      episodes,
      config.learner.fitness,
      min(config.learner.validation_worst, len(starts)),
      config.learner.no_trade_penalty,
    )

  world = jax_cases.everywhere((environment, learner._market, starts))
  iteration = jax_cases.compiled_jit(
    learner._iterate, ((learner._environment, learner._market), state)
  )
  validation = jax_cases.compiled(
    validate, (state.agent, *world), parallel.compiler_options()
  )

  def run():
    nonlocal state
    state, metrics = learner.iterate(state)
    judged = validation.call(state.agent, *world)
    return jax.block_until_ready((state, metrics, judged))[1:]

  def counts(_) -> np.ndarray:
    updates = learner.agent.num_updates(state.agent)
    kept = state.replay.size
    return np.array([state.environment_steps, kept, updates], float)

  return Built(
    run,
    iteration.seconds + validation.seconds,
    iteration.temp_bytes,
    output=counts,
  )


def _alone(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Returns the config of a single agent that does as much work as a member.

  An iteration has as many episodes and updates as a member has in a generation,
  and the replay is configured like the population's.
  """
  alone = config.copy_and_resolve_references()
  with alone.unlocked():
    del alone.evolution  # else it would be a population
  alone.learner = td3.get_config(config.preset).learner
  ours = config.learner
  alone.learner.update(
    episodes_per_iteration=ours.fitness_slices,
    updates_per_iteration=ours.updates_per_generation,
    # A population has played once before its first generation.
    learning_starts=max(ours.learning_starts, 1),
    replay_capacity=ours.replay_capacity,
    store_settlement=ours.store_settlement,
  )
  return alone


def _validation(
  experiment: wiring.Experiment, config: ml_collections.ConfigDict
) -> tuple[TradingEnvironment, np.ndarray]:
  """Returns the validation environment, and the first days of its slices.

  The days are int32, one for each slice. There is a single slice if only one
  first day is possible, as when validation plays all days in a row.
  """
  environment = wiring.validation_environment(
    config, experiment.panel, experiment.splits.validation
  )
  first, last = int(environment.first_day), int(environment.last_day)
  count = config.learner.validation_slices if first < last else 1
  starts = np.linspace(first, last, count)
  return environment, starts.round().astype(np.int32)


def saving_case(*, on_disk: bool, **settings: Any) -> Built:
  """Builds a case that saves the whole state of a population.

  Args:
    on_disk: whether a timed run lasts until everything is on disk; if not, it
      ends as soon as training could continue.
    **settings: see `benchmark.settings.config_of`.
  """
  config = _config(settings)
  experiment = wiring.build_population(config)
  state = _filled(experiment.learner.init(jax.random.PRNGKey(0)))
  folder = tempfile.TemporaryDirectory(prefix='benchmark')
  atexit.register(folder.cleanup)
  checkpointer = Checkpointer(
    folder.name, config.learner.keep_checkpoints, experiment.panel.fingerprint
  )
  generation = itertools.count()

  def run():
    checkpointer.save(next(generation), state, score=0.0)
    if on_disk:
      checkpointer.wait()

  run()
  checkpointer.wait()
  files = [f for f in pathlib.Path(folder.name).rglob('*') if f.is_file()]
  return Built(
    run,
    settle=checkpointer.wait,
    facts={
      'bytes of the state': _bytes(state),
      'bytes on disk': sum(f.stat().st_size for f in files),
    },
  )


def _filled(state):
  """Returns `state` filled with random numbers, for realistic sizes on disk.

  A compressing file system stores the zeros of a new optimiser and of an empty
  replay in almost no space.
  """
  random = np.random.default_rng(0)

  def draw(x):
    drawn = random.uniform(0, 100, x.shape)
    return parallel.place_like(drawn.astype(x.dtype), x)

  return jax.tree.map(draw, state)


def memory_case(**settings: Any) -> Built:
  """Builds a case that only counts the memory of a population's state."""
  learner = wiring.build_population(_config(settings)).learner
  state = jax.eval_shape(learner.init, jax.random.PRNGKey(0))
  each = memory_of(state)
  return Built(
    None,
    facts={
      'agents': learner.num_agents,
      'bytes an agent': each['agent'],
      'transitions': len(state.replay.storage.r_t),
      'bytes a transition': each['transition'],
      'bytes of the state': _bytes(state),
    },
  )


def _bytes(tree) -> int:
  """Returns the bytes of all leaves, arrays or `jax.ShapeDtypeStruct`s."""
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))

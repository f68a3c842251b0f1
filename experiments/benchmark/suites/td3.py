"""Times whole TD3 updates: sampling, windows, networks, targets, optimisers."""

import functools
from typing import Any

import jax
import ml_collections

from eigen3 import parallel, sizes
from eigen3.agent import make_td3, replay
from eigen3.learner import experience
from experiments.benchmark import jax_cases
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.settings import config_of, spec_of
from experiments.benchmark.suites import replay as replay_suite

_BUILDER = 'experiments.benchmark.suites.td3:update_case'
_BATCH_SIZE = {'smoke': 4, 'small': 32, 'full': 8}
_NUM_DAYS = 1500
# Settings with which every update has all its parts.
_WHOLE = {'agent.policy_delay': 1, 'num_days': _NUM_DAYS}


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`, on `cores` cores."""
  batch = _BATCH_SIZE[size]
  settings = {'preset': size, 'agent.batch_size': batch} | _WHOLE
  several = f'Eigen3, {cores} devices'
  make = functools.partial(Case, builder=_BUILDER, arguments=settings)
  cases = [make('Eigen3, one device', devices=1)]
  if cores > 1:
    cases.insert(0, make(several, devices=cores))
  bootstrapped = settings | {
    'agent.gamma': 0.99,
    # At full size only memory and compilation time are measured.
    'runs': size != 'full',
  }
  cases.append(
    make('Eigen3, discount 0.99', arguments=bootstrapped, devices=cores)
  )
  shared = settings | {'networks.shared_extractor': 'all'}
  cases.append(make('Eigen3, one extractor', arguments=shared, devices=cores))
  if size == 'full':
    columns = config_of(settings).data.synthetic.num_columns // 2
    fewer = settings | {'columns': columns, 'runs': False}
    cases.append(
      make(f'Eigen3, {columns} columns', arguments=fewer, devices=cores)
    )
  updates = Group(
    'TD3 update',
    tuple(cases),
    reference='Eigen3, one device',
    note=(
      f'preset {size}, batch {batch}, two critics and the actor every time; '
      'without runs, only compiled'
    ),
  )
  if size == 'full':
    return [updates]  # the reference would take an hour
  return [updates, _ddpg_group(size, cores)]


def _ddpg_group(size: str, cores: int) -> Group:
  settings = {'preset': f'{size}+eigen2', 'num_days': _NUM_DAYS}
  agent = config_of(settings).agent
  make = functools.partial(Case, arguments=settings)
  cases = [
    make('Eigen3, one device', _BUILDER, devices=1),
    make(
      'PyTorch',
      'experiments.benchmark.torch_reference:update_case',
      needs='torch',
    ),
  ]
  if cores > 1:
    cases.insert(0, make(f'Eigen3, {cores} devices', _BUILDER, devices=cores))
  return Group(
    "DDPG update, Eigen2's choices",
    tuple(cases),
    reference='PyTorch',
    note=(
      f'preset {size}+eigen2, batch {agent.batch_size} in '
      f'{agent.accumulation_steps} parts, one critic and the actor'
    ),
  )


def update_case(*, num_days: int, runs: bool = True, **settings: Any) -> Built:
  """Builds a case of our agent's update, which is only compiled unless `runs`.

  The replay and the market are random; `num_days` is the length of the market.
  """
  config = config_of(settings)
  market = replay_suite.market(config, num_days)
  ring = replay_suite.ring(config, num_days)
  init, _, update = make_agent(config)
  observations = jax.tree.map(lambda x: x[:1], ring.storage.s_tm1)
  state = jax.jit(init)(jax.random.PRNGKey(0), market, observations)
  state, ring, market = jax_cases.everywhere((state, ring, market))

  def step(state, ring, market):
    key = jax.random.fold_in(jax.random.PRNGKey(1), state.steps)
    batch = replay.sample(ring, key, config.agent.batch_size)
    return update(state, batch, market)

  program = jax_cases.compiled(
    step,
    (state, ring, market),
    parallel.compiler_options(),
    donate_argnums=0,
  )
  if not runs:
    return Built(None, program.seconds, program.temp_bytes)

  def run():
    nonlocal state
    state, metrics = program.call(state, ring, market)
    jax.block_until_ready(state)
    return metrics

  return Built(run, program.seconds, program.temp_bytes)


def make_agent(config: ml_collections.ConfigDict):
  """Returns TD3's init, select_action and update for a config's networks."""
  spec = spec_of(config)
  examples = config.agent.batch_size // config.agent.accumulation_steps
  work = sizes.Work(examples, jax.device_count())
  section = sizes.of_networks(config.networks, spec, work)
  networks = jax_cases.make_networks(section, spec)
  return make_td3(
    networks.actor,
    networks.double_critic,
    experience.observe,
    spec.action,
    config.agent,
    functools.partial(experience.constrain, spec.action),
    networks.shared,
  )

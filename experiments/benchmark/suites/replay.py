"""Compares our replay of day indices with a replay of windows, as in Eigen2.

`num_days` is the number of days in the market. The arguments `**settings` are
those of `config_of`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from eigen3.agent import replay
from eigen3.environment import Market
from eigen3.learner.experience import Observation
from eigen3.types import Transition
from experiments.benchmark import jax_cases, parameters
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.numpy_reference import ADDED, CALLS
from experiments.benchmark.settings import config_of, spec_of

_HERE = 'experiments.benchmark.suites.replay'
_NUMPY = 'experiments.benchmark.numpy_reference'
_NUM_DAYS = {'smoke': 40, 'small': 1500, 'full': 1500}
# At full size windows take gigabytes: they are only counted.
_NAIVE_RUNS = {'smoke': True, 'small': True, 'full': False}


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`; cases use one device."""
  del cores
  settings = {'preset': size, 'num_days': _NUM_DAYS[size]}
  naive = settings | {'runs': _NAIVE_RUNS[size]}
  batch = config_of(settings).agent.batch_size
  adding = Group(
    'adding',
    (
      Case('Eigen3', f'{_HERE}:add_case', settings, 1, work=CALLS * ADDED),
      Case(
        'NumPy, both windows',
        f'{_NUMPY}:add_case',
        naive,
        work=CALLS * ADDED,
      ),
    ),
    reference='NumPy, both windows',
    unit='transitions',
    note=f'{ADDED} transitions at once',
  )
  work = CALLS * 2 * batch
  sampling = Group(
    'sampling with windows',
    (
      Case('Eigen3', f'{_HERE}:sample_case', settings, 1, work=work),
      Case('NumPy, both windows', f'{_NUMPY}:sample_case', naive, work=work),
    ),
    reference='NumPy, both windows',
    unit='windows',
    note=f'batches of {batch}, the windows before and after every transition',
  )
  return [adding, sampling]


def random_transitions(
  config: ml_collections.ConfigDict, count: int, num_days: int
) -> Transition:
  """Draws transitions, each from a day to the next; leaves are [count, ...]."""
  num_stocks = spec_of(config).num_investable
  key_day, key_reward = jax.random.split(jax.random.PRNGKey(5))
  first_day = config.environment.context_days - 1
  day = jax.random.randint(key_day, (count,), first_day, num_days - 1)
  available = jnp.packbits(jnp.ones((count, num_stocks), bool), -1)
  return Transition(
    s_tm1=Observation(day, available),
    a_tm1=jnp.asarray(parameters.action(count, num_stocks)),
    r_t=jax.random.normal(key_reward, (count,)),
    discount_t=jnp.ones(count),
    s_t=Observation(day + 1, available),
  )


def ring(
  config: ml_collections.ConfigDict, num_days: int
) -> replay.ReplayState:
  """Makes a full replay of random transitions."""
  capacity = config.learner.replay_capacity
  transitions = random_transitions(config, capacity, num_days)
  empty = replay.init(jax.tree.map(lambda x: x[0], transitions), capacity)
  return jax.jit(replay.add, donate_argnums=0)(empty, transitions)


def market(config: ml_collections.ConfigDict, num_days: int) -> Market:
  """Makes a market of `num_days` days with random features."""
  spec = spec_of(config)
  features = parameters.window(1, num_days, spec.num_columns, spec.num_features)
  return Market(jnp.asarray(features[0]), config.environment.context_days)


def add_case(*, num_days: int, **settings: Any) -> Built:
  """Builds a case that adds `CALLS` batches to our replay, in place.

  A batch has `ADDED` transitions.
  """
  config = config_of(settings)
  state = ring(config, num_days)
  batch = random_transitions(config, ADDED, num_days)
  program = jax_cases.compiled(replay.add, (state, batch), donate_argnums=0)

  def run():
    nonlocal state
    for _ in range(CALLS):
      state = program.call(state, batch)
    jax.block_until_ready(state)

  return Built(
    run,
    program.seconds,
    program.temp_bytes,
    facts={'bytes a transition': bytes_each(state)},
  )


def sample_case(*, num_days: int, **settings: Any) -> Built:
  """Builds a case that draws `CALLS` batches and gathers their windows."""
  config = config_of(settings)
  state, days = ring(config, num_days), market(config, num_days)
  size = config.agent.batch_size

  def sample(state, key, market):
    key, key_sample = jax.random.split(key)
    batch = replay.sample(state, key_sample, size)
    windows = [market.windows(s.day) for s in (batch.s_tm1, batch.s_t)]
    return key, batch, windows

  key = jax.random.PRNGKey(0)
  program = jax_cases.compiled(sample, (state, key, days))

  def run():
    nonlocal key
    for _ in range(CALLS):
      key, *rest = program.call(state, key, days)
      jax.block_until_ready(rest)

  return Built(
    run,
    program.seconds,
    program.temp_bytes,
    facts={'bytes a transition': bytes_each(state)},
  )


def bytes_each(state: replay.ReplayState) -> int:
  """Returns the bytes that one transition takes in the replay."""
  leaves = jax.tree.leaves(state.storage)
  return sum(x.nbytes for x in leaves) // replay.capacity_of(state)

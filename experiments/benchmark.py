"""Measures parts of the project.

python -m experiments.benchmark --suite=environment --out=environment.json
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags
from tqdm import tqdm

from eigen3 import data
from eigen3.environment import TradingEnvironment
from experiments import mains
from experiments.configs import td3

_SUITE = flags.DEFINE_enum('suite', 'environment', ['environment'], 'What.')
_OUT = flags.DEFINE_string('out', None, 'JSON file to write the results to.')
_REPEATS = flags.DEFINE_integer(
  'repeats', 9, 'Measurements of each case.', lower_bound=1
)
_EPISODES = flags.DEFINE_integer(
  'episodes', 1024, 'Parallel episodes.', lower_bound=1
)
_STOCKS = flags.DEFINE_integer(
  'stocks', 108, 'Investable columns.', lower_bound=2
)

# Steps' worth of random actions that are used in turn, so that the memory
# they are read from is not what is measured.
_DISTINCT_ACTIONS = 16

# What a case runs, once; its results are ready when it returns.
Case = Callable[[], None]


def main(argv) -> None:
  if len(argv) > 1:
    raise ValueError(f'argument: found {argv[1]}, expected none')
  cases, work = _environment_suite(_EPISODES.value, _STOCKS.value)
  seconds = _measure(cases, _REPEATS.value)
  rates = {name: [work / s for s in runs] for name, runs in seconds.items()}
  print(_table(rates, 'steps/s'))
  if _OUT.value:
    _write(_OUT.value, rates)


def _measure(cases: Mapping[str, Case], repeats: int) -> dict[str, list[float]]:
  """Seconds of each run of each case.

  Cases take turns, so that what else the machine does falls on all of them.
  """
  for run in tqdm(cases.values(), desc='compile', unit='case'):
    run()
    run()
  seconds: dict[str, list[float]] = {name: [] for name in cases}
  for _ in tqdm(range(repeats), desc='measure', unit='round'):
    for name, run in cases.items():
      start = time.perf_counter()
      run()
      seconds[name].append(time.perf_counter() - start)
  return seconds


def _environment_suite(
  num_episodes: int, num_stocks: int
) -> tuple[dict[str, Case], int]:
  """Episodes of full length under random actions, and their steps in all.

  The mechanics alone: entries, exits, account and reward, no networks. Half
  of the coefficients reach the threshold: the busiest that a policy can be.
  """
  config = td3.get_config('full')
  with config.unlocked():
    synthetic = config.data.synthetic
    synthetic.num_stocks = num_stocks
    # Nothing is traded in the columns after the stocks.
    synthetic.num_columns = synthetic.num_context + num_stocks
  panel = data.synthetic_market(config.data.synthetic).panel
  parity = td3.get_config('full+eigen2').environment
  num_steps = config.environment.trading_days
  num_steps += config.environment.settlement_days
  with parity.unlocked():
    parity.settlement_days = num_steps - parity.trading_days
  key_actions, key_reset = jax.random.split(jax.random.PRNGKey(0))
  low = jnp.array([0.0, config.environment.min_sale_target])
  high = jnp.array(
    [
      config.environment.coefficient_ceiling,
      config.environment.max_sale_target,
    ]
  )
  shape = (_DISTINCT_ACTIONS, num_episodes, num_stocks, 2)
  actions = jax.random.uniform(key_actions, shape, minval=low, maxval=high)
  keys = jax.random.split(key_reset, num_episodes)
  cases = {}
  for name, section, reward in (
    ('entry', config.environment, 'entry'),
    ('eigen2', config.environment, 'eigen2'),
    ('entry, rules of Eigen2', parity, 'entry'),
    ('eigen2, rules of Eigen2', parity, 'eigen2'),
  ):
    with section.unlocked():
      section.reward = reward
    environment = TradingEnvironment(panel, section)
    cases[name] = _episodes_case(environment, keys, actions)
  return cases, num_episodes * num_steps


def _episodes_case(
  environment: TradingEnvironment, keys: jax.Array, actions: jax.Array
) -> Case:
  @jax.jit
  def play(environment, keys, actions):
    state, _ = jax.vmap(environment.reset)(keys)

    def body(state, step):
      state, timestep = jax.vmap(environment.step)(
        state, actions[step % _DISTINCT_ACTIONS]
      )
      return state, (timestep.reward, timestep.extras.equity)

    return jax.lax.scan(body, state, jnp.arange(environment.num_steps))

  def run():
    jax.block_until_ready(play(environment, keys, actions))

  return run


def _table(rates: Mapping[str, list[float]], unit: str) -> str:
  """Text; the worst and the best tell how noisy the machine was."""
  width = max(map(len, rates))
  lines = [
    f'{"case":{width}} {"median":>12} {"worst":>12} {"best":>12}  {unit}'
  ]
  for name, runs in rates.items():
    numbers = (statistics.median(runs), min(runs), max(runs))
    columns = ' '.join(f'{number:12,.0f}' for number in numbers)
    lines.append(f'{name:{width}} {columns}')
  return '\n'.join(lines)


def _write(path: str, rates: Mapping[str, list[float]]) -> None:
  """Results and what they were measured on, as one JSON object."""
  results: dict[str, Any] = {
    name: {'median': statistics.median(runs), 'runs': runs}
    for name, runs in rates.items()
  }
  report = {
    'suite': _SUITE.value,
    'unit': 'steps/s',
    'episodes': _EPISODES.value,
    'stocks': _STOCKS.value,
    'results': results,
    'machine': {
      'devices': [device.device_kind for device in jax.devices()],
      'cores': os.cpu_count(),
      'load': os.getloadavg(),
      'python': platform.python_version(),
      'jax': jax.__version__,
    },
  }
  with data.atomic_path(path) as temporary:
    text = json.dumps(report, indent=2)
    temporary.write_text(text + '\n', encoding='utf-8')


if __name__ == '__main__':
  mains.run(main)

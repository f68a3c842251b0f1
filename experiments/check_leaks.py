"""Proves that nothing looks ahead, on a run's data and by its rules.

python -m experiments.check_leaks --config=experiments/configs/td3.py:small \
  [--config.data.panel=panel.parquet]

Values after some days are changed at will; all that was known before must stay
as it is, bit for bit (see eigen3.evaluation.lookahead). The policy is an
untrained one: what it decides is of no matter, but what it knows. A leak is an
error that names the array and the day, and exit status 1.
"""

import functools
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags

from eigen3.data import MarketPanel
from eigen3.environment import Market, TradingEnvironment
from eigen3.evaluation import lookahead
from eigen3.learner.acting import Player
from eigen3.networks import make_networks
from experiments import mains, wiring

_DEFAULT_CONFIG = f'{pathlib.Path(__file__).parent}/configs/td3.py:small'
_CONFIG = mains.define_config(
  'Settings, and after a colon their preset; by default the preset small.',
)
_DAYS = flags.DEFINE_integer(
  'days', 4, 'Days after which the future is changed.', lower_bound=1
)
_FUTURES = flags.DEFINE_integer(
  'futures', 2, 'Other futures after each of the days.', lower_bound=1
)
_ACTING_DAYS = flags.DEFINE_integer(
  'acting_days',
  64,
  'Days before and after each of them that the policy decides on.',
  lower_bound=2,
)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise ValueError(f"arguments: found '{argv[1]}', expected only --flags")
  config = _CONFIG.value
  panel, _ = wiring.load_panel(config.data)
  lookahead.check_given_features(panel)
  last_days = lookahead.spread_days(panel, config, _DAYS.value)
  compared = lookahead.prove(
    panel,
    config,
    _untrained_policy(config, panel),
    last_days,
    range(_FUTURES.value),
    _ACTING_DAYS.value,
  )
  dates = ', '.join(str(panel.dates[day]) for day in last_days)
  print(f'other futures after each of the days {dates}: {_FUTURES.value}')
  print(_table(compared))
  print('nothing looks ahead')


def _untrained_policy(
  config: ml_collections.ConfigDict, panel: MarketPanel
) -> lookahead.Policy:
  """A fresh agent's actions without noise, as a run would have them."""
  observed = config.data.observed_features
  environment = TradingEnvironment(
    panel, config.environment, observed_features=observed
  )
  networks = make_networks(config.networks, environment.spec)
  player = Player.make(networks, environment, config)
  shape = (config.environment.context_days, panel.num_columns, len(observed))
  nothing = Market(jnp.zeros(shape), config.environment.context_days)
  key = jax.random.PRNGKey(config.seed)
  agent = jax.jit(player.first_state)(key, environment, nothing)
  return functools.partial(jax.jit(player.acts), agent)


def _table(compared: dict[str, lookahead.Compared]) -> str:
  rows = [('', 'the same up to the day', 'other after it')]
  rows += [
    (name, f'{count.known:,}', f'{count.changed:,}')
    for name, count in compared.items()
  ]
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  return '\n'.join(
    f'{name:<{widths[0]}}  {known:>{widths[1]}}  {changed:>{widths[2]}}'
    for name, known, changed in rows
  )


if __name__ == '__main__':
  mains.run(main, default_config=_DEFAULT_CONFIG)

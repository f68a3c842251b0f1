r"""Tests that features, actions and fills use no later data.

eigen3 check_leaks --config=small \
  [--config.data.panel=panel.parquet | --source=PRICES [--context=vix.csv]]

Chooses some days, and for each of them replaces all later values. Everything
that was known up to that day must stay the same, bit for bit (see
eigen3.evaluation.lookahead). With --source the program makes the panel from the
files, and also replaces the later values that it read from them. The policy is
untrained: the test concerns only what its actions depend on. If something looks
ahead, the program prints an error that names the array and the day, and exits
with status 1.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('check_leaks')  # reads flags before slow imports

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import ml_collections

from eigen3.data import (
  Days,
  MarketPanel,
  Source,
  build_panel,
  open_source,
  read_context,
  with_series,
)
from eigen3.environment import Market, TradingEnvironment
from eigen3.evaluation import lookahead
from eigen3.learner.acting import Player
from eigen3.networks import make_networks
from eigen3.reporting import tables
from experiments import panels
from experiments.options import check_leaks as options
from experiments.options import days


def main(argv: Sequence[str]) -> None:
  config = options.CONFIG.value
  seeds = range(options.FUTURES.value)
  if options.SOURCE.value:
    source = _source()
    make = functools.partial(
      build_panel,
      validation_days=config.data.validation_days,
      holdout_days=config.data.holdout_days,
    )
    panel = make(source)
  else:
    panel, _ = panels.load(config.data)
  lookahead.check_given_features(panel)
  last_days = lookahead.spread_days(panel, config, options.DAYS.value)
  compared = {}
  if options.SOURCE.value:
    compared = lookahead.prove_maker(
      make, source, lookahead.scramble_source, last_days, seeds
    )
  compared |= lookahead.prove(
    panel,
    config,
    _untrained_policy(config, panel),
    last_days,
    seeds,
    options.ACTING_DAYS.value,
  )
  dates = ', '.join(str(panel.dates[day]) for day in last_days)
  print(f'changes after each of the days {dates}: {options.FUTURES.value}')
  print(_table(compared))
  print('nothing looks ahead')


def _source() -> Source:
  """Returns the contents of the files that --source and --context name."""
  dates = Days(days.DATE_FORMAT.value, days.TIME_ZONE.value)
  context = [
    one for text in options.CONTEXT.value for one in read_context(text, dates)
  ]
  source = open_source(options.SOURCE.value, written=dates)
  return with_series(source, context)


def _untrained_policy(
  config: ml_collections.ConfigDict, panel: MarketPanel
) -> lookahead.Policy:
  """Returns the policy of a new agent, without exploration noise."""
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
  return functools.partial(jax.jit(player.actions), agent)


def _table(compared: dict[str, lookahead.Compared]) -> str:
  rows = [('', 'the same up to the day', 'other after it')]
  rows += [
    (name, f'{count.known:,}', f'{count.changed:,}')
    for name, count in compared.items()
  ]
  return tables.aligned(rows)

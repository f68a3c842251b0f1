"""Selects strategies by name."""

import ml_collections

from eigen3 import settings
from eigen3.evolution import cross_entropy, genetic, population_based
from eigen3.evolution.cross_entropy import make_cross_entropy
from eigen3.evolution.genetic import make_genetic
from eigen3.evolution.population_based import make_population_based
from eigen3.evolution.strategy import Strategy

_MAKERS = {
  'genetic': make_genetic,
  'cross_entropy': make_cross_entropy,
  'population_based': make_population_based,
}
_EXPECTED = {
  'genetic': genetic.EXPECTED,
  'cross_entropy': cross_entropy.EXPECTED,
  'population_based': population_based.EXPECTED,
}


def make_strategy(
  config: ml_collections.ConfigDict, population_size: int
) -> Strategy:
  """Makes the strategy that a config names.

  Args:
    config: the `evolution` section, of which `algorithm` and the sections named
      after algorithms are read. All of these sections that are present are
      checked; only the chosen algorithm's is used.
    population_size: P, at least 2.

  Returns:
    Pure functions on populations of P members.

  Raises:
    ValueError: if a setting or the population size is out of range.
  """
  known = {'algorithm': settings.one_of(*_MAKERS)}
  settings.check('evolution', config, known)
  for name, expected in _EXPECTED.items():
    if name in config:
      settings.check(f'evolution.{name}', config[name], expected)
  return _MAKERS[config.algorithm](config[config.algorithm], population_size)

"""Runs several seeds in one process, which compiles only once."""

import atexit
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import jax
import ml_collections

from eigen3.settings import SEEDS, require
from experiments import wiring
from experiments.options import seeds as options


def runs(workdir: str) -> Iterator[tuple[int | None, pathlib.Path]]:
  """Yields each seed to train with, and the folder of its run.

  Without --seeds there is one run, in `workdir`. Its seed is None, which stands
  for the seed of the settings.

  Args:
    workdir: without --seeds, the run's folder; with --seeds, the parent of the
      runs' folders.

  Raises:
    ValueError: if --seeds are not different whole numbers from 0 to 2^32 - 1,
      or if --vary_market is given without --seeds.
  """
  if not options.SEEDS.value:
    require(
      not options.VARY_MARKET.value,
      '--vary_market',
      True,
      'False without --seeds',
    )
    yield None, pathlib.Path(workdir)
    return
  try:
    seeds = tuple(map(int, options.SEEDS.value))
  except ValueError:
    seeds = ()
  expected = f'{SEEDS.words}, such as 0,1,2'
  require(
    SEEDS.meets(seeds), '--seeds', ','.join(options.SEEDS.value), expected
  )
  _compile_once()
  for seed in seeds:
    yield seed, pathlib.Path(workdir) / f'seed{seed}'


def settle(config: ml_collections.ConfigDict, seed: int | None) -> None:
  """Sets `config.seed` to a seed from `runs`; None changes nothing.

  With --vary_market, the embedded market's seed is set, too.

  Raises:
    ValueError: if --vary_market is given and the panel is a file.
  """
  if seed is None:
    return
  config.seed = seed
  if options.VARY_MARKET.value:
    expected = "'' (the embedded market) with --vary_market"
    require(not config.data.panel, 'data.panel', config.data.panel, expected)
    config.data.synthetic.seed = seed


class Shared:
  """Builds experiments; reuses the last learner if only the seed changes."""

  def __init__(
    self, build: Callable[[ml_collections.ConfigDict], wiring.Experiment]
  ):
    self._build = build
    self._last: tuple[str, wiring.Experiment] | None = None

  def build(self, config: ml_collections.ConfigDict) -> wiring.Experiment:
    """Returns the experiment that a config describes."""
    alike = config.copy_and_resolve_references()
    alike.seed = 0
    name = alike.to_json()
    if self._last is not None and self._last[0] == name:
      return wiring.reseeded(self._last[1], config)
    self._last = None  # frees its arrays first
    self._last = (name, self._build(config))
    return self._last[1]


def _compile_once() -> None:
  """Caches compiled programs while this process lives, unless a cache is set.

  With --vary_market each seed has a new learner, whose functions are traced
  again; but the programs are equal and are found in the cache.
  """
  if jax.config.values['jax_compilation_cache_dir'] is None:
    folder = tempfile.mkdtemp(prefix=f'eigen3_{os.getpid()}_')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    jax.config.update('jax_compilation_cache_dir', folder)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)

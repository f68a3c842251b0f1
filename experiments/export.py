"""Exports a run's champion to a file that JAX can run.

eigen3 export --run=runs/first --out=policy.zip

docs/interop.md describes the file and its use. This program needs the package
flatbuffers (pip install 'eigen3[export]').
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('export')  # reads flags before slow imports

import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import eigen3
from eigen3 import sizes
from eigen3.data import last_window
from eigen3.environment.rollout import EncodedPolicy
from eigen3.interop import exported
from eigen3.networks import make_networks
from eigen3.types import Account
from experiments import saved_runs, wiring
from experiments.options import export as options
from experiments.options import run_panel
from experiments.saved_runs import SavedRun


def main(argv: Sequence[str]) -> None:
  """Loads the run, exports its champion and prints what was written."""
  (run,) = saved_runs.load([options.RUN.value], run_panel.RUN_PANEL.value)
  about = export(run, options.OUT.value, options.PLATFORMS.value)
  shapes = ', '.join(
    f'{name} [{", ".join(map(str, x["shape"]))}]'
    for name, x in about['inputs'].items()
  )
  size = os.path.getsize(options.OUT.value) / 1e6
  print(
    f'written: {options.OUT.value} ({size:.1f} MB), the '
    f'champion of step {run.step} of {options.RUN.value}, for '
    f'{", ".join(options.PLATFORMS.value)}; takes {shapes}'
  )


def export(
  run: SavedRun, out: str, platforms: Sequence[str] = exported.PLATFORMS
) -> Mapping[str, Any]:
  """Exports a run's champion; returns its description, as in about.json.

  Args:
    run: a run of one agent or of a population.
    out: the file to create or replace.
    platforms: platforms to export for.

  Raises:
    ValueError: if a platform is unknown, there is none, or the package
      flatbuffers is not installed.
  """
  config = sizes.filled(run.config, run.experiment.sizes)
  networks = config.networks.copy_and_resolve_references()
  networks.lstm_kernel = 'scan'  # other kernels support one platform only
  spec = run.experiment.learner.player.spec
  program = exported.export_policy(
    make_networks(networks, spec).actor,
    jax.device_get(tuple(run.policy)),
    saved_runs.normalisation_of(run),
    spec,
    platforms,
  )
  about = _about(run)
  exported.save(out, program, about, _example(run))
  return about


def _example(run: SavedRun) -> dict[str, np.ndarray]:
  """Returns the champion's inputs and outputs on the panel's last day.

  They are keyed by name and have a batch axis of size 1.
  """
  panel = run.experiment.panel
  player = run.experiment.learner.player
  market = saved_runs.market_of(run, panel)
  names = tuple(run.config.data.observed_features)
  window = last_window(panel, names, market.context_days)
  inputs = {'windows': window[None]}
  account = None
  if player.spec.observes_account:
    # As at the start of an episode: all cash, all days left.
    shapes = exported.inputs_of(player.spec)
    account = Account(
      jnp.zeros((1, *shapes['stocks'])), jnp.ones((1, *shapes['whole']))
    )
    inputs |= {name: np.asarray(x) for name, x in account._asdict().items()}

  def act(agent, market, days, account):
    actions, attention = player.actions_and_attention(agent, market, days)
    if isinstance(actions, EncodedPolicy):
      actions = actions.decide(actions.parameters, actions.encoded, account)
    return actions, attention

  day = np.array([market.num_days - 1], np.int32)
  actions, attention = jax.jit(act)(run.agent, market, day, account)
  return inputs | {
    'actions': np.asarray(actions),
    'attention': np.asarray(attention),
  }


def _about(run: SavedRun) -> dict[str, Any]:
  """Returns what a user of the exported file needs to know, for about.json."""
  panel, spec = run.experiment.panel, run.experiment.learner.player.spec
  start, stop = run.experiment.splits.train

  def described(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    return {
      name: {'shape': ['batch', *shape], 'dtype': 'float32'}
      for name, shape in shapes.items()
    }

  return {
    'inputs': described(exported.inputs_of(spec)),
    'outputs': described(exported.outputs_of(spec)),
    'windows': {
      'days': 'the oldest first; the last one is known at its close',
      'columns': list(panel.columns),
      'features': list(run.config.data.observed_features),
      'missing': 'NaN',
      'normalised': False,  # the program does it
    },
    'actions': {
      'stocks': list(panel.columns[slice(*panel.investable)]),
      'numbers': ['coefficient', 'sale_target_percent'],
      'minimum': list(spec.action.minimum),
      'maximum': [x if np.isfinite(x) else None for x in spec.action.maximum],
    },
    'rules': run.config.environment.to_dict(),
    'run': {
      'name': run.workdir.name,
      'step': run.step,
      'preset': run.config.preset,
      'seed': run.config.seed,
      'trained_on': [str(panel.dates[day]) for day in (start, stop - 1)],
      'data': wiring.about_data(run.experiment),
    },
    'example': {'day': str(panel.dates[-1])},
    'versions': {
      'eigen3': eigen3.__version__,
      'jax': jax.__version__,
      'jaxlib': importlib.metadata.version('jaxlib'),
    },
  }

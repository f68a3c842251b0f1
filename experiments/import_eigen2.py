"""Makes a run of an agent of Eigen2, which experiments.td3 goes on with.

python -m experiments.import_eigen2 --agent=agent.pth --data=data.pkl \
  --out=runs/imported [--config=experiments/configs/td3.py:full+eigen2]
"""

import hashlib
import os
import pathlib

from absl import flags

from eigen3.data import read_eigen2
from eigen3.data.eigen2_files import INVESTABLE
from eigen3.interop import eigen2
from experiments import imported_run, mains, path_flags

_DEFAULT_CONFIG = f'{imported_run.CONFIGS}:full+eigen2'

_CONFIG = mains.define_config(
  'Settings, and after a colon their preset, one with +eigen2; sizes of '
  'layers are those of the agent. By default the preset full+eigen2.',
)
_AGENT = path_flags.DEFINE_path(
  'agent', None, 'Checkpoint of Eigen2, a .pth file.', required=True
)
_DATA = path_flags.DEFINE_path(
  'data',
  None,
  "Eigen2's prices and features: a pickled DataFrame, or a CSV.",
  required=True,
)
_OUT = path_flags.DEFINE_path(
  'out', None, 'Folder of the run to make.', required=True
)
_FIRST_INVESTABLE = flags.DEFINE_integer(
  'first_investable',
  INVESTABLE[0],
  'The first column that may be bought, counted from 0; how many may be is '
  "in the agent's networks.",
  lower_bound=0,
)
_RECOMPUTE = flags.DEFINE_bool(
  'recompute_features',
  False,
  'Compute features from the prices; by default those of the file are kept, '
  'by which the agent was trained.',
)


def main(argv) -> None:
  out = pathlib.Path(_OUT.value)
  if os.path.lexists(out):
    raise ValueError(f'--out: {out} exists, expected the name of a new folder')
  config = _CONFIG.value
  imported_run.check(config)
  agent = eigen2.load_agent(_AGENT.value)
  try:
    num_stocks = imported_run.settle(config, agent)
  except ValueError as error:
    raise ValueError(f'{_AGENT.value}: {error}') from error
  first, stop = _FIRST_INVESTABLE.value, _FIRST_INVESTABLE.value + num_stocks
  panel = read_eigen2(_DATA.value, (first, stop), _RECOMPUTE.value)
  source = {'agent_hash': _hash(_AGENT.value)}
  imported_run.make(out, agent, panel, config, source)
  print(
    f'agent: {agent.update_count:,} updates, exploration noise '
    f'{agent.noise_scale:g}; its optimisers begin anew'
  )
  print(
    f'panel: {panel.num_days:,} days, {panel.dates[0]} to {panel.dates[-1]}, '
    f'{panel.num_columns} columns; {panel.num_investable} may be bought, '
    f'{panel.columns[first]} to {panel.columns[stop - 1]}'
  )
  print(panel.survivorship)
  print(f'written: {out}; to go on with its training:')
  print(imported_run.command(out, config))


def _hash(path: str) -> str:
  return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


if __name__ == '__main__':
  mains.run(main, default_config=_DEFAULT_CONFIG)

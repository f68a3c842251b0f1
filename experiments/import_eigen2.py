r"""Imports an agent of Eigen2 as a run, which td3 can resume.

eigen3 import_eigen2 --agent=agent.pth --data=data.pkl --out=runs/imported \
  [--config=full+eigen2]"""

from experiments import mains

if __name__ == '__main__':
  mains.start('import_eigen2')  # reads flags before slow imports

import hashlib
import os
import pathlib

from eigen3.data import read_eigen2
from eigen3.interop import eigen2
from experiments import imported_run
from experiments.options import import_eigen2 as options


def main(argv) -> None:
  out = pathlib.Path(options.OUT.value)
  if os.path.lexists(out):
    raise ValueError(
      f'--out: found that {out} exists, expected the path of a folder that '
      'does not exist yet'
    )
  config = options.CONFIG.value
  imported_run.check(config)
  agent = eigen2.load_agent(options.AGENT.value)
  try:
    num_stocks = imported_run.settle(config, agent)
  except ValueError as error:
    raise ValueError(f'{options.AGENT.value}: {error}') from error
  first, stop = (
    options.FIRST_INVESTABLE.value,
    options.FIRST_INVESTABLE.value + num_stocks,
  )
  panel = read_eigen2(
    options.DATA.value, (first, stop), options.RECOMPUTE.value
  )
  source = {'agent_hash': _hash(options.AGENT.value)}
  imported_run.make(out, agent, panel, config, source)
  print(
    f'agent: {agent.update_count:,} updates, exploration noise '
    f'{agent.noise_scale:g}; its optimisers start anew'
  )
  print(
    f'panel: {panel.num_days:,} days, {panel.dates[0]} to {panel.dates[-1]}, '
    f'{panel.num_columns} columns; {panel.num_investable} may be bought, '
    f'{panel.columns[first]} to {panel.columns[stop - 1]}'
  )
  print(panel.survivorship)
  print(f'written: {out}; to continue its training:')
  print(imported_run.command(out, config))


def _hash(path: str) -> str:
  return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()

"""Finds and loads the panel of a run."""

import os
import pathlib

import ml_collections

from eigen3 import data
from eigen3.data import MarketPanel
from eigen3.runs import run_directory

# Name of an entry of `data` in run.json: the panel's path relative to the run's
# folder.
_WAY_TO_PANEL = 'panel_from_here'


def settle(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path | None = None,
  flag: str = '--config.data.panel',
) -> None:
  """Makes the panel's path absolute, and finds a panel that was moved.

  Nothing changes for an embedded market.

  Args:
    config: the section `data`; its `panel` is changed.
    workdir: folder of an existing run or sweep, or None. If there is no file at
      the panel's path, the path relative to this folder in `run.json` is tried:
      the panel may have been moved together with the folder.
    flag: the flag that sets the path, for the error message.

  Raises:
    OSError: if `run.json` is needed and cannot be read.
    ValueError: if the panel of the existing run or sweep is not found, or
      `run.json` is needed and damaged.
  """
  if not config.panel:
    return
  path = pathlib.Path(config.panel).expanduser()
  if workdir is not None and not path.exists():
    way = run_directory.read_data(workdir).get(_WAY_TO_PANEL, '')
    moved = workdir / way
    if not (way and moved.exists()):
      raise ValueError(
        f'{flag}: found no file {path}, expected the panel of the run or sweep '
        f'in {workdir}; give its present path with {flag}'
      )
    path = moved
  config.panel = os.path.abspath(path)


def way_to(
  config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, str]:
  """Returns a dict to add to the description of the data in `run.json`.

  Its only entry is the panel's path relative to `workdir`; the dict is empty
  for an embedded market.

  Args:
    config: the section `data`, after `settle`.
    workdir: the folder of the run or sweep.
  """
  if not config.panel:
    return {}
  return {_WAY_TO_PANEL: os.path.relpath(config.panel, workdir)}


def load(
  config: ml_collections.ConfigDict,
) -> tuple[MarketPanel, data.SyntheticMarket | None]:
  """Returns the panel and the embedded market that it belongs to.

  If the panel is a file, None takes the place of the embedded market.

  Args:
    config: the section `data`.

  Raises:
    DataError: if the file is missing or invalid, or a setting of the embedded
      market is invalid.
  """
  if config.panel:
    try:
      return MarketPanel.load(os.path.expanduser(config.panel)), None
    except data.DataError as error:
      raise data.DataError(f'data.panel: {error}') from error
  embedded = data.synthetic_market(config.synthetic)
  return embedded.panel, embedded

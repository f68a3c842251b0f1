"""The section of a page about the champion's population."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from eigen3.evaluation import population
from eigen3.evaluation.population import Development
from eigen3.reporting import importance_picture, population_picture
from eigen3.reporting.run_page import sentences, wording
from eigen3.runs import logs

# Prefixes of the columns of the metrics that this section shows.
_SHOWN = (
  *('fitness_', 'champion_', 'distance_', 'replay_', 'mutation_'),
  *('spread', 'redundant', 'founders', 'retest_', 'offspring_', 'mutant_'),
)


def section(
  workdir: pathlib.Path, metrics: pd.DataFrame, config: Mapping[str, Any]
) -> dict[str, Any] | None:
  """Returns the template's values about a run's population.

  Returns None if the run recorded no population.

  Args:
    workdir: the folder of the run.
    metrics: the run's metrics, a row per generation.
    config: all settings of the run.

  Raises:
    ValueError: if a log of the run is damaged.
  """
  path = workdir / logs.MEMBERS
  if not path.exists():
    return None
  members = logs.read(path)
  if members.empty:
    return None
  profits = logs.are_profits(config['learner'])
  found = population.development(metrics)
  forms = ['.2%' if is_profit else '.3g' for is_profit in profits]
  return {
    'words': sentences.population(found, '+.1%' if profits[1] else '+.3g'),
    'numbers': _numbers(found, metrics, *forms),
    'pictures': population_picture.elements(members, metrics, profits)
    | _attention(workdir),
  }


def is_shown(column: str) -> bool:
  """Returns whether this section shows a column of the metrics."""
  return column.startswith(_SHOWN)


def _numbers(
  found: Development, metrics: pd.DataFrame, form: str, validation_form: str
) -> dict[str, str]:
  """Returns numbers about the population, as text keyed by label.

  Unknown numbers are left out.

  Args:
    found: the development of the population.
    metrics: a row per generation.
    form: format specification of fitness, such as '.2%'.
    validation_form: format specification of validation scores.
  """
  last = metrics.iloc[-1]
  score = last['champion_score']
  since = f'{last["champion_generation"]:.0f}'
  numbers = {
    "champion's validation": f'{wording.written(score, validation_form)}, of '
    f'generation {since}',
    'retest correlation of fitness, mean': wording.written(found.retest, '.2f'),
    "deviation of agents' fitness, mean": wording.written(found.between, form),
    'standard error of a fitness, mean': wording.written(found.within, form),
    'median distance of policies': ' at first, '.join(
      wording.written(x, '.3g') for x in found.distance
    )
    + ' at last',
  }
  if found.founders is not None:
    first, now = found.founders
    numbers['first agents that members descend from'] = (
      f'{first} at first, {now} at last'
    )
  for name, gain in found.gains.items():
    numbers[f'{name} less better parent, deviations'] = (
      wording.written(gain.mean, '+.2f')
      + ' \N{PLUS-MINUS SIGN} '
      + wording.written(gain.error, '.2f')
    )
  unknown = wording.written(None, '')
  return {k: v for k, v in numbers.items() if not v.startswith(unknown)}


def _attention(workdir: pathlib.Path) -> dict[str, str]:
  """Returns pictures of the members' attention; {} if it is unknown."""
  path = workdir / logs.IMPORTANCE
  if not path.exists():
    return {}
  table = logs.read(path).drop(columns='generation')
  history = table.to_numpy(float)
  if not len(history) or not np.nan_to_num(history).any():
    return {}
  return importance_picture.elements(history, [*table.columns])

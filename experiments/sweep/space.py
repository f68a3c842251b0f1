"""Reads the search space of a sweep: values or a range for each field."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_collections
import numpy as np
import optuna

from eigen3.settings import AUTO, require
from experiments.configs import flatten

_SCALES = ('linear', 'log')
_RANGE = (
  "('linear' or 'log', low, high), for a grid followed by the number of steps"
)


class Choices(NamedTuple):
  """A choice among values.

  Attributes:
    values: maps the text of each value, which Optuna stores, to the value.
  """

  values: Mapping[str, Any]


class Range(NamedTuple):
  """A range, to draw from uniformly or on a logarithmic scale.

  Attributes:
    low: the smallest value; an int if the field is an int.
    high: the largest value, of the same type.
    is_log: whether draws are uniform on a logarithmic scale.
  """

  low: float
  high: float
  is_log: bool


# The choices or range of each field, by the field's full (dotted) name.
Space = Mapping[str, Choices | Range]


def read(config: ml_collections.ConfigDict) -> Space:
  """Returns the search space of a sweep's config.

  Fields that are not tried are left out. For the method 'grid', ranges become
  choices.

  Args:
    config: of the sweep; `settings`, `parameters` and `method` are read.

  Raises:
    ValueError: if a value does not have the field's type or is repeated, a
      range is invalid or, for a grid, lacks the number of steps, or no field is
      tried.
  """
  settings, parameters = flatten(config.settings), flatten(config.parameters)
  space = {
    field: _read(f'parameters.{field}', tried, settings[field], config.method)
    for field, tried in parameters.items()
    if tried
  }
  require(bool(space), 'parameters', {}, 'one or more fields to try')
  return space


def suggest(space: Space, trial: optuna.Trial) -> dict[str, Any]:
  """Returns a trial's values, keyed by field; draws those not drawn yet."""
  for field, tried in space.items():
    if isinstance(tried, Choices):
      trial.suggest_categorical(field, list(tried.values))
    elif isinstance(tried.low, int):
      trial.suggest_int(field, tried.low, int(tried.high), log=tried.is_log)
    else:
      trial.suggest_float(field, tried.low, tried.high, log=tried.is_log)
  return values_of(space, trial.params)


def values_of(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
  """Converts the parameters that Optuna stores to values, keyed by field."""
  values = {}
  for field, tried in space.items():
    if field in params:
      kept = params[field]
      values[field] = tried.values[kept] if isinstance(tried, Choices) else kept
  return values


def grid(space: Space) -> list[dict[str, str]]:
  """Returns all combinations of choices, each as text by field.

  Optuna stores these texts, see `Choices`.

  Args:
    space: the search space, without ranges.
  """
  names = [list(s.values) for s in space.values() if isinstance(s, Choices)]
  return [
    dict(zip(space, combination, strict=True))
    for combination in itertools.product(*names)
  ]


def _read(
  name: str, tried: tuple[Any, ...], default: Any, method: str
) -> Choices | Range:
  """Reads one field's values or range; for a grid, a range becomes values."""
  may_be_auto = default == AUTO
  if may_be_auto:
    default = next((x for x in tried if x not in (AUTO, *_SCALES)), AUTO)
  if type(default) in (int, float) and tried[0] in _SCALES:
    found, steps = _range(name, tried, default)
    if method != 'grid':
      return found
    require(
      steps > 0,
      name,
      tried,
      "('linear' or 'log', low, high, steps): method 'grid' needs the number "
      'of steps',
    )
    tried = _spread(found, steps)
  values = [
    value if may_be_auto and value == AUTO else _of_type(name, value, default)
    for value in tried
  ]
  choices = Choices({repr(value): value for value in values})
  require(
    len(choices.values) == len(tried), name, tried, 'values that all differ'
  )
  return choices


def _range(
  name: str, tried: tuple[Any, ...], default: Any
) -> tuple[Range, int]:
  """Reads a tuple as a range and the number of steps, 0 if it has none."""
  require(len(tried) in (3, 4), name, tried, _RANGE)
  scale, *bounds = tried[:3]
  low, high = (_of_type(name, bound, default) for bound in bounds)
  is_log, steps = scale == 'log', tried[3] if len(tried) == 4 else 0
  require(
    (0 if is_log else -math.inf) < low < high < math.inf,
    name,
    tried,
    'finite bounds, the lower one first'
    + (', both above 0 for a logarithmic range' if is_log else ''),
  )
  if len(tried) == 4:
    require(
      type(steps) is int and steps >= 2,
      name,
      tried,
      'a whole number of steps of at least 2 as the fourth entry',
    )
  return Range(low, high, is_log), steps


def _spread(tried: Range, steps: int) -> tuple[Any, ...]:
  """Returns `steps` values, evenly spaced on the range's scale.

  For an int field the values are rounded to whole numbers, without repetition.
  """
  space = np.geomspace if tried.is_log else np.linspace
  values = space(tried.low, tried.high, steps)
  if isinstance(tried.low, int):
    return tuple(dict.fromkeys(int(x) for x in np.rint(values)))
  return tuple(float(f'{x:.6g}') for x in values)


def _of_type(name: str, value: Any, default: Any) -> Any:
  """Returns a value of its field's type; converts an int for a float field.

  Args:
    name: the field's name, for the message.
    value: the value.
    default: a value of the field's type.

  Raises:
    ValueError: if `value` has another type.
  """
  if isinstance(default, float) and type(value) is int:
    return float(value)
  expected = type(default).__name__
  require(
    type(value) is type(default), name, value, f'a value of type {expected}'
  )
  return value

"""The market panel: prices and features of all columns, day by day.

Shape letters as in `eigen3.types`: T days, C columns, F features, N investable
columns.
"""

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from eigen3.data import panel_file
from eigen3.data.calendars import periods_a_year
from eigen3.data.errors import DataError
from eigen3.data.indicators import FEATURES
from eigen3.files import atomic_path

KINDS = ('stock', 'context')
_HASHED_DAYS = 64
Made = TypeVar('Made')


@dataclasses.dataclass(frozen=True, eq=False)
class MarketPanel:
  """Prices and features of C columns on T days; NaN is missing.

  Columns outside `investable` are context: they are observed, never bought.

  Attributes:
    dates: datetime64[D] [T], strictly increasing trading days.
    columns: C distinct names, of tickers or context series.
    ohlc: float32 [T, C, 4], open, high, low, close, in each column's own unit,
      such as a currency.
    features: float32 [T, C, F], see `feature_names`.
    investable: (first, stop), the range of columns that may be bought.
    volume: float32 [T, C], shares, or None if unknown.
    members: bool [T, N], which investable columns belonged to the universe on
      each day and may be bought then; None means that all may always be bought.
    feature_names: F names; by default Eigen2's nine if F is 9, else feature_0,
      feature_1 and so on.
    column_kinds: 'stock' or 'context' for each column; by default 'stock'
      exactly in the investable range. A 'stock' outside this range has too
      short a history to be bought.
    source_hash: sha256 of the panel's source, '' if unknown.
    survivors_only: whether the panel holds, or must be assumed to hold, only
      stocks that were still listed at the end of the data; every report states
      this.
    notes: free text, shown in summaries and reports.
    training_days: the number of first days whose data decided which columns are
      investable; training on fewer would look ahead. 0 if no data decided it.
    markets: C numbers, the market of each column, inferred from the training
      days; empty if all columns are treated as one market.

  Raises:
    DataError: shapes, names, kinds, dates, the investable range or the training
      days are invalid or do not fit together.
  """

  dates: np.ndarray
  columns: tuple[str, ...]
  ohlc: np.ndarray
  features: np.ndarray
  investable: tuple[int, int]
  volume: np.ndarray | None = None
  members: np.ndarray | None = None
  feature_names: tuple[str, ...] = ()
  column_kinds: tuple[str, ...] = ()
  source_hash: str = ''
  survivors_only: bool = True
  notes: str = ''
  training_days: int = 0
  markets: tuple[int, ...] = ()

  def __post_init__(self):
    put = functools.partial(object.__setattr__, self)
    put('dates', np.ascontiguousarray(self.dates, 'datetime64[D]'))
    put('ohlc', np.ascontiguousarray(self.ohlc, np.float32))
    put('features', np.ascontiguousarray(self.features, np.float32))
    if self.volume is not None:
      put('volume', np.ascontiguousarray(self.volume, np.float32))
    if self.members is not None:
      put('members', np.ascontiguousarray(self.members, bool))
    put('columns', tuple(self.columns))
    put('markets', tuple(int(market) for market in self.markets))
    put('investable', tuple(int(bound) for bound in self.investable))
    self._check_shapes()
    put('feature_names', tuple(self.feature_names) or self._feature_names())
    put('column_kinds', tuple(self.column_kinds) or self._column_kinds())
    self._check_names()
    self._check_dates()

  @property
  def num_days(self) -> int:
    """Returns T, the number of days."""
    return self.ohlc.shape[0]

  @property
  def num_columns(self) -> int:
    """Returns C, the number of columns."""
    return self.ohlc.shape[1]

  @property
  def num_features(self) -> int:
    """Returns F, the number of features."""
    return self.features.shape[2]

  @property
  def num_investable(self) -> int:
    """Returns N, the number of investable columns."""
    return self.investable[1] - self.investable[0]

  @functools.cached_property
  def periods_a_year(self) -> int:
    """Returns the usual number of the panel's days in a year, such as 252."""
    return periods_a_year(self.dates)

  @functools.cached_property
  def fingerprint(self) -> str:
    """Returns the sha256 of all fields of the panel except four.

    `source_hash`, `survivors_only`, `notes` and `training_days` are left out.
    """
    digest = hashlib.sha256()
    names = [self.columns, self.column_kinds, self.feature_names]
    described = [names, self.investable, self.volume is not None]
    digest.update(json.dumps(described).encode())
    for array in (self.dates, self.ohlc, self.features, self.volume):
      if array is not None:
        digest.update(f'{array.dtype.str}{array.shape}'.encode())
        # Some days at a time: a copy of all would take half as much memory
        # again.
        for day in range(0, len(array), _HASHED_DAYS):
          part = _with_one_nan(array[day : day + _HASHED_DAYS])
          digest.update(part.reshape(-1).view(np.uint8).data)
    if self.markets:
      digest.update(f'markets{self.markets}'.encode())
    if self.members is not None:
      digest.update(b'members' + np.packbits(self.members).tobytes())
    return digest.hexdigest()

  @functools.cached_property
  def _made(self) -> dict[Hashable, Any]:
    return {}

  def once(self, make: Callable[..., Made], *arguments: Hashable) -> Made:
    """Returns `make(self, *arguments)`, cached after the first call.

    All callers share the result, so its arrays must be read-only.
    """
    key = (make, arguments)
    if key not in self._made:
      self._made[key] = make(self, *arguments)
    return self._made[key]

  @property
  def survivorship(self) -> str:
    """Returns the line on survivorship that every report prints."""
    if self.survivors_only:
      return (
        'survivors only: companies that failed or were bought are missing, so '
        'every absolute return is too high; compare with the controls'
      )
    first, stop = self.investable
    close = self.ohlc[:, first:stop, 3]
    gone = close[:, np.isnan(close[-1])]
    if np.isnan(gone).all():  # columns absent on the last day never had data
      return 'no company is missing: none left the market before the last day'
    return 'includes companies that left the market before the last day'

  def feature_indices(self, names: tuple[str, ...]) -> tuple[int, ...]:
    """Returns the indices of features; raises DataError for an unknown name."""
    for name in names:
      if name not in self.feature_names:
        raise DataError(
          f"feature: found '{name}', expected one of "
          f'{", ".join(self.feature_names)}'
        )
    return tuple(self.feature_names.index(name) for name in names)

  def save(self, path: str | os.PathLike) -> None:
    """Writes the panel to one Parquet file, atomically.

    So that other tools can read it, the file has a row for each day and column,
    ordered by day. Fields that are not per day, such as the notes, are JSON in
    the schema's metadata.

    Raises:
      DataError: the file cannot be written.
    """
    try:
      with atomic_path(path) as temporary:
        panel_file.write(self, os.fspath(temporary))
    except OSError as error:
      reason = error.strerror or error
      raise DataError(
        f'{path}: cannot be written ({reason}), expected a writable path'
      ) from error

  @classmethod
  def load(cls, path: str | os.PathLike) -> 'MarketPanel':
    """Returns the panel that `save` wrote to `path`, bit for bit.

    Raises:
      DataError: the file is missing, cannot be read, is damaged, or is not a
        panel of a known version.
    """
    if not os.path.exists(path):
      raise DataError(f'{path}: found no such file, expected a panel')
    if not os.path.isfile(path):
      raise DataError(
        f'{path}: found something that is not a file, expected a panel'
      )
    try:
      return cls(**panel_file.read(os.fspath(path)))
    except (pa.ArrowException, OSError) as error:
      reason = str(error).splitlines()[0]
      raise DataError(
        f'{path}: found a damaged file or one that is not Parquet ({reason}), '
        'expected a panel'
      ) from error
    except DataError as error:
      raise DataError(f'{path}: {error}') from error
    except (KeyError, TypeError, ValueError) as error:
      reason = ' '.join(str(error).split())
      raise DataError(
        f'{path}: found a file that is damaged or not written by eigen3 '
        f'({reason}), expected a panel'
      ) from error

  def _feature_names(self) -> tuple[str, ...]:
    if self.num_features == len(FEATURES):
      return FEATURES
    return tuple(f'feature_{i}' for i in range(self.num_features))

  def _column_kinds(self) -> tuple[str, ...]:
    first, stop = self.investable
    return tuple(
      'stock' if first <= i < stop else 'context'
      for i in range(self.num_columns)
    )

  def _check_shapes(self) -> None:
    days, columns = self.dates.shape[0], len(self.columns)
    expected: dict[str, tuple[int, ...]] = {
      'dates': (days,),
      'ohlc': (days, columns, 4),
      'volume': (days, columns),
    }
    for name, shape in expected.items():
      array = getattr(self, name)
      if array is not None and array.shape != shape:
        raise DataError(
          f'panel: {name} has shape {array.shape}, expected {shape}'
        )
    if self.features.ndim != 3 or self.features.shape[:2] != (days, columns):
      raise DataError(
        f'panel: features has shape {self.features.shape}, '
        f'expected ({days}, {columns}, F) for F features'
      )
    if 0 in self.features.shape:
      raise DataError(
        f'panel: features has shape {self.features.shape}, expected at least '
        'one day, one column and one feature'
      )
    first, stop = self.investable
    if not 0 <= first < stop <= columns:
      raise DataError(
        f'panel: investable is ({first}, {stop}), expected (first, stop) with '
        f'0 <= first < stop <= {columns}, the number of columns'
      )
    if self.members is not None and self.members.shape != (days, stop - first):
      raise DataError(
        f'panel: members has shape {self.members.shape}, '
        f'expected ({days}, {stop - first})'
      )
    if self.markets and len(self.markets) != columns:
      raise DataError(
        f'panel: markets has {len(self.markets)} entries, expected {columns}, '
        'the number of columns, or none for a single market'
      )
    if not 0 <= self.training_days <= days:
      raise DataError(
        f'panel: training_days is {self.training_days}, expected 0 to {days}, '
        'the number of days'
      )

  def _check_names(self) -> None:
    for field, expected in (
      ('columns', self.num_columns),
      ('column_kinds', self.num_columns),
      ('feature_names', self.num_features),
    ):
      names = getattr(self, field)
      if len(names) != expected:
        raise DataError(
          f'panel: {field} has {len(names)} entries, expected {expected}, the '
          f'number of {"features" if field == "feature_names" else "columns"}'
        )
      if field != 'column_kinds' and len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
          f"panel: {field} holds '{twice}' more than once, expected distinct "
          'names'
        )
    for name, kind in zip(self.columns, self.column_kinds, strict=True):
      if kind not in KINDS:
        raise DataError(
          f"panel: column '{name}' is of kind '{kind}', expected one of "
          f'{", ".join(KINDS)}'
        )

  def _check_dates(self) -> None:
    if np.isnat(self.dates).any():
      raise DataError('panel: dates holds a missing date (NaT), expected none')
    wrong = np.flatnonzero(np.diff(self.dates) <= np.timedelta64(0, 'D'))
    if wrong.size:
      before, after = self.dates[wrong[0] : wrong[0] + 2]
      raise DataError(
        f'panel: found date {after} after {before}, expected strictly '
        'increasing dates'
      )


def _with_one_nan(array: np.ndarray) -> np.ndarray:
  """Replaces every bit pattern of NaN with the same one; dates become int64."""
  if array.dtype.kind == 'M':  # dates have no buffer interface
    return array.view(np.int64)
  if array.dtype.kind != 'f' or not np.isnan(array).any():
    return array
  return np.where(np.isnan(array), np.float32('nan'), array)

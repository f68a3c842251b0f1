"""Reads and writes panels as Parquet files that other tools can read.

A file has a row for each day and column, ordered by day: the date, the column's
name, the cell's numbers and, with a universe, whether the column is a member on
that day. All else is JSON in the metadata of the schema.
"""

import hashlib
import json
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eigen3.data.errors import DataError
from eigen3.data.indicators import PRICES

_METADATA_KEY = b'eigen3.panel'
# Pages carry checksums of their own; the metadata needs one from us.
_CHECKSUM_KEY = b'eigen3.panel.sha256'
# Version 2 has a universe; a panel without one is still written as version 1.
_FORMAT_VERSIONS = (1, 2)
_MEMBER = 'member'
# Cells of a row group: large enough to read at full speed, small enough that
# the copy into place stays in the cache and adds little memory.
_GROUP_CELLS = 1 << 15
_MEMBER_FIELD = pa.field(_MEMBER, pa.bool_(), nullable=False)
# Fields of a panel that are always stored as JSON; `markets` is, if not empty.
_DESCRIBED = (
  'columns',
  'investable',
  'feature_names',
  'column_kinds',
  'source_hash',
  'survivors_only',
  'notes',
  'training_days',
)


def parquet_schema(path: str | os.PathLike) -> pa.Schema:
  """Returns the schema of a Parquet file.

  Arrow is given an open file, as in all of this module: given a path, it would
  take 'a:b.parquet' for a URL and expand '~'.

  Raises:
    ArrowException: the file is not Parquet.
    OSError: the file cannot be read.
  """
  with pa.OSFile(os.fspath(path)) as file:
    return pq.read_schema(file)


def is_panel(path: str | os.PathLike) -> bool:
  """Returns whether `path` is a Parquet file with a panel's metadata."""
  try:
    schema = parquet_schema(path)
  except (pa.ArrowException, OSError):
    return False
  return _METADATA_KEY in (schema.metadata or {})


def _field_names(num_features: int, has_volume: bool) -> list[str]:
  """Returns the names of the file's float columns, in order."""
  volume = ['volume'] if has_volume else []
  features = [f'features.{i}' for i in range(num_features)]
  return [*PRICES, *volume, *features]


def write(panel: Any, path: str) -> None:
  """Writes a `MarketPanel` to the file `path`, not atomically."""
  has_volume = panel.volume is not None
  names = _field_names(panel.num_features, has_volume)
  metadata = {
    'version': _FORMAT_VERSIONS[panel.members is not None],
    'num_days': panel.num_days,
    'has_volume': has_volume,
    **{name: getattr(panel, name) for name in _DESCRIBED},
    **({'markets': panel.markets} if panel.markets else {}),
  }
  described = json.dumps(metadata).encode()
  text = pa.dictionary(pa.int32(), pa.string())
  schema = pa.schema(
    [
      pa.field('date', pa.date32(), nullable=False),
      pa.field('column', text, nullable=False),
      *(pa.field(name, pa.float32(), nullable=False) for name in names),
      *([] if panel.members is None else [_MEMBER_FIELD]),
    ],
    metadata={_METADATA_KEY: described, _CHECKSUM_KEY: _checksum(described)},
  )
  with (
    pa.OSFile(path, 'wb') as file,
    pq.ParquetWriter(
      file,
      schema,
      compression='lz4',
      use_dictionary=['date', 'column'],
      # Prices share their leading bytes; grouped by byte they compress well.
      use_byte_stream_split=names,
      write_statistics=['date'],
      write_page_checksum=True,
    ) as writer,
  ):
    for days in _day_blocks(panel.num_days, panel.num_columns):
      writer.write_table(_block_table(panel, days, schema))


def _block_table(panel: Any, days: slice, schema: pa.Schema):
  num_days = len(panel.dates[days])
  codes = np.tile(np.arange(panel.num_columns, dtype=np.int32), num_days)
  fields = [
    *np.moveaxis(panel.ohlc[days], -1, 0),
    *([] if panel.volume is None else [panel.volume[days]]),
    *np.moveaxis(panel.features[days], -1, 0),
  ]
  return pa.Table.from_arrays(
    [
      pa.array(np.repeat(panel.dates[days], panel.num_columns)),
      pa.DictionaryArray.from_arrays(codes, list(panel.columns)),
      *(pa.array(np.ravel(field)) for field in fields),
      *_members_of(panel, days),
    ],
    schema=schema,
  )


def _members_of(panel: Any, days: slice) -> list[pa.Array]:
  """Returns a list of one array, the file's member column for `days`.

  The values are False for context columns. The list is empty if the panel
  has no universe.
  """
  if panel.members is None:
    return []
  members = np.zeros((len(panel.dates[days]), panel.num_columns), bool)
  members[:, slice(*panel.investable)] = panel.members[days]
  return [pa.array(np.ravel(members))]


def read(path: str) -> dict[str, Any]:
  """Reads the arguments of `MarketPanel` from the file `path`.

  Damage can also raise errors of other types, which `MarketPanel.load` converts
  to a DataError.

  Raises:
    DataError: the file is not a panel of a known version, or its rows, values
      or metadata are invalid.
  """
  # Checksums take a third of the reading time, and detect changed prices, which
  # decompression does not.
  with (
    pa.OSFile(path) as source,
    pq.ParquetFile(source, page_checksum_verification=True) as file,
  ):
    metadata = _metadata(file.schema_arrow.metadata or {})
    num_days = metadata.pop('num_days')
    num_columns = len(metadata['columns'])
    num_features = len(metadata['feature_names'])
    has_volume = metadata.pop('has_volume')
    has_members = metadata.pop('version') == _FORMAT_VERSIONS[1]
    cells = num_days * num_columns
    if file.metadata.num_rows != cells:
      raise DataError(
        f'found {file.metadata.num_rows} rows, expected {cells}: one for each '
        f'of {num_days} days and {num_columns} columns of the panel'
      )
    dates = np.empty(num_days, 'datetime64[D]')
    ohlc = np.empty((cells, 4), np.float32)
    volume = np.empty(cells, np.float32) if has_volume else None
    features = np.empty((cells, num_features), np.float32)
    members = np.empty(cells, bool) if has_members else None
    targets = [ohlc[:, i] for i in range(4)]
    targets += [] if volume is None else [volume]
    targets += [features[:, i] for i in range(num_features)]
    names = _field_names(num_features, has_volume)
    start = 0
    for group in range(file.num_row_groups):
      read_names = ['date', *names, *([_MEMBER] if has_members else [])]
      table = file.read_row_group(group, columns=read_names, use_threads=False)
      rows = slice(start, start + len(table))
      # The first cell of each day that begins in this group.
      day_starts = slice(-start % num_columns, None, num_columns)
      days = slice(-(-start // num_columns), -(-rows.stop // num_columns))
      dates[days] = _values(table, 'date', np.int32)[day_starts]
      for name, target in zip(names, targets, strict=True):
        target[rows] = _values(table, name, np.float32)
      if members is not None:
        members[rows] = table.column(_MEMBER).to_numpy()
      start = rows.stop
  shape = (num_days, num_columns)
  return metadata | {
    'dates': dates,
    'ohlc': ohlc.reshape(*shape, 4),
    'volume': None if volume is None else volume.reshape(shape),
    'members': None
    if members is None
    else members.reshape(shape)[:, slice(*metadata['investable'])],
    'features': features.reshape(*shape, num_features),
  }


def _metadata(found: dict[bytes, bytes]) -> dict[str, Any]:
  described = found.get(_METADATA_KEY)
  if described is None:
    raise DataError(
      "found a Parquet file without a panel's metadata, expected a panel that "
      'eigen3 prepare_data made'
    )
  if found.get(_CHECKSUM_KEY) != _checksum(described):
    raise DataError(
      'found metadata that does not match its checksum, expected an undamaged '
      'panel'
    )
  metadata = json.loads(described)
  if metadata['version'] not in _FORMAT_VERSIONS:
    expected = ' or '.join(map(str, _FORMAT_VERSIONS))
    raise DataError(
      f'format version: found {metadata["version"]}, expected {expected}'
    )
  return metadata


def _checksum(content: bytes) -> bytes:
  return hashlib.sha256(content).hexdigest().encode()


def _values(table: pa.Table, name: str, dtype: type) -> np.ndarray:
  """Returns the values of a column of the file, read as `dtype`.

  Arrow's own conversion is not used, because it would import pandas.

  Raises:
    DataError: the column has nulls, or its values are not as wide as `dtype`.
  """
  column = table.column(name)
  width = np.dtype(dtype).itemsize * 8
  if column.null_count or column.type.bit_width != width:
    raise DataError(
      f"column '{name}': found {column.type} with {column.null_count} nulls, "
      f'expected {width}-bit values without nulls'
    )
  parts: list[np.ndarray] = [
    np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset :][: len(chunk)]
    for chunk in column.chunks
  ]
  return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _day_blocks(num_days: int, num_columns: int) -> list[slice]:
  step = max(1, _GROUP_CELLS // num_columns)
  return [slice(day, day + step) for day in range(0, num_days, step)]

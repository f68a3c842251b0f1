"""Damages files as users, programs and disks do, from a seed."""

import dataclasses
import decimal
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Contents of a cell that are no number.
NO_NUMBERS = (
  'abc', '1,000', '1_000', '0x10', '1.2.3', '12€', '١٢', '--1', '+', 'e5',
  'True', '2020-01-02', '1 2', '=1+1', '\x1b[2J', 'x' * 5000, '1e', '5$',
)  # fmt: skip
# Numbers and missing values that cannot be a price.
NO_PRICES = (
  '', 'NaN', 'null', '-', '0', '-1', '-0.0', 'inf', '-Infinity', '1e999',
  '1e308', '1e13', '1e-10', '1e-320', '9' * 400, 'nan',
)  # fmt: skip
NO_DAYS = (
  '', 'NaT', '01/02/2020', '02.01.2020', '20200102', '2020-1-2', '2020-02-30',
  '2020-13-01', '0001-01-01', '9999-12-31', '2 Jan 2020', '1577923200',
  '2020-01-02x', '2020-01', '-2020-01-02', '٢٠٢٠-01-02',
)  # fmt: skip
NO_SYMBOLS = ('', ' ', 'x' * 65, 'A\x07', 'a\ufffdb')


@dataclasses.dataclass(frozen=True)
class Mutation:
  """A damaged file.

  Attributes:
    kind: of the damage.
    content: its bytes.
    cell: (line, name of the column, found) of the only cell that was changed;
      None if more was changed.
  """

  kind: str
  content: bytes
  cell: tuple[int, str, str] | None = None


class Trap:
  """Creates a file if its pickle is loaded, which proves that code ran."""

  def __init__(self, path: str):
    self.path = path

  def __reduce__(self):
    return open, (self.path, 'w')


def damage_bytes(
  content: bytes, rng: np.random.Generator, trap: str = ''
) -> Mutation:
  """Damages any file.

  Args:
    content: of the file.
    rng: of the kind of damage.
    trap: a file that loading the result as a pickle would create.
  """
  size = len(content)
  at, stop = sorted(int(i) for i in rng.integers(0, size + 1, 2))
  stop = min(stop, at + int(rng.choice([1, 8, 200, size])))
  noise = rng.bytes(int(rng.choice([1, 10, 300])))
  some = bytearray(content)
  for place in rng.integers(0, size, int(rng.choice([1, 3, 20]))):
    some[place] ^= 1 << int(rng.integers(8))
  kinds = {
    'empty': lambda: b'',
    'cut': lambda: content[:at],
    'beheaded': lambda: content[at:],
    'flipped': lambda: bytes(some),
    'removed': lambda: content[:at] + content[stop:],
    'zeroed': lambda: content[:at] + bytes(stop - at) + content[stop:],
    'repeated': lambda: content[:stop] + content[at:],
    'inserted': lambda: content[:at] + noise + content[at:],
    'overwritten': lambda: content[:at] + noise + content[at + len(noise) :],
    'noise': lambda: rng.bytes(int(rng.choice([1, 100, 10_000]))),
    'noise_below': lambda: content[:4] + rng.bytes(1000),
    'pickle': lambda: pickle.dumps(Trap(trap)),
    'twice': lambda: content + content,
  }
  kind = str(rng.choice(list(kinds)))
  return Mutation(kind, kinds[kind]())


def damage_text(content: bytes, rng: np.random.Generator) -> Mutation:
  """Rewrites a UTF-8 CSV in another valid or in an invalid form."""
  text = content.decode()
  lines = text.splitlines()
  header, rows = lines[0], lines[1:]
  cells = [line.split(',') for line in lines]
  columns = rng.permutation(len(cells[0]))
  row = int(rng.integers(len(rows)))
  place = int(rng.integers(len(text)))
  long = ','.join(['1'] * 3000)
  kinds = {
    'utf16': lambda: text.encode('utf-16'),
    'utf16_no_mark': lambda: text.encode('utf-16-le'),
    'utf32': lambda: text.encode('utf-32'),
    'mark': lambda: '\ufeff' + text,
    'latin': lambda: (text[:place] + 'é' + text[place:]).encode('latin-1'),
    'accent': lambda: text[:place] + 'é' + text[place:],
    'ebcdic': lambda: text.encode('cp500'),
    'mac': lambda: text.replace('\n', '\r'),
    'windows': lambda: text.replace('\n', '\r\n'),
    'mixed_ends': lambda: text.replace('\n', '\r\n', len(lines) // 2),
    'blank_lines': lambda: text.replace('\n', '\n\n'),
    'spaces_line': lambda: '\n'.join([*lines[: row + 1], '   ', *rows[row:]]),
    'semicolons': lambda: text.replace(',', ';'),
    'tabs': lambda: text.replace(',', '\t'),
    'quoted': lambda: '\n'.join(f'"{s}"'.replace(',', '","') for s in lines),
    'one_quote': lambda: text[:place] + '"' + text[place:],
    'comma': lambda: text[:place] + ',' + text[place:],
    'line_break': lambda: text[:place] + '\n' + text[place:],
    'zero': lambda: text[:place] + '\0' + text[place:],
    'no_header': lambda: '\n'.join(rows),
    'header_only': lambda: header,
    'header_twice': lambda: '\n'.join([*lines[: row + 1], header, *rows[row:]]),
    'upper_header': lambda: '\n'.join([header.upper(), *rows]),
    'shuffled_rows': lambda: '\n'.join([header, *rng.permutation(rows)]),
    'shuffled_columns': lambda: '\n'.join(
      ','.join(cells_of[i] for i in columns) for cells_of in cells
    ),
    'shuffled_header': lambda: '\n'.join(
      [','.join(cells[0][i] for i in columns), *rows]
    ),
    'dropped_column': lambda: '\n'.join(
      ','.join(cells_of[i] for i in sorted(columns[1:])) for cells_of in cells
    ),
    'doubled_column': lambda: '\n'.join(
      ','.join([*cells_of, cells_of[columns[0]]]) for cells_of in cells
    ),
    'doubled_row': lambda: '\n'.join([*lines, rows[row]]),
    'dropped_cell': lambda: '\n'.join(
      [*lines[: row + 1], rows[row].rpartition(',')[0], *rows[row + 1 :]]
    ),
    'added_cell': lambda: '\n'.join(
      [*lines[: row + 1], rows[row] + ',1', *rows[row + 1 :]]
    ),
    'long_line': lambda: '\n'.join([*lines, long]),
    'long_header': lambda: '\n'.join([f'{header},{long}', *rows]),
    'few_rows': lambda: '\n'.join(lines[: row + 2]),
    'slashes': lambda: text.replace('-', '/'),
    'compact_days': lambda: text.replace('-', ''),
    'decimal_commas': lambda: text.replace('.', ','),
    'huge': lambda: text.replace('.', ''),
    'html': lambda: f'<html><body>{text}</body></html>',
    'json': lambda: '{"Error Message": "Invalid API call."}',
  }
  kind = str(rng.choice(list(kinds)))
  made = kinds[kind]()
  return Mutation(kind, made.encode() if isinstance(made, str) else made)


def damage_cell(
  content: bytes,
  rng: np.random.Generator,
  columns: dict[str, tuple[str, ...]],
) -> Mutation:
  """Writes an impossible value into one cell of a CSV.

  Args:
    content: of a CSV without quotes or blank lines.
    rng: of the cell and its value.
    columns: possible values, by name of the column.
  """
  rows = [line.split(',') for line in content.decode().splitlines()]
  name = str(rng.choice(list(columns)))
  found = columns[name][int(rng.integers(len(columns[name])))]
  row = int(rng.integers(1, len(rows)))
  cell = f'"{found}"' if ',' in found else found
  rows[row][rows[0].index(name)] = cell
  text = '\n'.join(','.join(row) for row in rows)
  return Mutation('cell', text.encode(), (row + 1, name, found))


def writes_views() -> bool:
  """Returns whether this pyarrow (21 does) writes string views to Parquet."""
  table = pa.table({'a': pa.array(['b'], pa.string_view())})
  try:
    pq.write_table(table, pa.BufferOutputStream())
  except pa.ArrowNotImplementedError:
    return False
  return True


def damage_columns(
  table: pa.Table, rng: np.random.Generator
) -> tuple[str, pa.Table]:
  """Changes the values or the type of a column of a table."""
  place = int(rng.integers(table.num_columns))
  name, column = table.schema.names[place], table.column(place)
  rows = len(table)
  text = column.cast(pa.string())
  days = rng.integers(-(2**31), 2**31, rows).astype(np.int32)
  kinds = {
    'texts': lambda: text,
    'views': lambda: text.cast(
      pa.string_view() if writes_views() else pa.string()
    ),
    'bytes': lambda: text.cast(pa.binary()),
    'categories': lambda: column.dictionary_encode(),
    'text_categories': lambda: text.dictionary_encode(),
    'no_values': lambda: pa.nulls(rows),
    'some_values': lambda: pc.if_else(
      pa.array(rng.random(rows) < 0.5), column, None
    ),
    'booleans': lambda: pa.array(rng.random(rows) < 0.5),
    'integers': lambda: pa.array(rng.integers(-(2**63), 2**63 - 1, rows)),
    'unsigned': lambda: pa.array(rng.integers(0, 2**64, rows, np.uint64)),
    'halves': lambda: pa.array(rng.random(rows).astype(np.float16)),
    'decimals': lambda: pa.array(
      [decimal.Decimal(int(i)) for i in rng.integers(-9, 99, rows)],
      pa.decimal256(70, 30),
    ),
    'huge': lambda: pa.array(10.0 ** rng.integers(-320, 309, rows)),
    'infinite': lambda: pa.array(np.full(rows, np.inf)),
    'dates': lambda: pa.array(days, pa.date32()),
    'milliseconds': lambda: pa.array(days.astype(np.int64) * 99, pa.date64()),
    'times': lambda: pa.array(days.astype(np.int64) * 2**20, pa.timestamp('s')),
    'zoned': lambda: pa.array(
      days.astype(np.int64), pa.timestamp('s', 'Asia/Tokyo')
    ),
    'no_zone': lambda: pa.array(
      days.astype(np.int64), pa.timestamp('s', 'Nowhere/At_All')
    ),
    'durations': lambda: pa.array(days.astype(np.int64), pa.duration('s')),
    'lists': lambda: pa.array([[1.0, None]] * rows),
    'structs': lambda: pa.array([{'a': 1, 'b': 'x'}] * rows),
    'invalid_utf8': lambda: pa.Array.from_buffers(
      pa.string(), rows, pa.array([b'\xff\xfe'] * rows, pa.binary()).buffers()
    ),
  }
  others = {
    'dropped': lambda: table.drop_columns(name),
    'doubled': lambda: table.append_column(name, column),
    'renamed': lambda: table.rename_columns(
      [bytes(rng.bytes(5)).decode('latin-1') if n == name else n
       for n in table.schema.names]
    ),
    'shuffled': lambda: table.select(
      [int(i) for i in rng.permutation(table.num_columns)]
    ),
    'misnamed': lambda: table.rename_columns(
      [str(n) for n in rng.permutation(table.schema.names)]
    ),
    'no_rows': lambda: table.slice(0, 0),
    'few_rows': lambda: table.slice(0, int(rng.integers(rows))),
  }  # fmt: skip
  kind = str(rng.choice([*kinds, *others]))
  if kind in others:
    return kind, others[kind]()
  return kind, table.set_column(place, name, kinds[kind]())

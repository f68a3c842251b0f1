"""Errors about invalid data."""


class DataError(ValueError):
  """Data or a setting that cannot be used; the one-line message says why."""


class Refused(DataError):
  """An unusable file, or part of one; the message lacks the file's name.

  The caller that knows the name adds it.

  Attributes:
    reason: what was found and what was expected.
    row: line of a text file, or row of a Parquet file, both counted from 1;
      None if the error is not about one row.
    column: the column's name in the file; '' if the error is not about one
      column.
  """

  def __init__(self, reason: str, row: int | None = None, column: str = ''):
    self.reason, self.row, self.column = reason, row, column
    where = [f'row {row}'] if row is not None else []
    where += [f"column '{column}'"] if column else []
    super().__init__(
      ': '.join([', '.join(where), reason] if where else [reason])
    )


def shown(text: object, length: int = 40) -> str:
  """Makes text printable and cuts it to `length` characters, for messages.

  Unprintable characters are replaced, because files may contain line breaks,
  terminal codes, or bytes that are not text.
  """
  visible = ''.join(
    letter if letter.isprintable() else '\ufffd' for letter in str(text)
  )
  return visible if len(visible) <= length else f'{visible[: length - 3]}...'

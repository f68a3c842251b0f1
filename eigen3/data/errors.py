"""The error of everything that can be wrong with data given to us."""


class DataError(ValueError):
  """A file or an array that cannot be used; one line says which and why."""

"""Defines flags that hold paths, and expands a leading ~ in their values."""

import os
from collections.abc import Mapping
from typing import Any

from absl import flags

# Flags that are defined here on behalf of a program belong to that program.
flags.disclaim_key_flags()


class _Path(flags.ArgumentParser):
  """Parses a path and expands ~, which a shell does not do after `--flag=`."""

  syntactic_help = 'a path'

  def parse(self, argument: str) -> str:
    return os.path.expanduser(argument)

  def flag_type(self) -> str:
    return 'path'


class _Paths(flags.ListParser):
  """Parses paths separated by commas, and expands a leading ~ in each."""

  def parse(self, argument: str | list[str]) -> list[str]:
    return [os.path.expanduser(path) for path in super().parse(argument)]

  def flag_type(self) -> str:
    return 'paths'


def DEFINE_path(
  name: str, default: str | None, help_text: str, **options: Any
) -> flags.FlagHolder:
  """Defines a flag holding one path.

  With `required=True`, an empty path is refused, too.

  Args:
    name: the flag's name.
    default: its default.
    help_text: its help.
    **options: further keyword arguments of absl's `flags.DEFINE`.
  """
  serializer = flags.ArgumentSerializer[str]()
  words = _help_text(help_text, options)
  holder = flags.DEFINE(
    _Path(), name, default, words, serializer=serializer, **options
  )
  _refuse_nothing(name, options)
  return holder


def DEFINE_paths(
  name: str, default: list[str] | None, help_text: str, **options: Any
) -> flags.FlagHolder:
  """Defines a flag holding paths, separated by commas; see `DEFINE_path`."""
  parser, serializer = _Paths(), flags.CsvListSerializer(',')
  words = _help_text(help_text, options)
  holder = flags.DEFINE(
    parser, name, default, words, serializer=serializer, **options
  )
  _refuse_nothing(name, options)
  return holder


def DEFINE_multi_path(
  name: str, default: list[str], help_text: str, **options: Any
) -> flags.FlagHolder:
  """Defines a flag that may be repeated, each time with a path."""
  serializer = flags.ArgumentSerializer[str]()
  return flags.DEFINE_multi(
    _Path(), serializer, name, default, help_text, **options
  )


def _help_text(help_text: str, options: Mapping[str, Any]) -> str:
  """Returns a flag's help; adds 'Required.' if the flag is required."""
  return f'{help_text} Required.' if options.get('required') else help_text


def _refuse_nothing(name: str, options: Mapping[str, Any]) -> None:
  """Makes the flag `name` refuse an empty value, if it is required."""
  if options.get('required'):
    values = options.get('flag_values', flags.FLAGS)
    # An empty path would be the current folder, an empty list no run at all.
    flags.register_validator(
      name,
      lambda paths: paths is None or bool(paths),
      'found no path, expected at least one',
      values,
    )

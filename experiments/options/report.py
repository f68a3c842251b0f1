"""Defines the flags of the program report."""

from experiments import path_flags

RUN = path_flags.DEFINE_paths(
  'run', None, 'Folders of runs that differ by their seed alone; * stands for '
  'any name.', required=True,
)  # fmt: skip
OUT = path_flags.DEFINE_path(
  'out',
  None,
  'HTML file to write; by default report.html in the folder of a single run.',
)
SEARCHED = path_flags.DEFINE_paths(
  'searched',
  [],
  'Other runs and sweeps of the search that led to these runs: the policies '
  'that they validated count as trials of the deflated Sharpe ratio.',
)

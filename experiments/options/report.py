"""Flags of report."""

from experiments import path_flags

RUN = path_flags.DEFINE_paths(
  'run', None, 'Folders of runs that differ by their seed alone; * stands for '
  'any name.', required=True,
)  # fmt: skip
OUT = path_flags.DEFINE_path(
  'out',
  None,
  'The HTML file; of a single run its report.html if this is not given.',
)
SEARCHED = path_flags.DEFINE_paths(
  'searched',
  [],
  'Other runs and sweeps of the search that led to these: what they validated '
  'counts among the trials of the deflated Sharpe ratio.',
)

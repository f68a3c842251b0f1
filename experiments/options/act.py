"""Defines the flags of the program act."""

from absl import flags

from experiments import path_flags

RUN = path_flags.DEFINE_path(
  'run', None, 'Folder of a run, or RUN/checkpoints/STEP.', required=True
)
PANEL = path_flags.DEFINE_path(
  'panel', None, 'File made by experiments.prepare_data.', required=True
)
OUT = path_flags.DEFINE_path(
  'out', None, 'CSV of all stocks; attention is written beside it.'
)
HELD = flags.DEFINE_list(
  'held', [], 'Stocks that are held already; they are not bought again.'
)
EQUITY = flags.DEFINE_float(
  'equity',
  None,
  "Value of cash and positions; by default the run's initial cash.",
)
CASH = flags.DEFINE_float(
  'cash', None, 'Cash that can be spent; by default all of --equity.'
)
TOP = flags.DEFINE_integer(
  'top', 10, 'Number of stocks and columns to show.', lower_bound=1
)

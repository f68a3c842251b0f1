"""Flags of act."""

from absl import flags

from experiments import path_flags

RUN = path_flags.DEFINE_path(
  'run', None, 'Folder of a run, or RUN/checkpoints/STEP.', required=True
)
PANEL = path_flags.DEFINE_path(
  'panel', None, 'File made by experiments.prepare_data.', required=True
)
OUT = path_flags.DEFINE_path(
  'out', None, 'CSV of all stocks; attention goes beside it.'
)
HELD = flags.DEFINE_list('held', [], 'Stocks that are held: passed over.')
EQUITY = flags.DEFINE_float(
  'equity', None, "Money in cash and positions; by default the run's at first."
)
CASH = flags.DEFINE_float('cash', None, 'Of it, what is free; by default all.')
TOP = flags.DEFINE_integer(
  'top', 10, 'Stocks and columns that are shown.', lower_bound=1
)

"""Defines the flags of the program import_eigen2."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset with +eigen2, or a file of settings, a colon and its preset; sizes '
  'of layers are those of the agent. By default full+eigen2.',
)
AGENT = path_flags.DEFINE_path(
  'agent', None, 'Checkpoint of Eigen2, a .pth file.', required=True
)
DATA = path_flags.DEFINE_path(
  'data',
  None,
  "Eigen2's prices and features: a pickled DataFrame, or a CSV.",
  required=True,
)
OUT = path_flags.DEFINE_path(
  'out', None, 'Folder of the run to create.', required=True
)
FIRST_INVESTABLE = flags.DEFINE_integer(
  'first_investable',
  8,
  'First column of the stocks to buy, counted from 0; their number is that of '
  "the agent's networks.",
  lower_bound=0,
)
RECOMPUTE = flags.DEFINE_bool(
  'recompute_features',
  False,
  "Compute features from the prices; by default keep the file's, which the "
  'agent was trained with.',
)

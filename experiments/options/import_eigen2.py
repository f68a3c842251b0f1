"""Flags of import_eigen2."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'A preset with +eigen2, or a file of settings and after a colon its preset; '
  'sizes of layers are those of the agent. By default full+eigen2.',
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
  'out', None, 'Folder of the run to make.', required=True
)
FIRST_INVESTABLE = flags.DEFINE_integer(
  'first_investable',
  8,
  'The first column that may be bought, counted from 0; how many may be is '
  "in the agent's networks.",
  lower_bound=0,
)
RECOMPUTE = flags.DEFINE_bool(
  'recompute_features',
  False,
  'Compute features from the prices; by default those of the file are kept, '
  'by which the agent was trained.',
)

"""Defines the flags of the program export_eigen2."""

from absl import flags

from experiments import path_flags

RUN = path_flags.DEFINE_path(
  'run',
  None,
  'Folder of the run, or RUN/checkpoints/STEP for its champion at that step.',
  required=True,
)
OUT = path_flags.DEFINE_path(
  'out',
  None,
  'File to write, a .pth; an existing one is replaced.',
  required=True,
)
AGENT_ID = flags.DEFINE_integer(
  'agent_id', 0, "The agent's number in a population of Eigen2.", lower_bound=0
)

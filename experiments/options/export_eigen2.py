"""Flags of export_eigen2."""

from absl import flags

from experiments import path_flags

RUN = path_flags.DEFINE_path(
  'run',
  None,
  'Folder of the run, or RUN/checkpoints/STEP for the champion of then.',
  required=True,
)
OUT = path_flags.DEFINE_path(
  'out', None, 'File to write, a .pth; an older one is replaced.', required=True
)
AGENT_ID = flags.DEFINE_integer(
  'agent_id', 0, "Eigen2's number of it in a population.", lower_bound=0
)

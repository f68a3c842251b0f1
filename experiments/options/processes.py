"""Flags of runs of several processes."""

from absl import flags

COORDINATOR = flags.DEFINE_string(
  'coordinator',
  None,
  'Where the first process of a run of several listens, HOST:PORT, with '
  '--num_processes and --process_id; or auto, where JAX finds out by itself '
  '(Slurm, Open MPI, Cloud TPUs).',
)
NUM_PROCESSES = flags.DEFINE_integer(
  'num_processes', None, 'Processes that make this run.', lower_bound=1
)
PROCESS_ID = flags.DEFINE_integer(
  'process_id',
  None,
  'Which of them this one is; 0 writes and talks.',
  lower_bound=0,
)

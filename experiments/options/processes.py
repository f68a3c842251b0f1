"""Defines flags for runs that consist of several processes."""

from absl import flags

COORDINATOR = flags.DEFINE_string(
  'coordinator',
  None,
  'Address, HOST:PORT, at which the first process of a run of several listens, '
  'with --num_processes and --process_id; or auto, if JAX can detect it '
  '(Slurm, Open MPI, Cloud TPUs).',
)
NUM_PROCESSES = flags.DEFINE_integer(
  'num_processes', None, 'Number of processes of this run.', lower_bound=1
)
PROCESS_ID = flags.DEFINE_integer(
  'process_id',
  None,
  'Number of this process, from 0; process 0 writes and prints.',
  lower_bound=0,
)

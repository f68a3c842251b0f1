"""Defines the flags of the program export."""

from absl import flags

from experiments import path_flags

RUN = path_flags.DEFINE_path(
  'run', None, 'Folder of a run, or RUN/checkpoints/STEP.', required=True
)
OUT = path_flags.DEFINE_path(
  'out',
  None,
  'File to write, a .zip; an existing one is replaced.',
  required=True,
)
PLATFORMS = flags.DEFINE_list(
  'platforms', ['cpu', 'cuda', 'rocm', 'tpu'], 'Platforms to export for.'
)

"""Defines the flags of the program sweep."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'Settings, with a colon and their preset; by default td3/small.',
)
WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the sweep; must not hold one yet.', required=True
)
RESUME = flags.DEFINE_bool(
  'resume', False, 'Resumes the sweep in the folder, or joins it.'
)

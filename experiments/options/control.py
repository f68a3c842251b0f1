"""Defines the flags of the program control."""

from absl import flags

from experiments import command_line, path_flags

CONFIG = command_line.define_config(
  'Settings; by default experiments/configs/control.py.'
)
ENV = flags.DEFINE_string('env', 'Pendulum-v1', 'Name of a Gymnasium task.')
SEED = flags.DEFINE_list('seed', ['0'], 'Seeds, each at least 0.')
WORKDIR = path_flags.DEFINE_path(
  'workdir', None, 'Folder of the result; must not hold one yet.', required=True
)

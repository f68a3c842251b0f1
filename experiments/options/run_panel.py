"""Defines the flag --run_panel of programs that read finished runs."""

from experiments import path_flags

RUN_PANEL = path_flags.DEFINE_path(
  'run_panel',
  None,
  'New path of the panel that the runs were trained on, if it was moved.',
)

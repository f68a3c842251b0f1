"""Sweeps over the tiny program.

python -m tiny_sweep PAUSE ARGUMENTS of experiments.sweep

PAUSE is what the program waits in each step, in seconds.
"""

import json
import pathlib
import sys

from experiments import mains
from experiments.commands import COMMANDS
from experiments.sweep import __main__ as sweep_main
from experiments.sweep import runs

PROGRAM = pathlib.Path(__file__).with_name('tiny_program.py')


def make_command(config, pause):
  """Makes the tiny program's command, in place of `runs.make_command`."""

  def command(values, seed, workdir, resume):
    steps = config.settings.learner.iterations
    return [
      *(sys.executable, '-S', str(PROGRAM), str(workdir), str(seed)),
      *(str(int(resume)), str(steps), str(pause), json.dumps(values)),
    ]

  return command


if __name__ == '__main__':
  pause = float(sys.argv.pop(1))
  runs.make_command = lambda config, devices: make_command(config, pause)
  mains.run(sweep_main.main, COMMANDS['sweep'].default_config)

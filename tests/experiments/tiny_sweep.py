"""Serves sweeps of the tiny program, in forks of a process that is ready.

For each line of JSON on stdin, {'arguments': of experiments.sweep, 'output': a
file's beginning, 'pause': of the program's steps}, it forks, prints the number
of the new process and, after that has ended, its exit status.
"""

import json
import os
import pathlib
import sys

from experiments import mains
from experiments.sweep import __main__ as sweep_main
from experiments.sweep import runs

PROGRAM = pathlib.Path(__file__).with_name('tiny_program.py')


def make_command(config, pause):
  """How the tiny program is called, in place of `runs.make_command`."""

  def command(values, seed, workdir, resume):
    steps = config.settings.learner.iterations
    return [
      *(sys.executable, '-S', str(PROGRAM), str(workdir), str(seed)),
      *(str(int(resume)), str(steps), str(pause), json.dumps(values)),
    ]

  return command


def sweep(arguments, output, pause):
  for target, name in ((1, 'out'), (2, 'err')):
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    os.dup2(os.open(f'{output}.{name}', flags), target)
  sys.argv = ['sweep', *arguments]
  runs.make_command = lambda config, devices: make_command(config, pause)
  status = 1
  try:
    mains.run(sweep_main.main, sweep_main._DEFAULT_CONFIG)
  except SystemExit as end:
    status = end.code or 0
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
    # Without taking apart what was imported, which takes longer than the rest.
    os._exit(status)


def serve():
  for line in sys.stdin:
    process = os.fork()
    if not process:
      sweep(**json.loads(line))
    print(process, flush=True)
    status = os.waitpid(process, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == '__main__':
  serve()

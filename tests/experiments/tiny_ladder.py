"""A ladder whose runs train nothing.

python -m tiny_ladder ARGUMENTS of experiments.ladder
"""

import functools
import pathlib
import sys
from unittest import mock

from experiments import mains
from experiments.commands import COMMANDS
from experiments.jobs import cells, program
from experiments.ladder import __main__ as ladder

HERE = pathlib.Path(__file__).parent
RUN = f"""
import pathlib, sys, time
sys.path.insert(0, {str(HERE)!r})
from finished_runs import write_run
run, policy, seed = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with run.with_name(f'starts{{seed}}').open('a') as file:
  file.write('0')
time.sleep(0.5)
write_run(run, policy, seed, commit='abc')
"""


def command(self, folder, seed, devices, goes_on):
  del devices, goes_on
  policy = 'ranker' if self.program == 'ranker' else 'agent'
  run = self.run(folder, seed)
  return [sys.executable, '-c', RUN, str(run), policy, str(seed)]


if __name__ == '__main__':
  work = program.Program(
    ladder.check_settings, ladder.cells_of, ladder.write_results
  )
  with mock.patch.object(cells.Cell, '_command', command):
    mains.run(
      functools.partial(program.main, program=work),
      COMMANDS['ladder'].default_config,
    )

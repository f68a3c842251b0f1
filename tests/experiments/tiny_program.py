"""A program with the manners of the training programs and nothing to train.

python tiny_program.py WORKDIR SEED RESUME STEPS PAUSE VALUES

Its objective after a step is `agent.gamma` times the step, plus the seed. It
fails at once where `environment.fill` is 'close', and without a word half way
where that is 'limit'.
"""

import csv
import json
import os
import pathlib
import signal
import sys
import time


def main(workdir, seed, resume, steps, pause, values):
  stop, begin = [], time.time()

  def remember(*unused):
    if stop:  # A second one means now.
      sys.exit(1)
    stop.append(True)

  signal.signal(signal.SIGTERM, remember)
  workdir, values = pathlib.Path(workdir), json.loads(values)
  fill = values.get('environment.fill')
  if fill == 'close':
    print('error: environment.fill: found close', flush=True)
    return 1
  metrics, done = workdir / 'metrics.csv', 0
  if resume == '1':
    assert (workdir / 'config.json').exists()
    if metrics.exists():
      with metrics.open(newline='') as file:
        done = max(0, len(list(csv.reader(file))) - 1)
  else:
    assert not workdir.exists(), 'found the folder of a run'
    workdir.mkdir()
    (workdir / 'config.json').write_text('{}')
  with (workdir.parent / f'starts{seed}').open('a') as file:
    file.write(resume)
  with metrics.open('a') as file:
    if not file.tell():
      file.write('iteration,seconds,validation_profit\n')
      file.flush()
    for step in range(done + 1, int(steps) + 1):
      time.sleep(float(pause))
      if fill == 'limit' and step == int(steps) // 2:
        os.kill(os.getpid(), signal.SIGKILL)
      profit = values.get('agent.gamma', 0.0) * step + int(seed)
      file.write(f'{step},1.5,{profit}\n')
      file.flush()
      if stop:
        time.sleep(0.4)  # as if it saved
        print('stopped; add --resume to continue', flush=True)
        return 130
  (workdir / 'summary.json').write_text(json.dumps([begin, time.time()]))
  return 0


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))

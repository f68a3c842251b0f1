"""A run with the manners of a training program and nothing to train.

python -S tiny_run.py WORKDIR GOES_ON STEPS PAUSE HOW

HOW is 'well', 'failing' (an error at once) or 'killed' (half way).
"""

import json
import os
import pathlib
import signal
import sys
import time


def main(workdir, goes_on, steps, pause, how):
  workdir, stop = pathlib.Path(workdir), []
  signal.signal(signal.SIGTERM, lambda *unused: stop.append(True))
  if how == 'failing':
    print('error: no such setting')
    return 1
  if goes_on == '0':
    workdir.mkdir(exist_ok=True)
    found = {*os.listdir(workdir)} - {'holdout.json'}
    assert not found, 'found the folder of a run'
    (workdir / 'config.json').write_text('{}')
  with (workdir.parent / f'{workdir.name}.starts').open('a') as file:
    file.write(goes_on)
  steps_log = workdir / 'steps'
  for step in range(int(steps)):
    with steps_log.open('a+') as file:
      if file.tell() > step:
        continue
      time.sleep(float(pause))
      file.write('.')
    if how == 'killed' and step == int(steps) // 2:
      os.kill(os.getpid(), signal.SIGKILL)
    if stop:
      return 130
  (workdir / 'summary.json').write_text(json.dumps(time.time()))
  return 0


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))

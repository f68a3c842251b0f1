"""Counts the calls between a training program's `main` and its gradient.

python tests/count_frames.py

Traces the first update of a smoke run and prints the project's frames on the
stack when the critic's gradient is taken, as a reader would have to follow
them. Exit status 1 if there are more than 8 in 4 files.
"""

import pathlib
import sys
import tempfile
import traceback

import jax

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST_FRAMES, MOST_FILES = 8, 4


class Found(BaseException):
  """The gradient was asked for; holds the frames until there."""


def frames_to_gradient() -> list[traceback.FrameSummary]:
  """From `training.main` on, outermost first."""
  from absl import flags

  from experiments import td3, training

  gradient = jax.value_and_grad

  def traced(*arguments, **options):
    del arguments, options
    own = [
      frame
      for frame in traceback.extract_stack()[:-1]
      if pathlib.Path(frame.filename).is_relative_to(ROOT)
      and not pathlib.Path(frame.filename).is_relative_to(ROOT / 'tests')
      and '.venv' not in frame.filename
    ]
    raise Found(own)

  jax.value_and_grad = traced
  try:
    with tempfile.TemporaryDirectory() as folder:
      flags.FLAGS(
        [
          'td3',
          f'--config={ROOT}/experiments/configs/td3.py:smoke',
          f'--workdir={folder}/run',
        ]
      )
      training.main(['td3'], td3.PROGRAM)
  except Found as found:
    return found.args[0]
  finally:
    jax.value_and_grad = gradient
  raise AssertionError('no gradient was taken')


def main() -> int:
  """Prints the frames; 0 if they are few enough."""
  frames = frames_to_gradient()
  for number, frame in enumerate(frames, 1):
    name = pathlib.Path(frame.filename).relative_to(ROOT)
    print(f'{number:2} {name}:{frame.lineno} {frame.name}')
  files = {frame.filename for frame in frames}
  print(f'{len(frames)} frames in {len(files)} files')
  return len(frames) > MOST_FRAMES or len(files) > MOST_FILES


if __name__ == '__main__':
  sys.exit(main())

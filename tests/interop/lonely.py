"""Acts by an exported policy where neither eigen3 nor Haiku can be imported.

python lonely.py POLICY OUT runs the example of docs/interop.md on what the file
holds, and keeps its actions.
"""

import pathlib
import re
import sys

import numpy as np

for name in ('eigen3', 'haiku', 'experiments'):
  sys.modules[name] = None  # importing it is an error from now on

ROOT = pathlib.Path(__file__).resolve().parents[2]


def example():
  """Returns the code block of the page that reads the file."""
  page = (ROOT / 'docs' / 'interop.md').read_text(encoding='utf-8')
  return re.search(r'```python\n(import io\n.*?)```', page, re.DOTALL)[1]


if __name__ == '__main__':
  names = {}
  exec(example().replace('policy.zip', sys.argv[1]), names)
  np.save(sys.argv[2], names['actions'])

"""Tests of experiments.mains: what a failure looks like to a user."""

import subprocess
import sys

MAIN = """
import jax
from experiments import mains

def main(argv):
  {body}

mains.run(main)
"""


def fail(body):
  return subprocess.run(
    [sys.executable, '-c', MAIN.format(body=body)],
    capture_output=True,
    text=True,
    check=False,
  )


def test_a_full_device_is_one_line():
  run = fail('jax.block_until_ready(jax.numpy.zeros(2**46))')
  assert run.returncode == 1
  assert len(run.stderr.splitlines()) == 1, run.stderr
  assert run.stderr.startswith('error: the memory of the device is full: Out')
  assert 'agent.batch_size' in run.stderr


def test_a_defect_keeps_its_traceback():
  run = fail("raise jax.errors.JaxRuntimeError('INTERNAL: a defect')")
  assert run.returncode == 1
  assert 'Traceback' in run.stderr
  assert 'INTERNAL: a defect' in run.stderr

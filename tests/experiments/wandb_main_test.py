"""A training program with W&B, by its package, offline."""

import forks
import pandas as pd
import pytest

BLOCKED = """
import runpy, sys
sys.modules['wandb'] = None  # importing it is an error from now on
runpy.run_module('experiments.td3', run_name='__main__', alter_sys=True)
"""


@pytest.mark.long  # weights_and_biases_test.py has the same without training
def test_a_run_goes_to_wandb_too(programs, tmp_path):
  pytest.importorskip('wandb', reason='wandb is not installed')
  folder = tmp_path / 'mine'
  run = forks.run(
    *('-m', 'experiments.td3', *programs.arguments('td3')),
    '--config.learner.iterations=2',
    *(f'--workdir={folder}', '--wandb=mine', '--nopage', '--holdout=no'),
    JAX_COMPILATION_CACHE_DIR=str(programs.compiled),
    WANDB_MODE='offline',
  )
  assert run.returncode == 0, run.stderr
  (file,) = folder.glob('wandb/offline-run-*/*.wandb')
  losses = pd.read_csv(folder / 'metrics.csv', dtype=str)['critic_loss']
  losses = losses.dropna()
  assert len(losses) == 2
  content = file.read_bytes()
  for loss in losses:  # as JSON among binary records
    assert loss.encode() in content


def test_without_the_package_nothing_is_begun(tmp_path):
  folder = tmp_path / 'mine'
  run = forks.run('-c', BLOCKED, f'--workdir={folder}', '--wandb=mine')
  assert run.returncode == 1
  assert run.stderr == (
    'error: --wandb: found no package wandb, expected it to be installed: pip '
    "install 'eigen3[wandb]'\n"
  )
  assert not folder.exists()

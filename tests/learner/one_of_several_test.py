"""Tests of eigen3.learner in a run of two real processes.

Between them they have the four devices that another run has alone.
"""

import json
import os
import pathlib

import forks
import jax
import jax.numpy as jnp
import numpy as np
import one_of_several
import pandas as pd
import pytest
import several_processes
import small_run

from eigen3.learner import population_record
from eigen3.runs.checkpoint import Checkpointer

# Both runs together take a minute.
pytestmark = pytest.mark.long

SCRIPT = pathlib.Path(one_of_several.__file__)


def run(folder, count):
  """Returns the output of a run's processes, (stdout, stderr) of each."""
  ended = several_processes.finish(
    several_processes.start(
      count,
      lambda address, this: (SCRIPT, folder, address, count, this),
      JAX_NUM_CPU_DEVICES=str(4 // count),
      PYTHONPATH=str(forks.ROOT),
    )
  )
  for status, _, stderr in ended:
    assert status == 0, stderr
  return [said for _, *said in ended]


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """Returns the folder of all runs, and the two processes' output."""
  folder = tmp_path_factory.mktemp('runs')
  run(folder, 1)
  return folder, run(folder, 2)


def restore(folder):
  """Returns the newest state of a run, on this process's only device."""
  learner = small_run.make_population(one_of_several.make_config())
  shapes = jax.eval_shape(learner.init, jax.random.PRNGKey(0))
  like = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  checkpointer = Checkpointer(folder / 'checkpoints', 3, 'abc')
  step, state = checkpointer.restore_latest(like)
  checkpointer.close()
  assert step == one_of_several.TOTAL
  return small_run.on_host(state)


def test_two_processes_train_what_one_does(runs):
  folder, _ = runs
  one, several = (restore(folder / name) for name in ('one', 'several'))
  for (path, a), b in zip(
    jax.tree_util.tree_leaves_with_path(several),
    jax.tree.leaves(one),
    strict=True,
  ):
    name = jax.tree_util.keystr(path)
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
  for name in (
    'metrics.csv',
    population_record.MEMBERS,
    population_record.IMPORTANCE,
  ):
    a, b = (pd.read_csv(folder / run / name) for run in ('several', 'one'))
    assert len(a) >= one_of_several.TOTAL
    pd.testing.assert_frame_equal(
      a.drop(columns='seconds', errors='ignore'),
      b.drop(columns='seconds', errors='ignore'),
      rtol=1e-5,
      atol=1e-6,
    )


def test_what_one_saved_two_restore_and_save_bit_for_bit(runs):
  folder, _ = runs
  one, copied = (
    json.loads(
      (
        folder / f'{name}/checkpoints/{one_of_several.TOTAL}/metadata.json'
      ).read_text()
    )
    for name in ('one', 'copied')
  )
  assert one.keys() == copied.keys()
  # The copy was saved without a score.
  for name in one.keys() - {'score', 'checksum'}:
    assert one[name] == copied[name], name
  assert len(one['digest']) == 64


def test_only_the_first_process_writes_and_talks(runs):
  folder, ((_, first), (_, last)) = runs
  files = sorted(os.listdir(folder / 'several'))
  assert files == sorted(os.listdir(folder / 'one'))
  assert len(os.listdir(folder / 'several/tensorboard')) == 1
  assert 'generation/s' in first
  assert 'generation/s' not in last
  # Both stopped, though only the last was asked to.
  assert 'SIGINT: saving after this generation' in last
  assert 'SIGINT' not in first


def test_all_processes_share_a_lock_and_are_refused_together(runs):
  folder, ((first, _), (last, _)) = runs
  refused = f'refused: {folder}/several: found it in use'
  assert f'\n{refused} by process ' in f'\n{first}'
  assert f'\n{refused} by another process, expected ' in f'\n{last}'
  for stdout in (first, last):
    assert stdout.count('refused: ') == 1
    assert 'locked' not in stdout
  for name in ('one', 'several'):
    assert not (folder / name / 'lock').exists()

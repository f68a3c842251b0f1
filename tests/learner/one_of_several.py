"""One process of a small run; see one_of_several_test.py.

python one_of_several.py FOLDER ADDRESS NUM_PROCESSES PROCESS_ID

Alone it trains in FOLDER/one. As one of several it restores that run and saves
it again in FOLDER/copied; then it trains in FOLDER/several, is stopped by an
interrupt of the last process, and resumes. While all train there they hold one
lock, which is refused to all of them while somebody else has it.
"""

import contextlib
import os
import pathlib
import signal
import sys

import jax
import numpy as np
import small_run

from eigen3 import parallel
from eigen3.learner import loop
from eigen3.learner.population_record import PopulationRecord
from eigen3.runs import lock
from eigen3.runs.checkpoint import Checkpointer

TOTAL, STOPPED = 4, 2  # generations
COLUMNS = ('an index', 'A, Inc.', 'B', 'C')


def make_config():
  config = small_run.make_population_config(population_size=8)
  config.learner.generations = TOTAL
  config.learner.checkpoint_every = 3
  return config.lock()


class Interrupted:
  """A learner that is interrupted in its last generation before a stop."""

  def __init__(self, learner):
    self._learner = learner
    self._calls = 0

  def __getattr__(self, name):
    return getattr(self._learner, name)

  def iterate(self, state):
    self._calls += 1
    if self._calls == STOPPED:
      os.kill(os.getpid(), signal.SIGINT)
    return self._learner.iterate(state)


def train(folder, learner, config, resume=False):
  def evaluate(agent):
    actions = learner.greedy_actions(agent, np.arange(20, 60))
    return {'validation_profit': float(np.mean(actions[..., 0])) - 1.0}

  if parallel.is_first_process():
    folder.mkdir(exist_ok=True)
  parallel.wait_for_all()
  with lock.locked(folder):
    assert len(lock.holders_of(folder)) == 1
    checkpointer = Checkpointer(folder / 'checkpoints', 3, 'abc')
    try:
      record = PopulationRecord(
        learner, evaluate, folder, config.learner, COLUMNS
      )
      return loop.train(learner, record, checkpointer, config, resume)
    finally:
      checkpointer.close()


def be_refused(folder):
  """Tries to take a held lock; prints why it was refused."""
  with contextlib.ExitStack() as stack:
    if parallel.is_first_process():
      folder.mkdir()
      stack.enter_context(contextlib.closing(lock.Lock(folder)))
    parallel.wait_for_all()
    try:
      with lock.locked(folder):
        print('locked', flush=True)
    except ValueError as error:
      print(f'refused: {error}', flush=True)
    parallel.wait_for_all()


def main(folder, address, count, this):
  if count > 1:
    jax.distributed.initialize(address, count, this)
  assert jax.device_count() == 4
  config = make_config()
  learner = small_run.make_population(
    config, parallel.make_mesh(devices_per_agent=1)
  )
  if count == 1:
    _, done = train(folder / 'one', learner, config)
    assert done
    return

  one, copied = (
    Checkpointer(folder / name / 'checkpoints', 3, 'abc')
    for name in ('one', 'copied')
  )
  fresh = learner.init(jax.random.PRNGKey(1))
  step, state = one.restore_latest(fresh)
  assert step == TOTAL
  for found, like in zip(
    jax.tree.leaves(state.agents), jax.tree.leaves(fresh.agents), strict=True
  ):
    assert found.sharding == like.sharding
    assert not found.is_fully_addressable
  copied.save(step, state)
  for checkpointer in (one, copied):
    checkpointer.close()

  be_refused(folder / 'several')
  last = this == count - 1
  state, done = train(
    folder / 'several', Interrupted(learner) if last else learner, config
  )
  assert not done
  assert int(state.generation) == STOPPED
  _, done = train(folder / 'several', learner, config, resume=True)
  assert done


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))

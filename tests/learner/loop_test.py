"""Tests of eigen3.learner.loop: an interrupted run is resumed."""

import io
import os
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import small_run
import tqdm

from eigen3.learner import guards, loop
from eigen3.learner.agent_record import AgentRecord
from eigen3.runs.checkpoint import Checkpointer, CheckpointError

DAYS = np.arange(20, 60)
HASH = 'abc'


@pytest.fixture(scope='module')
def settings(config):
  """Seven iterations, with validation every second, a save every third."""
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    changed.learner.iterations = 7
    changed.learner.evaluate_every = 2
    changed.learner.checkpoint_every = 3
  return changed.lock()


class Validation:
  """Scores an agent; `at` maps the number of a call to an action."""

  def __init__(self, learner, at=None):
    self._learner = learner
    self._at = at or {}
    self.calls = 0

  def __call__(self, agent):
    self._at.get(self.calls, lambda: None)()
    self.calls += 1
    actions = self._learner.greedy_actions(agent, DAYS)
    return {
      'validation_profit': float(jnp.mean(actions[..., 0])) - 1.0,
      'validation_trades': 3.0,
    }


class Altered:
  """A learner whose state is changed around iterations."""

  def __init__(self, learner, before=lambda s: s, after=lambda s: s):
    self._learner = learner
    self._before = before
    self._after = after

  def __getattr__(self, name):
    return getattr(self._learner, name)

  def iterate(self, state):
    state, told = self._learner.iterate(self._before(state))
    return self._after(state), told


def train(folder, learner, evaluate, settings, resume=False, data_hash=HASH):
  checkpointer = Checkpointer(folder / 'checkpoints', 3, data_hash)
  try:
    record = AgentRecord(learner, evaluate, folder, settings.learner)
    state, done = loop.train(learner, record, checkpointer, settings, resume)
  finally:
    checkpointer.close()
  return small_run.on_host(state), done


def metrics_of(folder):
  """Returns the metrics as text, without the seconds."""
  found = pd.read_csv(folder / 'metrics.csv', dtype=str)
  assert found['seconds'].iloc[1:].notna().all()
  return found.drop(columns='seconds')


def saved_in(folder):
  return sorted(int(name) for name in os.listdir(folder / 'checkpoints'))


def assert_equal_runs(folder, state, whole):
  whole_folder, whole_state = whole
  small_run.assert_equal_bits(state, whole_state)
  pd.testing.assert_frame_equal(metrics_of(folder), metrics_of(whole_folder))


def interrupt(number=signal.SIGINT):
  os.kill(os.getpid(), number)


def fail():
  raise RuntimeError('the machine lost power')


@pytest.fixture(scope='module')
def whole(learner, settings, tmp_path_factory):
  """Returns folder and final state of an uninterrupted run."""
  folder = tmp_path_factory.mktemp('whole')
  state, done = train(folder, learner, Validation(learner), settings)
  assert done
  return folder, state


def test_a_run_validates_logs_and_saves(whole, learner, settings):
  folder, state = whole
  metrics = pd.read_csv(folder / 'metrics.csv')
  assert metrics['iteration'].tolist() == list(range(8))
  scored = metrics.dropna(subset=['validation_profit'])
  # Before training, every second iteration, and the last.
  assert scored['iteration'].tolist() == [0, 2, 4, 6, 7]
  assert metrics['updates'].dropna().tolist() == list(range(4, 29, 4))
  assert saved_in(folder) == [3, 6, 7]
  best = int(scored['validation_profit'].idxmax())
  assert int(state.champion.iteration) == best
  assert float(state.champion.score) == pytest.approx(
    scored['validation_profit'].max()
  )
  if best == 7:
    small_run.assert_equal_bits(
      state.champion.params, state.agent.actor.online_params
    )
  # The last checkpoint is the state that was returned.
  checkpointer = Checkpointer(folder / 'checkpoints', 3, HASH)
  like = learner.init(jax.random.PRNGKey(settings.seed))
  step, restored = checkpointer.restore_latest(like)
  checkpointer.close()
  assert step == 7
  small_run.assert_equal_bits(restored, state)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_resumes_bit_for_bit(
  tmp_path, learner, settings, whole, number, capsys
):
  before = signal.getsignal(number)
  evaluate = Validation(learner, {2: lambda: interrupt(number)})
  state, done = train(tmp_path, learner, evaluate, settings)
  assert not done
  assert int(state.iteration) == 4  # the third validation is that of 4
  assert saved_in(tmp_path) == [0, 3, 4]
  assert (
    f'{number.name}: saving after this iteration' in capsys.readouterr().err
  )
  assert signal.getsignal(number) is before
  state, done = train(
    tmp_path, learner, Validation(learner), settings, resume=True
  )
  assert done
  assert_equal_runs(tmp_path, state, whole)


def test_a_run_that_has_not_begun_begins_when_it_is_resumed(
  tmp_path, learner, settings, whole, first_state
):
  """As for a run whose agent was imported."""
  warm_up = int(first_state.environment_steps)
  assert warm_up > 0
  final = warm_up + 7 * learner.steps_per_iteration
  assert int(whole[1].environment_steps) == final
  checkpointer = Checkpointer(tmp_path / 'checkpoints', 3, HASH)
  blank = learner.blank(jax.random.PRNGKey(settings.seed))
  assert int(blank.replay.size) == int(blank.environment_steps) == 0
  checkpointer.save(0, blank)
  checkpointer.close()

  def resume():
    state, done = train(
      tmp_path, learner, Validation(learner), settings, resume=True
    )
    assert done
    assert_equal_runs(tmp_path, state, whole)

  shutil.copytree(tmp_path / 'checkpoints', tmp_path / 'before')
  resume()
  # Once more, as after a kill before the first checkpoint of its own.
  shutil.rmtree(tmp_path / 'checkpoints')
  (tmp_path / 'before').rename(tmp_path / 'checkpoints')
  resume()


def test_a_second_interrupt_leaves_at_once(tmp_path, learner, settings, whole):
  def twice():
    interrupt()
    interrupt()

  before = signal.getsignal(signal.SIGINT)
  evaluate = Validation(learner, {2: twice})
  with pytest.raises(KeyboardInterrupt):
    train(tmp_path, learner, evaluate, settings)
  assert signal.getsignal(signal.SIGINT) is before
  assert saved_in(tmp_path) == [0, 3]  # 4 was not saved
  state, done = train(
    tmp_path, learner, Validation(learner), settings, resume=True
  )
  assert done
  assert_equal_runs(tmp_path, state, whole)


def test_a_crash_resumes_from_the_last_checkpoint(
  tmp_path, learner, settings, whole
):
  # In the validation of 6: the iterations 4 and 5 are logged, not saved.
  with pytest.raises(RuntimeError):
    train(tmp_path, learner, Validation(learner, {3: fail}), settings)
  assert saved_in(tmp_path) == [0, 3]
  assert metrics_of(tmp_path)['iteration'].tolist() == list('012345')
  state, _ = train(
    tmp_path, learner, Validation(learner), settings, resume=True
  )
  assert_equal_runs(tmp_path, state, whole)


def test_a_cut_checkpoint_costs_only_time(tmp_path, learner, settings, whole):
  with pytest.raises(RuntimeError):
    train(tmp_path, learner, Validation(learner, {4: fail}), settings)
  assert saved_in(tmp_path) == [0, 3, 6]
  file = tmp_path / 'checkpoints' / '6' / 'state.npz'
  os.truncate(file, file.stat().st_size // 2)
  state, _ = train(
    tmp_path, learner, Validation(learner), settings, resume=True
  )
  assert_equal_runs(tmp_path, state, whole)
  assert saved_in(tmp_path) == [3, 6, 7]


def test_a_crash_before_the_first_checkpoint_starts_over(
  tmp_path, learner, settings, whole
):
  with pytest.raises(RuntimeError):
    train(tmp_path, learner, Validation(learner, {0: fail}), settings)
  state, _ = train(
    tmp_path, learner, Validation(learner), settings, resume=True
  )
  assert_equal_runs(tmp_path, state, whole)


def test_a_finished_run_stays_as_it_is(tmp_path, learner, settings, whole):
  for _ in range(2):
    state, done = train(
      tmp_path, learner, Validation(learner), settings, resume=True
    )
    assert done
    assert_equal_runs(tmp_path, state, whole)


def test_more_iterations_go_on(tmp_path, learner, settings, whole):
  shorter = settings.copy_and_resolve_references()
  shorter.learner.iterations = 4  # even: 4 is validated in both runs
  state, done = train(tmp_path, learner, Validation(learner), shorter)
  assert done
  assert int(state.iteration) == 4
  state, _ = train(
    tmp_path, learner, Validation(learner), settings, resume=True
  )
  assert_equal_runs(tmp_path, state, whole)


def test_other_data_is_not_resumed(tmp_path, learner, settings):
  shorter = settings.copy_and_resolve_references()
  shorter.learner.iterations = 1
  train(tmp_path, learner, Validation(learner), shorter)
  with pytest.raises(CheckpointError, match='data_hash: found abc, expected x'):
    train(tmp_path, learner, Validation(learner), settings, True, data_hash='x')


def with_nan_in(network, iteration):
  """Puts a NaN in a network after so many iterations."""

  def plant(state):
    if int(state.iteration) != iteration:
      return state
    found = getattr(state.agent, network)
    module = max(found.online_params)
    params = dict(found.online_params)
    weights = params[module]['w']
    params[module] = {**params[module], 'w': weights.at[0, 0].set(jnp.nan)}
    return state._replace(
      agent=state.agent._replace(
        **{network: found._replace(online_params=params)}
      )
    )

  return plant


def test_a_parameter_that_is_not_finite_stops(tmp_path, learner, settings):
  altered = Altered(learner, after=with_nan_in('actor', 5))
  with pytest.raises(guards.NonFiniteError) as error:
    train(tmp_path, altered, Validation(learner), settings)
  assert str(error.value) == (
    'actor: head/w: found nan after iteration 5, expected finite numbers; the '
    'run stopped and keeps its last checkpoint'
  )
  assert saved_in(tmp_path) == [0, 3]
  assert metrics_of(tmp_path)['iteration'].tolist() == list('01234')


def test_a_loss_that_is_not_finite_stops(tmp_path, learner, settings, whole):
  altered = Altered(learner, before=with_nan_in('critic', 6))
  with pytest.raises(guards.NonFiniteError) as error:
    train(tmp_path, altered, Validation(learner), settings)
  assert str(error.value) == (
    'critic_loss: found nan in update 1 of iteration 7, expected a finite '
    'number; the run stopped and keeps its last checkpoint'
  )
  # The last good state is there to go on from.
  assert saved_in(tmp_path) == [0, 3, 6]
  state, _ = train(
    tmp_path, learner, Validation(learner), settings, resume=True
  )
  assert_equal_runs(tmp_path, state, whole)


def test_the_estimate_leaves_out_what_compiles():
  """A first iteration of 100 s before nine of 2 s."""
  clock = 0.0
  bar = tqdm.tqdm(total=10, file=io.StringIO(), mininterval=0.0)
  bar._time = lambda: clock
  bar.start_t = bar.last_print_t = clock
  remark = loop.Remark(None, None, '')
  for number in range(4):
    clock += 2.0 if number else 100.0
    loop._advance(bar, remark, compiled=number == 0)
  assert bar.n == 4
  assert bar.format_dict['elapsed'] == 6.0
  assert '4/10 [00:06<00:12' in str(bar)

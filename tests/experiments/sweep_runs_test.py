"""Tests of experiments.sweep.runs."""

import signal
import sys

import pytest
from absl import flags
from ml_collections import config_flags

from experiments.configs import flatten, sweep
from experiments.jobs import scheduler
from experiments.sweep import runs

# Of ml_collections, where it loads a config's file.
pytestmark = pytest.mark.filterwarnings('ignore:the load_module')

HEADER = 'iteration,seconds,validation_profit,q\n'


def read(path, text, objective='validation_profit'):
  path.write_text(text)
  return runs.read_progress(path, objective)


def test_the_best_value_so_far_is_read(tmp_path):
  path = tmp_path / 'metrics.csv'
  rows = '0,,0.5,\n1,2.5,,1.0\n2,1.5,0.25,1.0\n3,1.0,nan,1.0\n4,1.0,0.75,1.0\n'
  progress = read(path, HEADER + rows)
  assert progress.best == [(0, 0.5), (2, 0.5), (4, 0.75)]
  assert progress.seconds == 6.0
  # Losses begin with the first that is there, not with 0.
  assert read(path, HEADER + '3,1,-2,\n5,1,-1,\n').best == [(3, -2), (5, -1)]


def test_a_line_that_is_being_written_is_left_for_later(tmp_path):
  path = tmp_path / 'metrics.csv'
  assert runs.read_progress(path, 'q') == ([], 0.0)
  for text in ('', HEADER[:20], HEADER[:-1], HEADER, HEADER + '0,,0.'):
    assert read(path, text) == ([], 0.0)
  assert read(path, HEADER + '0,,0.5,\n1,2.0,0.7').best == [(0, 0.5)]


def test_an_unknown_objective_is_named(tmp_path):
  with pytest.raises(ValueError, match="objective: found 'profit', expected o"):
    read(tmp_path / 'metrics.csv', HEADER, 'profit')


@pytest.fixture
def settings_after(monkeypatch):
  """Returns the settings and flags that a program reads from its command."""

  def settings_after(command):
    # Where flags of a config's fields are looked for.
    monkeypatch.setattr(sys, 'argv', ['program', *command[3:]])
    return parse(sys.argv)

  return settings_after


def parse(argv):
  values = flags.FlagValues()
  holder = config_flags.DEFINE_config_file('config', flag_values=values)
  flags.DEFINE_string('workdir', None, '', flag_values=values)
  flags.DEFINE_string('holdout', None, '', flag_values=values)
  flags.DEFINE_bool('resume', False, '', flag_values=values)
  flags.DEFINE_bool('page', True, '', flag_values=values)
  flags.DEFINE_integer('cpu_devices', 0, '', flag_values=values)
  values(argv)
  return holder.value, values


@pytest.mark.parametrize('preset', ['td3/smoke', 'erl/small+eigen2'])
def test_the_command_says_all_settings(preset, tmp_path, settings_after):
  config = sweep.get_config(preset)
  config.settings.agent.gamma = 0.1 + 0.2
  config.settings.data.panel = 'a file, (1).parquet'
  config.settings.networks.lstm_save_gates = (True, True)
  config.settings.environment.enforce_cash = False
  command = runs.make_command(config, devices=3)
  values = {
    'agent.tau': 1e-05,
    'agent.gamma': 0.25,
    'networks.critic.sizes': (8,),
    'data.observed_features': ('close',),
    'networks.remat': True,
  }
  argv = command(values, 7, tmp_path / 'run', False)
  assert argv[:3] == [sys.executable, '-m', f'experiments.{config.program}']
  found, parsed = settings_after(argv)
  expected = config.settings.copy_and_resolve_references()
  with expected.ignore_type():  # 'auto' becomes a switch
    expected.update_from_flattened_dict(values)
  found_settings = flatten(found)
  assert found_settings.pop('seed') == 7
  assert found_settings == flatten(expected)
  assert parsed.workdir == f'{tmp_path}/run'
  assert parsed.holdout == 'no'
  assert not parsed.page
  assert parsed.cpu_devices == 3
  assert not parsed.resume
  assert settings_after(command(values, 7, tmp_path, True))[1].resume


def test_settings_that_follow_others_still_follow_them(
  tmp_path, settings_after
):
  config = sweep.get_config('smoke')
  environment = config.settings.environment
  environment.max_holding_days = 9
  assert environment.settlement_days == 11
  command = runs.make_command(config, 1)
  found, _ = settings_after(command({}, 0, tmp_path, False))
  assert found.environment.settlement_days == 11
  days = {'environment.max_holding_days': 4}
  found, _ = settings_after(command(days, 0, tmp_path, False))
  assert found.environment.settlement_days == 6
  # But what was said of one alone stands.
  environment.settlement_days = 20
  command = runs.make_command(config, 1)
  found, _ = settings_after(command(days, 0, tmp_path, False))
  assert found.environment.settlement_days == 20


def test_settings_of_another_program_are_refused():
  config = sweep.get_config('td3/smoke')
  config.program = 'erl'
  with pytest.raises(ValueError, match="program: found 'erl', expected the pr"):
    runs.make_command(config, 1)


@pytest.mark.parametrize(
  'status, text, reason',
  [
    (1, 'a\nerror: gamma: found 2.0\n', 'gamma: found 2.0'),
    (1, 'x 10%\rx 20%\rValueError: no\n\n', 'ValueError: no'),
    (
      -signal.SIGKILL,
      'x\n',
      'ended by SIGKILL, usually because memory was full; x',
    ),
    (-signal.SIGSEGV, '', 'ended by SIGSEGV; wrote nothing'),
  ],
)
def test_a_failure_is_one_line(tmp_path, status, text, reason):
  log = tmp_path / 'seed0.log'
  log.write_bytes(text.encode() if text else b'')
  assert scheduler.failure_of(status, log).startswith(reason)

"""Tests of experiments.mains: how errors are reported to a user."""

import pathlib

import forks
import pytest

from experiments.configs import td3

MAIN = """
import jax
from experiments import mains

def main(argv):
  {body}

mains.run(main)
"""


def fail(body):
  return forks.run('-c', MAIN.format(body=body))


def test_a_full_device_is_one_line():
  run = fail('jax.block_until_ready(jax.numpy.zeros(2**46))')
  assert run.returncode == 1
  assert len(run.stderr.splitlines()) == 1, run.stderr
  assert run.stderr.startswith(
    'error: found the memory of the device full (Out of memory'
  )
  assert 'agent.batch_size' in run.stderr


def test_a_defect_keeps_its_traceback():
  run = fail("raise jax.errors.JaxRuntimeError('INTERNAL: a defect')")
  assert run.returncode == 1
  assert 'Traceback' in run.stderr
  assert 'INTERNAL: a defect' in run.stderr


CONFIGURED = """
from experiments import command_line, mains

config = command_line.define_config('Settings.')

def main(argv):
  print(config.value.preset, config.value.seed)

mains.run(main, default_config={default!r})
"""
CONFIGS = pathlib.Path(td3.__file__).parent


def configured(*flags):
  code = CONFIGURED.format(default=f'{CONFIGS}/td3.py:smoke')
  return forks.run('-c', code, *flags)


def refusal(run):
  assert run.returncode == 1, run.stdout
  assert run.stdout == ''
  (line,) = run.stderr.splitlines()
  return line


def test_a_config_in_a_flag_file_takes_the_place_of_the_default(tmp_path):
  inner, outer = tmp_path / 'inner', tmp_path / 'outer'
  inner.write_text(f'# ours\n--config={CONFIGS}/td3.py:full\n--config.seed=3\n')
  outer.write_text(f'--flagfile={inner}\n')
  for flags, said in (
    ([], 'smoke 0'),
    (['--config.seed=2'], 'smoke 2'),
    ([f'--flagfile={inner}'], 'full 3'),
    (['--flagfile', str(outer)], 'full 3'),
    ([f'--flagfile={outer}', '--config.seed=4'], 'full 4'),
  ):
    run = configured(*flags)
    assert run.stdout == f'{said}\n', (flags, run.stderr)


def test_flag_files_that_do_not_fit_are_one_line(tmp_path):
  one = tmp_path / 'one'
  one.write_text(f'--config={CONFIGS}/td3.py:full\n')
  line = refusal(configured(f'--flagfile={one}', f'--config={CONFIGS}/erl.py'))
  assert line.startswith('error: --config: found --config=')
  assert ' and --config=' in line
  line = refusal(configured(f'--flagfile={tmp_path}/none'))
  assert line.startswith('error: Unable to open flagfile: ')
  assert f'{tmp_path}/none' in line


def test_a_file_of_settings_that_fails_is_one_line(tmp_path):
  """With the place in the file, which is the user's program."""
  file = tmp_path / 'mine.py'
  for text, line, words in (
    ('def get_config(preset:\n', 1, 'SyntaxError: '),
    ('import nowhere\n', 1, "ModuleNotFoundError: No module named 'nowhere'"),
    ('\ndef get_config(preset=None):\n  return 1 / 0\n', 3, 'ZeroDivision'),
  ):
    file.write_text(text)
    refused = refusal(configured(f'--config={file}'))
    assert refused.startswith(f'error: --config: {file}, line {line}: {words}')


@pytest.mark.parametrize(
  'config, flag, found, suggestion',
  [
    ('td3.py:smoke', 'preset', 'full', 'td3.py:full'),
    ('erl.py:smoke', 'preset', 'small', 'erl.py:small'),
    ('ranker.py:smoke', 'preset', 'odd', 'ranker.py:odd'),
    ('ladder.py:smoke', 'preset', 'small', 'ladder.py:small'),
    ('sweep.py:erl/smoke', 'settings.preset', 'full', 'sweep.py:erl/full'),
  ],
)
def test_a_preset_cannot_be_renamed(config, flag, found, suggestion):
  given = f'--config={CONFIGS}/{config}'
  line = refusal(configured(given, f'--config.{flag}={found}'))
  assert line == (
    f"error: --config.{flag}: found '{found}', expected 'smoke', the "
    'preset of these settings; to choose another: '
    f'--config={CONFIGS}/{suggestion}'
  )


def test_the_name_that_a_preset_has_may_be_said():
  run = configured('--config.preset=smoke')
  assert run.stdout == 'smoke 0\n', run.stderr


@pytest.mark.parametrize(
  'config, words',
  [
    ('erl.py:smoke', 'found settings with evolution, expected settings of'),
    (
      'ranker.py:smoke',
      'found settings with ranker, expected settings of',
    ),
    ('sweep.py', 'found settings without agent, expected settings of'),
  ],
)
def test_settings_of_another_program_are_refused(config, words):
  line = refusal(configured(f'--config={CONFIGS}/{config}'))
  assert line.startswith(f'error: --config={CONFIGS}/{config}: {words}')

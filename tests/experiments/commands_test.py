"""Tests of the command eigen3, and of answers that come at once."""

import importlib.metadata
import pathlib
import re
import subprocess
import sys

import forks
import pytest

import eigen3
from eigen3.data.eigen2_files import INVESTABLE
from eigen3.data.repairs import CHOICES
from experiments.benchmark.suites import SUITES
from experiments.commands import COMMANDS, module_of
from experiments.configs import td3

CONFIGS = pathlib.Path(td3.__file__).parent
# Any of these takes long to import.
SLOW = ('jax', 'matplotlib', 'numpy', 'pandas', 'scipy')
ASKED = """
import sys
from experiments import mains
try:
  mains.start(sys.argv[0])
finally:
  print('slow:', *[x for x in {slow} if x in sys.modules], file=sys.stderr)
"""


def command(*arguments, **options):
  """Runs eigen3 to its end."""
  return forks.run('-m', 'experiments', *arguments, **options)


def answer(*arguments, **options):
  run = command(*arguments, **options)
  assert run.returncode == 0, run.stderr
  assert run.stderr == ''
  return run.stdout


def refusal(*arguments, **options):
  run = command(*arguments, **options)
  assert run.returncode == 1
  assert run.stdout == ''
  (line,) = run.stderr.splitlines()
  return line


@pytest.fixture(scope='module')
def helps(tmp_path_factory):
  """Returns the help of every program, from a process of its own."""
  folder = tmp_path_factory.mktemp('elsewhere')
  code = ASKED.format(slow=SLOW)
  found = {}
  for name in COMMANDS:
    start = f'import sys; sys.argv = [{name!r}, "--help"]\n'
    found[name] = subprocess.run(
      [sys.executable, '-c', start + code],
      cwd=folder,
      env={'PYTHONPATH': str(forks.ROOT)},
      capture_output=True,
      text=True,
      check=False,
    )
  return found


@pytest.mark.parametrize('name', COMMANDS)
def test_help_comes_at_once_and_tells_all(helps, name):
  run = helps[name]
  assert run.returncode == 0, run.stderr
  assert run.stderr == 'slow:\n'
  assert run.stdout.startswith(f'eigen3 {name}: ')
  assert f'\neigen3 {name} --' in run.stdout  # how it is called
  assert max(map(len, run.stdout.splitlines())) <= 80
  assert '\nFlags:\n' in run.stdout
  assert '--cpu_devices=N' in run.stdout
  has_config = bool(COMMANDS[name].config)
  assert ('Settings that are often changed' in run.stdout) == has_config
  assert ('--[no]print_config' in run.stdout) == has_config


def test_every_program_is_listed():
  text = answer()
  assert text == answer('--help') == answer('-h') == answer('help')
  listed = re.findall(r'(?m)^  (\w+) ', text)
  assert listed == [*COMMANDS]
  assert max(map(len, text.splitlines())) <= 80
  programs = [
    path
    for path in (forks.ROOT / 'experiments').rglob('*.py')
    if "mains.start('" in path.read_text(encoding='utf-8')
  ]
  assert len(programs) == len(COMMANDS)
  for name in COMMANDS:
    path = forks.ROOT / f'{module_of(name).replace(".", "/")}.py'
    assert f"mains.start('{name}')" in path.read_text(encoding='utf-8')


def test_a_module_says_what_the_command_says(helps, tmp_path):
  for name in ('td3', 'ladder'):
    run = forks.run('-m', f'experiments.{name}', '--help', cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, helps[name].stdout)
    assert answer('help', name) == run.stdout


def test_flags_of_a_program_are_its_own(helps):
  td3_flags = set(re.findall(r'(?m)^  --(?:\[no\])?(\w+)', helps['td3'].stdout))
  assert {'workdir', 'resume', 'seeds', 'profile', 'coordinator'} < td3_flags
  assert 'records' not in td3_flags
  assert '--holdout=once|no|again' in helps['td3'].stdout
  assert 'Required.' in helps['td3'].stdout


def test_presets_and_their_values_are_told(helps):
  for size in td3.SIZES:
    assert re.search(rf'(?m)^  {size} ', helps['td3'].stdout)
  assert '  networks.hidden = 16 ' in helps['td3'].stdout
  full = answer('td3', '--help', '--config=full')
  assert ', as full has them:' in full
  assert '  networks.hidden = 128 ' in full
  # Of an unknown one the default is told, not an error.
  assert ', as small has them:' in answer('td3', '--help', '--config=huge')


def test_what_is_said_twice_agrees(helps):
  """Help imports none of the modules that have these."""
  said = helps['prepare_data'].stdout
  for name, choices in CHOICES.items():
    assert f'--{name}={"|".join(choices)}' in said
  assert ','.join(map(str, INVESTABLE)) in said
  assert f'Default: {INVESTABLE[0]}.' in helps['import_eigen2'].stdout
  words = set(re.findall(r'\w+', helps['benchmark'].stdout))
  assert words > SUITES.keys()


def test_versions():
  text = answer('--version')
  assert text.startswith(f'eigen3 {eigen3.__version__} (jax ')
  assert importlib.metadata.version('jax') in text
  assert answer('td3', '--version') == text


def test_a_program_that_is_none():
  line = refusal('tdd3')
  assert line.startswith("error: found no program 'tdd3'; did you mean 'td3'? ")
  assert ', '.join(COMMANDS) in line
  assert 'did you mean' not in refusal('12345')
  line = refusal('--config=small', 'td3')
  assert 'expected the name of a program before its flags' in line


def test_errors_in_flags_name_the_help(tmp_path):
  line = refusal('td3')
  assert line == (
    'error: Flag --workdir must have a value other than None; see eigen3 td3 '
    '--help'
  )
  line = refusal('prepare-data', '--sourc=x')
  assert line.endswith('Did you mean: source? see eigen3 prepare_data --help')
  line = refusal('erl', '--config=experiments/erl.py:small', cwd=tmp_path)
  assert line == (
    "error: --config: found no file 'experiments/erl.py', expected a preset, "
    'such as small, or FILE.py:PRESET'
  )
  line = refusal('td3', '--config=huge')
  assert line.startswith("error: preset: found 'huge', expected one of smoke, ")


def test_what_differs_from_a_preset(tmp_path):
  asked = ('td3', '--config=small', '--print_config')
  text = answer(*asked, cwd=tmp_path)
  assert text == f'no setting differs from {CONFIGS}/td3.py:small\n'
  text = answer(
    *asked,
    '--config.seed=3',
    '--config.environment.max_holding_days=9',
    "--config.data.observed_features=('rsi',)",
  )
  first, *lines = text.splitlines()
  assert first == f'settings that differ from {CONFIGS}/td3.py:small:'
  assert '  seed = 3  (preset: 0)' in lines
  assert '  environment.max_holding_days = 9  (preset: 20)' in lines
  # It follows.
  assert '  environment.settlement_days = 11  (preset: 22)' in lines
  assert "  data.observed_features = ('rsi',)  (preset: (" in '\n'.join(lines)
  assert len(lines) == 4


@pytest.mark.parametrize(
  'name, given, change, source',
  [
    ('erl', 'smoke+eigen2', 'seed=1', 'erl.py:smoke+eigen2'),
    ('sweep', 'erl/smoke', 'num_trials=1', 'sweep.py:erl/smoke'),
    ('study', 'smoke', 'jobs=1', 'study.py:smoke'),
    ('check_leaks', f'{CONFIGS}/erl.py:smoke', 'seed=1', 'erl.py:smoke'),
    ('import_eigen2', None, 'seed=1', 'td3.py:full+eigen2'),
    ('control', None, 'hidden=(8, 8)', 'control.py'),
  ],
)
def test_every_program_takes_bare_presets(name, given, change, source):
  config = [] if given is None else ['--config', given]
  text = answer(name, *config, f'--config.{change}', '--print_config')
  first, line = text.splitlines()
  assert first == f'settings that differ from {CONFIGS}/{source}:'
  assert line.startswith(f'  {change.replace("=", " = ")}  (preset: ')


def test_a_file_of_ones_own_is_compared_with_its_preset(tmp_path):
  (tmp_path / 'mine.py').write_text(
    'from experiments.configs import td3\n'
    'def get_config():\n'
    "  config = td3.get_config('smoke')\n"
    '  config.agent.gamma = 0.5\n'
    '  return config\n'
  )
  asked = ('td3', '--config=mine.py', '--print_config', '--config.seed=2')
  assert answer(*asked, cwd=tmp_path) == (
    f'settings that differ from {CONFIGS}/td3.py:smoke:\n'
    '  agent.gamma = 0.5  (preset: 0.0)\n'
    '  seed = 2  (preset: 0)\n'
  )
  (tmp_path / 'small').mkdir()  # a folder of that name is in nobody's way
  asked = ('td3', '--config=small', '--print_config')
  assert answer(*asked, cwd=tmp_path).startswith('no setting differs from ')


def test_settings_of_a_run_that_goes_on_are_in_its_folder():
  line = refusal('td3', '--resume', '--workdir=x', '--print_config')
  assert line.startswith('error: --print_config: found --resume without --con')


def test_modules_of_the_folder_are_found_by_the_command(tmp_path):
  """As with python -m, whose path begins with the current folder."""
  script = tmp_path / 'bin' / 'eigen3'
  script.parent.mkdir()
  script.write_text(
    'import sys\nfrom experiments.__main__ import main\nsys.exit(main())\n'
  )
  (tmp_path / 'mine.py').write_text('raise ValueError("mine was imported")\n')
  asked = ('report', '--run=none', '--extensions=mine')
  run = forks.run(script, *asked, cwd=tmp_path)
  assert (run.returncode, run.stderr) == (1, 'error: mine was imported\n')
  run = forks.run(script, *asked, cwd=script.parent)
  assert run.returncode == 1
  assert "--extensions: found 'mine', expected the name of a" in run.stderr

"""Policies as programs of jax.export."""

import json
import pathlib
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

from eigen3.data import Normalisation
from eigen3.environment import Rules
from eigen3.interop import exported
from eigen3.networks import make_networks
from eigen3.types import Account
from experiments.configs import td3

COLUMNS, FEATURES, STOCKS = 6, 3, (1, 5)


class Case:
  """A network with random parameters, and windows with missing cells."""

  def __init__(self, **settings):
    config = td3.get_config('smoke').copy_and_resolve_references()
    config.environment.update(settings)
    rules = Rules.from_config(config.environment)
    self.spec = rules.spec(COLUMNS, FEATURES, STOCKS)
    rng = np.random.default_rng(1)
    shapes = exported.inputs_of(self.spec)
    self.inputs = {
      name: rng.normal(3, 2, (4, *shape)).astype(np.float32)
      for name, shape in shapes.items()
    }
    self.inputs['windows'][rng.random((4, *shapes['windows'][:2])) < 0.1] = (
      np.nan
    )
    mean, std = rng.normal(3, 1, (2, COLUMNS, FEATURES)).astype(np.float32)
    mean[0, 0] = std[0, 0] = np.nan  # not measured
    self.normalisation = Normalisation(mean, abs(std))
    self.actor = make_networks(config.networks, self.spec).actor
    self.variables = jax.jit(self.actor.init)(
      jax.random.PRNGKey(0), self._network_inputs()
    )

  def _network_inputs(self):
    """Returns inputs like those of `Market` and the environment."""
    mean, std = self.normalisation.mean, self.normalisation.std
    mean, std = np.float64(mean), np.float64(std)
    windows = ((self.inputs['windows'] - mean) / std).astype(np.float32)
    if not self.spec.observes_account:
      return windows
    return windows, Account(self.inputs['stocks'], self.inputs['whole'])

  def expected(self):
    """Returns actions and attention of the network itself."""
    outputs, _ = jax.jit(
      lambda x: self.actor.apply(
        *self.variables, None, x, is_training=False, return_attention=True
      )
    )(self._network_inputs())
    return outputs

  def program(self, **options):
    return exported.export_policy(
      self.actor, self.variables, self.normalisation, self.spec, **options
    )


@pytest.fixture(scope='module')
def case():
  return Case()


@pytest.fixture(scope='module')
def program(case):
  return case.program()


@pytest.mark.parametrize('settings', [{}, {'observe_account': True}])
def test_the_program_gives_what_the_network_gives(settings):
  case = Case(**settings)
  found = case.program(platforms=('cpu',)).call(*case.inputs.values())
  actions, attention = case.expected()
  np.testing.assert_allclose(found['actions'], actions, rtol=1e-6)
  np.testing.assert_allclose(found['attention'], attention, rtol=1e-5)
  # Neither account nor market is left out.
  assert np.ptp(np.asarray(actions), axis=0).min() > 1e-4


def test_any_number_of_windows_gives_the_same_bits(case, program):
  windows = case.inputs['windows']
  one_by_one = [program.call(x[None])['actions'][0] for x in windows]
  found = program.call(windows)['actions']
  np.testing.assert_array_equal(found, one_by_one)


def test_it_is_for_all_platforms_unless_told_otherwise(case, program):
  assert program.platforms == exported.PLATFORMS
  with pytest.raises(ValueError, match='platforms: found gpu, expected one'):
    case.program(platforms=('cpu', 'gpu'))
  with pytest.raises(ValueError, match='platforms: found none'):
    case.program(platforms=())


def test_a_file_acts_where_eigen3_is_not(case, program, tmp_path):
  path, out = tmp_path / 'policy.zip', tmp_path / 'actions.npy'
  about = {'inputs': list(case.inputs)}
  exported.save(path, program, about, case.inputs)
  subprocess.run(
    [sys.executable, pathlib.Path(__file__).with_name('lonely.py'), path, out],
    check=True,
  )
  found = np.load(out, allow_pickle=False)
  np.testing.assert_array_equal(
    found, program.call(*case.inputs.values())['actions']
  )


def test_a_file_says_what_it_is(case, program, tmp_path):
  path = tmp_path / 'policy.zip'
  exported.save(path, program, {'run': 'mine'}, case.inputs)
  with zipfile.ZipFile(path) as file:
    about = json.loads(file.read('about.json'))
    assert file.namelist() == ['about.json', 'policy.jax', 'example.npz']
  assert about.pop('jax_export_version') >= 9
  assert about == {
    'format': 'eigen3 policy',
    'version': 1,
    'platforms': ['cpu', 'cuda', 'rocm', 'tpu'],
    'run': 'mine',
  }


def test_without_flatbuffers_one_line_says_so(program, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'flatbuffers', None)
  monkeypatch.delitem(
    sys.modules, 'jax._src.export.serialization', raising=False
  )
  with pytest.raises(ValueError, match='found no package flatbuffers'):
    exported.save(tmp_path / 'policy.zip', program, {}, {})
  assert list(tmp_path.iterdir()) == []

"""Tests of eigen3.sizes, on descriptions of devices."""

import functools

import jax
import pytest

from eigen3 import parallel, sizes
from eigen3.parallel import Device
from eigen3.sizes import Work
from experiments.benchmark.settings import spec_of
from experiments.configs import td3

GIB = 2**30
CPU = Device('cpu', 'cpu')
H200 = Device('gpu', 'NVIDIA H200', int(105 * GIB), (9, 0))
H100 = Device('gpu', 'NVIDIA H100 80GB HBM3', 59 * GIB, (9, 0))
A100 = Device('gpu', 'NVIDIA A100-SXM4-40GB', 29 * GIB, (8, 0))
L4 = Device('gpu', 'NVIDIA L4', 17 * GIB, (8, 9))
T4 = Device('gpu', 'Tesla T4', 11 * GIB, (7, 5))
GPUS = [H200, H100, A100, L4, T4]


def resolved(preset, device, work=None, **given):
  config = td3.get_config(preset)
  with config.ignore_type():
    config.networks.update(given)
  found = sizes.resolve(
    config.networks, config.agent.acting_chunk, spec_of(config), device, work
  )
  return {name.rpartition('.')[2]: value for name, value in found.items()}


@pytest.mark.parametrize('preset', ['smoke', 'small'])
def test_small_networks_are_computed_whole(preset):
  assert resolved(preset, CPU) == {
    'sequence_block': 0,
    'evaluation_block': 0,
    'remat': False,
    'lstm_hoist': 'never',
    'lstm_directions': 'apart',
    'compute_dtype': 'float32',
    'lstm_kernel': 'scan',
    'acting_chunk': 64,
  }
  for device in GPUS:
    found = resolved(preset, device, Work(32))
    assert (found['sequence_block'], found['remat']) == (0, False)
    assert found['compute_dtype'] == 'float32'


def test_a_cpu_computes_blocks_that_its_cache_holds():
  assert resolved('full', CPU, Work(8)) == {
    'sequence_block': 112,
    'evaluation_block': 384,
    'remat': True,
    'lstm_hoist': 'never',
    'lstm_directions': 'apart',
    'compute_dtype': 'float32',
    'lstm_kernel': 'scan',
    'acting_chunk': 64,
  }


@pytest.mark.parametrize('device', GPUS, ids=lambda device: device.kind)
@pytest.mark.parametrize('batch', [1, 8, 32])
def test_blocks_of_a_gpu_fit_in_its_memory(device, batch):
  """Checks against bytes measured on an H200; see eigen3.sizes."""
  found = resolved('full', device, Work(batch))
  narrow = device is not T4
  assert found['compute_dtype'] == ('bfloat16' if narrow else 'float32')
  assert found['lstm_hoist'] == 'never'
  assert found['lstm_directions'] == 'together'
  rows = found['sequence_block'] or 669 * batch
  bytes_of_row = 1.3 * (83 if narrow else 132) * 504 * 128
  if not found['remat']:
    bytes_of_row *= 2 * 1.64
  windows = batch * 504 * 669 * 5 * 76
  assert rows * bytes_of_row + windows < 0.75 * device.memory
  # One multiple of 64 more would not, unless the whole batch is in hand.
  share = max(device.memory / 2 - windows, device.memory / 8)
  assert rows == 669 * batch or (rows + 64) * bytes_of_row > share


def test_more_memory_means_larger_blocks():
  blocks = [
    resolved('full', x, Work(32))['sequence_block']
    for x in (T4, L4, A100, H100)
  ]
  assert blocks == sorted(set(blocks))


def test_a_mesh_and_a_population_share_the_memory():
  alone = resolved('full', L4, Work(32))['sequence_block']
  four = resolved('full', L4, Work(32, members=4))['sequence_block']
  assert four < alone
  assert resolved('full', H200, Work(8, shares=8))['sequence_block'] == 0


def test_what_is_given_stays():
  given = {'sequence_block': 7, 'remat': False, 'compute_dtype': 'float32'}
  found = resolved('full', H200, Work(8), **given)
  assert {name: found[name] for name in given} == given
  assert found['evaluation_block'] > 0


@pytest.mark.parametrize('device', GPUS, ids=lambda device: device.kind)
def test_eigen2_is_multiplied_as_float32_is(device):
  assert resolved('full+eigen2', device)['compute_dtype'] == 'float32'
  assert td3.get_config('full+eigen2').networks.precision == 'highest'


@pytest.mark.parametrize('device', GPUS, ids=lambda device: device.kind)
def test_a_runtime_that_is_silent_is_known_by_its_kind(device):
  silent = device._replace(memory=None, capability=None)
  found, expected = (resolved('full', x, Work(32)) for x in (silent, device))
  assert found['compute_dtype'] == expected['compute_dtype']
  assert 0.8 < found['sequence_block'] / expected['sequence_block'] < 1.25


def test_an_unknown_device_gets_the_smallest():
  unknown = Device('gpu', 'Some GPU')
  found = resolved('full', unknown, Work(32))
  assert found['compute_dtype'] == 'float32'
  assert 0 < found['sequence_block'] <= resolved('full', T4)['sequence_block']


@pytest.mark.parametrize('device', [CPU, *GPUS], ids=lambda x: x.kind)
def test_a_kernel_runs_where_it_was_written_for(device):
  config = td3.get_config('full').networks
  is_hopper = device in (H200, H100)
  config.lstm_kernel = 'hopper'
  if is_hopper:
    found = sizes.choose_kernel(config, 'bfloat16', device, '0.10.2')
    assert found == 'hopper'
  else:
    with pytest.raises(ValueError, match="lstm_kernel: found 'hopper'"):
      sizes.choose_kernel(config, 'bfloat16', device, '0.10.2')
  config.lstm_kernel = 'scan'
  assert sizes.choose_kernel(config, 'bfloat16', device, '0.10.2') == 'scan'


@pytest.mark.parametrize(
  'dtype, hidden, version, named',
  [
    ('float32', 128, '0.10.2', 'float32'),
    ('bfloat16', 64, '0.10.2', '64 hidden units'),
    ('bfloat16', 128, '0.7.2', 'jax 0.7.2'),
  ],
)
def test_a_kernel_that_does_not_fit_is_refused(dtype, hidden, version, named):
  config = td3.get_config('full').networks
  config.lstm_kernel, config.hidden = 'hopper', hidden
  with pytest.raises(ValueError, match=named):
    sizes.choose_kernel(config, dtype, H200, version)


def test_a_kernel_is_the_default_where_its_record_passed(monkeypatch):
  config = td3.get_config('full').networks
  choose = functools.partial(sizes.choose_kernel, config)
  proven = ('0.10.2', H200.kind)
  monkeypatch.setattr(sizes, 'PASSED', frozenset({proven}))
  assert choose('bfloat16', H200, '0.10.2') == 'hopper'
  assert choose('bfloat16', H200, '0.11.2') == 'scan'
  assert choose('bfloat16', H100, '0.10.2') == 'scan'
  assert choose('float32', H200, '0.10.2') == 'scan'


@pytest.mark.skipif(jax.__version_info__ < (0, 10), reason='needs jax 0.10')
def test_by_kernels_less_is_kept_for_the_backward_pass():
  work = Work(8)
  assert resolved('full', H200, work)['remat']
  assert not resolved('full', H200, work, lstm_kernel='hopper')['remat']


def test_this_machine_is_described():
  device = parallel.describe_device()
  assert device.backend == jax.default_backend()
  assert device.kind == jax.devices()[0].device_kind

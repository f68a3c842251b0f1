"""Tests of the checks of kernels, and of their record.

Tests marked `gpu` compare the kernels themselves, at full size; they need a GPU
of compute capability 9.0: python -m pytest -m gpu tests/experiments
"""

import json
import pathlib

import jax
import pytest
import scanned_loops

from eigen3 import parallel, sizes
from experiments.benchmark import kernel_checks
from experiments.benchmark.suites import hopper

RESULTS = pathlib.Path(__file__).parents[2] / 'experiments/results'
LOOPS = scanned_loops.LOOPS
SMALL = kernel_checks.Sizes(6, 3, 8, (1, 3, 5))


def _check(what, loops):
  if what == 'ways':
    return kernel_checks.check_ways(loops, SMALL)
  return kernel_checks.check_rows(loops, SMALL, what == 'dropped')


@pytest.mark.parametrize(
  'what, compared',
  [
    ('dropped', ['1 rows', '3 rows', '5 rows']),
    ('ways', ['vmap', 'remat']),
  ],
)
def test_right_loops_pass(what, compared):
  found = _check(what, LOOPS)
  assert list(found) == [
    f'{kind}, {name}' for name in compared for kind in ('values', 'gradients')
  ]
  assert all(0 < x < kernel_checks.GRADIENTS for x in found.values())


def _wrong_forward(*arguments):
  hidden, cells = scanned_loops.forward(*arguments)
  return 1.02 * hidden, cells


def _wrong_backward(*arguments):
  # Right but in the first row's last day.
  return scanned_loops.backward(*arguments).at[:, -1, 0].mul(-1)


def _late_backward(*arguments):
  return scanned_loops.backward(*arguments).at[:, 0, -1].set(float('nan'))


@pytest.mark.parametrize(
  'wrong, named',
  [
    (
      {'forward': _wrong_forward},
      r"1 rows: \['values'\]: found a relative error of 0.02",
    ),
    (
      {'backward': _wrong_backward},
      r"1 rows: \['weights'\].* against the scan",
    ),
    ({'backward': _late_backward}, 'found a relative error of nan'),
  ],
)
def test_wrong_loops_are_found(wrong, named):
  with pytest.raises(ValueError, match=named):
    _check('rows', LOOPS._replace(**wrong))


def test_what_is_the_default_has_a_record():
  records = [
    json.loads(path.read_text(encoding='utf-8'))
    for path in RESULTS.glob('hopper_full*.json')
  ]
  assert set().union(*map(hopper.proven, records)) >= sizes.PASSED


def _record(size='full'):
  """A record without failures."""
  checks = [
    {
      'name': case.name,
      'builder': case.builder,
      'device': 'NVIDIA H200',
      'failure': '',
    }
    for case in hopper.groups('full', 1)[0].cases
  ]
  update = {'name': 'batch 8', 'builder': '', 'device': '', 'failure': ''}
  return {
    'size': size,
    'versions': {'jax': '0.10.2'},
    'groups': [{'cases': checks}, {'cases': [update]}],
  }


def test_a_record_proves_what_went_well():
  assert hopper.proven(_record()) == {('0.10.2', 'NVIDIA H200')}
  assert not hopper.proven(_record('small'))
  failed, missing = _record(), _record()
  failed['groups'][1]['cases'][0]['failure'] = 'out of memory'
  assert not hopper.proven(failed)
  del missing['groups'][0]['cases'][0]
  assert not hopper.proven(missing)


@pytest.mark.gpu
@pytest.mark.parametrize('what', ['rows', 'dropped', 'ways'])
def test_kernels_on_this_gpu(what):
  device = parallel.describe_device()
  if device.capability != (9, 0):
    pytest.skip(f'needs a GPU of compute capability 9.0; this is {device.kind}')
  assert hopper.check_case(preset='full', what=what).facts


def test_the_suite_is_refused_on_another_device():
  if jax.default_backend() != 'cpu':
    pytest.skip('needs a machine without a GPU')
  with pytest.raises(ValueError, match=r'lstm_kernel: .* this is cpu'):
    hopper.check_case(preset='full', what='rows')

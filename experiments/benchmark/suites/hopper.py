"""Whether the kernels for Hopper are right on this GPU, and how fast.

A record in which every case went well makes them the default of this pair of
jax version and device: see `eigen3.sizes.PASSED`.
"""

import functools
from collections.abc import Mapping
from typing import Any

from eigen3 import parallel, sizes
from eigen3.networks import feature_extractor
from experiments.benchmark import kernel_checks
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.settings import networks_of
from experiments.benchmark.suites import accelerator

_HERE = 'experiments.benchmark.suites.hopper'
_KERNEL = {'networks.lstm_kernel': 'hopper'}
_BATCHES = {'smoke': (1,), 'small': (8,), 'full': (8, 32)}
_UPDATES = {'smoke': 1, 'small': 10, 'full': 10}


def groups(size: str, cores: int) -> list[Group]:
  """The suite's groups for `size`; sizes that have no kernel all fail."""
  del cores
  return [
    _checks_group(size),
    accelerator.core_group(size, backward=False, kernel='hopper'),
    accelerator.core_group(size, backward=True, kernel='hopper'),
    accelerator.update_group(size, _BATCHES[size], _KERNEL),
    accelerator.population_group(
      size, _UPDATES[size], _KERNEL | {'agent.batch_size': 8}
    ),
  ]


def proven(record: Mapping[str, Any]) -> set[tuple[str, str]]:
  """The jax version and the device that a whole record speaks for, if it does.

  Args:
    record: what the command wrote of this suite.

  Returns:
    One pair; none where a case failed, or only some were run.
  """
  cases = [case for group in record['groups'] for case in group['cases']]
  chosen = record['flags']['only'] or record['size'] != 'full'
  if chosen or any(case['failure'] for case in cases):
    return set()
  devices = {case['device'] for case in cases if case['devices']}
  return {(record['versions']['jax'], device) for device in devices}


def _checks_group(size: str) -> Group:
  make = functools.partial(Case, devices=1)
  cases = tuple(
    make(name, f'{_HERE}:check_case', {'preset': size, 'what': what})
    for name, what in (
      ('rows, without dropout', 'rows'),
      ('rows, with dropout', 'dropped'),
      ('vmap and remat', 'ways'),
    )
  )
  note = (
    'facts are relative differences from the scan in float32; a case fails '
    f'where values differ by over {kernel_checks.VALUES:g}, gradients by over '
    f'{kernel_checks.GRADIENTS:g}, or two equal calls at all'
  )
  return Group('the kernels against the scan', cases, note=note, alone=True)


def check_case(*, what: str, **settings: Any) -> Built:
  """Fails where the kernels are wrong; their differences are its facts."""
  config, spec = networks_of(settings | _KERNEL)
  sizes.choose_kernel(config, 'bfloat16', parallel.describe_device())
  loops = feature_extractor.find_loops('hopper')
  assert loops is not None
  dimensions = kernel_checks.Sizes(
    spec.context_days, config.convolution_channels, config.hidden
  )
  if what == 'ways':
    facts = kernel_checks.check_ways(loops, dimensions)
  else:
    facts = kernel_checks.check_rows(loops, dimensions, what == 'dropped')
  return Built(None, facts=facts)

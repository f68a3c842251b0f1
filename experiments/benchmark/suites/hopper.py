"""Checks the LSTM kernels for Hopper GPUs on this GPU, and times them.

If all cases succeed at size `full`, the pair of JAX version and kind of device
may be added to `eigen3.sizes.PASSED`; the kernels are then the default for this
pair.
"""

import dataclasses
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
_CHECKS = 'the kernels against the scan'
_KERNEL = {'networks.lstm_kernel': 'hopper'}
_UPDATES = {
  'learner.updates_per_generation': 10,
  'agent.batch_size': 8,
}


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`; the kernels need a Hopper GPU."""
  ahead, both, updates, _, generations = accelerator.groups(size, cores)
  return [
    _checks_group(size),
    _core_group(ahead),
    _core_group(both),
    dataclasses.replace(
      updates, cases=tuple(_given(case, _KERNEL) for case in updates.cases)
    ),
    _generation_group(generations),
  ]


def proven(record: Mapping[str, Any]) -> set[tuple[str, str]]:
  """Returns the JAX version and kind of device that passed all checks.

  Args:
    record: results of this suite, as the benchmark wrote them.

  Returns:
    A set of one pair (version, kind of device), or an empty set if the size is
    not `full`, a check is missing or any case failed.
  """
  cases = [case for group in record['groups'] for case in group['cases']]
  checks = [case for case in cases if case['builder'] == f'{_HERE}:check_case']
  whole = _checks_group('full').cases
  names = {case.name for case in whole}
  if record['size'] != 'full' or {case['name'] for case in checks} != names:
    return set()
  if any(case['failure'] for case in cases):
    return set()
  return {(record['versions']['jax'], case['device']) for case in checks}


def _given(case: Case, settings: Mapping[str, Any], **changes: Any) -> Case:
  """Returns a copy of a case with some arguments and attributes changed."""
  arguments = {**case.arguments, **settings}
  return dataclasses.replace(case, arguments=arguments, **changes)


def _core_group(group: Group) -> Group:
  """Returns the group with a new first case, which uses the kernels.

  Cases in float32 are left out.

  Args:
    group: a group of `accelerator` for the recurrent core.
  """
  ours, *others = (
    case
    for case in group.cases
    if case.is_product or case.arguments['dtype'] == 'bfloat16'
  )
  kernel = _given(ours, {'kernel': 'hopper'}, name='Eigen3, hopper')
  return dataclasses.replace(group, cases=(kernel, ours, *others))


def _generation_group(group: Group) -> Group:
  """Returns the group with its last case only, changed to use the kernels.

  The case has the updates and the batch size of `_UPDATES`, and runs only once.
  """
  case = _given(group.cases[-1], _KERNEL | _UPDATES, once=True)
  note = f'{_UPDATES["learner.updates_per_generation"]} updates an agent'
  return dataclasses.replace(
    group, cases=(case,), reference='', axis='', note=note
  )


def _checks_group(size: str) -> Group:
  make = functools.partial(Case, devices=1, untimed=True)
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
  return Group(_CHECKS, cases, note=note, alone=True)


def check_case(*, what: str, **settings: Any) -> Built:
  """Checks the kernels; returns a case with their relative errors as facts.

  Args:
    what: what to check: 'rows' (several numbers of sequences), 'dropped' (the
      same with dropout), or 'ways' (vmap and rematerialised blocks).
    **settings: see `benchmark.settings.config_of`.

  Raises:
    ValueError: if the kernels do not support the device, the number of hidden
      units or the version of JAX, or if their results are wrong; see
      `kernel_checks`.
  """
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

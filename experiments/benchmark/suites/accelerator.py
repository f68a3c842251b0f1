"""Times the LSTM (ours and cuDNN's), updates, acting and generations on a GPU.

Cases are timed one after another, so that each has the device's memory to
itself. At size `full`, compilation takes most of the time.
"""

import functools
import math
from typing import Any

import jax
import ml_collections

from eigen3 import parallel, sizes
from eigen3.networks import feature_extractor, layers, recurrent
from experiments.benchmark import jax_cases, operations
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.settings import networks_of

_HERE = 'experiments.benchmark.suites.accelerator'
_SUITES = 'experiments.benchmark.suites'
_TORCH = 'experiments.benchmark.torch_reference:core_case'
_NARROW = 'bfloat16'
_ROWS = {'smoke': 6, 'small': 1024, 'full': 8 * 669}
_BATCHES = {'smoke': (1, 2), 'small': (1, 8, 32), 'full': (1, 8, 32)}
_DAYS = {'smoke': 4, 'small': 145, 'full': 64}
_MEMBERS = {'smoke': (4,), 'small': (4, 16), 'full': (16,)}
# The width of a square product, large enough to occupy a whole GPU.
_PRODUCT = {'smoke': 64, 'small': 2048, 'full': 8192}
# float32 in PyTorch is also measured with TF32, which JAX uses by default.
_TORCH_TYPES = {
  'PyTorch, bfloat16': (_NARROW, True),
  'PyTorch, float32 by TF32': ('float32', True),
  'PyTorch, float32': ('float32', False),
}
_UPDATE = {'agent.policy_delay': 1, 'num_days': 1500}
# The least work besides updates in a generation that the settings allow.
_GENERATION = {
  'agent.policy_delay': 1,
  'learner.fitness_slices': 1,
  'learner.fitness_worst': 1,
  'learner.validation_play': 'slices',
  'learner.validation_slices': 1,
  'learner.validation_worst': 1,
}
_UPDATES = {'smoke': 1, 'small': 10, 'full': 1}  # of a member in a generation


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`; cases use one device."""
  del cores
  return [
    _core_group(size, backward=False),
    _core_group(size, backward=True),
    _update_group(size),
    _acting_group(size),
    _population_group(size),
  ]


def _core_group(size: str, backward: bool) -> Group:
  rows = _ROWS[size]
  settings = {'preset': size, 'rows': rows, 'backward': backward}
  config, spec = networks_of(settings)
  work = operations.lstm(
    rows,
    spec.context_days,
    config.convolution_channels,
    config.hidden,
    config.pooled_days,
  ) * (operations.FORWARD_BACKWARD if backward else 1)
  cases = [
    Case(
      f'Eigen3, {dtype}, directions {"together" if together else "apart"}',
      f'{_HERE}:core_case',
      settings | {'dtype': dtype, 'together': together},
      devices=1,
      operations=work,
    )
    for dtype in (_NARROW, 'float32')
    for together in (False, True)
  ]
  cases += [
    Case(
      name,
      _TORCH,
      settings | {'dtype': dtype, 'tf32': tf32},
      needs='torch',
      operations=work,
    )
    for name, (dtype, tf32) in _TORCH_TYPES.items()
  ]
  return Group(
    f'recurrent core, forward{" and backward" if backward else ""}',
    (*cases, _product(size)),
    reference='PyTorch, bfloat16',
    note=f'preset {size}, {rows} sequences of {spec.context_days} days',
    alone=True,
  )


def _product(size: str) -> Case:
  width = _PRODUCT[size]
  return Case(
    f'product of {width} x {width}, {_NARROW}',
    'experiments.benchmark.jax_cases:product_case',
    {'shape': (width,) * 3, 'dtype': _NARROW},
    devices=1,
    operations=jax_cases.PRODUCTS * operations.product(*(width,) * 3),
    is_product=True,
  )


def _update_group(size: str) -> Group:
  cases = tuple(
    Case(
      f'batch {batch}',
      f'{_SUITES}.td3:update_case',
      {'preset': size, 'agent.batch_size': batch} | _UPDATE,
      devices=1,
      work=batch,
      position=batch,
    )
    for batch in _BATCHES[size]
  )
  return Group(
    'TD3 update',
    cases,
    reference=cases[0].name,
    unit='transitions',
    axis='batch',
    note=f'preset {size}, two critics and the actor every time',
    alone=True,
  )


def _acting_group(size: str) -> Group:
  days = _DAYS[size]
  case = Case(
    f'{days} days',
    f'{_SUITES}.acting:batched_case',
    {'preset': size, 'num_steps': days},
    devices=1,
    work=days,
  )
  note = f'preset {size}, all actions from one batch, then the account'
  return Group('acting', (case,), unit='days', note=note, alone=True)


def _population_group(size: str) -> Group:
  updates = _UPDATES[size]
  settings = _GENERATION | {
    'preset': size,
    'learner.updates_per_generation': updates,
  }
  one = 'one agent, no evolution'
  make = functools.partial(Case, devices=1)
  cases = [
    make(
      one,
      f'{_SUITES}.population:one_agent_case',
      settings,
      work=1,
      position=1,
    )
  ]
  cases += [
    make(
      f'population {members}',
      f'{_SUITES}.population:generation_case',
      settings | {'evolution.population_size': members},
      work=members,
      position=members,
    )
    for members in _MEMBERS[size]
  ]
  return Group(
    'generation',
    tuple(cases),
    reference=one,
    unit='agents',
    axis='population',
    note=f'preset {size}, one slice and {updates} updates an agent',
    alone=True,
  )


def core_case(
  *,
  rows: int,
  dtype: str,
  backward: bool,
  kernel: str = 'scan',
  together: bool = False,
  **settings: Any,
) -> Built:
  """Builds a case of our LSTM alone, on all sequences at once, without dropout.

  Args:
    rows: number of sequences.
    dtype: dtype of the matrix products' inputs.
    backward: whether to compute gradients, too.
    kernel: a key of `sizes.KERNELS`.
    together: whether both directions of the first layer run in one loop.
    **settings: see `config_of`.

  Raises:
    ValueError: if `kernel` does not support the device, `dtype`, the number of
      hidden units or the version of JAX.
  """
  config, spec = networks_of(settings | {'networks.lstm_kernel': kernel})
  sizes.choose_kernel(config, dtype, parallel.describe_device())
  plan = recurrent.Plan(
    layers.precision_policy(dtype),
    config.pooled_days,
    save_gates=tuple(config.lstm_save_gates),
    loops=feature_extractor.find_loops(kernel),
    together=together,
  )
  shape = (spec.context_days, config.convolution_channels, rows)

  def encode(weights, x):
    return recurrent.pooled_lstm(plan, weights, x, None)

  def gradients(weights, x):
    return jax.grad(lambda *both: encode(*both).sum(), (0, 1))(weights, x)

  return jax_cases.built(
    gradients if backward else encode,
    (_weights(config), jax.random.normal(jax.random.PRNGKey(0), shape)),
    parallel.compiler_options(),
  )


def _weights(config: ml_collections.ConfigDict) -> recurrent.Weights:
  """Draws the LSTM's weights and biases, uniform as in PyTorch's `nn.LSTM`."""
  hidden = config.hidden
  keys = iter(jax.random.split(jax.random.PRNGKey(1), 12))

  def direction(inputs):
    shapes = (inputs, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,)
    bound = 1 / math.sqrt(hidden)
    return recurrent.DirectionWeights(
      *(jax.random.uniform(next(keys), x, float, -bound, bound) for x in shapes)
    )

  inputs = config.convolution_channels
  return recurrent.Weights(
    *map(direction, (inputs, inputs, 2 * hidden, 2 * hidden))
  )

"""Times our networks against PyTorch and Haiku, and at growing sizes."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from eigen3 import parallel
from eigen3.interop import eigen2
from experiments.benchmark import jax_cases, operations, parameters
from experiments.benchmark.cases import Built, Case, Group
from experiments.benchmark.settings import config_of, networks_of

_HERE = 'experiments.benchmark.suites.networks'
_TORCH = 'experiments.benchmark.torch_reference'
_HAIKU = 'experiments.benchmark.haiku_reference'


class _Growth(NamedTuple):
  """Sizes of the windows in the growth groups, each of which varies one size.

  `days`, `columns` and `batch` are the values of the size that varies. The
  sizes that do not vary are `base_days`, `base_columns` (while the days vary,
  `days_columns` instead) and a batch of 1.
  """

  days: tuple[int, ...]
  columns: tuple[int, ...]
  batch: tuple[int, ...]
  base_days: int
  base_columns: int
  days_columns: int


_GROWTH = {
  'smoke': _Growth((4, 8), (4, 8), (1, 2), 4, 4, 4),
  'small': _Growth(
    (32, 64, 128, 256), (32, 64, 128, 256), (1, 2, 4, 8), 32, 64, 64
  ),
  'full': _Growth(
    (63, 126, 252, 504), (64, 128, 256, 512), (1, 2, 4, 8), 63, 64, 128
  ),
}
_BLOCK_ROWS = {'smoke': 6, 'small': 128, 'full': 512}
_POPULATION = {'smoke': (1, 2), 'small': (1, 2, 4, 8), 'full': (1, 2, 4, 8)}


def groups(size: str, cores: int) -> list[Group]:
  """Returns the suite's groups for `size`, on `cores` cores."""
  return [
    _critic_group(size, cores),
    _actor_group(size, cores),
    _block_group(size, cores),
    *_growth_groups(size, cores),
  ]


def _critic_group(size: str, cores: int) -> Group:
  settings = {'preset': f'{size}+eigen2'}
  work = operations.critic(*networks_of(settings))
  make = functools.partial(Case, arguments=settings, operations=work)
  # Fewer steps with larger products, at the cost of memory.
  large = settings | {'networks.sequence_block': 112}
  torch = functools.partial(
    Case, builder=f'{_TORCH}:critic_case', needs='torch', operations=work
  )
  return Group(
    name='critic forward and backward',
    cases=(
      *_eigen3(make, 'critic_case', cores),
      Case(
        'Eigen3, blocks of 112',
        f'{_HERE}:critic_case',
        large,
        devices=cores,
        operations=work,
      ),
      torch(
        'PyTorch, checkpointing as Eigen2',
        arguments=settings | {'checkpointing': True},
      ),
      torch(
        'PyTorch, nn.LSTM without checkpointing',
        arguments=settings | {'checkpointing': False},
      ),
      _product(),
    ),
    reference='PyTorch, checkpointing as Eigen2',
    note='training mode, one example, gradients of all parameters',
  )


def _actor_group(size: str, cores: int) -> Group:
  settings = {'preset': f'{size}+eigen2'}
  work = operations.actor(*networks_of(settings))
  make = functools.partial(Case, arguments=settings, operations=work)
  return Group(
    name='actor forward',
    cases=(
      *_eigen3(make, 'actor_case', cores),
      make('PyTorch', f'{_TORCH}:actor_case', needs='torch'),
      _product(),
    ),
    reference='PyTorch',
    note='evaluation mode, one example',
  )


def _block_group(size: str, cores: int) -> Group:
  settings = {
    'preset': f'{size}+eigen2',
    'columns': _BLOCK_ROWS[size],
    'networks.lstm_dropout': 0.0,  # so that outputs can be compared
  }
  config, spec = networks_of(settings)
  work = operations.FORWARD_BACKWARD * operations.lstm(
    _BLOCK_ROWS[size],
    spec.context_days,
    config.convolution_channels,
    config.hidden,
    config.pooled_days,
  )
  make = functools.partial(Case, arguments=settings, operations=work)
  return Group(
    name='LSTM block forward and backward',
    cases=(
      *_eigen3(make, 'extractor_case', cores),
      make(
        'Haiku, hk.LSTM and autodiff', f'{_HAIKU}:extractor_case', devices=1
      ),
      make('PyTorch, nn.LSTM', f'{_TORCH}:extractor_case', needs='torch'),
      _product(),
    ),
    reference='Haiku, hk.LSTM and autodiff',
    note=(
      f'{_BLOCK_ROWS[size]} rows of {spec.context_days} days through '
      'convolution, batch norm and LSTM without dropout; only useful '
      'operations of the LSTM are counted'
    ),
  )


def _growth_groups(size: str, cores: int) -> list[Group]:
  sizes = _GROWTH[size]
  preset = {'preset': f'{size}+eigen2'}

  def group(axis: str, values: Sequence[int], fixed: dict[str, Any]) -> Group:
    cases = []
    for value in values:
      settings = preset | fixed | {axis: value}
      work = operations.FORWARD_BACKWARD * operations.lstm(
        settings['columns'] * settings['batch'],
        settings['days'],
        config_of(preset).networks.convolution_channels,
        config_of(preset).networks.hidden,
      )
      cases.append(
        Case(
          f'{axis} {value}',
          f'{_HERE}:extractor_case',
          settings,
          devices=cores,
          operations=work,
          position=value,
        )
      )
    still = ', '.join(f'{name} {value}' for name, value in fixed.items())
    return Group(
      f'growth with {axis}',
      tuple(cases),
      reference=cases[0].name,
      axis=axis,
      note=f'extractor, forward and backward; {still}',
    )

  return [
    group('days', sizes.days, {'columns': sizes.days_columns, 'batch': 1}),
    group('columns', sizes.columns, {'days': sizes.base_days, 'batch': 1}),
    group(
      'batch',
      sizes.batch,
      {'days': sizes.base_days, 'columns': sizes.base_columns},
    ),
    _population_group(size, cores),
  ]


def _population_group(size: str, cores: int) -> Group:
  preset = 'smoke' if size == 'smoke' else 'small'
  cases = tuple(
    Case(
      f'population {members}',
      f'{_HERE}:population_case',
      {'preset': preset, 'population': members},
      devices=cores,
      position=members,
    )
    for members in _POPULATION[size]
  )
  return Group(
    'growth with population',
    cases,
    reference=cases[0].name,
    axis='population',
    note=f'extractor of the {preset} preset, forward and backward, vmapped',
  )


def _eigen3(
  make: Callable[..., Case], builder: str, cores: int
) -> tuple[Case, ...]:
  """Returns Eigen3's cases: on one device and, if `cores` > 1, on `cores`."""
  builder = f'{_HERE}:{builder}'
  one = make('Eigen3, one device', builder, devices=1)
  if cores == 1:
    return (one,)
  return make(f'Eigen3, {cores} devices', builder, devices=cores), one


def _product() -> Case:
  return Case(
    'matrix product',
    'experiments.benchmark.jax_cases:product_case',
    devices=1,
    operations=jax_cases.product_operations(),
    is_product=True,
  )


def critic_case(**settings: Any) -> Built:
  """Builds a case of our critic, forward and backward in training mode."""
  config, spec = networks_of(settings)
  critic = jax_cases.make_networks(config, spec).critic
  params, state = eigen2.critic_from_torch(parameters.critic(config, spec))
  window = jnp.asarray(parameters.case_window(spec, settings))
  action = jnp.asarray(parameters.action(len(window), spec.num_investable))

  def loss(params, state, key, window, action):
    q, state = critic.apply(
      params, state, key, window, action, is_training=True
    )
    return jnp.square(q).sum(), state

  return jax_cases.built(
    jax.value_and_grad(loss, has_aux=True),
    (params, state, jax.random.PRNGKey(0), window, action),
    options=parallel.compiler_options(),
  )


def actor_case(**settings: Any) -> Built:
  """Builds a case of our actor, forward in evaluation mode."""
  config, spec = networks_of(settings)
  actor = jax_cases.make_networks(config, spec).actor
  params, state = eigen2.actor_from_torch(parameters.actor(config, spec))

  def act(params, state, window):
    (actions, _), _ = actor.apply(params, state, None, window)
    return actions

  return jax_cases.built(
    act,
    (params, state, parameters.case_window(spec, settings)),
    output=np.asarray,
  )


def extractor_case(**settings: Any) -> Built:
  """Builds a case of our extractor, forward and backward in training mode."""
  config, spec = networks_of(settings)
  key = jax.random.PRNGKey(0)
  return jax_cases.built(
    _extractor_gradient(config, spec),
    (
      *_extractor_variables(config, spec),
      key,
      parameters.case_window(spec, settings),
    ),
    options=parallel.compiler_options(),
    # With dropout the outputs differ between implementations.
    output=None if config.lstm_dropout else lambda r: np.asarray(r[0][1]),
  )


def population_case(*, population: int, **settings: Any) -> Built:
  """Builds a case like `extractor_case`, vmapped over copies of the network.

  There are `population` copies, which see the same window.
  """
  config, spec = networks_of(settings)
  variables = jax.tree.map(
    lambda x: jnp.stack([x] * population), _extractor_variables(config, spec)
  )
  keys = jax.random.split(jax.random.PRNGKey(0), population)
  return jax_cases.built(
    jax.vmap(_extractor_gradient(config, spec), in_axes=(0, 0, 0, None)),
    (*variables, keys, parameters.case_window(spec, settings)),
    options=parallel.compiler_options(),
  )


def _extractor_gradient(config, spec) -> Callable:
  """Returns (params, state, key, window) -> ((loss, features), gradients)."""
  extractor = jax_cases.make_networks(config, spec).feature_extractor

  def loss(params, state, key, window):
    features, _ = extractor.apply(params, state, key, window, is_training=True)
    return jnp.square(features).sum(), features

  return jax.value_and_grad(loss, has_aux=True)


def _extractor_variables(config, spec) -> eigen2.Variables:
  """Returns the extractor's parameters and state, taken from a critic's."""
  prefix = 'critic/'
  trees = (
    {
      name.removeprefix(prefix): module
      for name, module in tree.items()
      if name.startswith(f'{prefix}feature_extractor/')
    }
    for tree in eigen2.critic_from_torch(parameters.critic(config, spec))
  )
  return eigen2.Variables(*trees)

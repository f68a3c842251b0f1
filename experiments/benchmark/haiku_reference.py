"""Implements the feature extractor in plain Haiku, to compare Eigen3's with.

It runs `hk.LSTM` cores under `hk.dynamic_unroll`, both directions of both
layers over all days, with automatic differentiation and no rematerialisation.
"""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from eigen3 import parallel
from eigen3.types import Array
from experiments.benchmark import jax_cases, parameters
from experiments.benchmark.cases import Built
from experiments.benchmark.settings import networks_of


def make_extractor(
  config: ml_collections.ConfigDict,
) -> hk.TransformedWithState:
  """Makes the feature extractor, for windows without missing cells.

  Args:
    config: the `networks` section; its dropout is ignored.

  Returns:
    `init`, and `apply(params, state, key, window, is_training)`, which maps
    windows [B, D, C, F] to features [B, C, 2H] and a new state.
  """

  def extractor(window: Array, is_training: bool) -> Array:
    batch, days, columns, features = window.shape
    x = window.swapaxes(1, 2).reshape(-1, days, features)
    x = hk.Conv1D(config.convolution_channels, 3, name='convolution')(x)
    norm = hk.BatchNorm(True, True, decay_rate=0.9, name='batch_norm')
    x = jax.nn.relu(norm(x, is_training)).swapaxes(0, 1)
    for layer in (1, 2):
      x = jnp.concatenate(
        [
          _unroll(x, config.hidden, f'layer_{layer}_forward', reverse=False),
          _unroll(x, config.hidden, f'layer_{layer}_reverse', reverse=True),
        ],
        -1,
      )
    return x[-config.pooled_days :].mean(0).reshape(batch, columns, -1)

  return hk.transform_with_state(extractor)


def _unroll(x: Array, hidden: int, name: str, reverse: bool) -> Array:
  """Runs one direction of one LSTM layer: [D, rows, inputs] to [D, rows, H].

  Each row is a sequence: one column of one window.
  """
  core = hk.LSTM(hidden, name=name)
  state = core.initial_state(x.shape[1])
  return hk.dynamic_unroll(core, x, state, reverse=reverse)[0]


def from_torch(state_dict: parameters.StateDict) -> dict[str, dict[str, Array]]:
  """Converts a PyTorch extractor's parameters to those of `make_extractor`.

  The running statistics of the batch norm are left out.
  """
  kernel = state_dict['conv1.weight'].transpose(2, 1, 0)
  params = {
    'convolution': {'w': kernel, 'b': state_dict['conv1.bias']},
    'batch_norm': {
      'scale': state_dict['bn1.weight'][None, None],
      'offset': state_dict['bn1.bias'][None, None],
    },
  }
  for layer in (1, 2):
    for direction, suffix in (('forward', ''), ('reverse', '_reverse')):
      name = f'layer_{layer}_{direction}/linear'
      params[name] = _direction(state_dict, f'l{layer - 1}{suffix}')
  return jax.tree.map(jnp.asarray, params)


def _direction(
  state_dict: parameters.StateDict, suffix: str
) -> dict[str, np.ndarray]:
  """Converts the parameters of one direction of an LSTM layer to Haiku's.

  Haiku has one matrix and one bias for input and hidden state, with the gates
  in the order i, g, f, o. It adds 1 to the bias of the forget gate f, so 1 is
  subtracted here.

  Args:
    state_dict: the extractor's state dict.
    suffix: PyTorch's name of layer and direction, such as 'l0' or 'l1_reverse'.
  """
  both = (
    state_dict[f'lstm.weight_ih_{suffix}'],
    state_dict[f'lstm.weight_hh_{suffix}'],
  )
  bias = state_dict[f'lstm.bias_ih_{suffix}']
  bias = bias + state_dict[f'lstm.bias_hh_{suffix}']

  def reorder(x: np.ndarray) -> np.ndarray:
    i, f, g, o = np.split(x, 4)
    return np.concatenate([i, g, f, o])

  shift = np.repeat(np.array([0, 0, 1, 0], bias.dtype), len(bias) // 4)
  w = np.concatenate([reorder(matrix).T for matrix in both])
  return {'w': w, 'b': reorder(bias) - shift}


def extractor_case(**settings: Any) -> Built:
  """Builds a case of Haiku's extractor, forward and backward in training mode.

  Args:
    **settings: see `config_of`; also `batch`, B, by default 1.
  """
  config, spec = networks_of(settings)
  network = make_extractor(config)
  window = jnp.asarray(parameters.case_window(spec, settings))
  _, state = jax.jit(network.init, static_argnums=2)(
    jax.random.PRNGKey(0), window, True
  )
  params = from_torch(parameters.extractor(config, spec))

  def loss(params, state, window):
    features, _ = network.apply(params, state, None, window, True)
    return jnp.square(features).sum(), features

  gradient = jax.value_and_grad(loss, has_aux=True)
  return jax_cases.built(
    gradient,
    (params, state, window),
    options=parallel.compiler_options(),
    output=lambda result: np.asarray(result[0][1]),
  )

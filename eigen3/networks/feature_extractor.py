"""From a market window to features per column: convolution, then LSTM."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import ml_collections

from eigen3 import parallel
from eigen3.networks import dropout, layers, recurrent
from eigen3.types import Array, PRNGKey

_KERNEL = 3  # days a convolution sees: yesterday, today, tomorrow
_MOMENTUM = 0.1  # PyTorch's: the share of the new batch
_EPSILON = 1e-5


class FeatureExtractor(hk.Module):
  """Convolution over days, batch norm, ReLU, LSTM, mean of the last days.

  Each column is encoded alone with shared weights. A cell (day, column) with
  any NaN feature is missing: it silences the convolution's outputs of that
  day and its neighbours, and is left out of the batch statistics, so that
  it can never make them NaN. Source: Eigen2's feature extractor.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    policy: jmp.Policy,
    name: str = 'feature_extractor',
  ):
    super().__init__(name=name)
    self._config = config
    self._policy = policy

  def __call__(
    self, window: Array, is_training: bool, examples: Array
  ) -> Array:
    """Encodes every column of every example.

    Args:
      window: [B, D, C, F] features; NaN where there is no data.
      is_training: use and record batch statistics, and drop units.
      examples: int32 [B], identities that dropout's keys fold in.

    Returns:
      [B, C, 2H] in the policy's output dtype.
    """
    config = self._config
    key = None
    if is_training and config.lstm_dropout:
      key = hk.next_rng_key()
    # Time first, once, on the narrow side of the network.
    window = jnp.swapaxes(window, 0, 1).astype(self._policy.param_dtype)
    missing = jnp.isnan(window).any(-1)
    window = jnp.where(missing[..., None], 0.0, window)
    audible = _audible(missing)
    convolution = Convolution(config.convolution_channels, self._policy)(
      window, audible, is_training
    )
    lstm = LSTMWeights(config.hidden, self._policy)(config.convolution_channels)

    def encode(window, audible, columns):
      return _encode(
        (convolution, lstm),
        (window, audible),
        None if key is None else _cell_keys(key, examples, columns),
        config,
        self._policy,
      )

    if config.remat:
      encode = jax.checkpoint(encode, prevent_cse=not config.column_chunk)
    return _over_columns(encode, window, audible, config.column_chunk)


class Convolution(hk.Module):
  """The convolution over days with batch norm folded into its weights."""

  def __init__(
    self, channels: int, policy: jmp.Policy, name: str = 'convolution'
  ):
    super().__init__(name=name)
    self._channels = channels
    self._policy = policy

  def __call__(
    self, window: Array, audible: Array, is_training: bool
  ) -> layers.Affine:
    """The map from a day's neighbourhood [kernel * F] to its channels.

    Args:
      window: [D, B, C, F] without NaN.
      audible: bool [D, B, C], the outputs that count.
      is_training: normalise by this batch instead of the running statistics.

    Returns:
      Weights and bias in the parameters' dtype, batch norm folded in.
    """
    dtype = self._policy.param_dtype
    shape = (_KERNEL, window.shape[-1], self._channels)
    init = layers.uniform_initializer(shape[0] * shape[1])
    w = hk.get_parameter('w', shape, dtype, init).reshape(-1, self._channels)
    b = hk.get_parameter('b', shape[2:], dtype, init)
    batch = None
    if is_training:
      batch = _moments(_neighbours(window) @ w + b, audible)
    mean, scale, offset = BatchNorm(self._policy)(batch, self._channels)
    return layers.Affine(w * scale, (b - mean) * scale + offset)


class BatchNorm(hk.Module):
  """PyTorch's batch norm: biased to normalise, unbiased to remember."""

  def __init__(self, policy: jmp.Policy, name: str = 'batch_norm'):
    super().__init__(name=name)
    self._policy = policy

  def __call__(
    self, batch: tuple[Array, Array, Array] | None, channels: int
  ) -> tuple[Array, Array, Array]:
    """What normalises: mean, scale and offset, [channels] each.

    Args:
      batch: mean, biased variance and number of outputs of this batch, or
        None to use the running statistics. A batch without a single output
        uses them too, and leaves them as they are.
      channels: size of the convolution.

    Returns:
      (x - mean) * scale + offset is the normalised x.
    """
    shape, dtype = (channels,), self._policy.param_dtype
    scale = hk.get_parameter('scale', shape, dtype, jnp.ones)
    offset = hk.get_parameter('offset', shape, dtype, jnp.zeros)
    mean = hk.get_state('mean', shape, dtype, jnp.zeros)
    variance = hk.get_state('variance', shape, dtype, jnp.ones)
    if batch is not None:
      used = jax.lax.stop_gradient(batch)
      unbiased = used[1] * used[2] / jnp.maximum(used[2] - 1, 1)
      share = jnp.where(used[2] > 0, _MOMENTUM, 0.0)
      hk.set_state('mean', mean + share * (used[0] - mean))
      hk.set_state('variance', variance + share * (unbiased - variance))
      mean = jnp.where(batch[2] > 0, batch[0], mean)
      variance = jnp.where(batch[2] > 0, batch[1], variance)
    return mean, scale * jax.lax.rsqrt(variance + _EPSILON), offset


class LSTMWeights(hk.Module):
  """Holds the LSTM's parameters; the arithmetic is in `recurrent`."""

  def __init__(self, hidden: int, policy: jmp.Policy, name: str = 'lstm'):
    super().__init__(name=name)
    self._hidden = hidden
    self._policy = policy

  def __call__(self, inputs: int) -> recurrent.Weights:
    """Parameters for `inputs` channels."""
    sizes = (inputs, inputs, 2 * self._hidden, 2 * self._hidden)
    names = recurrent.Weights._fields
    return recurrent.Weights(*map(self._direction, names, sizes))

  @hk.transparent
  def _direction(self, name: str, inputs: int) -> recurrent.DirectionWeights:
    init = layers.uniform_initializer(self._hidden)
    get = functools.partial(
      hk.get_parameter, dtype=self._policy.param_dtype, init=init
    )
    gates = 4 * self._hidden
    return recurrent.DirectionWeights(
      input=get(f'{name}_input', (inputs, gates)),
      hidden=get(f'{name}_hidden', (self._hidden, gates)),
      bias=get(f'{name}_bias', (gates,)),
    )


def _encode(
  parameters: tuple[layers.Affine, recurrent.Weights],
  block: tuple[Array, Array],
  keys: Array | None,
  config: ml_collections.ConfigDict,
  policy: jmp.Policy,
) -> Array:
  """Some columns, [D, B, c, F], to their features [B, c, 2H]."""
  (convolution, lstm), (window, audible) = parameters, block
  days, batch, columns, _ = window.shape
  y = layers.affine(_neighbours(window), convolution, policy)
  y = jnp.where(audible[..., None], jax.nn.relu(y), 0.0)
  keep = None
  if keys is not None:
    keep = dropout.keep_scale(
      keys.reshape(batch * columns, -1),
      config.lstm_dropout,
      (days, 2 * config.hidden),
      policy.compute_dtype,
    )
  rows = y.reshape(days, batch * columns, -1).swapaxes(1, 2)
  pooled = recurrent.pooled_lstm(lstm, rows, keep, config.pooled_days, policy)
  return pooled.reshape(batch, columns, -1)


def _over_columns(encode, window: Array, audible: Array, chunk: int) -> Array:
  """Runs `encode` on blocks of `chunk` columns, one after another."""
  _, batch, columns, _ = window.shape
  identities = jnp.arange(columns)
  if not 0 < chunk < columns:
    return encode(window, audible, identities)

  def blocks(x, axis):
    x = parallel.pad_to_multiple(x, chunk, axis)
    shape = (*x.shape[:axis], -1, chunk, *x.shape[axis + 1 :])
    return jnp.moveaxis(x.reshape(shape), axis, 0)

  features = jax.lax.map(
    lambda block: encode(*block),
    (blocks(window, 2), blocks(audible, 2), blocks(identities, 0)),
  )
  features = jnp.moveaxis(features, 0, 1)
  return features.reshape(batch, -1, features.shape[-1])[:, :columns]


def _audible(missing: Array) -> Array:
  """bool [D, ...]: no missing cell in the convolution's view of a day."""
  edge = jnp.zeros_like(missing[:1])
  before = jnp.concatenate([edge, missing[:-1]])
  after = jnp.concatenate([missing[1:], edge])
  return ~(before | missing | after)


def _neighbours(x: Array) -> Array:
  """[D, ..., F] to [D, ..., 3F]: the day before, the day, the day after."""
  edge = jnp.zeros_like(x[:1])
  before = jnp.concatenate([edge, x[:-1]])
  after = jnp.concatenate([x[1:], edge])
  return jnp.concatenate([before, x, after], -1)


def _moments(y: Array, counted: Array) -> tuple[Array, Array, Array]:
  """Mean and biased variance of the counted entries, and their number."""
  number = counted.sum(dtype=y.dtype)
  axes = tuple(range(y.ndim - 1))
  divisor = jnp.maximum(number, 1)
  counted = counted[..., None]
  mean = jnp.where(counted, y, 0.0).sum(axes) / divisor
  deviation = jnp.where(counted, y - mean, 0.0)
  return mean, jnp.square(deviation).sum(axes) / divisor, number


def _cell_keys(key: PRNGKey, examples: Array, columns: Array) -> Array:
  """A key for every (example, column): [B, c, 2]."""
  of_example = dropout.fold_in_each(key, examples)
  return jax.vmap(dropout.fold_in_each, in_axes=(0, None))(of_example, columns)

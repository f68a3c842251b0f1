"""Encodes each column of a market window: convolution, then LSTM."""

import functools
from collections.abc import Callable

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import ml_collections

from eigen3 import parallel
from eigen3.networks import dropout, layers, recurrent
from eigen3.networks.lstm_cell import Loops
from eigen3.types import Array, PRNGKey

_KERNEL = 3  # days that an output reads: the day before, the day, the next
_MOMENTUM = 0.1  # PyTorch's: the weight of the new batch
_EPSILON = 1e-5


class FeatureExtractor(hk.Module):
  """Convolution over days, batch norm, ReLU, LSTM, mean over the last days.

  Each column is encoded alone, all with the same weights. A cell (day, column)
  with any NaN feature is missing. The convolution's outputs that depend on it,
  those of its day and of the days before and after, are set to 0 and left out
  of the batch statistics, so that nothing becomes NaN. Source: Eigen2's feature
  extractor.
  """

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    policy: jmp.Policy,
    mesh: jax.sharding.Mesh | None = None,
    name: str = 'feature_extractor',
  ):
    super().__init__(name=name)
    self._config = config
    self._policy = policy
    self._mesh = mesh

  def __call__(
    self, window: Array, is_training: bool, examples: Array
  ) -> Array:
    """Encodes every column of every example.

    Args:
      window: [B, D, C, F] features; NaN where there is no data.
      is_training: whether to use and record batch statistics, and apply
        dropout.
      examples: int32 [B], the examples' identities, folded into dropout's keys.

    Returns:
      [B, C, 2H] in the output dtype of the precision policy.

    Raises:
      ValueError: if D is below `networks.pooled_days`.
    """
    config, policy = self._config, self._policy
    batch, _, columns, _ = window.shape
    keys = None
    if is_training and config.lstm_dropout:
      keys = _sequence_keys(hk.next_rng_key(), examples, columns)
    window = window.astype(policy.param_dtype)
    # From here on examples and columns are one axis of sequences.
    window = jnp.swapaxes(window, 1, 2).reshape(
      batch * columns, -1, *window.shape[3:]
    )
    missing = jnp.isnan(window).any(-1)
    window = jnp.where(missing[..., None], 0.0, window)
    valid = _valid(missing)
    blocks = functools.partial(
      parallel.map_blocks,
      size=config.sequence_block if is_training else config.evaluation_block,
      mesh=self._mesh,
      remat=config.remat,
    )
    convolution = Convolution(config.convolution_channels, policy)(
      window, valid, blocks if is_training else None
    )
    lstm = LSTMWeights(config.hidden, policy)(config.convolution_channels)
    plan = recurrent.Plan(
      policy,
      config.pooled_days,
      config.lstm_dropout,
      tuple(config.lstm_save_gates),
      config.lstm_hoist == 'always',
      config.precision,
      find_loops(config.lstm_kernel),
      config.lstm_directions == 'together',
    )
    features = blocks(
      functools.partial(_encode, plan),
      (convolution, lstm),
      (window, valid, keys),
    )
    return features.reshape(batch, columns, -1)


def find_loops(kernel: str) -> Loops | None:
  """Returns the LSTM's kernels; None for 'scan', which uses none.

  Args:
    kernel: the setting `networks.lstm_kernel`, with 'auto' already resolved.
  """
  if kernel == 'scan':
    return None
  # Imported here: not every version of JAX has the modules that hopper uses.
  from eigen3.networks import hopper

  return hopper.LOOPS


class Convolution(hk.Module):
  """The convolution over days, with batch norm folded into its weights."""

  def __init__(
    self, channels: int, policy: jmp.Policy, name: str = 'convolution'
  ):
    super().__init__(name=name)
    self._channels = channels
    self._policy = policy

  def __call__(
    self, window: Array, valid: Array, blocks: Callable | None
  ) -> layers.Affine:
    """Returns the affine map from the features of three days to the channels.

    Args:
      window: [S, D, F] without NaN; S sequences, one per example and column.
      valid: bool [S, D], True for outputs that depend on no missing cell.
      blocks: `parallel.map_blocks` with its options, to compute the statistics
        of this batch; None to use the running statistics.

    Returns:
      Weights [3F, channels] for the output of `_neighbours`, and bias, in the
      parameters' dtype.
    """
    dtype = self._policy.param_dtype
    shape = (_KERNEL, window.shape[-1], self._channels)
    init = layers.uniform_initializer(shape[0] * shape[1])
    w = hk.get_parameter('w', shape, dtype, init).reshape(-1, self._channels)
    b = hk.get_parameter('b', shape[2:], dtype, init)
    batch = None
    if blocks is not None:
      batch = _merge(*blocks(_moments, (w, b), (window, valid)))
    mean, scale, offset = BatchNorm(self._policy)(batch, self._channels)
    return layers.Affine(w * scale, (b - mean) * scale + offset)


class BatchNorm(hk.Module):
  """Batch norm as in PyTorch.

  In training it normalises by the biased variance of the batch, and records
  the unbiased variance in the running statistics.
  """

  def __init__(self, policy: jmp.Policy, name: str = 'batch_norm'):
    super().__init__(name=name)
    self._policy = policy

  def __call__(
    self, batch: tuple[Array, Array, Array] | None, channels: int
  ) -> tuple[Array, Array, Array]:
    """Returns the normalisation: mean, scale and offset, [channels] each.

    Args:
      batch: mean, biased variance and number of the valid outputs of this
        batch. If this is None, or the number is 0, the running statistics are
        used and not updated.
      channels: number of the convolution's channels.

    Returns:
      Mean, scale and offset; (x - mean) * scale + offset is the normalised x.
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
  """Creates the LSTM's parameters; the arithmetic is in `recurrent`."""

  def __init__(self, hidden: int, policy: jmp.Policy, name: str = 'lstm'):
    super().__init__(name=name)
    self._hidden = hidden
    self._policy = policy

  def __call__(self, inputs: int) -> recurrent.Weights:
    """Returns the parameters for `inputs` input channels."""
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
  plan: recurrent.Plan,
  parameters: tuple[layers.Affine, recurrent.Weights],
  sequences: tuple[Array, Array, Array | None],
) -> Array:
  """Encodes a block of c sequences as features [c, 2H].

  Args:
    plan: static settings of the LSTM.
    parameters: of the convolution and of the LSTM.
    sequences: the block's windows [c, D, F]; which outputs of the convolution
      are valid, bool [c, D]; and dropout keys [c, 2], or None.
  """
  (convolution, lstm), (window, valid, keys) = parameters, sequences
  y = layers.affine(_neighbours(window), convolution, plan.policy)
  y = jnp.where(valid[..., None], jax.nn.relu(y), 0.0)
  return recurrent.pooled_lstm(plan, lstm, y.transpose(1, 2, 0), keys)


def _valid(missing: Array) -> Array:
  """Returns which outputs of the convolution are valid, bool [S, D].

  An output is valid if neither its day nor a day next to it is missing. Days
  beyond the ends of the window, where the convolution reads 0, are not missing.
  """
  edge = jnp.zeros_like(missing[:, :1])
  before = jnp.concatenate([edge, missing[:, :-1]], 1)
  after = jnp.concatenate([missing[:, 1:], edge], 1)
  return ~(before | missing | after)


def _neighbours(x: Array) -> Array:
  """Maps [S, D, F] to [S, D, 3F]: the day before, the day, the day after.

  Days beyond the ends of the window are zeros.
  """
  edge = jnp.zeros_like(x[:, :1])
  before = jnp.concatenate([edge, x[:, :-1]], 1)
  after = jnp.concatenate([x[:, 1:], edge], 1)
  return jnp.concatenate([before, x, after], -1)


def _moments(
  convolution: tuple[Array, Array], sequences: tuple[Array, Array]
) -> tuple[Array, Array, Array]:
  """Returns the moments of each sequence's valid outputs, for `_merge`."""
  (w, b), (window, valid) = convolution, sequences
  y = _neighbours(window) @ w + b
  number = valid.sum(1, dtype=y.dtype)
  counted = valid[..., None]
  mean = jnp.where(counted, y, 0.0).sum(1)
  mean /= jnp.maximum(number, 1)[:, None]
  deviation = jnp.where(counted, y - mean[:, None], 0.0)
  return number, mean, jnp.square(deviation).sum(1)


def _merge(
  number: Array, mean: Array, squares: Array
) -> tuple[Array, Array, Array]:
  """Combines the moments of all sequences into those of the batch.

  Source: Chan, Golub and LeVeque (1983).

  Args:
    number: [S], the number of valid outputs of each sequence.
    mean: [S, channels], the mean of these outputs.
    squares: [S, channels], sums of their squared deviations from this mean.

  Returns:
    Mean and biased variance [channels] of all valid outputs, and their number
    [].
  """
  total = number.sum()
  share = number / jnp.maximum(total, 1)
  overall = share @ mean
  between = share @ jnp.square(mean - overall)
  return overall, squares.sum(0) / jnp.maximum(total, 1) + between, total


def _sequence_keys(key: PRNGKey, examples: Array, columns: int) -> Array:
  """Returns a PRNG key for each (example, column), [B * C, 2]."""
  of_example = dropout.fold_in_each(key, examples)
  fold = jax.vmap(dropout.fold_in_each, in_axes=(0, None))
  return fold(of_example, jnp.arange(columns)).reshape(
    len(examples) * columns, -1
  )

"""Builds the networks; only this module of eigen3 uses Haiku's transforms."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import jmp
import ml_collections

from eigen3 import settings, sizes
from eigen3.networks import attention, layers
from eigen3.networks.actor import Actor
from eigen3.networks.critic import Critic, DoubleCritic, find_pooling
from eigen3.networks.feature_extractor import FeatureExtractor
from eigen3.types import Account, Array, EnvironmentSpec

# Module names in parameter trees.
_ACTOR, _EXTRACTOR = 'actor', 'feature_extractor'


@dataclasses.dataclass(frozen=True)
class Divided:
  """The `apply` of a policy, whole and in two parts.

  Outside training, `head(params, state, key, encoded, account, ...)`, applied
  to the output of `encoder(params, state, key, window, ...)`, gives the same
  actions as `whole`. The encoder does nearly all of the work; only the head
  sees the account. All three return (output, state); those of `Networks.actor`
  also take `is_training` and `examples`.

  Attributes:
    whole: maps a window, or a pair (window, account), to a pair (actions,
      attention), as `Networks.actor` does; `__call__` calls it.
    encoder: maps a window to its encoding, such as `actor.Encoded`; with
      `return_attention=True`, the encoding's field `attention` is set.
    head: maps an encoding, and an `Account` or None, to actions only.
  """

  whole: Callable[..., Any]
  encoder: Callable[..., Any]
  head: Callable[..., Any]

  def __call__(self, *inputs: Any, **options: Any) -> Any:
    return self.whole(*inputs, **options)

  @classmethod
  def of(cls, function: Callable) -> hk.TransformedWithState:
    """Returns a policy whose `apply` is a `Divided`.

    Args:
      function: takes no arguments and returns three functions that use Haiku
        modules: the whole policy, its encoder and its head.
    """

    def template_and_parts():
      parts = tuple(function())
      return parts[0], parts

    init, parts = hk.multi_transform_with_state(template_and_parts)
    return hk.TransformedWithState(init, cls(*parts))


class Shared(NamedTuple):
  """Actor and critics that read the same extractor's features.

  Attributes:
    extractor: maps a window [B, D, C, F] to features [B, C, 2H], or a pair
      (window, account) to a pair (features, account).
    actor: like `Networks.actor`, but maps the extractor's output, returns None
      as attention, and its `apply` is not a `Divided`.
    double_critic: like `Networks.double_critic`, but maps the extractor's
      output instead of a window.
  """

  extractor: hk.TransformedWithState
  actor: hk.TransformedWithState
  double_critic: hk.TransformedWithState

  @staticmethod
  def join(actor: Mapping, critic: Mapping) -> dict:
    """Joins parameters, or states, of parts into those of `Networks.actor`.

    Args:
      actor: parameters, or state, of the part `actor`.
      critic: parameters, or state, of the parts `extractor` and
        `double_critic`, in one mapping; only the extractor's are used.
    """
    own = {
      f'{_ACTOR}/{name}': leaves
      for name, leaves in critic.items()
      if name.startswith(_EXTRACTOR)
    }
    return {**actor, **own}

  @staticmethod
  def split(joined: Mapping, critic: Mapping) -> tuple[dict, dict]:
    """Inverts `join`, for parameters or states.

    Args:
      joined: parameters, or state, of `Networks.actor`.
      critic: parameters, or state, of the parts `extractor` and
        `double_critic`, in one mapping.

    Returns:
      The entries of `joined` for the part `actor`; and a copy of `critic` with
      the extractor's entries taken from `joined`.
    """
    prefix = f'{_ACTOR}/{_EXTRACTOR}'
    actor = {k: v for k, v in joined.items() if not k.startswith(prefix)}
    own = {
      k.removeprefix(f'{_ACTOR}/'): v
      for k, v in joined.items()
      if k.startswith(prefix)
    }
    return actor, {**critic, **own}


class Networks(NamedTuple):
  """All networks, as pairs of `init` and `apply`.

  `init(key, *inputs)` returns (params, state); `apply(params, state, key,
  *inputs, is_training=False, ...)` returns (output, state). The key may be None
  outside training. All take `examples`, int32 [B]: for each example a number,
  by default 0 to B - 1, that with the key determines its dropout masks. If a
  batch is split and each part passes the numbers that its examples have in the
  whole batch, the masks do not change.

  Attributes:
    feature_extractor: window [B, D, C, F] to features [B, C, 2H].
    cross_attention: features [B, C, E], E a multiple of `num_heads`, to
      (context [B, 1, E], weights); the weights are [B, C] with
      `return_weights=True`, else None.
    self_attention: features [B, C, E] to (features [B, C, E], weights); weights
      as for `cross_attention`.
    actor: window to (actions [B, N, 2] in environment units, attention); the
      attention is [B, C] with `return_attention=True`, else None. The actor's
      `apply` is a `Divided`.
    critic: window and action [B, N, 2] in unit space to values [B, 1]; or
      window and M actions [B, M, N, 2] to values [B, M, 1].
    double_critic: the same as `critic` for K critics: values [B, K] or
      [B, M, K].
    shared: extractor, actor and critics as separate parts if
      `shared_extractor` is 'all', else None.

  If the spec says that policies observe the account, actor and critics take a
  pair (window, `Account`) instead of the window. The account's leaves may be
  [B, M, ...], M accounts for each window; then the actor returns, and critics
  need, M actions [B, M, N, 2], one per account.
  """

  feature_extractor: hk.TransformedWithState
  cross_attention: hk.TransformedWithState
  self_attention: hk.TransformedWithState
  actor: hk.TransformedWithState
  critic: hk.TransformedWithState
  double_critic: hk.TransformedWithState
  shared: Shared | None


def make_networks(
  config: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  mesh: jax.sharding.Mesh | None = None,
) -> Networks:
  """Builds all networks for an environment; only `init` makes parameters.

  If a setting is 'auto', all processes of a run must call this function.

  Args:
    config: the `networks` section of an experiment's config; values that are
      'auto' are chosen for JAX's devices.
    spec: of the environment, such as `TradingEnvironment.spec`.
    mesh: devices among which the extractor splits its sequences (see
      `parallel.make_mesh`); the inputs of `apply` must be on all of them. None
      for one device.

  Raises:
    ValueError: for a setting that is invalid, or does not fit the spec, the
      devices or JAX's options; the message names the field. `init` and `apply`
      of networks that read a window raise a ValueError if it has too few days;
      those of actor and critics also if it has too few columns or the wrong
      number of features, or if a required account is missing.
  """
  _check(config, spec)
  config = sizes.of_networks(config, spec)
  policy = layers.precision_policy(config.compute_dtype)
  precise = functools.partial(_at_precision, config.precision)

  def transformed(function):
    return hk.transform_with_state(precise(function))

  def feature_extractor(window, is_training=False, examples=None):
    module = FeatureExtractor(config, policy, mesh)
    return module(window, is_training, _examples(window, examples))

  def attend(
    kind, features, is_training=False, return_weights=False, examples=None
  ):
    examples = _examples(features, examples)
    module = kind(config, policy)
    return module(features, is_training, examples, return_weights)

  def critic(kind, x, action, is_training=False, examples=None):
    window, account = _window_and_account(x, spec)
    examples = _examples(window, examples)
    module = kind(config, spec, policy, mesh)
    return module(window, action, is_training, examples, account)

  return Networks(
    feature_extractor=transformed(feature_extractor),
    cross_attention=transformed(
      functools.partial(attend, attention.CrossAttention)
    ),
    self_attention=transformed(
      functools.partial(attend, attention.SelfAttention)
    ),
    actor=Divided.of(
      lambda: map(precise, _actor(spec, Actor(config, spec, policy, mesh)))
    ),
    critic=transformed(functools.partial(critic, Critic)),
    double_critic=transformed(functools.partial(critic, DoubleCritic)),
    shared=_shared(config, spec, policy, mesh, precise),
  )


def _shared(
  config: ml_collections.ConfigDict,
  spec: EnvironmentSpec,
  policy: jmp.Policy,
  mesh: jax.sharding.Mesh | None,
  precise: Callable,
) -> Shared | None:
  if config.shared_extractor != 'all':
    return None

  def extractor(x, is_training=False, examples=None):
    window, account = _window_and_account(x, spec)
    module = FeatureExtractor(config, policy, mesh)
    features = module(window, is_training, _examples(window, examples))
    return features if account is None else (features, account)

  def actor(x, is_training=False, examples=None):
    features, account = x if spec.observes_account else (x, None)
    examples = _examples(features, examples)
    module = Actor(config, spec, policy, mesh)
    return module.of_features(features, is_training, examples, account), None

  def critics(x, action, is_training=False, examples=None):
    features, account = x if spec.observes_account else (x, None)
    examples = _examples(features, examples)
    module = DoubleCritic(config, spec, policy, mesh)
    return module.of_features(features, action, is_training, examples, account)

  return Shared(
    *(
      hk.transform_with_state(precise(function))
      for function in (extractor, actor, critics)
    )
  )


def _at_precision(precision: str, function: Callable) -> Callable:
  """Wraps `function` to run within `layers.at_precision(precision)`."""

  def wrapped(*inputs, **options):
    with layers.at_precision(precision):
      return function(*inputs, **options)

  return wrapped


def _actor(spec: EnvironmentSpec, module: Actor) -> tuple[Callable, ...]:
  """Returns a policy's functions for `Divided.of`: whole, encoder and head."""

  def whole(x, is_training=False, return_attention=False, examples=None):
    window, account = _window_and_account(x, spec)
    examples = _examples(window, examples)
    return module(window, is_training, examples, return_attention, account)

  def encoder(window, is_training=False, return_attention=False, examples=None):
    _check_window(window, spec)
    examples = _examples(window, examples)
    return module.encode(window, is_training, examples, return_attention)

  def head(encoded, account, is_training=False, examples=None):
    examples = _examples(encoded.stocks, examples)
    return module.decide(encoded, account, is_training, examples)

  return whole, encoder, head


def _examples(x: Array, examples: Array | None) -> Array:
  return jnp.arange(x.shape[0]) if examples is None else examples


def _window_and_account(
  x: Any, spec: EnvironmentSpec
) -> tuple[Array, Account | None]:
  """Splits a network's input into window and account, and checks both.

  The account is None if the spec says that policies do not observe it: then
  the input is the window alone.
  """
  window, account = x, None
  if spec.observes_account:
    found = type(x).__name__
    if isinstance(x, tuple):
      found += f' of {", ".join(type(part).__name__ for part in x)}'
    settings.require(
      isinstance(x, tuple) and len(x) == 2 and isinstance(x[1], Account),
      'input of the networks',
      found,
      'a pair (window, Account), because environment.observe_account is True',
    )
    window, account = x
  _check_window(window, spec)
  return window, account


def _check_window(window: Array, spec: EnvironmentSpec) -> None:
  if window.ndim != 4 or window.shape[2] < spec.investable[1]:
    raise ValueError(
      f'window: found shape {window.shape}, expected (batch, days, columns, '
      f'features) with at least {spec.investable[1]} columns, so that all '
      'investable ones are there'
    )
  settings.require(
    window.shape[3] == spec.num_features,
    'number of features in the window',
    window.shape[3],
    f"{spec.num_features}, as in the environment's spec",
  )


_EXPECTED = {
  'convolution_channels': settings.SIZE,
  'hidden': settings.SIZE,
  'lstm_dropout': settings.DROPOUT,
  'pooled_days': settings.AT_LEAST_ONE,
  'sequence_block': settings.or_auto(settings.COUNT),
  'evaluation_block': settings.or_auto(settings.COUNT),
  'remat': settings.or_auto(settings.SWITCH),
  'lstm_save_gates': settings.several(
    settings.SWITCH, 'True or False for each of the 2 layers', 2
  ),
  'lstm_hoist': settings.one_of('auto', 'always', 'never'),
  'lstm_directions': settings.one_of('auto', 'apart', 'together'),
  'lstm_kernel': settings.one_of('auto', *sizes.KERNELS),
  'compute_dtype': settings.one_of('auto', *layers.WIDE),
  'precision': settings.one_of('default', 'highest'),
  'num_heads': settings.SIZE,
  'attention_dropout': settings.DROPOUT,
  'column_gain': settings.NOT_NEGATIVE,
  'actor.investable_sizes': settings.sizes(2),
  'actor.context_size': settings.SIZE,
  'actor.head_size': settings.SIZE,
  'actor.dropout': settings.DROPOUT,
  'actor.coefficient_head': settings.one_of('sigmoid', 'eigen2'),
  'context_numbers': settings.COUNT,
  'shared_extractor': settings.one_of('none', 'critics', 'all'),
  'critic.pooling': settings.TEXT,  # see `find_pooling`
  'critic.self_attention': settings.SWITCH,
  'critic.sizes': settings.sizes(),
  'critic.dueling': settings.SWITCH,
  'critic.linear_path': settings.SWITCH,
  'critic.layer_norm': settings.SWITCH,
  'critic.dropout': settings.DROPOUT,
  'critic.slot_temperature': settings.POSITIVE,
  'critic.slot_context': settings.one_of('mean', 'attention'),
  'critic.ensemble': settings.whole(1, 64),
}


def check_settings(config: ml_collections.ConfigDict) -> None:
  """Checks the `networks` section; a ValueError names the first bad field."""
  settings.check('networks', config, _EXPECTED)
  find_pooling(config.critic.pooling)


def _check(config: ml_collections.ConfigDict, spec: EnvironmentSpec) -> None:
  """Checks the `networks` section, alone and against the spec."""
  check_settings(config)
  settings.require(
    config.pooled_days <= spec.context_days,
    'networks.pooled_days',
    config.pooled_days,
    f'at most environment.context_days, {spec.context_days}',
  )
  width = 2 * config.hidden
  settings.require(
    width % config.num_heads == 0,
    'networks.num_heads',
    config.num_heads,
    f'a divisor of the feature width {width}, twice networks.hidden',
  )
  settings.require(
    config.actor.coefficient_head != 'sigmoid'
    or spec.action.maximum[0] < math.inf,
    'networks.actor.coefficient_head',
    config.actor.coefficient_head,
    "'eigen2', because environment.scaled_actions is False and 'sigmoid' needs "
    'coefficients with an upper bound',
  )

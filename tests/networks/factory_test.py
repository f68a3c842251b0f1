"""Tests of eigen3.networks.factory, up to full dimensions."""

import dataclasses
import functools

import haiku as hk
import jax
import numpy as np
import pytest
from tiny_networks import SPEC

from eigen3 import networks
from eigen3.environment import Rules
from experiments.configs import td3

KEY = jax.random.PRNGKey(0)


def test_all_networks_are_transformed(config):
  built = networks.make_networks(config, SPEC)
  assert built._fields == (
    'feature_extractor',
    'cross_attention',
    'self_attention',
    'actor',
    'critic',
    'double_critic',
    'shared',
  )
  *networks_of_all, shared = built
  assert all(isinstance(n, hk.TransformedWithState) for n in networks_of_all)
  assert shared is None


def test_a_spec_follows_the_environment():
  config = td3.get_config('full')
  config.environment.max_sale_target = 40.0
  market = (669, 5, (8, 116))
  spec = Rules.from_config(config.environment).spec(*market)
  assert (spec.context_days, spec.num_columns, spec.num_features) == (
    504,
    669,
    5,
  )
  assert spec.investable == (8, 116)
  assert spec.action.shape == (108, 2)
  assert spec.action.minimum == (0.0, 10.0)
  assert spec.action.maximum == (2.0, 40.0)
  assert spec.action.scaled
  parity = td3.get_config('full+eigen2').environment
  assert not Rules.from_config(parity).spec(*market).action.scaled


def test_the_given_spec_counts(config, make_window):
  action = dataclasses.replace(SPEC.action, shape=(5, 2))
  spec = dataclasses.replace(SPEC, investable=(2, 7), action=action)
  actor = networks.make_networks(config, spec).actor
  (actions, _), _ = jax.eval_shape(
    lambda window: actor.apply(*actor.init(KEY, window), None, window),
    make_window(),
  )
  assert actions.shape == (3, 5, 2)


def test_windows_without_the_investable_columns_are_refused(
  config, make_window
):
  actor = networks.make_networks(config, SPEC).actor
  for window in (make_window()[:, :, :11], make_window()[0]):
    with pytest.raises(ValueError, match=r'window: found shape .* least 12 c'):
      actor.init(KEY, window)


def test_an_unknown_precision_is_refused(config):
  config.compute_dtype = 'int8'
  with pytest.raises(ValueError, match=r"compute_dtype: found 'int8'"):
    networks.make_networks(config, SPEC)


def test_windows_of_other_features_are_refused(config, make_window):
  """The window has another number of features than the spec."""
  actor = networks.make_networks(config, SPEC).actor
  with pytest.raises(ValueError, match='window: found 4, expected 5, as in'):
    actor.init(KEY, make_window()[..., :4])


@pytest.mark.parametrize(
  'field, found, expected',
  [
    ('convolution_channels', 0, 'at least 1'),
    ('hidden', 0, 'at least 1'),
    ('lstm_dropout', 1.0, 'at least 0 and below 1'),
    ('pooled_days', 0, 'at least 1'),
    ('pooled_days', 9, 'at most environment.context_days, 8'),
    ('sequence_block', -1, "at least 0, or 'auto'"),
    ('evaluation_block', -1, "at least 0, or 'auto'"),
    ('num_heads', 0, 'at least 1'),
    ('num_heads', 3, 'a divisor of the feature width 8, twice networks.hidden'),
    ('attention_dropout', -0.1, 'at least 0 and below 1'),
    ('actor.investable_sizes', (8,), '2 whole numbers from 1 to 8192'),
    ('actor.investable_sizes', (8, 0), '2 whole numbers from 1 to 8192'),
    ('actor.context_size', 0, 'at least 1'),
    ('actor.head_size', -3, 'at least 1'),
    ('actor.dropout', 1.5, 'at least 0 and below 1'),
    ('actor.coefficient_head', 'tanh', 'one of sigmoid, eigen2'),
    (
      'critic.pooling',
      'max',
      'one of slot, mean, or the path of a Pooling in Python, as in '
      'my_poolings.MaxHead',
    ),
    ('critic.sizes', (), 'one or more whole numbers from 1 to 8192'),
    ('critic.dropout', 1.0, 'at least 0 and below 1'),
    ('critic.slot_temperature', 0.0, 'above 0'),
    ('critic.slot_context', 'none', 'one of mean, attention'),
    ('critic.ensemble', 0, 'at least 1'),
  ],
)
def test_a_setting_out_of_range_is_named(config, field, found, expected):
  config.update_from_flattened_dict({field: found})
  with pytest.raises(ValueError, match='networks') as error:
    networks.make_networks(config, SPEC)
  assert str(error.value) == (
    f'networks.{field}: found {found!r}, expected {expected}'
  )


@pytest.mark.parametrize('kind', ['actor', 'critic'])
@pytest.mark.long
def test_full_dimensions(kind, finite):
  """D=504, C=669, F=5, N=108, H=128: one example forward."""
  config = td3.get_config('full')
  spec = Rules.from_config(config.environment).spec(669, 5, (8, 116))
  network = getattr(networks.make_networks(config.networks, spec), kind)
  rng = np.random.default_rng(0)
  inputs = [rng.normal(size=(1, 504, 669, 5)).astype(np.float32)]
  inputs[0][:, :300, 20] = np.nan
  if kind == 'critic':
    inputs.append(rng.uniform(-1, 1, (1, 108, 2)).astype(np.float32))
  params, state = jax.jit(network.init)(KEY, *inputs)
  apply = jax.jit(functools.partial(network.apply, is_training=False))
  output, _ = apply(params, state, None, *inputs)
  finite(output)
  if kind == 'actor':
    assert output[0].shape == (1, 108, 2)
  else:
    assert output.shape == (1, 1)
  width = params[f'{kind}/feature_extractor/lstm']['layer_2_forward_input']
  assert width.shape == (256, 512)

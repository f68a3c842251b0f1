"""Tests of eigen3.networks.factory, up to full dimensions."""

import functools

import haiku as hk
import jax
import numpy as np
import pytest

from eigen3 import networks
from experiments.configs import td3

KEY = jax.random.PRNGKey(0)


def test_all_networks_are_transformed(config):
  built = networks.make_networks(config)
  assert built._fields == (
    'feature_extractor',
    'cross_attention',
    'self_attention',
    'actor',
    'critic',
    'double_critic',
  )
  assert all(isinstance(n, hk.TransformedWithState) for n in built)


def test_default_spec_follows_the_environment():
  config = td3.get_config('full')
  config.environment.max_sale_target = 40.0
  spec = networks.environment_spec(config.networks.spec)
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
  parity = td3.get_config('full+eigen2').networks.spec
  assert not networks.environment_spec(parity).action.scaled


def test_the_given_spec_counts(config, make_window):
  config.spec.investable = (2, 7)
  spec = networks.environment_spec(config.spec)
  config.spec.investable = (4, 12)
  actor = networks.make_networks(config, spec).actor
  (actions, _), _ = jax.eval_shape(
    lambda window: actor.apply(*actor.init(KEY, window), None, window),
    make_window(),
  )
  assert actions.shape == (3, 5, 2)


def test_windows_without_the_investable_columns_are_refused(
  config, make_window
):
  actor = networks.make_networks(config).actor
  for window in (make_window()[:, :, :11], make_window()[0]):
    with pytest.raises(ValueError, match=r'window: found shape .* the 12 col'):
      actor.init(KEY, window)


def test_an_unknown_precision_is_refused(config):
  config.compute_dtype = 'int8'
  with pytest.raises(ValueError, match=r"compute_dtype: found 'int8'"):
    networks.make_networks(config)


@pytest.mark.parametrize('kind', ['actor', 'critic'])
@pytest.mark.long
def test_full_dimensions(kind, finite):
  """D=504, C=669, F=5, N=108, H=128: one example forward."""
  config = td3.get_config('full').networks
  network = getattr(networks.make_networks(config), kind)
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

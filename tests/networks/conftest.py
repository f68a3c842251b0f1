"""A tiny network config and windows with every kind of missing data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import td3


@pytest.fixture
def config():
  """Networks for D=8, C=12, N=8 (columns 4 to 11), H=4, two heads."""
  config = td3.get_config('smoke').networks
  config.actor.investable_sizes = (8, 6)
  config.actor.context_size = 5
  config.actor.head_size = 4
  config.critic.sizes = (8, 6)
  return config


@pytest.fixture
def make_window():
  """A function from a batch size to a window [B, 8, 12, 5] without NaN."""

  def make(batch: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, 8, 12, 5)).astype(np.float32)

  return make


@pytest.fixture
def holes():
  """A function that puts NaN into a window: cells, late and dead columns."""

  def punch(window: np.ndarray) -> np.ndarray:
    window = window.copy()
    window[0, 3, 1, 2] = np.nan  # one feature of one cell
    window[:, -1, 5] = np.nan  # an investable stock without a last day
    window[:, :6, 6] = np.nan  # lists late
    window[:, :, 7] = np.nan  # never lists
    return window

  return punch


@pytest.fixture
def silent_gradients():
  """Checks that all parameters but the two harmless biases get a gradient.

  The convolution's bias is removed by batch norm's mean, and attention's key
  bias moves all logits of a softmax alike.
  """

  def check(gradients):
    for path, module in gradients.items():
      for name, gradient in module.items():
        largest = float(jnp.abs(gradient).max())
        silent = name == 'key_b' or (
          path.endswith('/convolution') and name == 'b'
        )
        if silent:
          assert largest < 1e-12, f'{path}/{name}: {largest}'
        else:
          assert largest > 1e-9, f'{path}/{name}: {largest}'

  return check


@pytest.fixture
def finite():
  """Checks that a tree holds neither NaN nor infinity."""

  def check(tree):
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
      assert np.isfinite(np.asarray(leaf)).all(), path

  return check

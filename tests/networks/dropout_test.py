"""Tests of eigen3.networks.dropout."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from eigen3.networks import dropout

KEY = jax.random.PRNGKey(3)


def _drop(x, examples, is_training=True, key=KEY, rate=0.25):
  network = hk.transform(
    lambda x: dropout.dropout(x, rate, is_training, jnp.asarray(examples))
  )
  return network.apply({}, key, x)


def test_rate_and_expectation():
  scale = np.asarray(dropout.keep_scale(KEY, 0.1, (1001, 101), jnp.float32))
  np.testing.assert_allclose(np.unique(scale), [0.0, 1 / 0.9], rtol=1e-6)
  # Standard error of the share is 0.001.
  assert abs((scale == 0).mean() - 0.1) < 0.004


def test_neighbouring_entries_are_independent():
  kept = np.asarray(dropout.keep_scale(KEY, 0.5, (40000,), jnp.float32)) > 0
  for lag in (1, 2, 20000):
    together = np.corrcoef(kept[:-lag], kept[lag:])[0, 1]
    assert abs(together) < 0.03


def test_masks_of_different_keys_are_independent():
  keys = jax.random.split(KEY, 200)
  kept = np.asarray(dropout.keep_scale(keys, 0.5, (300,), jnp.float32)) > 0
  assert kept.shape == (300, 200)
  for axis in (kept, kept.T):
    correlation = np.corrcoef(axis) - np.eye(len(axis))
    # Five standard errors of the largest sample.
    assert np.abs(correlation).max() < 5.5 / np.sqrt(axis.shape[1])
    assert abs(correlation.mean()) < 0.003


def test_keys_axes_come_last():
  keys = jax.random.split(KEY, 6).reshape(2, 3, 2)
  together = dropout.keep_scale(keys, 0.5, (4, 5), jnp.float32)
  alone = dropout.keep_scale(keys[1, 2], 0.5, (4, 5), jnp.float32)
  np.testing.assert_array_equal(together[..., 1, 2], alone)


def test_mask_follows_the_example_not_its_place():
  x = jnp.ones((4, 5, 7))
  whole = _drop(x, [0, 1, 2, 3])
  np.testing.assert_array_equal(_drop(x[:2], [3, 1]), whole[jnp.array([3, 1])])
  assert not np.array_equal(whole[0], whole[1])


def test_evaluation_needs_no_key():
  x = jnp.ones((2, 3))
  np.testing.assert_array_equal(_drop(x, [0, 1], False, key=None), x)
  np.testing.assert_array_equal(_drop(x, [0, 1], key=None, rate=0.0), x)


def test_fold_in_each_keeps_the_shape_of_the_identities():
  keys = dropout.fold_in_each(KEY, jnp.arange(6).reshape(2, 3))
  assert keys.shape == (2, 3, 2)
  np.testing.assert_array_equal(keys[1, 2], jax.random.fold_in(KEY, 5))

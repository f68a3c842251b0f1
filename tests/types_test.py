"""Tests of the action and environment specs in eigen3.types."""

import double_precision
import hypothesis
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from eigen3.types import ActionSpec, EnvironmentSpec

INFINITY = float('inf')
SCALED = ActionSpec(shape=(3, 2), minimum=(0.0, 10.0), maximum=(2.0, 50.0))
RAW = ActionSpec(
  shape=(3, 2), minimum=(0.0, 10.0), maximum=(INFINITY, 50.0), scaled=False
)


def test_corners_and_middle_of_the_box():
  actions = jnp.array([[0.0, 10.0], [2.0, 50.0], [1.0, 30.0], [1.5, 20.0]])
  unit = [[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [0.5, -0.5]]
  np.testing.assert_allclose(SCALED.to_unit(actions), unit, atol=1e-6)
  np.testing.assert_allclose(SCALED.from_unit(jnp.array(unit)), actions)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
  bounds=st.lists(
    st.tuples(st.floats(-100, 100, width=32), st.floats(0.125, 100, width=32)),
    min_size=1,
    max_size=3,
  ),
  seed=st.integers(0, 1000),
)
def test_the_two_maps_are_inverse(bounds, seed):
  low = tuple(first for first, _ in bounds)
  high = tuple(first + width for first, width in bounds)
  spec = ActionSpec((4, len(bounds)), low, high)
  unit = np.random.default_rng(seed).uniform(-1, 1, (5, 4, len(bounds)))
  with double_precision.enable_x64(True):
    action = spec.from_unit(jnp.asarray(unit))
    assert np.all(action >= np.array(low) - 1e-9)
    assert np.all(action <= np.array(high) + 1e-9)
    np.testing.assert_allclose(spec.to_unit(action), unit, atol=1e-9)
    np.testing.assert_allclose(
      spec.from_unit(spec.to_unit(action)), action, atol=1e-9
    )


def test_the_units_are_those_of_a_default_run():
  """Float32 in and out, to a millionth of the range."""
  actions = SCALED.from_unit(jnp.linspace(-1, 1, 101)[:, None])
  assert actions.dtype == jnp.float32
  np.testing.assert_allclose(
    SCALED.to_unit(actions)[:, 1], jnp.linspace(-1, 1, 101), atol=1e-6
  )


def test_a_raw_spec_leaves_actions_alone():
  actions = jnp.array([[-3.0, 7.0], [1e9, 60.0]])
  np.testing.assert_array_equal(RAW.to_unit(actions), actions)
  np.testing.assert_array_equal(RAW.from_unit(actions), actions)


def test_clipping():
  unit = jnp.array([[-1.5, 0.25], [1.0, 7.0], [-INFINITY, INFINITY]])
  np.testing.assert_array_equal(
    SCALED.clip_unit(unit), [[-1.0, 0.25], [1.0, 1.0], [-1.0, 1.0]]
  )
  raw = jnp.array([[-1.0, 9.0], [1e9, 51.0], [0.5, 20.0]])
  np.testing.assert_array_equal(
    RAW.clip_unit(raw), [[0.0, 10.0], [1e9, 50.0], [0.5, 20.0]]
  )
  assert np.isnan(SCALED.clip_unit(jnp.array(np.nan)))  # hides no fault


@pytest.mark.parametrize(
  ('minimum', 'maximum', 'found'),
  [
    ((0.0,), (1.0, 2.0), '1 and 2 entries, expected 2'),
    ((0.0, 0.0), (1.0,), '2 and 1 entries, expected 2'),
    ((0.0,) * 3, (1.0,) * 3, '3 and 3 entries, expected 2'),
  ],
)
@pytest.mark.parametrize('scaled', [True, False])
def test_bounds_fit_the_last_axis(minimum, maximum, found, scaled):
  with pytest.raises(ValueError, match=found):
    ActionSpec((3, 2), minimum, maximum, scaled)


@pytest.mark.parametrize('wrong', [INFINITY, -INFINITY, float('nan')])
def test_a_scaled_spec_is_finite(wrong):
  for bounds in [((0.0, wrong), (1.0, 1.0)), ((0.0, 0.0), (wrong, 1.0))]:
    with pytest.raises(
      ValueError, match='expected finite bounds, because the spec is'
    ):
      ActionSpec((3, 2), *bounds)


def test_specs_are_constants():
  """Equal and hashable, as static arguments of jit must be."""
  again = ActionSpec(SCALED.shape, SCALED.minimum, SCALED.maximum)
  assert again == SCALED
  assert hash(again) == hash(SCALED)
  assert RAW != SCALED
  with pytest.raises(AttributeError):
    SCALED.scaled = False  # type: ignore[misc]


def test_investable_columns_are_counted():
  spec = EnvironmentSpec(
    context_days=504,
    num_columns=669,
    num_features=5,
    investable=(8, 116),
    action=SCALED,
    coefficient_threshold=1.0,
  )
  assert spec.num_investable == 108

"""The spec and the parameters of these tests' networks."""

import jax
import numpy as np

from eigen3.environment import Rules
from experiments.configs import td3

# D=8, C=12, F=5, N=8 (columns 4 to 11).
SPEC = Rules.from_config(td3.get_config('smoke').environment).spec(
  num_columns=12, num_features=5, investable=(4, 12)
)


# What `init` does not draw either.
_CONSTANTS = {'logits': 0, 'column_bias': 0, 'mean': 0, 'variance': 1}


def draw_variables(network, *inputs, lead=(), seed=0):
  """Returns parameters and state like those of `network.init`.

  They are drawn here: a compiler takes seconds for `init`.

  Args:
    network: of Haiku, with state.
    *inputs: of it.
    lead: axes before all others.
    seed: of the draw.
  """
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    name, shape = path[-1].key, (*lead, *leaf.shape)
    if name in _CONSTANTS:
      return np.full(shape, _CONSTANTS[name], leaf.dtype)
    bound = 1 / np.sqrt(leaf.shape[0]) if leaf.ndim > 1 else 0.3
    middle = 1 if name == 'scale' else 0
    return rng.uniform(middle - bound, middle + bound, shape).astype(leaf.dtype)

  return jax.tree_util.tree_map_with_path(
    draw, jax.eval_shape(network.init, jax.random.PRNGKey(0), *inputs)
  )

"""TD3 on networks of a few weights, in the context's precision."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from eigen3.agent import make_td3
from eigen3.types import ActionSpec, Transition
from experiments.configs import td3 as td3_config

SPEC = ActionSpec(shape=(2, 2), minimum=(0.0, 10.0), maximum=(2.0, 50.0))
RAW_SPEC = ActionSpec(
  shape=(2, 2), minimum=(0.0, -0.5), maximum=(0.5, float('inf')), scaled=False
)
NUM_DAYS = 40
NUM_FEATURES = 3
MOMENTUM = 0.9


def observe(context, days):
  """Takes rows of a table [T, F] as the networks' input."""
  return context[days]


class Layer(hk.Module):
  """tanh(x w - mean + b), the mean of the batch or a running one."""

  def __init__(self, size, centred, name):
    super().__init__(name=name)
    self._size = size
    self._centred = centred

  def __call__(self, x, is_training):
    shape = (x.shape[-1], self._size)
    init = hk.initializers.RandomNormal(0.6)
    z = x @ hk.get_parameter('w', shape, x.dtype, init=init)
    b = hk.get_parameter('b', shape[1:], x.dtype, init=init)
    if self._centred:
      running = hk.get_state('mean', shape[1:], x.dtype, init=jnp.zeros)
      mean = z.mean(0) if is_training else running
      if is_training:
        hk.set_state('mean', MOMENTUM * running + (1 - MOMENTUM) * mean)
      z = z - mean
    return jnp.tanh(z + b)


def make_actor(spec=SPEC, centred=True):
  """One layer from features to actions."""

  def actor(x, is_training):
    unit = Layer(int(np.prod(spec.shape)), centred, 'actor')(x, is_training)
    return spec.from_unit(unit.reshape(-1, *spec.shape)), None

  return hk.transform_with_state(actor)


def make_critic(count=2, centred=True, hidden=5):
  """`count` critics of one hidden layer."""

  def critic(x, unit_actions, is_training):
    # [B, ...] or, of several actions of a state, [B, M, ...].
    several = unit_actions.shape[1 : unit_actions.ndim - len(SPEC.shape)]
    x = jnp.expand_dims(x, tuple(range(1, 1 + len(several))))
    x = jnp.broadcast_to(x, (x.shape[0], *several, x.shape[-1]))
    inputs = jnp.concatenate(
      [x, unit_actions.reshape(*x.shape[:-1], -1)], axis=-1
    )
    values = []
    for k in range(count):
      h = Layer(hidden, centred, f'critic_{k}')(inputs, is_training)
      values.append(hk.Linear(1, name=f'value_{k}')(h))
    return jnp.concatenate(values, axis=-1)

  return hk.transform_with_state(critic)


def make_config(**changes):
  """The agent section of the smallest preset, with changes."""
  config = td3_config.get_config('smoke').agent
  config.invert_gradients = False  # of no use where nothing is squashed
  config.update(changes)
  return config


def make_agent(
  spec=SPEC, count=2, centred=True, constrain=None, drawn=False, **changes
):
  """(init, select_action, update) on the networks of this file."""
  networks = make_actor(spec, centred), make_critic(count, centred)
  if drawn:
    networks = map(_drawn, networks)
  return make_td3(
    *networks,
    observe,
    spec,
    make_config(**changes),
    *([constrain] if constrain else []),
  )


def _drawn(network):
  """As `network`, but with an `init` that needs no compilation.

  It is the same for all keys.
  """

  def init(key, *inputs, **options):
    init = functools.partial(network.init, **options)
    params, state = jax.eval_shape(init, key, *inputs)
    rng = np.random.default_rng(10)
    params = jax.tree.map(
      lambda x: jnp.asarray(0.6 * rng.normal(size=x.shape), x.dtype), params
    )
    return params, jax.tree.map(jnp.zeros_like, state)

  return hk.TransformedWithState(init, network.apply)


def make_context(seed=0):
  """Features of every day, [T, F]."""
  rng = np.random.default_rng(seed)
  features = rng.normal(size=(NUM_DAYS, NUM_FEATURES))
  return jnp.asarray(features.astype(_dtype()))


def make_batch(size=8, seed=0, **changes):
  """A batch of random experience, a quarter of it terminal."""
  rng = np.random.default_rng(seed)
  actions = rng.uniform(SPEC.minimum, SPEC.maximum, (size, *SPEC.shape))
  batch = Transition(
    s_tm1=np.asarray(rng.integers(NUM_DAYS, size=size), jnp.int32),
    a_tm1=np.asarray(actions, _dtype()),
    r_t=np.asarray(2.0 * rng.normal(size=size), _dtype()),
    discount_t=np.asarray(np.arange(size) % 4 != 0, _dtype()),
    s_t=np.asarray(rng.integers(NUM_DAYS, size=size), jnp.int32),
  )
  return batch._replace(**changes)


def scramble_targets(state, seed=0):
  """`state` with targets and running means that differ from all others."""
  rng = np.random.default_rng(seed)

  def shake(tree):
    tree = jax.device_get(tree)
    return jax.tree.map(
      lambda x: np.asarray(x + 0.3 * rng.normal(size=x.shape), x.dtype), tree
    )

  def scramble(network):
    return network._replace(
      online_state=shake(network.online_state),
      target_params=shake(network.target_params),
      target_state=shake(network.target_state),
    )

  return state._replace(
    actor=scramble(state.actor), critic=scramble(state.critic)
  )


@functools.partial(jax.jit, static_argnums=1)
def target_noise_draws(key, shape):
  """Returns the standard normal draws of an update with `state.key`."""
  _, key_critic, _ = jax.random.split(key, 3)
  key_noise, _ = jax.random.split(key_critic)
  return jax.random.normal(key_noise, shape, _dtype())


def _dtype():
  return jnp.float64 if jax.config.jax_enable_x64 else jnp.float32

"""Networks that observe the account: parts, names, gradients, symmetry."""

import dataclasses

import double_precision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_networks import SPEC, draw_variables

from eigen3 import networks
from eigen3.types import Account

KEY = jax.random.PRNGKey(0)
SEEING = dataclasses.replace(SPEC, observes_account=True)
KINDS = ('actor', 'double_critic')


@pytest.fixture
def observing(config):
  """The tiny networks, for policies that observe the account."""
  config.critic.self_attention = True
  return config


@pytest.fixture
def account():
  """Accounts of three examples: some positions, and one without any."""
  rng = np.random.default_rng(1)
  stocks = rng.uniform(0, 1, (3, 8, 5)) * (rng.random((3, 8, 1)) < 0.4)
  stocks[2] = 0
  return Account(
    jnp.asarray(stocks, jnp.float32),
    jnp.asarray(rng.uniform(0, 1, (3, 2)), jnp.float32),
  )


def _rest(kind):
  """Returns a network's inputs beside the window and the account."""
  if kind == 'actor':
    return ()
  return (np.random.default_rng(2).uniform(-1, 1, (3, 8, 2)).astype('f4'),)


def _output(kind, result):
  return result[0][0] if kind == 'actor' else result[0]


@pytest.mark.parametrize('seen', [True, False])
def test_the_head_of_the_encoder_is_the_whole(
  observing, make_window, account, seen
):
  spec = SEEING if seen else SPEC
  actor = networks.make_networks(observing, spec).actor
  window, account = make_window(), account if seen else None
  x = (window, account) if seen else window

  variables = draw_variables(actor, x)

  @jax.jit
  def both(x):
    (whole, _), _ = actor.apply(*variables, None, x)
    encoded, _ = actor.apply.encoder(*variables, None, window)
    parts, _ = actor.apply.head(*variables, None, encoded, account)
    return whole, parts

  whole, parts = both(x)
  np.testing.assert_allclose(whole, parts, rtol=1e-5, atol=1e-5)
  assert np.ptp(whole) > 1e-3


@pytest.mark.parametrize('kind', KINDS)
def test_every_parameter_gets_a_gradient_and_the_account_counts(
  observing, make_window, account, kind, silent_gradients
):
  """Both parts get gradients of an output that the account changes."""
  with double_precision.enable_x64(True):
    observing.compute_dtype = 'float64'
    network = getattr(networks.make_networks(observing, SEEING), kind)
    window = make_window().astype(np.float64)

    params, state = draw_variables(network, (window, account), *_rest(kind))

    @jax.jit
    def gradients(account):
      def loss(params, account):
        result = network.apply(
          params, state, KEY, (window, account), *_rest(kind), True
        )
        return jnp.square(_output(kind, result)).sum()

      return jax.grad(loss, argnums=(0, 1))(params, account)

    of_params, of_account = jax.device_get(gradients(account))
  silent_gradients(of_params)
  # Here and there a stock's ReLUs are all shut.
  assert (of_account.stocks != 0).any(axis=(0, 1)).all()
  assert (of_account.stocks != 0).mean() > 0.2
  assert (np.abs(of_account.whole) > 0).all()


def test_the_value_does_not_depend_on_the_order_of_stocks(
  observing, make_window, account
):
  critic = networks.make_networks(observing, SEEING).critic
  window, (action,) = make_window(), _rest('critic')
  order = np.random.default_rng(3).permutation(8)
  shuffled = window.copy()
  shuffled[:, :, 4:] = window[:, :, 4:][:, :, order]
  others = account._replace(stocks=account.stocks[:, order])
  variables = draw_variables(critic, (window, account), action)
  value = jax.jit(lambda *x: critic.apply(*variables, None, *x)[0])
  expected = value((window, account), action)
  np.testing.assert_allclose(
    value((shuffled, others), action[:, order]), expected, rtol=1e-5, atol=1e-6
  )
  # It does on which stock is held.
  wrong = value((shuffled, account), action[:, order])
  assert np.abs(wrong - expected).max() > 1e-4


def test_a_window_alone_is_refused(observing, make_window):
  actor = networks.make_networks(observing, SEEING).actor
  with pytest.raises(ValueError, match=r'expected a pair \(window, Account\)'):
    actor.init(KEY, make_window())


def test_parameters_are_those_of_networks_that_do_not_see(
  observing, make_window, account
):
  """Names stay; only shapes grow that the account is an input of."""
  window = make_window()

  def shapes(kind, seen):
    spec = SEEING if seen else SPEC
    network = getattr(networks.make_networks(observing, spec), kind)
    x = (window, account) if seen else window
    params, _ = jax.eval_shape(network.init, KEY, x, *_rest(kind))
    return {
      f'{path}/{name}': leaf.shape
      for path, module in params.items()
      for name, leaf in module.items()
    }

  seen, unseen = shapes('actor', True), shapes('actor', False)
  assert seen.keys() == unseen.keys()
  grown = {name for name in seen if seen[name] != unseen[name]}
  assert grown == {'actor/investable_1/w', 'actor/context/w'}
  seen, unseen = (shapes('double_critic', value) for value in (True, False))
  added = {name.split('/')[-2] for name in seen.keys() - unseen.keys()}
  assert added == {'held_1', 'held_2'}
  grown = {n.split('/')[-2] for n in unseen if seen[n] != unseen[n]}
  assert grown == {'stock_1', 'idle_1'}

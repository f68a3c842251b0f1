"""The trading environment through Gymnasium's interface."""

import dataclasses
import warnings

import gymnasium
import jax
import numpy as np
import pytest
import tiny_market
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from eigen3.data.splits import Normalisation
from eigen3.environment import Market, TradingEnvironment
from eigen3.interop.gymnasium import PRESETS, TradingEnv
from experiments import wiring
from experiments.configs import td3

SMOKE = 'eigen3/TradingSmoke-v0'
LATE = {'data.synthetic.late_listings': 0.5}  # so some cells are missing
ACCOUNT = {'environment.observe_account': True}


def make(**options):
  return gymnasium.make(SMOKE, **options)


def tiny(close, **settings):
  """An environment on closes [T, N], without normalisation."""
  panel = tiny_market.panel(close)
  config = tiny_market.config(**settings)
  environment = TradingEnvironment(panel, config)
  market = Market(panel.ohlc[..., 3:].astype(np.float32), 2)
  return TradingEnv(environment, market, panel.dates, panel.columns[1:])


@pytest.mark.parametrize(
  'options',
  [
    {},
    {'observation': 'dict', 'settings': ACCOUNT | LATE},
    {'split': 'validation', 'settings': ACCOUNT},
    {'preset': 'smoke+eigen2', 'observation': 'dict'},
  ],
)
def test_gymnasium_s_own_check_has_no_remark(options):
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    check_env(make(**options).unwrapped)


def test_there_is_an_id_for_each_size():
  assert tuple(td3.SIZES) == PRESETS
  ids = {f'eigen3/Trading{name.capitalize()}-v0' for name in PRESETS}
  assert ids <= gymnasium.registry.keys()


def test_an_episode_is_the_one_of_the_environment_below():
  config = td3.get_config('smoke')
  config.environment.observe_account = True
  config.data.synthetic.late_listings = 0.5
  _, inner, market = wiring.build_environment(config, 'validation')
  env = make(
    split='validation', observation='dict', settings=ACCOUNT | LATE
  ).unwrapped
  env.action_space.seed(3)
  found, info = env.reset(seed=5)
  state, timestep = jax.jit(inner.reset_at)(info['day'])
  step = jax.jit(inner.step)
  missing = 0
  for _ in range(inner.num_steps):
    cells = np.asarray(market.window(timestep.observation))
    unknown = np.isnan(cells).any(axis=-1)
    missing += unknown.sum()
    cells = np.where(unknown[..., None], 0, cells)
    np.testing.assert_array_equal(found['window'][..., :-1], cells)
    np.testing.assert_array_equal(found['window'][..., -1], unknown)
    for name, expected in timestep.account._asdict().items():
      np.testing.assert_allclose(found[name], expected, rtol=1e-5)
    unit = env.action_space.sample()
    action = inner.spec.action.from_unit(unit.reshape(-1, 2))
    state, timestep = step(state, action)
    found, reward, terminated, truncated, info = env.step(unit)
    assert reward == pytest.approx(float(timestep.reward), abs=1e-5)
    assert info['equity'] == pytest.approx(float(state.equity), rel=1e-6)
  assert missing > 0
  assert info['trades'] == int(state.num_trades) > 0
  assert (terminated, truncated) == (True, False)


def test_flat_is_the_dictionary_in_order():
  flat, parts = (
    make(observation=name, settings=ACCOUNT).reset(seed=2)[0]
    for name in ('flat', 'dict')
  )
  named = [parts[name].ravel() for name in ('window', 'stocks', 'whole')]
  np.testing.assert_array_equal(flat, np.concatenate(named))


@pytest.mark.parametrize(
  ('unit', 'ends'),
  [(-1.0, (True, False)), (1.0, (False, True))],  # nothing bought, one bought
)
def test_an_open_position_is_cut_off_and_cash_is_an_end(unit, ends):
  env = tiny(np.full((8, 1), 10.0), trading_days=2, settlement_days=0)
  env.reset(options={'day': 1})
  action = np.array([unit, 0.0], np.float32)
  assert env.step(action)[2:4] == (False, False)
  assert env.step(action)[2:4] == ends


def test_actions_are_the_box_in_unit_range():
  """A coefficient of 2 buys for half the cash, one of 0.9 is too low."""
  env = tiny(np.full((12, 2), 10.0), trading_days=3)
  cash = []
  for unit in (1.0, -0.1, 7.0):
    env.reset(options={'day': 1})
    env.step(np.array([-1, 0, unit, 0], np.float32))  # ordered at the close
    cash.append(env.step(np.full(4, -1, np.float32))[4]['cash'])
  half = tiny_market.CASH / 2
  assert cash == pytest.approx([half, 2 * half, half], rel=0.02)


def test_a_seed_gives_the_same_episodes_again():
  env = make()
  first = [env.reset(seed=seed)[1]['day'] for seed in (7, None, None)]
  again = [env.reset(seed=seed)[1]['day'] for seed in (7, None, None)]
  others = [env.reset(seed=seed)[1]['day'] for seed in (8, None, None)]
  assert first == again != others


def test_a_day_can_be_chosen():
  env = make()
  first, last = env.unwrapped.first_days
  assert env.reset(options={'day': last})[1]['day'] == last
  with pytest.raises(ValueError, match=f'found {last + 1}, expected {first} '):
    env.reset(options={'day': last + 1})
  with pytest.raises(ValueError, match=r"options: found \['from'\]"):
    env.reset(options={'from': 3})


def test_a_step_needs_an_episode():
  env = tiny(np.full((8, 1), 10.0), trading_days=1, settlement_days=0)
  action = np.zeros(2, np.float32)
  with pytest.raises(ResetNeeded, match='expected a call of reset'):
    env.step(action)
  env.reset()
  with pytest.raises(ValueError, match=r'action: shape: found \(3,\)'):
    env.step(np.zeros(3))
  env.step(action)
  with pytest.raises(ResetNeeded, match='expected a call of reset'):
    env.step(action)


@pytest.mark.parametrize(
  ('options', 'words'),
  [
    ({'split': 'holdout'}, "split: found 'holdout', expected 'train' or"),
    ({'observation': 'raw'}, "observation: found 'raw', expected 'flat' or"),
    ({'preset': 'tiny'}, "preset: found 'tiny'"),
    ({'settings': {'environment.days': 3}}, 'settings: .*days'),
    ({'settings': {'data.validation_days': 'x'}}, 'settings: .*validation'),
    ({'panel': 'no.parquet'}, r'data\.panel: .*no\.parquet'),
  ],
)
def test_what_cannot_be_made_is_one_line(options, words):
  with pytest.raises(ValueError, match=words) as error:
    make(**options)
  assert '\n' not in str(error.value)


def test_several_side_by_side():
  envs = gymnasium.make_vec(SMOKE, num_envs=2, vectorization_mode='sync')
  observations, infos = envs.reset(seed=[1, 2])
  assert observations.shape == (2, *envs.single_observation_space.shape)
  assert infos['day'][0] != infos['day'][1]
  *_, infos = envs.step(envs.action_space.sample())
  assert infos['equity'].shape == (2,)


@pytest.mark.parametrize('observation', ['flat', 'dict'])
def test_an_agent_of_another_library_learns_in_it(observation):
  """Trains without a line of ours in between."""
  library = pytest.importorskip(
    'stable_baselines3', reason='stable-baselines3 is not installed'
  )
  env = make(observation=observation, settings=ACCOUNT)
  policy = 'MlpPolicy' if observation == 'flat' else 'MultiInputPolicy'
  agent = library.SAC(policy, env, learning_starts=50, buffer_size=500, seed=1)
  agent.learn(500)
  assert agent.num_timesteps == 500
  rewards = [episode['r'] for episode in agent.ep_info_buffer]
  assert len(rewards) == 500 // (20 + 7)


def test_windows_are_of_each_column_s_own_days():
  close = np.full((16, 2), 10.0)
  close[np.arange(16) % 7 > 4, 0] = np.nan
  panel = tiny_market.panel(close)  # of an index, A and B
  features = np.random.default_rng(0).normal(size=panel.features.shape)
  features[np.isnan(panel.ohlc[..., 3])] = np.nan
  panel = dataclasses.replace(panel, features=features, markets=(0, 1, 0))
  names = panel.feature_names
  unchanged = Normalisation(np.zeros((3, 9)), np.ones((3, 9)))
  market = Market.from_panel(panel, names, unchanged, context_days=2)
  environment = TradingEnvironment(panel, tiny_market.config(trading_days=4))
  env = TradingEnv(
    environment, market, panel.dates, panel.columns[1:], observation='dict'
  )
  for day in (1, 5, 6, 7):
    window = env.reset(options={'day': day})[0]['window']
    assert not window[..., -1].any()
    np.testing.assert_array_equal(window[..., :-1], market.window(day))

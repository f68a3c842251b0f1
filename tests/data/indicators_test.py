"""Tests of eigen3.data.indicators against Eigen2's own results."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from eigen3.data.indicators import FEATURES, WARM_UP_DAYS, eigen2_features

# Order of prices in the golden file, as indices of the panel's order.
PANEL_ORDER = [0, 2, 3, 1]
TICKERS = {'AAPL': 1259, 'XOM': 400, 'NFLX': 700, 'KO': 120}


class _ArraysOnly(pickle.Unpickler):
  """Loads pickled object arrays of plain values, and refuses all else."""

  ALLOWED = frozenset(
    {
      ('numpy', 'dtype'),
      ('numpy', 'ndarray'),
      ('numpy._core.multiarray', '_reconstruct'),
      ('numpy.core.multiarray', '_reconstruct'),
    }
  )

  def find_class(self, module, name):
    if (module, name) not in self.ALLOWED:
      raise pickle.UnpicklingError(f'{module}.{name} is not an array')
    return super().find_class(module, name)


def read_object_array(path, member):
  with zipfile.ZipFile(path) as archive:
    stream = io.BytesIO(archive.read(f'{member}.npy'))
  assert np.lib.format.read_magic(stream) == (1, 0)
  np.lib.format.read_array_header_1_0(stream)
  return _ArraysOnly(stream).load()


@pytest.fixture(scope='module')
def golden(shared_dir):
  with np.load(shared_dir / 'reference/eigen2_indicators.npz') as archive:
    return {
      ticker: (
        archive[f'{ticker}/ohlc_open_close_high_low'][:, None, PANEL_ORDER],
        archive[f'{ticker}/features'],
      )
      for ticker in TICKERS
    }


@pytest.mark.parametrize('ticker', TICKERS)
def test_reproduces_eigen2(golden, ticker):
  ohlc, expected = golden[ticker]
  found = eigen2_features(ohlc)[:, 0]
  assert found.shape == (TICKERS[ticker], len(FEATURES))
  assert np.isnan(found[:WARM_UP_DAYS]).all()
  # Relative tolerance, and a small absolute one as some values cross zero.
  np.testing.assert_allclose(
    found[WARM_UP_DAYS:], expected, rtol=1e-6, atol=1e-12
  )


@pytest.mark.parametrize('ticker', TICKERS)
def test_dates_of_the_golden_are_strictly_increasing(shared_dir, ticker):
  path = shared_dir / 'reference/eigen2_indicators.npz'
  dates = read_object_array(path, f'{ticker}/dates')
  assert len(dates) == TICKERS[ticker]
  assert (np.diff(dates.astype('datetime64[D]')).astype(int) > 0).all()


def test_columns_with_different_histories_run_on_their_own_rows(golden):
  columns = {ticker: ohlc for ticker, (ohlc, _) in golden.items()}
  rng = np.random.default_rng(0)
  num_days = max(TICKERS.values()) + 10
  panel = np.full((num_days, len(columns), 4), np.nan)
  places = {}
  for column, (ticker, ohlc) in enumerate(columns.items()):
    places[ticker] = np.sort(
      rng.choice(num_days, size=len(ohlc), replace=False)
    )
    panel[places[ticker], column] = ohlc[:, 0]
  found = eigen2_features(panel)
  for column, (ticker, (_, expected)) in enumerate(golden.items()):
    own = found[places[ticker], column]
    np.testing.assert_allclose(
      own[WARM_UP_DAYS:], expected, rtol=1e-6, atol=1e-12
    )
    elsewhere = np.delete(found[:, column], places[ticker], axis=0)
    assert np.isnan(elsewhere).all()


def test_by_hand_on_a_straight_line():
  close = np.arange(1.0, 61.0)
  ohlc = np.stack([close - 0.5, close + 1, close - 1, close], -1)[:, None]
  found = dict(zip(FEATURES, eigen2_features(ohlc)[-1, 0], strict=True))
  # Seeded by a plain mean, an exponential mean of a line lags by half its
  # span less a half: 5.5 and 12.5 days behind, whatever the day.
  assert found['macd'] == pytest.approx(12.5 - 5.5)
  assert found['macd_signal'] == pytest.approx(7.0)
  assert found['rsi'] == pytest.approx(100.0)
  assert found['trix'] == pytest.approx(100.0 / (59.0 - 3 * 5.5))
  assert found['close_minus_mean'] == pytest.approx(9.5)
  assert [found[name] for name in ('open', 'close', 'high', 'low')] == [
    59.5,
    60.0,
    61.0,
    59.0,
  ]


def features_of(close):
  """Returns the features of a single column of closes, by name."""
  ohlc = np.repeat(close[:, None, None], 4, axis=2)
  return dict(zip(FEATURES, eigen2_features(ohlc)[:, 0].T, strict=True))


def test_by_hand_on_a_parabola():
  """A mean of t² over ages a is t² - 2 t E[a] + E[a²]."""
  t = np.arange(500.0)
  found = features_of(t**2)
  # An exponential mean of span n has E[a] = (n - 1) / 2, E[a²] = n (n - 1) / 2.
  macd = (25 - 11) * t + 66 - 325
  np.testing.assert_allclose(found['macd'][-50:], macd[-50:])
  # On a line it lags by four days.
  np.testing.assert_allclose(found['macd_signal'][-50:], macd[-50:] - 4 * 14)
  # The plain mean of 20 days has E[a] = 9.5 and E[a²] = 123.5.
  np.testing.assert_allclose(
    found['close_minus_mean'][34:], 19 * t[34:] - 123.5
  )


def test_by_hand_on_rises_and_falls_in_turn():
  """Up 2, down 1: after a rise the means are 8/7 and 3/7, then 6/7 and 4/7."""
  close = 100.0 + np.cumsum([0, *[2, -1] * 30])
  strength = features_of(close)['rsi']
  np.testing.assert_allclose(strength[35::2], 800 / 11)
  np.testing.assert_allclose(strength[36::2], 60)


def test_by_hand_on_steady_growth():
  """Every mean of prices that grow by 1 % a day grows by 1 %, too."""
  trix = features_of(1.01 ** np.arange(400))['trix']
  np.testing.assert_allclose(trix[-20:], 1.0, rtol=1e-9)


def test_a_price_that_never_moves_has_neutral_strength():
  features = eigen2_features(np.full((50, 1, 4), 10.0))[-1, 0]
  np.testing.assert_allclose(features, [10, 10, 10, 10, 50, 0, 0, 0, 0])


def test_the_past_does_not_depend_on_the_future(golden):
  ohlc, _ = golden['KO']
  changed = ohlc.copy()
  changed[80:] *= 3.0
  before, after = eigen2_features(ohlc), eigen2_features(changed)
  np.testing.assert_array_equal(before[:80], after[:80])
  assert (before[80:] != after[80:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize('num_days', [0, 1, 7, 20, 34])
def test_a_history_shorter_than_the_warm_up_is_missing(num_days):
  features = eigen2_features(np.full((num_days, 2, 4), 5.0))
  assert features.shape == (num_days, 2, 9)
  assert np.isnan(features).all()


def test_a_wrong_shape_is_refused():
  with pytest.raises(ValueError, match=r'ohlc: found shape \(5, 4\)'):
    eigen2_features(np.zeros((5, 4)))

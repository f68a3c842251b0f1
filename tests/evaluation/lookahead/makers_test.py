"""Making panels from raw data does not look ahead; leaks are found."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest
import raw_market
from raw_market import DAYS, TRAINING_DAYS

from eigen3 import data
from eigen3.data import Repairs
from eigen3.evaluation import lookahead
from eigen3.evaluation.lookahead import LookAheadError

LAST = 112  # after the training days; a Friday, as 42 is
SPREAD = [42, 70, TRAINING_DAYS - 1, LAST, 128]


@pytest.fixture(scope='module')
def raw():
  return raw_market.make_raw()


@pytest.fixture
def make(tmp_path):
  return functools.partial(raw_market.make_panel, folder=tmp_path / 'raw')


def prove(make, raw, last_days, seeds=range(3)):
  return lookahead.prove_maker(make, raw, raw_market.change, last_days, seeds)


def find_leak(make, raw, last_day=LAST):
  with pytest.raises(LookAheadError) as raised:
    prove(make, raw, [last_day], seeds=range(5))
  assert raised.value.last_day == last_day
  return raised.value.leak


# Nothing looks ahead.


def test_the_market_has_something_to_find(make, raw):
  panel = make(raw)
  assert panel.training_days == TRAINING_DAYS
  assert ' '.join(panel.columns) == ('index LATE NEW SHORT AAA BBB CCC GONE')
  assert panel.investable == (4, 8)
  assert 0.1 < panel.members.mean() < 0.9


@pytest.mark.parametrize(
  'write',
  [
    raw_market.write_folder,
    raw_market.write_long_csv,
    raw_market.write_long_parquet,
    raw_market.write_wide_csv,
  ],
)
def test_no_source_looks_ahead(make, raw, write):
  """Uses prices, a series that is published late, and a universe."""
  found = prove(functools.partial(make, write=write), raw, SPREAD)
  for kind in ('prices', 'features', 'volume'):
    assert min(found[kind]) > 1000, kind
  assert min(found['members']) > 100
  assert found['investable'].known > 1000
  assert found['dates'].known > 1000


@pytest.mark.parametrize('recompute', [False, True])
def test_files_of_eigen2_do_not_look_ahead(tmp_path, raw, recompute):
  found = prove(
    lambda raw: raw_market.make_eigen2_panel(raw, tmp_path, recompute),
    raw,
    [70, LAST],
    seeds=[0],
  )
  assert min(min(found[kind]) for kind in ('prices', 'features')) > 1000


def test_the_repair_of_a_days_own_prices_does_not_look_ahead(make, raw):
  repairing = functools.partial(make, repairs=Repairs(order='widen'))
  assert min(prove(repairing, raw, [70, LAST])['prices']) > 1000


@pytest.fixture
def source(raw, tmp_path):
  """Returns the contents of the files, before a panel is made."""
  raw.index.to_csv(tmp_path / 'index.csv', index_label='Date')
  (tmp_path / 'source').mkdir()
  return data.with_series(
    data.open_source(raw_market.write_folder(raw.rows, tmp_path / 'source')),
    data.read_context(f'{tmp_path}/index.csv:lag=1'),
  )


def build(source, **changes):
  return data.build_panel(
    dataclasses.replace(source, **changes), validation_days=25, holdout_days=15
  )


def test_what_is_built_of_what_was_read_does_not_look_ahead(source):
  found = lookahead.prove_maker(
    build, source, lookahead.scramble_source, SPREAD, range(3)
  )
  for kind in ('prices', 'features', 'volume'):
    assert min(found[kind]) > 1000, kind


def test_a_series_without_its_lag_is_found_after_reading(source):
  def leaking(source):
    series = [dataclasses.replace(one, lag=0) for one in source.series]
    return build(source, series=tuple(series))

  with pytest.raises(LookAheadError) as raised:
    lookahead.prove_maker(
      leaking, source, lookahead.scramble_source, [LAST], range(5)
    )
  assert raised.value.leak.day == LAST


# Planted leaks.


def test_a_series_without_its_lag_is_found(make, raw):
  leak = find_leak(functools.partial(make, lag=0), raw)
  assert (leak.name, leak.day, leak.cell) == ('prices', LAST, (LAST, 0, 0))


def test_prices_that_are_filled_backwards_are_found(make, raw):
  def leaking(raw):
    panel = make(raw)
    ohlc = panel.ohlc.copy()
    for day in reversed(range(len(ohlc) - 1)):
      ohlc[day] = np.where(np.isnan(ohlc[day]), ohlc[day + 1], ohlc[day])
    return dataclasses.replace(panel, ohlc=ohlc)

  leak = find_leak(leaking, raw)
  assert leak.name == 'prices'
  assert leak.day <= LAST
  assert np.isnan(make(raw).ohlc[leak.cell])


def test_features_of_the_next_day_are_found(make, raw):
  def leaking(raw):
    panel = make(raw)
    features = np.roll(panel.features, -1, axis=0)
    return dataclasses.replace(panel, features=features)

  leak = find_leak(leaking, raw)
  assert (leak.name, leak.day) == ('features.open', LAST)


def test_prices_in_units_of_the_last_are_found(make, raw):
  """Prices adjusted for splits are such, as factors apply to earlier days."""

  def leaking(raw):
    panel = make(raw)
    unit = np.nan_to_num(panel.ohlc[-1, :, 3:], nan=1.0)
    return dataclasses.replace(panel, ohlc=panel.ohlc / unit)

  leak = find_leak(leaking, raw)
  assert (leak.name, leak.day) == ('prices', 0)


def test_survivors_alone_are_found(make, raw):
  """The leak keeps only tickers with a row on one of the last days."""

  def leaking(raw):
    alive = {
      name: rows
      for name, rows in raw.rows.items()
      if len(rows) and rows.index[-1] >= DAYS[-3]
    }
    return make(raw._replace(rows=alive))

  leak = find_leak(leaking, raw)
  assert (leak.name, leak.day) == ('prices', 0)


@pytest.mark.parametrize('last_day', [70, LAST])
def test_a_universe_of_the_last_days_members_is_found(make, raw, last_day):
  """It is found before the end of the training days as well as after."""

  def leaking(raw):
    panel = make(raw)
    members = np.broadcast_to(panel.members[-1], panel.members.shape)
    return dataclasses.replace(panel, members=members)

  leak = find_leak(leaking, raw, last_day)
  assert (leak.name, leak.day) == ('members', 0)


def test_a_choice_of_stocks_by_later_days_is_found(make, raw):
  """During training days the choice is fixed; later it must be known."""

  def leaking(raw):
    panel = make(raw, universe=False)
    first, stop = panel.investable
    gone = np.isnan(panel.ohlc[-15:, stop - 1, 3]).all()
    return dataclasses.replace(panel, investable=(first, stop - gone))

  without = raw._replace(
    rows={k: v for k, v in raw.rows.items() if k != 'GONE'}
  )
  leak = find_leak(leaking, without)
  assert (leak.name, leak.day) == ('investable', 0)
  prove(leaking, without, [TRAINING_DAYS - 2], seeds=range(5))


def with_a_step(raw, factor, level):
  """Makes AAA constant, except `factor` on a day, and `level` after it."""
  price = 50.0 + 0.5 * (np.arange(len(DAYS)) % 2)
  price[LAST] *= factor
  price[LAST + 1 :] *= level
  rows = pd.DataFrame(dict.fromkeys(raw_market.FIELDS, price), DAYS)
  rows['Volume'] = 1000.0
  return raw._replace(rows=raw.rows | {'AAA': rows})


@pytest.mark.parametrize(
  'repairs, steps, day',
  [
    # A bad tick is only recognised when the price returns.
    (Repairs(bad_ticks='mask'), [(2.0, 1.0), (2.0, 2.0)], LAST),
    # Prices before a split are adjusted by it.
    (Repairs(splits='adjust'), [(1.0, 1.0), (1.0, 0.5)], 0),
  ],
)
def test_repairs_that_look_ahead_are_found(make, raw, repairs, steps, day):
  """Repairs are documented to look ahead, and are off by default."""
  before, after = (with_a_step(raw, *step) for step in steps)
  prove = functools.partial(
    lookahead.prove_maker,
    raw=before,
    change=lambda *unused: after,
    last_days=[LAST],
  )
  with pytest.raises(LookAheadError) as raised:
    prove(functools.partial(make, repairs=repairs))
  assert (raised.value.leak.name, raised.value.leak.day) == ('prices', day)
  prove(make)


def test_another_number_of_days_is_refused(make, raw):
  def fewer(raw, last_day, seed):
    rows = {name: own[own.index < DAYS[-1]] for name, own in raw.rows.items()}
    return raw._replace(rows=rows)

  with pytest.raises(
    ValueError, match=r'found dates as datetime64\[D\] \(130,'
  ):
    lookahead.prove_maker(make, raw, fewer, [LAST])

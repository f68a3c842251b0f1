"""Panels that are made of raw data, and makers that look ahead."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

from eigen3.data import (
  Repairs,
  Universe,
  build_panel,
  read_folder,
  repair,
)
from eigen3.evaluation import lookahead
from eigen3.evaluation.lookahead import LookAheadError

DAYS = np.busday_offset('2020-01-01', np.arange(130), roll='forward')
NONE = Repairs()
HEADER = 'Date,Open,High,Low,Close,Adj Close,Volume'
LAST = 110  # of the last 40 days, which are not of the training
LAG = np.timedelta64(1, 'D')  # until a value of the index is published
LASTS = np.datetime64('NaT', 'D')


class Raw(NamedTuple):
  """What is on disk.

  Attributes:
    files: rows of cells by ticker, the first cell being the date.
    index: values by date; each is published the day after.
    universe: intervals by ticker, the first day and the first day after, NaT
      while it lasts.
  """

  files: dict[str, list[tuple]]
  index: dict[np.datetime64, float]
  universe: dict[str, list[tuple[np.datetime64, np.datetime64]]]


@pytest.fixture(scope='module')
def raw():
  rng = np.random.default_rng(0)
  # SHORT has 35 days of training; with those after it, enough to be bought.
  first_rows = {
    'AAA': 0,
    'BBB': 0,
    'CCC': 30,
    'SHORT': 55,
    'LATE': 95,
    'NEW': 120,
  }
  files = {
    name: rows_of(rng, DAYS[first:]) for name, first in first_rows.items()
  }
  files['GONE'] = rows_of(rng, DAYS[:100])
  universe = {
    'AAA': [(DAYS[0], DAYS[20]), (DAYS[50], LASTS)],
    'BBB': [(DAYS[10], DAYS[120])],
    'CCC': [(DAYS[115], LASTS)],
  }
  return Raw(files, {day: rng.normal() for day in DAYS}, universe)


def rows_of(rng, days):
  """Rows with gaps in the prices."""
  close = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, len(days))))
  cells = close[:, None] * np.exp(rng.normal(0, 0.02, (len(days), 4)))
  factor = np.exp(rng.normal(0, 0.1, len(days)))
  volume = rng.integers(0, 10**6, len(days))
  return [
    (day, *map(float, prices), float(prices[3] * f), int(shares))
    for day, prices, f, shares in zip(days, cells, factor, volume, strict=True)
  ]


def change(raw, last_day, seed):
  """Changes, removes and adds rows after a day; AAA keeps the calendar."""
  rng = np.random.default_rng(seed)
  files = {}
  for name, rows in raw.files.items():
    kept = [row for row in rows if row[0] <= last_day]
    later = DAYS[last_day < DAYS]
    if name != 'AAA':
      later = later[rng.random(len(later)) < rng.choice([0, 0.5, 1])]
    others = rows_of(rng, later)
    files[name] = kept + [
      (*row[:4], *(('', '', 0) if rng.random() < 0.1 else row[4:]))
      for row in others
    ]
  index = {
    day: value if day + LAG <= last_day else rng.normal()
    for day, value in raw.index.items()
  }
  universe = {
    name: [
      (first, end if end <= last_day else DAYS[-1 - rng.integers(10)])
      for first, end in intervals
      if first <= last_day
    ]
    for name, intervals in raw.universe.items()
  }
  universe['BBB'].append((later[-1] if len(later) else DAYS[-1], LASTS))
  files = {name: rows for name, rows in files.items() if rows}
  return Raw(files, index, universe)


@pytest.fixture
def make(tmp_path):
  """A function from raw data to a panel, by way of files."""
  folder = tmp_path / 'raw'

  def make(raw, repairs=NONE):
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
      file.unlink()
    for name, rows in raw.files.items():
      lines = [HEADER, *(','.join(map(str, row)) for row in rows)]
      (folder / f'{name}.csv').write_text('\n'.join(lines))
    source = repair(read_folder(folder), repairs)
    return build_panel(source, validation_days=25, holdout_days=15)

  return make


def with_index(panel, raw, lag=LAG):
  """The panel and, as its first column, what is known of the index."""
  known = np.full(panel.num_days, np.nan)
  for day, value in raw.index.items():
    known[panel.dates >= day + lag] = value

  def before(values):
    wide = np.broadcast_to(
      known.reshape(-1, *[1] * (values.ndim - 1)), values[:, :1].shape
    )
    return np.concatenate([wide, values], axis=1)

  first, stop = panel.investable
  return dataclasses.replace(
    panel,
    columns=('INDEX', *panel.columns),
    column_kinds=('context', *panel.column_kinds),
    ohlc=before(panel.ohlc),
    features=before(panel.features),
    volume=before(panel.volume),
    investable=(first + 1, stop + 1),
  )


def with_members(panel, raw):
  """The panel and who belonged to the universe."""
  names = panel.columns[slice(*panel.investable)]
  universe = Universe(raw.universe, content=b'')
  members = universe.members(panel.dates, names)
  return dataclasses.replace(panel, members=members)


def find_leak(make, raw, last_day=LAST):
  with pytest.raises(LookAheadError) as raised:
    lookahead.prove_maker(make, raw, change, [last_day], seeds=range(5))
  return raised.value.leak


def test_the_reader_of_folders_does_not_look_ahead(make, raw):
  panel = make(raw)
  assert panel.training_days == 90
  assert ' '.join(panel.columns) == 'LATE NEW SHORT AAA BBB CCC GONE'
  assert panel.investable == (3, 7)
  found = lookahead.prove_maker(
    make, raw, change, [40, 70, 89, LAST, 128], seeds=range(3)
  )
  assert set(found) == {
    'dates',
    'prices',
    'features',
    'volume',
    'investable',
    'members',
  }
  for kind in ('prices', 'features', 'volume'):
    assert min(found[kind]) > 1000, kind
  assert min(compared.known for compared in found.values()) > 1000


def test_an_index_that_waits_for_its_publication_does_not(make, raw):
  found = lookahead.prove_maker(
    lambda raw: with_index(make(raw), raw), raw, change, [70, LAST]
  )
  assert min(found['features']) > 1000


def test_an_index_without_its_lag_is_found(make, raw):
  no_lag = np.timedelta64(0, 'D')
  leak = find_leak(lambda raw: with_index(make(raw), raw, no_lag), raw)
  assert (leak.name, leak.day, leak.cell) == ('prices', LAST, (LAST, 0, 0))


def test_prices_that_are_filled_backwards_are_found(make, raw):
  def leaking(raw):
    panel = make(raw)
    ohlc = panel.ohlc.copy()
    for day in reversed(range(len(ohlc) - 1)):
      ohlc[day] = np.where(np.isnan(ohlc[day]), ohlc[day + 1], ohlc[day])
    return dataclasses.replace(panel, ohlc=ohlc)

  leak = find_leak(leaking, raw)
  # GONE left on day 100: every later gap of it is filled.
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


def test_prices_scaled_by_the_last_one_are_found(make, raw):
  """As prices adjusted for splits are, whose factors reach back."""

  def leaking(raw):
    panel = make(raw)
    scale = np.nan_to_num(panel.ohlc[-1, :, 3:], nan=1.0)
    return dataclasses.replace(panel, ohlc=panel.ohlc / scale)

  leak = find_leak(leaking, raw)
  assert (leak.name, leak.day) == ('prices', 0)


def with_a_step(raw, last_day, factor, level):
  """AAA stands still, but is at `factor` on a day, and at `level` after it."""
  rows = []
  for day in DAYS:
    scale = factor if day == last_day else level if day > last_day else 1.0
    up = 1.0 + 0.01 * (len(rows) % 2)
    rows.append((day, *[50.0 * scale * up] * 5, 1000))
  return raw._replace(files=raw.files | {'AAA': rows})


@pytest.mark.parametrize(
  'repairs, steps, name, day',
  [
    # A bad tick is known as such when the price is back.
    (Repairs(bad_ticks='mask'), [(2.0, 1.0), (2.0, 2.0)], 'prices', LAST),
    # What comes before a split is adjusted by it.
    (Repairs(splits='adjust'), [(1.0, 1.0), (1.0, 0.5)], 'prices', 0),
  ],
)
def test_repairs_that_look_ahead_are_found(
  make, raw, repairs, steps, name, day
):
  """As they say of themselves; none is made unless asked for."""
  futures = [with_a_step(raw, DAYS[LAST], *step) for step in steps]

  def leaking(raw):
    return make(raw, repairs)

  with pytest.raises(LookAheadError) as raised:
    lookahead.prove_maker(leaking, futures[0], lambda *_: futures[1], [LAST])
  leak = raised.value.leak
  assert (leak.name, leak.day) == (name, day)
  lookahead.prove_maker(make, futures[0], lambda *_: futures[1], [LAST])


def test_the_repair_of_a_days_own_prices_does_not_look_ahead(make, raw):
  found = lookahead.prove_maker(
    lambda raw: make(raw, Repairs(order='widen')), raw, change, [70, LAST]
  )
  assert min(found['prices']) > 1000


def test_a_universe_of_survivors_is_found(make, raw):
  """Only tickers with a price on one of the last days are kept."""

  def leaking(raw):
    end = max(row[0] for row in raw.files['AAA'])
    files = {
      name: rows
      for name, rows in raw.files.items()
      if rows[-1][0] >= end - np.timedelta64(3, 'D')
    }
    return make(raw._replace(files=files))

  leak = find_leak(leaking, raw)
  assert (leak.name, leak.day) == ('prices', 0)


def test_members_of_their_days_do_not_look_ahead(make, raw):
  found = lookahead.prove_maker(
    lambda raw: with_members(make(raw), raw),
    raw,
    change,
    [70, LAST],
    seeds=range(3),
  )
  assert min(found['members']) > 10


@pytest.mark.parametrize('last_day', [70, LAST])
def test_the_members_of_the_last_day_are_found(make, raw, last_day):
  """Before the training is over as well as after."""

  def leaking(raw):
    panel = with_members(make(raw), raw)
    members = np.broadcast_to(panel.members[-1], panel.members.shape)
    return dataclasses.replace(panel, members=members)

  leak = find_leak(leaking, raw, last_day)
  assert (leak.name, leak.day) == ('members', 0)


def test_what_may_be_bought_is_decided_by_the_training_days(make, raw):
  """Here by all days; before the training is over, that is not told."""

  def leaking(raw):
    panel = make(raw)
    closes = ~np.isnan(panel.ohlc[-40:, :, 3])
    first = int(np.argmax(closes.sum(axis=0) > 30))
    return dataclasses.replace(panel, investable=(first, panel.num_columns))

  leak = find_leak(leaking, raw, last_day=100)
  assert (leak.name, leak.day) == ('investable', 0)
  lookahead.prove_maker(leaking, raw, change, [80], seeds=range(5))


def test_another_number_of_days_is_refused(make, raw):
  def fewer(raw, last_day, seed):
    files = {name: rows[:-1] for name, rows in raw.files.items()}
    return raw._replace(files=files)

  with pytest.raises(ValueError, match=r'dates is datetime64\[D\] \(130,\) in'):
    lookahead.prove_maker(make, raw, fewer, [LAST])

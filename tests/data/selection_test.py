"""Tests of eigen3.data.selection."""

import dataclasses

import numpy as np
import pytest

from eigen3.data import DataError, MarketPanel, most_traded, narrowed

DAYS, LOOK_BACK, DAY = 30, 10, 20


def make_panel(**changes):
  """Returns context, five stocks of dollar volumes 10 to 50, and context."""
  close = np.tile([1.0, 10.0, 1.0, 5.0, 2.0, 50.0, 1.0], (DAYS, 1))
  volume = np.tile([np.nan, 1.0, 20.0, 6.0, 20.0, 1.0, np.nan], (DAYS, 1))
  arrays = {
    'dates': np.datetime64('2024-01-01') + np.arange(DAYS),
    'columns': ('SP500', 'A', 'B', 'C', 'D', 'E', 'VIX'),
    'ohlc': np.repeat(close[..., None], 4, axis=2),
    'features': np.arange(DAYS * 7 * 9, dtype=float).reshape(DAYS, 7, 9),
    'investable': (1, 6),
    'volume': volume,
    'survivors_only': True,
    'notes': 'as it is',
  }
  return MarketPanel(**(arrays | changes))


def chosen(panel, count, day=DAY):
  columns = most_traded(panel, day, count, LOOK_BACK)
  return ''.join(panel.columns[i] for i in columns)


def test_the_most_traded_in_the_panel_s_order():
  panel = make_panel()
  assert chosen(panel, 1) == 'E'
  assert chosen(panel, 2) == 'DE'
  assert chosen(panel, 3) == 'CDE'
  assert chosen(panel, 5) == 'ABCDE'


def test_it_is_the_median_that_counts():
  panel = make_panel()
  volume = panel.volume.copy()
  volume[12:16, 1] = 1e9  # four of ten days
  assert chosen(make_panel(volume=volume), 1) == 'E'
  volume[16:18, 1] = 1e9  # six
  assert chosen(make_panel(volume=volume), 1) == 'A'


def test_only_the_days_before_count():
  panel = make_panel()
  volume, ohlc = panel.volume.copy(), panel.ohlc.copy()
  volume[DAY:, 1] = volume[: DAY - LOOK_BACK, 2] = 1e9
  ohlc[DAY:, 5] = np.nan
  ohlc[: DAY - LOOK_BACK, 4] = np.nan
  changed = make_panel(volume=volume, ohlc=ohlc)
  assert chosen(changed, 2) == chosen(panel, 2) == 'DE'
  assert chosen(changed, 1, day=DAY + 6) == 'A'


@pytest.mark.parametrize('field', ['ohlc', 'volume'])
@pytest.mark.parametrize('day', [DAY - LOOK_BACK, DAY - 1])
def test_the_history_must_be_whole(field, day):
  panel = make_panel()
  array = getattr(panel, field).copy()
  array[day, 5] = np.nan
  assert chosen(make_panel(**{field: array}), 2) == 'CD'


def test_only_members_of_the_universe_on_the_last_day():
  members = np.ones((DAYS, 5), bool)
  members[DAY - 1, 4] = members[DAY, 3] = members[: DAY - 1, 2] = False
  assert chosen(make_panel(members=members), 2) == 'CD'


@pytest.mark.parametrize(
  'changes, day, count, message',
  [
    ({'volume': None}, DAY, 1, 'found no volumes'),
    ({}, LOOK_BACK - 1, 1, 'found 9 days before .* at least 10'),
    ({}, DAY, 6, 'up to 2024-01-20, found 5 stocks .*, expected at least 6'),
  ],
)
def test_what_cannot_be_chosen_is_one_clear_line(changes, day, count, message):
  with pytest.raises(DataError, match=message):
    most_traded(make_panel(**changes), day, count, LOOK_BACK)


def test_a_narrowed_panel_has_its_columns_and_days():
  members = np.arange(DAYS * 5).reshape(DAYS, 5) % 3 > 0
  panel = make_panel(members=members)
  found = narrowed(panel, [2, 5], ('VIX', 'SP500'), stop=25, training_days=20)
  assert found.columns == ('VIX', 'SP500', 'B', 'E')
  assert found.column_kinds == ('context', 'context', 'stock', 'stock')
  assert found.investable == (2, 4)
  assert found.num_days == 25
  assert found.training_days == 20
  kept = [6, 0, 2, 5]
  for name in ('ohlc', 'features', 'volume'):
    np.testing.assert_array_equal(
      getattr(found, name), getattr(panel, name)[:25, kept]
    )
  np.testing.assert_array_equal(found.members, members[:25, [1, 4]])
  # Members missing from the panel are missing from its part.
  assert found.survivorship == panel.survivorship
  assert found.notes == panel.notes
  plain = dataclasses.replace(panel, members=None, volume=None)
  bare = narrowed(plain, [1], (), stop=DAYS, training_days=1)
  assert bare.members is None is bare.volume
  assert bare.columns == ('A',)


@pytest.mark.parametrize('name', ['GOLD', 'A'])
def test_an_unknown_context_is_named(name):
  with pytest.raises(DataError, match=f"context: found '{name}', expected nam"):
    narrowed(make_panel(), [2], (name,), DAYS, 10)

"""Tests of eigen3.reporting.drawing."""

import numpy as np
import pytest
from fake_backtests import make_backtest
from matplotlib import figure as mpl_figure
from matplotlib.backends import backend_agg

from eigen3.evaluation import Backtest
from eigen3.reporting import drawing


def are_apart(labels, renderer, axis):
  """Returns whether no labels overlap."""
  boxes = [x.get_window_extent(renderer) for x in labels if x.get_text()]
  starts = sorted(getattr(box, f'{axis}0') for box in boxes)
  ends = sorted(getattr(box, f'{axis}1') for box in boxes)
  return all(a < b for a, b in zip(ends[:-1], starts[1:], strict=True))


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('days', [5, 30, 70, 250, 1300])
@pytest.mark.parametrize('width', [4, 10])
def test_dates_have_room(days, width):
  figure = mpl_figure.Figure(figsize=(width, 3), layout='constrained')
  canvas = backend_agg.FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  one = make_backtest(0.1)
  dates = np.datetime64('2023-11-20') + np.arange(days)
  equity = 1000.0 * np.linspace(1.0, 1.1, days)
  backtest = Backtest(dates, equity, one.trades, one.summary)
  drawing.equity(axes, {'agent': [backtest]}, 'Days', {})
  figure.draw_without_rendering()
  labels = axes.get_xticklabels()
  assert len([x for x in labels if x.get_text()]) >= 2
  assert are_apart(labels, canvas.get_renderer(), 'x')


@pytest.mark.parametrize('last', [1, 2, 3, 40, 1000])
def test_what_is_counted_is_whole(last):
  axes = mpl_figure.Figure().add_subplot()
  axes.plot(np.arange(1, last + 1), np.zeros(last))
  drawing.number_wholly(axes, 'generation')
  ticks = axes.get_xticks()
  assert len(ticks) >= 1
  np.testing.assert_array_equal(ticks, np.round(ticks))
  assert axes.get_xlabel() == 'generation'


def test_both_ends_of_a_long_name_are_kept():
  assert drawing.shortened('runs/td3') == 'runs/td3'
  name = drawing.shortened('/home/someone/runs/of/a/project/td3_small_seed0')
  assert len(name) <= 28
  assert name.startswith('/home/')
  assert name.endswith('seed0')


def test_numbers_beside_an_axis_are_apart():
  values = [1.0, 1.02, 1.05, 4.0, 16.0, 15.9]
  found = drawing.apart(values, [1.0, 100.0])
  assert found == [1.0, 4.0, 15.9]
  assert drawing.apart([2.0, 2.0], [2.0]) == [2.0, 2.0]

"""Tests of eigen3.reporting.run_picture."""

import os

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from fake_backtests import make_backtest, make_results

from eigen3.reporting.run_picture import draw_run


@pytest.fixture
def results():
  return make_results()


def draw(path, results, title='TD3', remark='a remark'):
  metrics = pd.DataFrame(
    {
      'iteration': [0, 1, 2, 3],
      'validation_profit': [0.0, np.nan, 0.05, 0.04],
    }
  )
  validation = {k: v for k, v in results.items() if k != 'agent'}
  draw_run(path, metrics, validation, results, 'Held-out days', title, remark)


def test_the_picture_is_a_png_that_shows_the_results(results, tmp_path):
  path = tmp_path / 'report.png'
  draw(path, results)
  assert path.read_bytes().startswith(b'\x89PNG\r\n\x1a\n')
  assert path.stat().st_size > 20_000
  image = matplotlib.image.imread(path)
  assert image.shape[:2] == (960, 1200)
  assert os.listdir(tmp_path) == ['report.png']
  # The agent's colour is in both halves: its curve and its equity.
  blue = np.abs(image[..., :3] - np.array([0x1B, 0x4F, 0x9C]) / 255).sum(-1)
  for half in (blue[:480], blue[480:]):
    assert (half < 0.02).sum() > 200
  # Another result gives another picture; the same gives the same.
  draw(tmp_path / 'same.png', results)
  assert (tmp_path / 'same.png').read_bytes() == path.read_bytes()
  draw(tmp_path / 'other.png', {**results, 'agent': [make_backtest(-0.3)]})
  assert (tmp_path / 'other.png').read_bytes() != path.read_bytes()


def test_a_long_remark_is_not_cut_off(results, tmp_path):
  def ink(remark):
    """Returns where the lowest two lines are not blank, bool [width]."""
    draw(tmp_path / 'report.png', results, remark=remark)
    image = matplotlib.image.imread(tmp_path / 'report.png')[..., :3]
    return (image < 0.9).any(-1)[-30:].any(0)

  long = ink('Stocks that had left the index before 2024 are absent. ' * 4)
  assert long.sum() > 600  # most of the width is written on
  margin = 10
  assert not long[:margin].any()
  assert not long[-margin:].any()
  assert long.sum() > ink('a remark').sum() + 300

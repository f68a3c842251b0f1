"""Tests of eigen3.reporting.importance_picture."""

import os

import numpy as np
import pytest
from matplotlib import figure as mpl_figure
from png_pixels import pixels

from eigen3.reporting.importance_picture import draw_importance

NAN = float('nan')
POPULATION = (0x1B, 0x4F, 0x9C)
EQUAL_SHARES = (0xC2, 0x57, 0x0C)  # the dashed lines


def draw(path, mean, history, columns=None):
  columns = columns or [f'C{i}' for i in range(len(mean))]
  draw_importance(path, mean, history, columns, 'ERL')
  return path.read_bytes()


def fake_importance(num_generations, num_columns, seed=0):
  rng = np.random.default_rng(seed)
  history = rng.gamma(0.3, size=(num_generations, num_columns))
  mean = history.mean(axis=0)
  return mean / mean.sum(), history


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(
  'num_generations, num_columns', [(1, 3), (5, 1), (20, 40), (3, 669)]
)
def test_the_importance_of_any_number_of_columns(
  tmp_path, num_generations, num_columns
):
  path = tmp_path / 'importance.png'
  mean, history = fake_importance(num_generations, num_columns)
  names = [f'A rather long name of a column {i}' for i in range(num_columns)]
  picture = draw(path, mean, history, names)
  assert picture.startswith(b'\x89PNG\r\n\x1a\n')
  found = pixels(path, POPULATION)
  assert found.shape[1] == 1200
  # Bars on the left; curves of entropy and largest entropy below.
  assert found[: len(found) // 2, :600].sum() > 1000
  assert found[-330:].sum() > 15
  assert pixels(path, EQUAL_SHARES)[-270:].sum() > 100
  assert os.listdir(tmp_path) == ['importance.png']


def test_the_importance_follows_its_numbers(tmp_path):
  mean, history = fake_importance(5, 4)
  picture = draw(tmp_path / 'a.png', mean, history)
  assert draw(tmp_path / 'b.png', mean, history) == picture
  # Attention of any sum is the same attention.
  scaled = history * np.array([1, 2, 4, 8, 16])[:, None]
  assert draw(tmp_path / 'b.png', mean, scaled) == picture
  other = history.copy()
  other[2, mean.argmax()] *= 3
  assert draw(tmp_path / 'b.png', mean, other) != picture
  reversed_mean = mean[::-1].copy()
  assert draw(tmp_path / 'b.png', reversed_mean, history) != picture


@pytest.mark.filterwarnings('error')
def test_shares_that_are_near_to_each_other_are_told_apart(tmp_path):
  path = tmp_path / 'importance.png'
  history = np.linspace(0.07, 0.1, 12)[None] * np.ones((3, 1))
  draw(path, history[0] / history[0].sum(), history)
  # Both ends of the colour scale, each as large as a cell.
  for colour in ((68, 1, 84), (253, 231, 37)):
    upper = pixels(path, colour)[:, 520:1090]
    assert upper.sum() > 10_000
  # The entropy is below the largest, which does not lie on the frame.
  found = pixels(path, EQUAL_SHARES)[-330:]
  first = np.flatnonzero(found[:, 200:900].any(axis=1))[0]
  assert 80 < first < 200


@pytest.mark.filterwarnings('error')
def test_generations_without_attention_are_left_blank(tmp_path):
  path = tmp_path / 'importance.png'
  mean, history = fake_importance(4, 25)
  picture = draw(path, mean, history)
  history[1] = 0.0
  history[2, 3] = NAN
  assert draw(path, mean, history) != picture
  draw(path, mean, np.zeros((4, 25)))
  # No curve of entropy is left, but the largest that is possible is.
  low = slice(-330, None)
  assert pixels(path, POPULATION, low).sum() == 0
  assert pixels(path, EQUAL_SHARES, low).sum() > 300


@pytest.mark.filterwarnings('error')
def test_names_are_written_as_they_are(tmp_path):
  mean, history = fake_importance(2, 3)

  def picture(*names):
    return draw(tmp_path / 'a.png', mean, history, names)

  assert picture(r'$\frac$', '^VIX', 'A_B') != picture('', '^VIX', 'A_B')
  # Both ends of a long name are shown, as either may distinguish it.
  long = 'treasury bills of {} years, monthly, {}'
  first = picture(long.format(2, 'a'), 'B', 'C')
  assert picture(long.format(2, 'b'), 'B', 'C') != first
  assert picture('T' + long.format(2, 'a')[1:], 'B', 'C') != first
  assert picture(long.format(7, 'a'), 'B', 'C') == first


@pytest.mark.parametrize(
  'mean, shape, message',
  [
    (np.zeros(3), (2, 3), 'sum of mean'),
    (np.ones(3) / 3, (2, 4), r'history: found \(2, 4\)'),
    (np.ones(3) / 3, (0, 3), r'history: found \(0, 3\)'),
    (np.ones(3) / 3, (3,), r'history: found \(3,\)'),
  ],
)
def test_what_is_no_importance_is_refused(tmp_path, mean, shape, message):
  with pytest.raises(ValueError, match=message):
    draw(tmp_path / 'a.png', mean, np.ones(shape))
  assert os.listdir(tmp_path) == []


def test_the_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
  def fail(*unused, **also_unused):
    raise OSError('disk full')

  monkeypatch.setattr(mpl_figure.Figure, 'savefig', fail)
  path = tmp_path / 'a.png'
  path.write_text('old')
  with pytest.raises(OSError, match='disk full'):
    draw(path, *fake_importance(2, 3))
  assert path.read_text() == 'old'
  assert os.listdir(tmp_path) == ['a.png']

"""Tests of eigen3.reporting.population_picture."""

import os

import matplotlib.image
import numpy as np
import pytest
from fake_population import NAN, fake_run, with_selection
from matplotlib import figure as mpl_figure
from png_pixels import pixels

from eigen3.reporting import population_picture
from eigen3.reporting.population_picture import draw_population

POPULATION, CHAMPION = (0x1B, 0x4F, 0x9C), (0xD0, 0x02, 0x1B)
ELITE = (0xE0, 0xA1, 0x00)


def draw(path, members, generations, title='ERL', remark='a remark'):
  draw_population(path, members, generations, title, remark)
  return path.read_bytes()


def test_no_picture_of_a_table_that_lacks_something(tmp_path):
  members, generations = fake_run()
  path = tmp_path / 'population.png'
  with pytest.raises(
    ValueError, match=r"columns of generations: .* a column 'spread'"
  ):
    draw(path, members, generations.drop(columns='spread'))
  with pytest.raises(
    ValueError, match=r"columns of members: .* a column 'origin'"
  ):
    draw(path, members.drop(columns='origin'), generations)
  assert os.listdir(tmp_path) == []


@pytest.mark.filterwarnings('error')
def test_the_picture_is_a_png_that_shows_the_run(tmp_path):
  path = tmp_path / 'population.png'
  members, generations = fake_run()
  picture = draw(path, members, generations)
  assert picture.startswith(b'\x89PNG\r\n\x1a\n')
  height, width = pixels(path, POPULATION).shape
  assert width == 1200
  # The population is in every row of panels, the champion in the second.
  quarter = height // 4
  for index in range(4):
    rows = slice(index * quarter, (index + 1) * quarter)
    assert pixels(path, POPULATION, rows).sum() > 150
    assert (pixels(path, CHAMPION, rows).sum() > 100) == (index == 1)
  assert os.listdir(tmp_path) == ['population.png']
  # Equal numbers give equal pictures, and other numbers change their panels.
  assert draw(tmp_path / 'same.png', members, generations) == picture
  changed = generations.assign(
    champion_score=generations['champion_score'] + 0.1,
    champion_generation=0,
    replay_capacity=28_000,
    **{
      name: generations[name].to_numpy()[::-1] ** 2
      for name in ('spread', 'mutation_rate', 'mutation_std', 'seconds')
    },
  )
  draw(tmp_path / 'other.png', members, changed)
  differs = np.abs(
    matplotlib.image.imread(tmp_path / 'other.png')
    - matplotlib.image.imread(path)
  ).any(-1)
  for row, num_panels in ((1, 1), (2, 3), (3, 2)):
    panels = differs[row * quarter + 80 : row * quarter + 200, 110:1000]
    for panel in np.array_split(panels, num_panels, axis=1):
      assert panel.sum() > 50, row
  # Without a new champion there is no star.
  second = slice(quarter, 2 * quarter)
  stars = pixels(path, CHAMPION, second).sum()
  stars -= pixels(tmp_path / 'other.png', CHAMPION, second).sum()
  assert stars > 60


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(
  'num_generations, size, hyperparameters',
  [
    (1, 2, ()),
    (2, 1, ('hyper_actor_learning_rate',)),
    (30, 16, [f'hyper_{i}' for i in range(4)]),
  ],
)
def test_runs_of_any_size(tmp_path, num_generations, size, hyperparameters):
  path = tmp_path / 'population.png'
  members, generations = fake_run(num_generations, size, hyperparameters)
  draw(path, members, generations)
  found = pixels(path, POPULATION)
  rows = 4 + -(-len(hyperparameters) // 3)
  assert found.shape == (rows * 288, 1200)
  for index in range(rows):
    assert found[index * 288 : (index + 1) * 288].sum() > 25


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('num_generations', [1, 12])
def test_what_selection_did_is_two_rows_more(tmp_path, num_generations):
  path = tmp_path / 'population.png'
  members, generations = with_selection(*fake_run(num_generations))
  draw(path, members, generations)
  found = pixels(path, POPULATION)
  assert found.shape == (6 * 288, 1200)
  # The champion's descent has its colour, and becomes the majority.
  red = pixels(path, (0xD5, 0x1A, 0x31), slice(2 * 288, 3 * 288))
  assert red.sum() > 5_000
  other = generations.assign(
    retest_correlation=0.9,
    offspring_gain=1.0,
    distance_median=generations['distance_median'] * 3,
  )
  draw(tmp_path / 'other.png', members, other)
  differs = np.abs(
    matplotlib.image.imread(tmp_path / 'other.png')
    - matplotlib.image.imread(path)
  ).any(-1)[3 * 288 + 80 : 3 * 288 + 230, 110:1150]
  for panel in np.array_split(differs, 3, axis=1):
    assert panel.sum() > 20
  # Older runs have no record of it.
  generations['offspring_gain'] = generations['mutant_gain'] = NAN
  generations['retest_correlation'] = NAN
  draw(path, members, generations)
  draw(path, members.assign(founder=NAN), generations)
  assert pixels(path, POPULATION).shape == (4 * 288, 1200)


@pytest.mark.filterwarnings('error')
def test_a_run_without_validation_or_mutation(tmp_path):
  members, generations = fake_run()
  members['validation'] = NAN
  generations[['champion_score', 'mutation_rate', 'mutation_std']] = NAN
  path = tmp_path / 'population.png'
  draw(path, members, generations)
  assert pixels(path, CHAMPION).sum() == 0
  assert pixels(path, POPULATION, slice(0, 288)).sum() > 150
  assert pixels(path, POPULATION, slice(300, 550)).sum() == 0


@pytest.mark.parametrize('constant', [False, True])
def test_one_bad_member_does_not_flatten_the_curves(tmp_path, constant):
  path = tmp_path / 'population.png'
  members, generations = fake_run(20)
  if constant:  # the best of most generations are equal
    members.loc[members['generation'] > 4, 'fitness'] = 0.1
  members.loc[5, 'fitness'] = -10_000.0
  draw(path, members, generations)
  # The curves of fitness, left of the legend.
  found = pixels(path, POPULATION, slice(40, 240))[:, 150:900]
  rows = np.flatnonzero(found.any(axis=1))
  assert rows[-1] - rows[0] > 80


def test_ordinary_members_are_not_left_out():
  """They are kept even if all generations' best are nearly equal."""
  members, generations = fake_run(6)
  members['validation'] = np.where(members['member'] == 0, 0.0167, -0.0213098)
  members.loc[0, 'validation'] = 0.0168
  found = population_picture.elements(members, generations)
  assert 'beyond the axis' not in found['validation']
  members.loc[5, 'validation'] = -10_000.0
  found = population_picture.elements(members, generations)
  assert '(beyond the axis: as far as -10,000)' in found['validation']


def test_elements_of_a_page_are_svg():
  members, generations = with_selection(*fake_run(8, 4, ['hyper_rate']))
  generations = generations.drop(columns=['mutation_rate', 'mutation_std'])
  found = population_picture.elements(members, generations)
  assert [*found] == [
    'fitness', 'validation', 'founders', 'retest', 'gains', 'distances',
    'spread', 'rate', 'std', 'hyper_rate',
  ]  # fmt: skip
  for picture in found.values():
    assert picture.startswith('<svg')
    assert '#000000' not in picture
    assert '#1b4f9c' not in picture
  assert 'no mutation' in found['rate']


def test_fitness_and_validation_have_their_own_units():
  share, rewards = 'share of initial cash', 'sum of rewards'
  found = population_picture.elements(*fake_run(), profits=(False, True))
  assert rewards in found['fitness']
  assert share not in found['fitness']
  assert share in found['validation']
  assert rewards not in found['validation']


@pytest.mark.filterwarnings('error')
def test_an_unknown_origin_is_drawn_too(tmp_path):
  members, generations = fake_run()
  members.loc[members['generation'] > 1, 'origin'] = 'immigrant'
  members.loc[members['generation'] == 1, 'origin'] = 'elite'
  path = tmp_path / 'population.png'
  draw(path, members, generations)
  # A marker in each of the upper panels and in their legends, and no more.
  gold = pixels(path, ELITE, slice(0, 576))[:, :1000]
  assert 40 < gold.sum() < 250


def test_a_long_remark_is_not_cut_off(tmp_path):
  path = tmp_path / 'population.png'
  draw(path, *fake_run(), remark='Costs are $1 to buy and $2 to sell. ' * 8)
  image = matplotlib.image.imread(path)[..., :3]
  ink = (image < 0.9).any(-1)[-30:].any(0)
  assert np.ptp(np.flatnonzero(ink)) > 800  # most of the width is written on
  assert not ink[:10].any()
  assert not ink[-10:].any()


def test_the_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
  def fail(*unused, **also_unused):
    raise OSError('disk full')

  monkeypatch.setattr(mpl_figure.Figure, 'savefig', fail)
  path = tmp_path / 'a.png'
  path.write_text('old')
  with pytest.raises(OSError, match='disk full'):
    draw(path, *fake_run())
  assert path.read_text() == 'old'
  assert os.listdir(tmp_path) == ['a.png']

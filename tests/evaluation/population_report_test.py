"""Tests of eigen3.evaluation.population_report."""

import os

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib import figure as mpl_figure

from eigen3.evaluation import importance_picture, population_report

NAN = float('nan')
POPULATION, CHAMPION = (0x1B, 0x4F, 0x9C), (0xD0, 0x02, 0x1B)
ELITE = (0xE0, 0xA1, 0x00)
EQUAL_SHARES = (0xC2, 0x57, 0x0C)  # the dashed lines

# Generation, member, origin, parent, fitness, validation, profit, trades and
# share of winning trades.
MEMBERS = pd.DataFrame(
  [
    (1, 0, 'initial', -1, 1.0, NAN, 0.01, 3.0, 0.5),
    (1, 1, 'initial', -1, 4.0, NAN, 0.04, 4.0, 0.25),
    (2, 0, 'elite', 1, 4.0, 0.5, 0.04, 4.0, 0.25),
    (2, 1, 'offspring', 0, 7.0, 1.5, 0.0625, 12.5, 0.75),
    (2, 2, 'mutant', 1, -2.0, NAN, -0.02, 0.0, NAN),
    (3, 0, 'elite', 1, 6.0, 1.0, 0.06, 12.0, 0.75),
    (3, 1, 'copy', 0, 6.0, 1.0, 0.06, 12.0, 0.75),
    (4, 0, 'elite', 0, 5.0, NAN, 0.05, 12.0, 0.75),
  ],
  columns=population_report.MEMBER_COLUMNS,
)


def fake_run(num_generations=6, size=4, hyperparameters=(), seed=0):
  """A plausible history: (members, generations)."""
  rng = np.random.default_rng(seed)
  generation = np.repeat(np.arange(1, num_generations + 1), size)
  count = len(generation)
  fitness = 0.02 * np.sqrt(generation) + rng.normal(0, 0.01, count)
  validation = 0.6 * fitness + rng.normal(0, 0.005, count)
  validation[generation % 3 == 0] = NAN
  members = pd.DataFrame(
    {
      'generation': generation,
      'member': np.tile(np.arange(size), num_generations),
      'origin': rng.choice(['elite', 'offspring', 'mutant'], count),
      'parent': rng.integers(0, size, count),
      'fitness': fitness,
      'validation': validation,
      'profit': fitness + 0.01,
      'trades': rng.integers(0, 40, count).astype(float),
      'win_rate': rng.uniform(0.3, 0.7, count),
      **{name: np.exp(rng.normal(-8, 0.3, count)) for name in hyperparameters},
    }
  )
  best = members.groupby('generation')['validation'].max()
  score = best.cummax().ffill()
  generation = np.arange(1, num_generations + 1)
  generations = pd.DataFrame(
    {
      'generation': generation,
      'seconds': rng.uniform(20, 40, num_generations),
      'replay_size': np.minimum(1600 * generation, 14_000),
      'replay_capacity': 14_000,
      'champion_score': score.to_numpy(),
      'champion_generation': [
        int(best.loc[:g].idxmax()) if best.loc[:g].notna().any() else 0
        for g in generation
      ],
      'mutation_rate': np.linspace(0.2, 0.4, num_generations),
      'mutation_std': 0.025,
      'spread': 0.5 / generation,
    }
  )
  return members, generations


def pixels(path, colour, rows=slice(None)):
  """bool [height, width], where some rows of a picture have a colour."""
  image = matplotlib.image.imread(path)[rows, :, :3]
  return np.abs(image - np.array(colour) / 255).sum(-1) < 0.02


def draw(path, members, generations, title='ERL', remark='a remark'):
  population_report.write_picture(path, members, generations, title, remark)
  return path.read_bytes()


def test_the_summary():
  found = population_report.summarise(MEMBERS).set_index('generation')
  assert found.index.tolist() == [1, 2, 3, 4]
  expected = {
    'fitness_best': [4.0, 7.0, 6.0, 5.0],
    'fitness_mean': [2.5, 3.0, 6.0, 5.0],
    'fitness_median': [2.5, 4.0, 6.0, 5.0],
    'fitness_worst': [1.0, -2.0, 6.0, 5.0],
    # Deviations of 1.5 twice; of 1, 4 and -5.
    'fitness_std': [1.5, np.sqrt(14.0), 0.0, 0.0],
    'validation_best': [NAN, 1.5, 1.0, NAN],
    'validation_mean': [NAN, 1.0, 1.0, NAN],
    'validation_median': [NAN, 1.0, 1.0, NAN],
    'validation_worst': [NAN, 0.5, 1.0, NAN],
    'validation_std': [NAN, 0.5, 0.0, NAN],
    'validation_best_so_far': [NAN, 1.5, 1.5, 1.5],
  }
  assert found.columns.tolist() == list(expected)
  for name, values in expected.items():
    np.testing.assert_allclose(found[name], values, err_msg=name)


def test_generations_are_told_in_order():
  found = population_report.summarise(MEMBERS.iloc[::-1])
  pd.testing.assert_frame_equal(found, population_report.summarise(MEMBERS))


def lines_of(table):
  """Cells of a text of aligned lines."""
  lines = table.splitlines()
  assert len({len(line) for line in lines}) == 1
  return [' '.join(line.split()) for line in lines]


def test_the_best_of_a_generation():
  assert lines_of(population_report.top_table(MEMBERS, 2)) == [
    'member validation fitness profit trades win rate origin parent',
    '1 +1.5 +7 +6.25% 12.5 75% offspring 0',
    '0 +0.5 +4 +4.00% 4.0 25% elite 1',
    '2 - -2 -2.00% 0.0 - mutant 1',
  ]


def test_equals_stand_by_fitness_then_by_number():
  rows = MEMBERS[MEMBERS['generation'] == 3].iloc[[1, 0, 0]].copy()
  rows['member'] = [1, 0, 2]
  rows['fitness'] = [6.0, 6.0, 6.5]
  found = lines_of(population_report.top_table(rows, 3))
  assert [line.split()[0] for line in found[1:]] == ['2', '0', '1']


def test_without_validation_the_fittest_come_first():
  found = lines_of(population_report.top_table(MEMBERS, 1))
  assert found[1:] == [
    '1 - +4 +4.00% 4.0 25% initial -',
    '0 - +1 +1.00% 3.0 50% initial -',
  ]


def test_so_many_and_no_more():
  members, _ = fake_run(1, 16)
  for count, expected in ((5, 5), (2, 2), (99, 16)):
    text = population_report.top_table(members, 1, count)
    assert len(text.splitlines()) == 1 + expected


def test_what_a_table_lacks_is_named():
  with pytest.raises(ValueError, match=r'generation: found 5, .* 1 to 4'):
    population_report.top_table(MEMBERS, 5)
  with pytest.raises(ValueError, match=r"members: .* a column 'profit'"):
    population_report.top_table(MEMBERS.drop(columns='profit'), 1)
  with pytest.raises(ValueError, match=r"members: .* a column 'fitness'"):
    population_report.summarise(MEMBERS.drop(columns='fitness'))
  with pytest.raises(ValueError, match=r'members: .* at least 1'):
    population_report.summarise(MEMBERS[:0])


def test_no_picture_of_a_table_that_lacks_something(tmp_path):
  members, generations = fake_run()
  path = tmp_path / 'population.png'
  with pytest.raises(ValueError, match=r"generations: .* a column 'spread'"):
    draw(path, members, generations.drop(columns='spread'))
  with pytest.raises(ValueError, match=r"members: .* a column 'origin'"):
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
  # The population is in every row of panels, the champion in the upper two.
  quarter = height // 4
  for index in range(4):
    rows = slice(index * quarter, (index + 1) * quarter)
    assert pixels(path, POPULATION, rows).sum() > 150
    assert (pixels(path, CHAMPION, rows).sum() > 100) == (index < 2)
  assert os.listdir(tmp_path) == ['population.png']
  # The same is the same, and other numbers change every panel they are in.
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
  for row, num_panels in ((0, 1), (2, 3), (3, 2)):
    panels = differs[row * quarter + 80 : row * quarter + 200, 110:1000]
    for panel in np.array_split(panels, num_panels, axis=1):
      assert panel.sum() > 50, row
  # Without a new champion there is no star.
  upper = slice(0, quarter)
  stars = pixels(path, CHAMPION, upper).sum()
  stars -= pixels(tmp_path / 'other.png', CHAMPION, upper).sum()
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


def draw_importance(path, mean, history, columns=None):
  columns = columns or [f'C{i}' for i in range(len(mean))]
  importance_picture.write_importance_picture(
    path, mean, history, columns, 'ERL'
  )
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
  picture = draw_importance(path, mean, history, names)
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
  picture = draw_importance(tmp_path / 'a.png', mean, history)
  assert draw_importance(tmp_path / 'b.png', mean, history) == picture
  # Attention of any sum is the same attention.
  scaled = history * np.array([1, 2, 4, 8, 16])[:, None]
  assert draw_importance(tmp_path / 'b.png', mean, scaled) == picture
  other = history.copy()
  other[2, mean.argmax()] *= 3
  assert draw_importance(tmp_path / 'b.png', mean, other) != picture
  reversed_mean = mean[::-1].copy()
  assert draw_importance(tmp_path / 'b.png', reversed_mean, history) != picture


@pytest.mark.filterwarnings('error')
def test_generations_without_attention_are_left_blank(tmp_path):
  path = tmp_path / 'importance.png'
  mean, history = fake_importance(4, 25)
  picture = draw_importance(path, mean, history)
  history[1] = 0.0
  history[2, 3] = NAN
  assert draw_importance(path, mean, history) != picture
  draw_importance(path, mean, np.zeros((4, 25)))
  # No curve of entropy is left, but the largest that is possible is.
  low = slice(-330, None)
  assert pixels(path, POPULATION, low).sum() == 0
  assert pixels(path, EQUAL_SHARES, low).sum() > 300


@pytest.mark.filterwarnings('error')
def test_names_are_written_as_they_are(tmp_path):
  mean, history = fake_importance(2, 3)

  def picture(*names):
    return draw_importance(tmp_path / 'a.png', mean, history, names)

  assert picture(r'$\frac$', '^VIX', 'A_B') != picture('', '^VIX', 'A_B')
  # Of a long name both ends are shown, and what tells it is at either.
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
    draw_importance(tmp_path / 'a.png', mean, np.ones(shape))
  assert os.listdir(tmp_path) == []


def test_pictures_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
  def fail(*unused, **also_unused):
    raise OSError('disk full')

  monkeypatch.setattr(mpl_figure.Figure, 'savefig', fail)
  path = tmp_path / 'a.png'
  path.write_text('old')
  with pytest.raises(OSError, match='disk full'):
    draw(path, *fake_run())
  with pytest.raises(OSError, match='disk full'):
    draw_importance(path, *fake_importance(2, 3))
  assert path.read_text() == 'old'
  assert os.listdir(tmp_path) == ['a.png']

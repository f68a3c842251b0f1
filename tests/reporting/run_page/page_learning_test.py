"""Tests of the pictures of learning curves."""

import pandas as pd

from eigen3.reporting.run_page import learning, pictures

COLOURS = pictures.colours(['agent'])


def metrics():
  return pd.DataFrame(
    {
      'iteration': [0, 1, 2, 3],
      'seconds': [None, 2.0, 1.0, 1.0],
      'updates': [None, 50.0, 100.0, 150.0],
      'critic_loss': [None, 2.0, 1.5, 1.0],
      'critic_gradient_norm': [None, 5.0, 1.0, 0.1],
      'actor_gradient_norm': [None, 0.0, 1.0, 0.1],
      'temperature': [None, 0.3, 0.2, 0.1],
      'validation_profit': [0.0, None, 0.05, 0.04],
      'validation_exposure': [0.1, None, 0.5, 0.6],
      'validation_momentum': [0.07] * 4,
      'validation_win_rate': [0.5] * 4,
    }
  )


def test_everything_that_is_known_is_drawn():
  found = learning.pictures({'agent': metrics()}, COLOURS, lambda name: False)
  assert [*found] == [
    'Validation profit, % of initial cash',
    'Loss of the critics',
    'Norms of gradients, before clipping',
    'Exposure on validation days, %',
    'Temperature',
  ]
  first = found['Validation profit, % of initial cash']
  assert '>momentum<' in first
  assert '>random entry<' not in first
  for picture in found.values():
    assert picture.startswith('<svg')
    assert '>iteration<' in picture
  assert '>critics<' in found['Norms of gradients, before clipping']


def test_what_is_told_elsewhere_is_left_out():
  found = learning.pictures(
    {'agent': metrics()}, COLOURS, lambda name: name == 'temperature'
  )
  assert 'Temperature' not in found
  empty = metrics()[:0]
  assert learning.pictures({'agent': empty}, COLOURS, lambda name: False) == {}


def test_every_seed_has_its_line():
  runs = {'seed 3': metrics(), 'seed 1': metrics().drop(columns='temperature')}
  found = learning.pictures(runs, pictures.colours([*runs]), lambda name: False)
  assert '>seed 3<' in found['Loss of the critics']
  assert '>seed 1<' in found['Loss of the critics']
  assert '>seed 1, critics<' in found['Norms of gradients, before clipping']
  assert '>seed 1<' not in found['Temperature']

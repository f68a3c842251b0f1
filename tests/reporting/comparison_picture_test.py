"""Tests of eigen3.reporting.comparison_picture."""

import numpy as np
from fake_backtests import make_results

from eigen3.evaluation.comparison import Comparison
from eigen3.reporting.comparison_picture import draw_comparison


def test_the_picture(tmp_path):
  results = make_results()
  training = {'agent': np.array([0.02, 0.04])}
  compared = Comparison(results, training)
  draw_comparison(tmp_path / 'one.png', compared, 'title $a', 'why')
  draw_comparison(
    tmp_path / 'two.png', compared._replace(holdout=results), 'title', 'why'
  )
  heights = [
    int.from_bytes((tmp_path / name).read_bytes()[20:24], 'big')
    for name in ('one.png', 'two.png')
  ]
  assert heights == [768, 1200]

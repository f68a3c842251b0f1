"""What a page is about: champions, and the days that they are judged on."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Judge
from eigen3.evaluation.sharpe import Deflated


class Occasion(NamedTuple):
  """The days, and what is known of them.

  Attributes:
    is_held_out: whether they are the held-out days, else the validation days.
    judge: of these days.
    panel: the market.
    remark: what every reader must know of the data and of how often these days
      were looked at.
    why_not: why the page is not about the held-out days; '' if it is.
  """

  is_held_out: bool
  judge: Judge
  panel: MarketPanel
  remark: str
  why_not: str


class Champion(NamedTuple):
  """A run's champion.

  Attributes:
    workdir: of its run.
    backtest: on the days of the occasion.
    play: how it fares under a judge of the same days, whose rules may be
      others.
    deflated: what its record on the validation days is worth.
    attention: how much it looks at each column of the panel on these days,
      shares float [C]; None where its networks do not say.
  """

  workdir: pathlib.Path
  backtest: Backtest
  play: Callable[[Judge], Backtest]
  deflated: Deflated
  attention: np.ndarray | None = None

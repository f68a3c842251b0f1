"""The subject of a page: champions, and the days they are evaluated on."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from eigen3.data import MarketPanel
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Judge
from eigen3.evaluation.sharpe import Deflated


class Occasion(NamedTuple):
  """The days on which the champions of a page are evaluated.

  Attributes:
    is_held_out: whether the days are held-out rather than validation days.
    judge: evaluates policies on these days.
    panel: the market.
    remark: caveats about the data, and how often the held-out days were opened
      if more than once.
    why_not: why the page is not about held-out days; '' if it is about them.
  """

  is_held_out: bool
  judge: Judge
  panel: MarketPanel
  remark: str
  why_not: str


class Champion(NamedTuple):
  """A run's champion.

  Attributes:
    workdir: the run's folder.
    backtest: the champion's backtest on the days of the page's `Occasion`.
    play: backtests the champion with a given judge of the same days, whose
      rules may differ from the run's.
    deflated: deflated Sharpe ratio on the validation days.
    attention: float [C], the champion's mean share of attention to each of the
      panel's columns on the days of the page; None if unknown.
  """

  workdir: pathlib.Path
  backtest: Backtest
  play: Callable[[Judge], Backtest]
  deflated: Deflated
  attention: np.ndarray | None = None

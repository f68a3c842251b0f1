"""The pictures of a page: SVG that takes the colours of the page around it."""

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import dates as mpl_dates
from matplotlib import figure as mpl_figure

from eigen3.data import MarketPanel
from eigen3.evaluation import metrics
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Results
from eigen3.reporting import drawing

# Each stands out of black and of white.
GAIN, LOSS = '#2f9e57', '#d9534f'
_CONTROLS = {
  'informed': '#2f9e57',
  'momentum': '#d9731a',
  'buy_and_hold': '#a069c9',
  'random_entry': '#8a8a8a',
  # Of the market `patience`.
  'greedy': '#d98c8c',
  'hurdle': '#c94f4f',
  'hurdle_informed': '#a33a3a',
  'patient': '#7bbf8f',
  'patient_informed': '#3f9160',
}
_AGENTS = ('#3b82d6', '#14a3a8', '#c79a00', '#d9534f', '#7a9a01', '#b56576')
_WIDTH = 5.0  # inches; as narrow as a phone's page it can still be read
_MOST_COLUMNS = 15  # bars of attention
_NAME_WIDTH = 16  # letters of a column's name
_TITLE = {'loc': 'left', 'fontsize': 9, 'parse_math': False}


def colours(agents: Sequence[str]) -> dict[str, str]:
  """A colour for each policy."""
  return _CONTROLS | {
    name: _AGENTS[k % len(_AGENTS)] for k, name in enumerate(agents)
  }


def equity(agents: Results, controls: Results) -> str:
  """Profit over time of everybody."""
  figure, axes = _new(3.5)
  results = {**agents, **controls}
  title = 'Profit, net of costs'
  drawing.equity(axes, results, title, colours([*agents]))
  axes.set_title(title, **_TITLE)
  _legend_below(axes)
  return _svg(figure, 'equity')


def drawdown(agents: Results, controls: Results) -> str:
  """How far each is below its highest equity so far."""
  figure, axes = _new(3.5)
  chosen = colours([*agents])
  for name, backtests in {**agents, **controls}.items():
    below = np.mean([_below_peak(test) for test in backtests], axis=0)
    is_agent = name in agents
    axes.plot(
      backtests[0].dates,
      -100.0 * below,
      color=chosen.get(name),
      linewidth=1.8 if is_agent else 1.0,
      linestyle='-' if is_agent else '--',
      label=drawing.shown(name),
    )
  axes.set_title('Below the highest equity so far', **_TITLE)
  axes.set_ylabel('%')
  drawing.finish(axes)
  _legend_below(axes)
  return _svg(figure, 'drawdown')


def trades(panel: MarketPanel, backtest: Backtest, ticker: str) -> str:
  """What was bought and sold of one stock, on its closes."""
  figure, axes = _new(2.2)
  days = np.searchsorted(panel.dates, backtest.dates)
  close = panel.ohlc[days, panel.columns.index(ticker), 3]
  axes.plot(backtest.dates, close, color='#8a8a8a', linewidth=1.0)
  rows = backtest.trades[backtest.trades['ticker'] == ticker]
  for row in rows.to_dict('records'):
    colour = GAIN if row['net_profit'] > 0 else LOSS
    held = [row['entry_date'], row['exit_date']]
    paid = [row['entry_price'], row['exit_price']]
    axes.plot(held, paid, color=colour, linewidth=1.4)
    for day, price, marker in zip(held, paid, '^v', strict=True):
      axes.plot(day, price, marker, color=colour, markersize=4)
  gained = rows['net_profit'].sum()
  many = f'{len(rows)} trade' + ('s' if len(rows) != 1 else '')
  axes.set_title(f'{ticker}: {many}, {gained:+,.0f}', **_TITLE)
  drawing.lighten(axes)
  return _svg(figure, f'trades {ticker}')


def attention(shares: Mapping[str, float]) -> str:
  """The columns that are looked at most, by their share of attention."""
  ordered = sorted(shares.items(), key=lambda item: -item[1])[:_MOST_COLUMNS]
  figure, axes = _new(0.8 + 0.22 * len(ordered))
  place = np.arange(len(ordered))
  axes.barh(place, [100.0 * x for _, x in ordered], color=_AGENTS[0])
  axes.set_yticks(
    place,
    [drawing.shortened(name, _NAME_WIDTH) for name, _ in ordered],
    fontsize=8,
    parse_math=False,
  )
  axes.set_ylim(len(ordered) - 0.4, -0.6)
  axes.axvline(100.0 / len(shares), color=_CONTROLS['momentum'], ls='--', lw=1)
  axes.set_title(f'% of attention (dashed: 1 of {len(shares)})', **_TITLE)
  drawing.lighten(axes)
  return _svg(figure, 'attention')


def most_traded(trades: pd.DataFrame, count: int) -> list[str]:
  """The tickers with most trades; of equals those that moved most money."""
  moved = trades.assign(moved=trades['net_profit'].abs()).groupby('ticker')
  table = moved['moved'].agg(['size', 'sum'])
  return (
    table.sort_values(['size', 'sum'], ascending=False).index[:count].tolist()
  )


def _new(height: float):
  figure = mpl_figure.Figure(figsize=(_WIDTH, height), layout='constrained')
  return figure, figure.add_subplot()


def _legend_below(axes) -> None:
  """The legend where the picture is as wide on a phone as elsewhere."""
  legend = axes.legend(
    fontsize=8,
    frameon=False,
    ncols=2,
    loc='upper center',
    bbox_to_anchor=(0.5, -0.1),
  )
  for text in legend.get_texts():
    text.set_parse_math(False)


def _below_peak(backtest: Backtest) -> np.ndarray:
  path = np.cumprod(1.0 + metrics.daily_returns(backtest))
  return 1.0 - path / np.maximum(np.maximum.accumulate(path), 1.0)


def _svg(figure: mpl_figure.Figure, name: str) -> str:
  """The picture as an element of a page, black in the page's colour.

  Args:
    figure: to be drawn.
    name: of its own on the page: elements of one picture refer to each other.
  """
  for axes in figure.axes:
    axes.tick_params(labelsize=8)
    axes.yaxis.label.set_fontsize(8)
    axes.patch.set_visible(False)
    if isinstance(axes.xaxis.get_major_locator(), mpl_dates.AutoDateLocator):
      locator = mpl_dates.AutoDateLocator(maxticks=6)
      axes.xaxis.set_major_locator(locator)
      axes.xaxis.set_major_formatter(
        mpl_dates.ConciseDateFormatter(locator, show_offset=False)
      )
  figure.patch.set_visible(False)
  buffer = io.StringIO()
  # Words stay words: they take the page's font, can be searched and are short.
  with matplotlib.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name}):
    figure.savefig(
      buffer,
      format='svg',
      metadata=dict.fromkeys(('Creator', 'Date', 'Format', 'Type')),
    )
  drawn = buffer.getvalue()
  return drawn[drawn.index('<svg') :].replace('#000000', 'currentColor')

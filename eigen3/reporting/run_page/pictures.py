"""Pictures of policies' backtests and attention, as SVG."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from eigen3.data import MarketPanel
from eigen3.evaluation import metrics
from eigen3.evaluation.backtest import Backtest
from eigen3.evaluation.judge import Results
from eigen3.reporting import drawing, svg

# These colours are all visible on black and on white.
GAIN, LOSS = '#2f9e57', '#d9534f'
_CONTROLS = {
  'informed': '#2f9e57',
  'momentum': '#d9731a',
  'buy_and_hold': '#a069c9',
  'random_entry': '#8a8a8a',
  # Yardsticks of the market `patience`.
  'greedy': '#d98c8c',
  'hurdle': '#c94f4f',
  'hurdle_informed': '#a33a3a',
  'patient': '#7bbf8f',
  'patient_informed': '#3f9160',
}
_AGENTS = ('#3b82d6', '#14a3a8', '#c79a00', '#d9534f', '#7a9a01', '#b56576')
_MOST_COLUMNS = 15  # bars of attention
_NAME_WIDTH = 16  # most characters of a column's name
_BARS = 24  # of the distribution of returns
_SHOWN_RETURNS = (0.5, 99.5)  # percentiles; the outer bars hold the rest


def colours(agents: Sequence[str]) -> dict[str, str]:
  """Returns the colours of `agents` and of all controls, keyed by name."""
  return _CONTROLS | {
    name: _AGENTS[k % len(_AGENTS)] for k, name in enumerate(agents)
  }


def equity(agents: Results, controls: Results) -> str:
  """Returns a picture of the profit of all policies over time."""
  figure, axes = svg.new(3.5)
  results = {**agents, **controls}
  title = 'Profit, net of costs'
  drawing.equity(axes, results, title, colours([*agents]))
  svg.name_axes(axes, title)
  svg.legend_below(axes)
  return svg.element(figure, 'equity')


def drawdown(agents: Results, controls: Results) -> str:
  """Returns a picture of the drawdown of all policies over time.

  For a policy with several backtests, it shows their mean drawdown on each day.
  """
  figure, axes = svg.new(3.5)
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
  svg.name_axes(axes, 'Drawdown: equity below its highest so far')
  axes.set_ylabel('%')
  drawing.finish(axes)
  svg.legend_below(axes)
  return svg.element(figure, 'drawdown')


def trades(panel: MarketPanel, backtest: Backtest, ticker: str) -> str:
  """Returns a picture of the trades in one stock, drawn over its closes."""
  figure, axes = svg.new(2.2)
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
  svg.name_axes(axes, f'{ticker}: {many}, {gained:+,.0f}')
  drawing.lighten(axes)
  return svg.element(figure, f'trades {ticker}')


def trade_returns(
  trades: pd.DataFrame, beside: Sequence[Backtest], colour: str
) -> str:
  """Returns a picture of the distribution of trades' returns.

  Args:
    trades: of the agent; at least one.
    beside: backtests of random entry, drawn for comparison.
    colour: of the agent.
  """
  figure, axes = svg.new(2.6)
  ours = trades['return_percent'].to_numpy(float)
  theirs = np.concatenate(
    [backtest.trades['return_percent'].to_numpy(float) for backtest in beside]
  )
  least, most = np.percentile(np.append(ours, theirs), _SHOWN_RETURNS)
  edges = np.linspace(least, max(most, least + 1e-3), _BARS + 1)

  def shares(returns: np.ndarray) -> np.ndarray:
    inside = np.histogram(np.clip(returns, edges[0], edges[-1]), edges)[0]
    return 100.0 * inside / max(len(returns), 1)

  axes.stairs(shares(ours), edges, fill=True, color=colour, label='agent')
  axes.stairs(
    shares(theirs),
    edges,
    color=_CONTROLS['random_entry'],
    linewidth=1.4,
    label='random entry',
  )
  axes.axvline(0, color='black', linewidth=0.6)
  svg.name_axes(axes, '% of trades, by their return before costs')
  axes.set_xlabel('% (the outer bars also count all returns beyond)')
  drawing.lighten(axes)
  svg.legend_below(axes)
  return svg.element(figure, 'returns of trades')


def attention(shares: Mapping[str, float]) -> str:
  """Returns a bar chart of the columns with the most attention.

  Args:
    shares: the share of attention of each of the panel's columns, by name.
  """
  ordered = sorted(shares.items(), key=lambda item: -item[1])[:_MOST_COLUMNS]
  figure, axes = svg.new(0.8 + 0.22 * len(ordered))
  place = np.arange(len(ordered))
  axes.barh(place, [100.0 * x for _, x in ordered], color=_AGENTS[0])
  axes.set_yticks(
    place,
    [drawing.shortened(name, _NAME_WIDTH) for name, _ in ordered],
    parse_math=False,
  )
  axes.set_ylim(len(ordered) - 0.4, -0.6)
  axes.axvline(100.0 / len(shares), color=_CONTROLS['momentum'], ls='--', lw=1)
  svg.name_axes(axes, f'% of attention (dashed: 1 of {len(shares)})')
  drawing.lighten(axes)
  return svg.element(figure, 'attention')


def most_traded(trades: pd.DataFrame, count: int) -> list[str]:
  """Returns up to `count` tickers, those with the most trades first.

  Ties are broken by the sum of the trades' absolute profits.
  """
  moved = trades.assign(moved=trades['net_profit'].abs()).groupby('ticker')
  table = moved['moved'].agg(['size', 'sum'])
  return (
    table.sort_values(['size', 'sum'], ascending=False).index[:count].tolist()
  )


def _below_peak(backtest: Backtest) -> np.ndarray:
  path = np.cumprod(1.0 + metrics.daily_returns(backtest))
  return 1.0 - path / np.maximum(np.maximum.accumulate(path), 1.0)

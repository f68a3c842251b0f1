r"""Prints the orders of a run's champion for the next day.

eigen3 act --run=runs/first --panel=today.parquet [--held=AAPL,MSFT] \
  [--equity=250000] [--cash=40000] [--out=orders.csv] [--run_panel=PATH]

The next day is the trading day after the panel's last day. Make the panel as
the run's panel was made, with newer days. The run's own panel is needed, too,
because its training days determine how features are normalised; if it was
moved, --run_panel is its new path. The program tracks neither what is held nor
when positions must be sold.
"""

from experiments import mains

if __name__ == '__main__':
  mains.start('act')  # reads flags before slow imports

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from eigen3.data import MarketPanel
from eigen3.data.alignment import aligned, price_ratio
from eigen3.environment import Market, Rules
from eigen3.evaluation import importance, orders
from eigen3.files import write_table
from experiments import saved_runs
from experiments.options import act as options
from experiments.options import run_panel
from experiments.saved_runs import SavedRun

# Larger changes of past prices indicate a split or a large dividend.
_RESCALED = 0.05


def main(argv: Sequence[str]) -> None:
  """Loads the run, decides on orders, prints them and writes --out if given."""
  given = MarketPanel.load(options.PANEL.value)
  (run,) = saved_runs.load([options.RUN.value], _run_panel(given))
  trained = run.experiment.panel
  panel = aligned(given, trained)
  market = saved_runs.market_of(run, panel)
  actions, attention = saved_runs.act(run, market)
  rules = Rules.from_config(run.config.environment)
  found = orders.decide(
    panel, rules, actions, _is_known(market, panel), _account(rules)
  )
  _print_orders(run, panel, found, rules)
  looked_at = _by_attention(panel, attention)
  print(f'\nThe {options.TOP.value} columns with the most attention:')
  print(_shown(looked_at.head(options.TOP.value)))
  for line in _remarks(panel, trained):
    print(line)
  if options.OUT.value:
    out = pathlib.Path(options.OUT.value)
    beside = out.with_suffix(f'.attention{out.suffix}')
    write_table(out, found.table)
    write_table(beside, looked_at)
    without = ' (no order, see its column no_order)' if found.reason else ''
    print(f'written: {out}{without}, {beside}')


def _run_panel(given: MarketPanel) -> str | None:
  """Returns the path of the run's panel; None for the recorded path.

  If --run_panel is absent and `given`, the panel of --panel, is the run's own,
  the path is --panel.
  """
  if run_panel.RUN_PANEL.value is None and saved_runs.is_panel_of(
    options.RUN.value, given
  ):
    return options.PANEL.value
  return run_panel.RUN_PANEL.value


def _is_known(market: Market, panel: MarketPanel) -> np.ndarray:
  """Returns which stocks have all observed features on the last day.

  The result is bool [N].
  """
  cells = np.asarray(market.features[-1, slice(*panel.investable)])
  return ~np.isnan(cells).any(axis=-1)


def _account(rules: Rules) -> orders.Account:
  equity = (
    rules.initial_cash if options.EQUITY.value is None else options.EQUITY.value
  )
  cash = equity if options.CASH.value is None else options.CASH.value
  return orders.Account(equity, cash, tuple(options.HELD.value))


def _by_attention(panel: MarketPanel, attention: np.ndarray) -> pd.DataFrame:
  shares = importance.checked_shares(attention, panel.columns)
  order = importance.ranking(shares)
  return pd.DataFrame(
    {
      'rank': np.arange(1, len(order) + 1),
      'column': np.array(panel.columns)[order],
      'share': shares[order],
    }
  )


def _print_orders(
  run: SavedRun, panel: MarketPanel, found: orders.Orders, rules: Rules
) -> None:
  """Prints the orders, the top stocks, and the notes on all other stocks."""
  table = found.table
  when = 'open' if rules.fills_at_open else 'close'
  print(
    f'Orders of the champion of {run.name}, checkpoint {run.step}, at the '
    f'close of {panel.dates[-1]}.'
  )
  for row in table[table['order']].itertuples():
    print(
      f'Buy {row.ticker} for {row.position_value:,.2f} at the next {when}; '
      f'sell {row.sale_target_percent:.2f} % above the fill, or after '
      f'{rules.max_holding_days} days.'
    )
  if found.reason:
    print(
      f'No order: nothing to buy, {found.reason} (threshold '
      f'{rules.coefficient_threshold:g}, largest coefficient '
      f'{table["coefficient"].iloc[0]:.3f}).'
    )
  shown = min(options.TOP.value, len(table))
  print(f'\nThe first {shown} of {len(table)} stocks by rank:')
  print(_shown(table.head(options.TOP.value).drop(columns='no_order')))
  hidden = table.iloc[options.TOP.value :]
  for row in hidden[hidden['note'] != ''].itertuples():
    print(f'{row.ticker}: {row.note}')


def _shown(table: pd.DataFrame) -> str:
  return table.to_string(
    index=False,
    float_format='{:,.3f}'.format,
    formatters={'share': '{:.2%}'.format},
    na_rep='-',
  )


def _remarks(panel: MarketPanel, trained: MarketPanel) -> list[str]:
  """Returns remarks on how the panel differs from the run's own panel."""
  lines = []
  ratios = price_ratio(panel, trained)
  for name, ratio in zip(panel.columns, ratios, strict=True):
    if abs(np.log(ratio)) > _RESCALED:
      lines.append(
        f'{name}: past prices are {ratio:.3f} times those of the run, as after '
        'a split or a large dividend: features in units of prices have another '
        'scale'
      )
  if np.isnan(ratios).all():
    lines.append('the panels have no common day: scales cannot be compared')
  if trained.members is not None and panel.members is None:
    lines.append(
      "the run's stocks were bought only while in a universe, which this panel "
      'does not have'
    )
  return lines

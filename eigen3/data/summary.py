"""Summarises which data were read, adjusted, masked and refused.

See `eigen3.data.quality` for other defects and their repairs.
"""

import numpy as np

from eigen3.data.csv_files import Ticker
from eigen3.data.panel import MarketPanel
from eigen3.data.readers import Source
from eigen3.data.series import Series

_SHOWN = 20  # entries of a list before the rest is only counted


def summary_lines(source: Source, panel: MarketPanel) -> list[str]:
  """Returns lines that summarise a source and the panel made from it."""
  tickers = source.tickers
  first = min(ticker.dates[0] for ticker in tickers)
  last = max(ticker.dates[-1] for ticker in tickers)
  rows = sum(len(ticker.dates) for ticker in tickers)
  lines = [
    f'read: {len(tickers)} tickers, {rows:,} rows, {first} to {last}; '
    f'{sum(t.dates[-1] == last for t in tickers)} have a row on the last day',
    f'adjusted: {sum(t.adjusted for t in tickers):,} rows, for '
    f'{sum(t.splits for t in tickers):,} splits and '
    f'{sum(t.dividends for t in tickers):,} dividends',
  ]
  lines += _dropped_lines([*tickers, *source.series])
  lines += _masked_lines([*tickers, *source.series])
  lines += _suspicious_lines(tickers)
  refused = [str(refusal) for refusal in source.refused]
  what = 'symbols' if any(r.symbol for r in source.refused) else 'files'
  lines += _listed('refused', what, refused)
  if source.ignored:
    lines += _listed('ignored', 'entries other than CSV files', source.ignored)
  return lines + _series_lines(source, panel) + _panel_lines(panel)


def _series_lines(source: Source, panel: MarketPanel) -> list[str]:
  if not source.series:
    return []
  entries = [
    f'{one.name}: {len(one.dates):,} values, {one.dates[0]} to '
    f'{one.dates[-1]}, known after {one.lag} days; missing on '
    f'{int(np.isnan(panel.ohlc[:, column, 3]).sum()):,} days of the panel'
    for column, one in enumerate(source.series)
  ]
  return _listed('context', 'series', entries)


def _dropped_lines(columns: list[Ticker | Series]) -> list[str]:
  """Returns lines on rows dropped as repeated, revised or unpriced."""
  kinds = {
    'repeated': 'rows equal to another of the same day; one is kept',
    'revised': 'repeated days with other numbers; the last row is kept',
    'unpriced': 'rows without a price; left out',
  }
  lines = []
  for kind, what in kinds.items():
    found = {one.name: getattr(one, kind, ()) for one in columns}
    days = {name: own for name, own in found.items() if own}
    if days:
      total = sum(map(len, days.values()))
      entries = [
        f'{name}: {len(own)}, the first on {own[0]}'
        for name, own in days.items()
      ]
      lines += _listed(kind, f'columns, {total:,} {what}', entries)
  return lines


def _masked_lines(columns: list[Ticker | Series]) -> list[str]:
  cells = [(column.name, m) for column in columns for m in column.masked]
  total = sum(masked.count for _, masked in cells)
  entries = [
    f"{name}: column '{masked.column}', {masked.count} cells, the first in "
    f'row {masked.row} (found {masked.found})'
    for name, masked in cells
  ]
  return _listed('masked', f'columns, {total:,} cells', entries)


def _suspicious_lines(tickers: tuple[Ticker, ...]) -> list[str]:
  moves = [
    f'{ticker.name} {day}: {ratio - 1.0:+.0%}'
    for ticker in tickers
    for day, ratio in ticker.suspicious
  ]
  outside = sum(ticker.outside for ticker in tickers)
  lines = _listed('suspicious', 'daily moves', moves)
  if outside:
    lines.append(
      f'suspicious: {outside:,} rows with open or close outside low to high'
    )
  return lines


def _listed(title: str, what: str, entries) -> list[str]:
  lines = [f'{title}: {len(entries):,} {what}']
  lines += [f'  {entry}' for entry in entries[:_SHOWN]]
  if len(entries) > _SHOWN:
    lines.append(f'  and {len(entries) - _SHOWN:,} more')
  return lines


def _panel_lines(panel: MarketPanel) -> list[str]:
  first, stop = panel.investable
  short = [
    name
    for column, name in enumerate(panel.columns)
    if panel.column_kinds[column] == 'stock' and not first <= column < stop
  ]
  missing = float(np.isnan(panel.ohlc[..., 3]).mean())
  lines = [
    f'panel: {panel.num_days:,} days, {panel.dates[0]} to {panel.dates[-1]}, '
    f'{panel.num_columns} columns, {panel.num_features} features; '
    f'{missing:.1%} of the closes are missing',
    f'investable: {panel.num_investable} columns ({panel.notes})',
  ]
  if panel.markets:
    names: dict[int, list[str]] = {}
    for name, market, kind in zip(
      panel.columns, panel.markets, panel.column_kinds, strict=True
    ):
      if kind == 'stock':
        names.setdefault(market, []).append(name)
    entries = [
      ', '.join([*own[:5], '...'][: len(own)]) for own in names.values()
    ]
    lines += _listed('markets', 'with days of their own', entries)
  if short:
    lines += _listed('context', 'stocks with too few days', short)
  return [*lines, panel.survivorship]
